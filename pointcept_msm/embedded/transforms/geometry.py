"""Transforms of coordinates (and of normals, where they turn with them).

coord (N, 3) metres, changed in place; a rotation leaves float64 arrays, which `ToTensor` makes float32.
"""

import random

import numpy as np

from pointcept_msm.embedded.registry import TRANSFORMS


def find_extent(coord):
    """Smallest and largest value of each axis of coord (N, 3): numpy is slow along axis 0 of such arrays."""
    return np.array([axis.min() for axis in coord.T]), np.array([axis.max() for axis in coord.T])


@TRANSFORMS.register_module()
class PositiveShift:
    """Move the scene so that its smallest coordinates are 0."""

    def __call__(self, data_dict):
        if "coord" in data_dict:
            data_dict["coord"] -= find_extent(data_dict["coord"])[0]
        return data_dict


@TRANSFORMS.register_module()
class CenterShift:
    """Move the middle of the scene's extent to x = y = 0 and, with `apply_z`, its lowest point to z = 0."""

    def __init__(self, apply_z=True):
        self.apply_z = apply_z

    def __call__(self, data_dict):
        if "coord" in data_dict:
            low, high = find_extent(data_dict["coord"])
            data_dict["coord"] -= [*((low[:2] + high[:2]) / 2), low[2] if self.apply_z else 0]
        return data_dict


@TRANSFORMS.register_module()
class RandomShift:
    """Move the scene by one uniform draw an axis (metres)."""

    def __init__(self, shift=((-0.2, 0.2), (-0.2, 0.2), (0, 0))):
        self.shift = shift

    def __call__(self, data_dict):
        if "coord" in data_dict:
            data_dict["coord"] += [np.random.uniform(low, high) for low, high in self.shift]
        return data_dict


@TRANSFORMS.register_module()
class PointClip:
    """Clip coordinates to the box `(x, y, z, x, y, z)` (metres)."""

    def __init__(self, point_cloud_range=(-80, -80, -3, 80, 80, 1)):
        self.point_cloud_range = point_cloud_range

    def __call__(self, data_dict):
        if "coord" in data_dict:
            box = self.point_cloud_range
            data_dict["coord"] = np.clip(data_dict["coord"], box[:3], box[3:])
        return data_dict


def rotation_matrix(angle: float, axis: str):
    """The right-handed rotation by `angle` (radians) about `axis`. -> (3, 3)"""
    if axis not in ("x", "y", "z"):
        raise ValueError(f"rotation axis is {axis!r}, allowed are 'x', 'y' and 'z'")
    first, second = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    matrix = np.eye(3)
    matrix[first, first] = matrix[second, second] = np.cos(angle)
    matrix[first, second], matrix[second, first] = -np.sin(angle), np.sin(angle)
    return matrix


def rotate_points(data_dict: dict, matrix, center=None) -> dict:
    """Turn coord about `center` (the middle of the extent when None), and normal about the origin."""
    if "coord" in data_dict:
        if center is None:
            low, high = find_extent(data_dict["coord"])
            center = (low + high) / 2
        data_dict["coord"] -= center
        data_dict["coord"] = np.dot(data_dict["coord"], matrix.T)
        data_dict["coord"] += center
    if "normal" in data_dict:
        data_dict["normal"] = np.dot(data_dict["normal"], matrix.T)
    return data_dict


class _Rotation:
    """What the two rotations share: when to apply, about which axis and centre."""

    def __init__(self, angle, center, axis, always_apply, p):
        self.angle = angle
        self.center = center
        self.axis = axis
        self.always_apply = always_apply
        self.p = 1 if always_apply else p

    def __call__(self, data_dict):
        if random.random() > self.p:
            return data_dict
        return rotate_points(data_dict, rotation_matrix(self.sample_angle(), self.axis), self.center)


@TRANSFORMS.register_module()
class RandomRotate(_Rotation):
    """Turn by a uniform angle from `angle`, in units of pi, with probability `p`."""

    def __init__(self, angle=None, center=None, axis="z", always_apply=False, p=0.5):
        super().__init__([-1, 1] if angle is None else angle, center, axis, always_apply, p)

    def sample_angle(self) -> float:
        return np.random.uniform(self.angle[0], self.angle[1]) * np.pi


@TRANSFORMS.register_module()
class RandomRotateTargetAngle(_Rotation):
    """Turn by one of the angles `angle`, in units of pi, with probability `p`."""

    def __init__(self, angle=(1 / 2, 1, 3 / 2), center=None, axis="z", always_apply=False, p=0.75):
        super().__init__(angle, center, axis, always_apply, p)

    def sample_angle(self) -> float:
        return np.random.choice(self.angle) * np.pi


@TRANSFORMS.register_module()
class RandomScale:
    """Scale by a uniform factor from `scale`, one an axis when `anisotropic`."""

    def __init__(self, scale=None, anisotropic=False):
        self.scale = [0.95, 1.05] if scale is None else scale
        self.anisotropic = anisotropic

    def __call__(self, data_dict):
        if "coord" in data_dict:
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
        if clip <= 0:
            raise ValueError(f"RandomJitter's clip is {clip}, it must be above 0 (metres)")
        self.sigma = sigma
        self.clip = clip

    def __call__(self, data_dict):
        if "coord" in data_dict:
            noise = self.sigma * np.random.randn(len(data_dict["coord"]), 3)
            data_dict["coord"] += np.clip(noise, -self.clip, self.clip)
        return data_dict


@TRANSFORMS.register_module()
class RandomDropNormal:
    """With probability `drop_application_ratio`, set the normals of a share `drop_ratio` of the points to 0."""

    def __init__(self, drop_ratio=0.2, drop_application_ratio=0.5):
        self.drop_ratio = drop_ratio
        self.drop_application_ratio = drop_application_ratio

    def __call__(self, data_dict):
        if "normal" in data_dict and random.random() < self.drop_application_ratio:
            n = len(data_dict["normal"])
            data_dict["normal"][np.random.choice(n, int(n * self.drop_ratio), replace=False)] = 0
        return data_dict
