"""Elastic distortion: points pushed along smoothed noise on a coarse grid, as in MinkowskiEngine's augmentation."""

import random

import numpy as np
from scipy import interpolate, ndimage

from pointcept_msm.embedded.registry import TRANSFORMS


def distort_points(coord, granularity: float, magnitude: float):
    """Add noise drawn every `granularity` metres, blurred twice and times `magnitude`, to coord (N, 3) in place."""
    low = coord.min(0)
    size = ((coord - low).max(0) // granularity).astype(int) + 3  # noise cells per axis, with a border
    noise = np.random.randn(*size, 3).astype(np.float32)
    for _ in range(2):
        for axis in range(3):
            shape = [3 if dimension == axis else 1 for dimension in range(4)]
            noise = ndimage.convolve(noise, np.full(shape, 1, np.float32) / 3, mode="constant", cval=0)
    ends = zip(low - granularity, low + granularity * (size - 2), size)
    axes = [np.linspace(first, last, count) for first, last, count in ends]
    push = interpolate.RegularGridInterpolator(axes, noise, bounds_error=False, fill_value=0)
    coord += push(coord) * magnitude
    return coord


@TRANSFORMS.register_module()
class ElasticDistortion:
    """In 95 % of the calls, distort with each `(granularity, magnitude)` of `distortion_params` in turn."""

    def __init__(self, distortion_params=None):
        self.distortion_params = [[0.2, 0.4], [0.8, 1.6]] if distortion_params is None else distortion_params

    def __call__(self, data_dict):
        if "coord" in data_dict and random.random() < 0.95:
            for granularity, magnitude in self.distortion_params:
                data_dict["coord"] = distort_points(data_dict["coord"], granularity, magnitude)
        return data_dict
