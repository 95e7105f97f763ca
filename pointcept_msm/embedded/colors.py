"""The transforms of colours that this package's configs name: color (N, 3), 0-255, stays in that range. Pointcept's
names, arguments and order of random draws; a scene without colours passes unchanged."""

import numpy as np
import torch

from pointcept_msm.embedded.registry import TRANSFORMS


@TRANSFORMS.register_module()
class ChromaticAutoContrast:
    """With probability `p`, blend with the colours stretched to the whole range, per channel."""

    def __init__(self, p=0.2, blend_factor=None):
        self.p, self.blend_factor = p, blend_factor

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
        self.p, self.ratio = p, ratio

    def __call__(self, data_dict):
        if "color" in data_dict and np.random.rand() < self.p:
            shift = (np.random.rand(1, 3) - 0.5) * 255 * 2 * self.ratio
            data_dict["color"][:] = np.clip(shift + data_dict["color"], 0, 255)
        return data_dict


@TRANSFORMS.register_module()
class ChromaticJitter:
    """With probability `p`, add Gaussian noise of deviation `std` of the range to every value."""

    def __init__(self, p=0.95, std=0.005):
        self.p, self.std = p, std

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


def gray_scale(color):
    """Luma of color (N, 3). -> (N, 1), same dtype"""
    r, g, b = color[..., 0], color[..., 1], color[..., 2]
    return (0.2989 * r + 0.587 * g + 0.114 * b).astype(color.dtype)[..., None]


def _blend(color, other, factor: float):
    """factor * color + (1 - factor) * other, held in 0-255."""
    factor = float(factor)
    return (factor * color + (1.0 - factor) * other).clip(0, 255.0).astype(color.dtype)


def adjust_brightness(color, factor: float):
    """Blend color (N, 3) with black; factor 1 keeps it."""
    return _blend(color, np.zeros_like(color), factor)


def adjust_contrast(color, factor: float):
    """Blend color (N, 3) with the scene's mean grey; factor 1 keeps it."""
    return _blend(color, np.mean(gray_scale(color)), factor)


def adjust_saturation(color, factor: float):
    """Blend color (N, 3) with its grey; factor 1 keeps it."""
    return _blend(color, gray_scale(color), factor)


def adjust_hue(color, turn: float):
    """Turn the hue of color (N, 3) by `turn` of the circle, -0.5 to 0.5."""
    hue, saturation, value = hue_saturation_value(color / 255.0)
    hue = ((hue / 6.0 + 1.0) % 1.0 + turn) % 1.0
    return (rgb_from_hsv(hue, saturation, value) * 255.0).astype(color.dtype)


@TRANSFORMS.register_module()
class RandomColorJitter:
    """Brightness, contrast, saturation and hue in random order, each applied with probability `p`, as in torchvision.

    A number x means a factor from 1 - x to 1 + x (a hue turn from -x to x); a pair is the range itself; 0 leaves it.
    """

    ADJUSTMENTS = (adjust_brightness, adjust_contrast, adjust_saturation, adjust_hue)

    def __init__(self, brightness=0, contrast=0, saturation=0, hue=0, p=0.95):
        self.ranges = [_factor_range(value, 1) for value in (brightness, contrast, saturation)]
        self.ranges.append(_factor_range(hue, 0))
        self.p = p

    def __call__(self, data_dict):
        if "color" not in data_dict:
            return data_dict
        order = torch.randperm(4).tolist()
        factors = [None if limits is None else np.random.uniform(*limits) for limits in self.ranges]
        for i in order:
            if factors[i] is not None and np.random.rand() < self.p:
                data_dict["color"] = self.ADJUSTMENTS[i](data_dict["color"], factors[i])
        return data_dict


def _factor_range(value, center):
    """The range of factors that an argument of RandomColorJitter stands for; None when it changes nothing."""
    if isinstance(value, (int, float)):
        low, high = center - float(value), center + float(value)
        value = (max(low, 0.0) if center else low, high)
    return None if value[0] == value[1] == center else tuple(value)
