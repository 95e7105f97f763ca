"""Submanifold convolution by every back end that works here, index tables made beforehand."""

from collections.abc import Callable
from functools import partial

import torch

from pointcept_msm.models.layers.conv_backends import find_conv_backends
from pointcept_msm.models.layers.pyramid import VoxelPyramid


def build_conv_cases(pyramid: VoxelPyramid, channels: int, device) -> dict[str, Callable]:
    """{case: function} on level 0. `product`: one dense product of the same width on all voxels."""
    kernel_map = pyramid.submanifold_map(0)
    feat = torch.randn(kernel_map.num_in, channels, device=device)
    bound = (27 * channels) ** -0.5
    weight = torch.empty(channels, 3, 3, 3, channels, device=device).uniform_(-bound, bound)
    matrix = weight[:, 1, 1, 1].contiguous()
    cases = {"product": lambda: feat @ matrix}
    for name, convolve in find_conv_backends(torch.device(device)).items():
        convolve(feat, weight, kernel_map)  # makes the tables
        cases[name] = partial(_forward, convolve, feat, weight, kernel_map)
        cases[f"{name} forward and backward"] = partial(_forward_and_backward, convolve, feat, weight, kernel_map)
    return cases


@torch.no_grad()
def _forward(convolve, feat, weight, kernel_map):
    return convolve(feat, weight, kernel_map)


def _forward_and_backward(convolve, feat, weight, kernel_map):
    inputs = feat.detach().requires_grad_(), weight.detach().requires_grad_()
    return torch.autograd.grad(convolve(*inputs, kernel_map).sum(), inputs)
