"""The two residual blocks of the released network: sparse-convolution ResNet block and attention block."""

from itertools import cycle

import torch
import torch.nn.functional as F
from torch import nn

from pointcept_msm.runtime.errors import UserError

from .attention import window_attention
from .norm import SkipPath, SparseNorm
from .pyramid import VoxelPyramid
from .serialization import CURVES
from .sparse_conv import SubmanifoldConv


class ResNetBlock(nn.Module):
    """x + gamma * norm(conv(gelu(conv(norm(x)))))."""

    remake = True  # False under checkpointing, whose own bookkeeping must see every tensor that is kept

    def __init__(self, channels: int, drop_path: float = 0.0):
        super().__init__()
        self.norm = SparseNorm(channels)
        self.conv1 = SubmanifoldConv(channels, channels)
        self.conv2 = SubmanifoldConv(channels, channels)
        self.norm_post_layer = SparseNorm(channels)
        self.skip_path = SkipPath(channels, drop_path)

    def forward(self, x: torch.Tensor, pyramid: VoxelPyramid, level: int) -> torch.Tensor:
        """x (V_l, C) -> (V_l, C)."""
        y = self._convolve(self.conv1, self.norm, x, pyramid, level)
        y = self._convolve(self.conv2, F.gelu, y, pyramid, level)
        return self.skip_path(y, x, pyramid.batch(level), pyramid.num_scenes, self.norm_post_layer)

    def _convolve(self, conv, before, x, pyramid, level):
        """conv(before(x)). On a GPU what goes into the convolution is not kept for the backward pass but made again
        there: one cheap launch each, for a third of a training step's memory."""
        entered = before(x)
        if not (self._remakes(x) and entered.requires_grad):
            return conv(entered, pyramid, level)

        def pack(saved):
            return None if saved.data_ptr() == entered.data_ptr() and saved.shape == entered.shape else saved

        def unpack(saved, dtype=entered.dtype):
            if saved is not None:
                return saved
            with torch.no_grad():
                return before(x).to(dtype)

        with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
            return conv(entered, pyramid, level)

    def _remakes(self, x):
        return self.remake and x.is_cuda


class AttentionBlock(nn.Module):
    """Banded self-attention along one curve, then a GEGLU feed-forward of ratio 4; no biases, no positions."""

    def __init__(self, channels: int, heads: int, window: int, drop_path: float = 0.0, attn_drop: float = 0.0):
        super().__init__()
        if channels % heads:
            raise UserError(f"{heads} heads do not divide {channels} channels; choose a divisor of the width.")
        self.heads, self.half_window, self.attn_drop = heads, window // 2, attn_drop
        self.norm = SparseNorm(channels)
        self.linear_in = nn.Linear(channels, 3 * channels, bias=False)
        self.linear_out = nn.Linear(channels, channels, bias=False)
        self.skip_path_1 = SkipPath(channels, drop_path)
        self.mlp_norm = SparseNorm(channels)
        self.mlp_lin_1 = nn.Linear(channels, 8 * channels, bias=False)
        self.mlp_lin_2 = nn.Linear(4 * channels, channels, bias=False)
        self.skip_path_2 = SkipPath(channels, drop_path)

    def forward(self, x: torch.Tensor, pyramid: VoxelPyramid, level: int, curve: str) -> torch.Tensor:
        """x (V_l, C) -> (V_l, C)."""
        batch, scenes = pyramid.batch(level), pyramid.num_scenes
        x = self.skip_path_1(self._attend(self.norm(x), pyramid, level, curve), x, batch, scenes)
        gate, content = self.mlp_lin_1(self.mlp_norm(x)).chunk(2, dim=-1)
        return self.skip_path_2(self.mlp_lin_2(F.gelu(gate) * content), x, batch, scenes)

    def _attend(self, x, pyramid, level, curve):
        order = pyramid.curve_order(level, curve)
        qkv = self.linear_in(x if order is None else x.index_select(0, order[0])).view(len(x), 3, self.heads, -1)
        dropout = self.attn_drop if self.training else 0.0
        out = window_attention(*qkv.unbind(1), pyramid, level, self.half_window, dropout)
        out = self.linear_out(out.flatten(1))
        return out if order is None else out.index_select(0, order[1])


class AttentionStage(nn.ModuleList):
    """Attention blocks of one stage, each along a curve: shuffled in training, the listed order in eval. Index 0 is
    empty: in the released state dict blocks count from 1."""

    def __init__(self, blocks):
        super().__init__([nn.Identity(), *blocks])

    def forward(self, x: torch.Tensor, pyramid: VoxelPyramid, level: int) -> torch.Tensor:
        """x (V_l, C) -> (V_l, C)."""
        order = torch.randperm(len(CURVES)).tolist() if self.training else range(len(CURVES))
        for block, curve in zip(list(self)[1:], cycle(order)):
            x = block(x, pyramid, level, CURVES[curve])
        return x
