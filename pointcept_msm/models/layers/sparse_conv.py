"""Sparse convolution layers: submanifold 3x3x3, strided 2x2x2 and its inverse. Weight layout (out, kx, ky, kz, in), as
in spconv 2 and in the released checkpoint, whichever back end multiplies (conv_backends.py).
"""

import math

import torch
from torch import nn

from .conv_backends import choose_conv_backend
from .pyramid import VoxelPyramid


class _ConvWeight(nn.Module):
    """Weight and bias with PyTorch's default initialisation for convolutions (as spconv's). Under autocast products are
    in its type, sums in float32."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, bias: bool):
        super().__init__()
        bound = 1 / math.sqrt(in_channels * kernel**3)
        self.weight = nn.Parameter(torch.empty(out_channels, kernel, kernel, kernel, in_channels))
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def _convolve(self, feat, kernel_map):
        if torch.is_autocast_enabled(feat.device.type):
            feat = feat.to(torch.get_autocast_dtype(feat.device.type))
        return choose_conv_backend(feat.device)(feat, self.weight, kernel_map, self.bias)


class SubmanifoldConv(_ConvWeight):
    """3x3x3 convolution whose output voxels are its input voxels."""

    def __init__(self, in_channels: int, out_channels: int, bias: bool = False):
        super().__init__(in_channels, out_channels, 3, bias)

    def forward(self, feat: torch.Tensor, pyramid: VoxelPyramid, level: int) -> torch.Tensor:
        """feat (V_l, C_in) -> (V_l, C_out)."""
        return self._convolve(feat, pyramid.submanifold_map(level))


class StridedConv(_ConvWeight):
    """2x2x2 convolution of stride 2: from a level to the next coarser one."""

    def __init__(self, in_channels: int, out_channels: int, bias: bool = True):
        super().__init__(in_channels, out_channels, 2, bias)

    def forward(self, feat: torch.Tensor, pyramid: VoxelPyramid, level: int) -> torch.Tensor:
        """feat (V_l, C_in) of `level` -> (V_{l+1}, C_out)."""
        return self._convolve(feat, pyramid.strided_map(level))


class InverseConv(_ConvWeight):
    """Transposed 2x2x2 convolution onto the voxels of the next finer level: child 2P + (i, j, k) gets tap (i, j, k)."""

    def __init__(self, in_channels: int, out_channels: int, bias: bool = True):
        super().__init__(in_channels, out_channels, 2, bias)

    def forward(self, feat: torch.Tensor, pyramid: VoxelPyramid, level: int) -> torch.Tensor:
        """feat (V_{l+1}, C_in) -> (V_l, C_out) of `level`."""
        return self._convolve(feat, pyramid.strided_map(level).transposed)
