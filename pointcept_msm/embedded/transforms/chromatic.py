"""Colour transforms on color (N, 3), 0-255, which keep the whole range, and their HSV arithmetic."""

import random

import numpy as np

from pointcept_msm.embedded.registry import TRANSFORMS


@TRANSFORMS.register_module()
class NormalizeColor:
    """Bring 0-255 to 0-1."""

    def __call__(self, data_dict):
        if "color" in data_dict:
            data_dict["color"] = data_dict["color"] / 255
        return data_dict


@TRANSFORMS.register_module()
class ChromaticAutoContrast:
    """With probability `p`, blend with the colours stretched to the whole range, per channel."""

    def __init__(self, p=0.2, blend_factor=None):
        self.p = p
        self.blend_factor = blend_factor

    def __call__(self, data_dict):
        if "color" not in data_dict or np.random.rand() >= self.p:
            return data_dict
        color = data_dict["color"]
        low, span = color.min(0, keepdims=True), np.ptp(color, axis=0, keepdims=True)
        if not np.any(span > 0):
            return data_dict
        scale = np.divide(255, span, out=np.ones_like(span), where=span > 0)  # a constant channel keeps its scale
        blend = np.random.rand() if self.blend_factor is None else self.blend_factor
        color[:] = (1 - blend) * color + blend * ((color - low) * scale)
        return data_dict


@TRANSFORMS.register_module()
class ChromaticTranslation:
    """With probability `p`, add one shift a channel, at most `ratio` of the range."""

    def __init__(self, p=0.95, ratio=0.05):
        self.p = p
        self.ratio = ratio

    def __call__(self, data_dict):
        if "color" in data_dict and np.random.rand() < self.p:
            shift = (np.random.rand(1, 3) - 0.5) * 255 * 2 * self.ratio
            data_dict["color"][:] = np.clip(shift + data_dict["color"], 0, 255)
        return data_dict


@TRANSFORMS.register_module()
class ChromaticJitter:
    """With probability `p`, add Gaussian noise of deviation `std` of the range to every value."""

    def __init__(self, p=0.95, std=0.005):
        self.p = p
        self.std = std

    def __call__(self, data_dict):
        if "color" in data_dict and np.random.rand() < self.p:
            noise = np.random.randn(len(data_dict["color"]), 3) * (self.std * 255)
            data_dict["color"][:] = np.clip(noise + data_dict["color"], 0, 255)
        return data_dict


def hue_saturation_value(rgb):
    """HSV of rgb (..., 3): hue in sixths of the circle from -1 to 5, saturation 0-1, value in rgb's unit; float64."""
    value = rgb.max(axis=-1)
    span = value - rgb.min(axis=-1)
    gray = span == 0
    saturation = span / np.where(gray, 1.0, value.astype(np.float64))
    away = (value[..., None] - rgb) / np.where(gray, 1.0, span.astype(np.float64))[..., None]
    r, g, b = np.moveaxis(away, -1, 0)
    red, green = rgb[..., 0] == value, rgb[..., 1] == value
    hue = np.where(red, b - g, np.where(green, 2.0 + r - b, 4.0 + g - r))
    return hue, saturation, value.astype(np.float64)


def rgb_from_hsv(hue, saturation, value):
    """RGB (..., 3) in the unit of `value`, from hue 0-1 and saturation 0-1."""
    sector = np.floor(hue * 6.0)
    rest = hue * 6.0 - sector
    low = value * (1.0 - saturation)
    falling, rising = value * (1.0 - saturation * rest), value * (1.0 - saturation * (1.0 - rest))
    sector = sector.astype(int) % 6
    channels = [
        (value, falling, low, low, rising, value),
        (rising, value, value, falling, low, low),
        (low, low, rising, value, value, falling),
    ]
    return np.stack([np.choose(sector, channel) for channel in channels], axis=-1)


@TRANSFORMS.register_module()
class HueSaturationTranslation:
    """Turn the hue by up to `hue_max` of the circle and scale the saturation by up to 1 +- `saturation_max`.

    The result is cut to whole numbers, as in Pointcept.
    """

    def __init__(self, hue_max=0.5, saturation_max=0.2):
        self.hue_max = hue_max
        self.saturation_max = saturation_max

    def __call__(self, data_dict):
        if "color" in data_dict:
            hue, saturation, value = hue_saturation_value(data_dict["color"].astype(np.float64))
            turn = (np.random.rand() - 0.5) * 2 * self.hue_max
            ratio = 1 + (np.random.rand() - 0.5) * 2 * self.saturation_max
            hue = np.remainder(turn + (hue / 6.0) % 1.0 + 1, 1)
            rgb = rgb_from_hsv(hue, np.clip(ratio * saturation, 0, 1), value)
            data_dict["color"][:] = rgb.astype(np.uint8)
        return data_dict


@TRANSFORMS.register_module()
class RandomDropColor:
    """With probability `drop_application_ratio`, set the colours of a share `drop_ratio` of the points to 0."""

    def __init__(self, drop_ratio=0.2, drop_application_ratio=0.5):
        self.drop_ratio = drop_ratio
        self.drop_application_ratio = drop_application_ratio

    def __call__(self, data_dict):
        if "color" in data_dict and random.random() < self.drop_application_ratio:
            n = len(data_dict["color"])
            data_dict["color"][np.random.choice(n, int(n * self.drop_ratio), replace=False)] = 0
        return data_dict
