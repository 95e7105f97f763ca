"""Brightness, contrast, saturation, hue and grey scale of point colours, after torchvision's ColorJitter."""

from numbers import Number

import numpy as np
import torch

from pointcept_msm.embedded.registry import TRANSFORMS
from pointcept_msm.embedded.transforms.chromatic import hue_saturation_value, rgb_from_hsv


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
class RandomColorGrayScale:
    """With probability `p`, replace all colours by their grey."""

    def __init__(self, p):
        self.p = p

    def __call__(self, data_dict):
        if np.random.rand() < self.p and "color" in data_dict:
            data_dict["color"] = np.repeat(gray_scale(data_dict["color"]), 3, axis=-1)
        return data_dict


@TRANSFORMS.register_module()
class RandomColorJitter:
    """Brightness, contrast, saturation and hue in random order, each applied with probability `p`.

    A number x means a factor from 1 - x to 1 + x (a hue turn from -x to x); a pair is the range itself.
    """

    ADJUSTMENTS = (adjust_brightness, adjust_contrast, adjust_saturation, adjust_hue)

    def __init__(self, brightness=0, contrast=0, saturation=0, hue=0, p=0.95):
        self.brightness = _factor_range("brightness", brightness)
        self.contrast = _factor_range("contrast", contrast)
        self.saturation = _factor_range("saturation", saturation)
        self.hue = _factor_range("hue", hue, center=0, bound=(-0.5, 0.5))
        self.p = p

    def __call__(self, data_dict):
        if "color" not in data_dict:
            return data_dict
        order = torch.randperm(4).tolist()
        ranges = (self.brightness, self.contrast, self.saturation, self.hue)
        factors = [None if limits is None else np.random.uniform(*limits) for limits in ranges]
        for i in order:
            if factors[i] is not None and np.random.rand() < self.p:
                data_dict["color"] = self.ADJUSTMENTS[i](data_dict["color"], factors[i])
        return data_dict


def _factor_range(name: str, value, center=1, bound=(0, float("inf"))):
    """The range of factors that an argument of RandomColorJitter stands for; None when it changes nothing."""
    if isinstance(value, Number) and value >= 0:
        value = (center - float(value), center + float(value))
        value = (max(value[0], 0.0), value[1]) if center else value
    if isinstance(value, Number) or len(value) != 2 or not bound[0] <= value[0] <= value[1] <= bound[1]:
        raise ValueError(f"RandomColorJitter's {name} is {value!r}, allowed is a number from 0 or a pair in {bound}")
    return None if value[0] == value[1] == center else tuple(value)
