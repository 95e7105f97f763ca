"""The transforms of points that this package's configs name, with Pointcept's names, arguments and order of random
draws, so that one seed gives one batch in both hosts.

A transform is a callable from sample dictionary to sample dictionary of numpy arrays. coord (N, 3) metres, changed in
place; normal (N, 3) turns with it; a rotation leaves float64 arrays.
"""

import random

import numpy as np
from scipy import interpolate, ndimage

from pointcept_msm.embedded.registry import TRANSFORMS

POINT_KEYS = ("coord", "color", "normal", "superpoint", "strength", "segment", "instance")


def find_extent(coord):
    """Smallest and largest value of each axis of coord (N, 3): numpy is slow along axis 0 of such arrays."""
    return np.array([axis.min() for axis in coord.T]), np.array([axis.max() for axis in coord.T])


@TRANSFORMS.register_module()
class CenterShift:
    """Move the middle of the scene's extent to x = y = 0 and, with `apply_z`, its lowest point to z = 0."""

    def __init__(self, apply_z=True):
        self.apply_z = apply_z

    def __call__(self, data_dict):
        low, high = find_extent(data_dict["coord"])
        data_dict["coord"] -= [*((low[:2] + high[:2]) / 2), low[2] if self.apply_z else 0]
        return data_dict


def rotation_matrix(angle: float, axis: str):
    """The right-handed rotation by `angle` (radians) about `axis`. -> (3, 3)"""
    first, second = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    matrix = np.eye(3)
    matrix[first, first] = matrix[second, second] = np.cos(angle)
    matrix[first, second], matrix[second, first] = -np.sin(angle), np.sin(angle)
    return matrix


@TRANSFORMS.register_module()
class RandomRotate:
    """With probability `p`, turn about `center` (the middle of the extent when None) by a uniform angle from `angle`,
    in units of pi."""

    def __init__(self, angle=(-1, 1), center=None, axis="z", always_apply=False, p=0.5):
        self.angle, self.center, self.axis, self.p = angle, center, axis, 1 if always_apply else p

    def __call__(self, data_dict):
        if random.random() > self.p:
            return data_dict
        matrix = rotation_matrix(np.random.uniform(*self.angle) * np.pi, self.axis)
        center = np.mean(find_extent(data_dict["coord"]), 0) if self.center is None else self.center
        data_dict["coord"] -= center
        data_dict["coord"] = np.dot(data_dict["coord"], matrix.T)
        data_dict["coord"] += center
        if "normal" in data_dict:
            data_dict["normal"] = np.dot(data_dict["normal"], matrix.T)
        return data_dict


@TRANSFORMS.register_module()
class RandomScale:
    """Scale by a uniform factor from `scale`, one an axis when `anisotropic`."""

    def __init__(self, scale=(0.95, 1.05), anisotropic=False):
        self.scale, self.anisotropic = scale, anisotropic

    def __call__(self, data_dict):
        data_dict["coord"] *= np.random.uniform(self.scale[0], self.scale[1], 3 if self.anisotropic else 1)
        return data_dict


@TRANSFORMS.register_module()
class RandomFlip:
    """Mirror x, then y, each with probability `p`."""

    def __init__(self, p=0.5):
        self.p = p

    def __call__(self, data_dict):
        for axis in (0, 1):
            if np.random.rand() < self.p:
                for key in {"coord", "normal"} & data_dict.keys():
                    data_dict[key][:, axis] *= -1
        return data_dict


@TRANSFORMS.register_module()
class RandomJitter:
    """Add Gaussian noise of deviation `sigma`, cut off at `clip` (metres)."""

    def __init__(self, sigma=0.01, clip=0.05):
        self.sigma, self.clip = sigma, clip

    def __call__(self, data_dict):
        noise = self.sigma * np.random.randn(len(data_dict["coord"]), 3)
        data_dict["coord"] += np.clip(noise, -self.clip, self.clip)
        return data_dict


@TRANSFORMS.register_module()
class RandomDropout:
    """With probability `dropout_application_ratio`, drop a share `dropout_ratio` of the points, from every entry that
    the sample's `index_valid_keys` name."""

    def __init__(self, dropout_ratio=0.2, dropout_application_ratio=0.5):
        self.dropout_ratio, self.dropout_application_ratio = dropout_ratio, dropout_application_ratio

    def __call__(self, data_dict):
        if random.random() < self.dropout_application_ratio:
            n = len(data_dict["coord"])
            index = np.random.choice(n, int(n * (1 - self.dropout_ratio)), replace=False)
            for key in data_dict.setdefault("index_valid_keys", list(POINT_KEYS)):
                if key in data_dict:
                    data_dict[key] = data_dict[key][index]
        return data_dict


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
    """In 95 % of the calls, distort with each `(granularity, magnitude)` of `distortion_params` in turn: points pushed
    along smoothed noise on a coarse grid, as in MinkowskiEngine's augmentation."""

    def __init__(self, distortion_params=((0.2, 0.4), (0.8, 1.6))):
        self.distortion_params = distortion_params

    def __call__(self, data_dict):
        if random.random() < 0.95:
            for granularity, magnitude in self.distortion_params:
                data_dict["coord"] = distort_points(data_dict["coord"], granularity, magnitude)
        return data_dict
