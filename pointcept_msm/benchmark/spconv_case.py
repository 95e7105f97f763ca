"""spconv's submanifold convolution beside ours, for timing and as an oracle of values."""

from collections.abc import Callable

import torch

from pointcept_msm.models.layers.pyramid import VoxelPyramid
from pointcept_msm.models.layers.sparse_conv import SubmanifoldConv


def build_spconv_case(pyramid: VoxelPyramid, conv: SubmanifoldConv, feat: torch.Tensor) -> dict[str, Callable]:
    """{"spconv": function -> (V, C)}: the same convolution on level 0 by spconv, its table made beforehand as ours is;
    {} when spconv is not installed. Forward only: its CPU build has no backward pass, and gives wrong numbers with more
    than one thread."""
    try:
        import spconv.pytorch as spconv
    except ImportError:
        return {}
    layer = spconv.SubMConv3d(conv.weight.shape[-1], conv.weight.shape[0], 3, bias=False, indice_key="benchmark")
    layer = layer.to(feat.device).train()
    layer.weight.data.copy_(conv.weight.detach())
    coord = pyramid.coords[0].int()
    shape = (coord[:, 1:].max(0).values + 96).tolist()
    table = layer(spconv.SparseConvTensor(feat, coord, shape, pyramid.num_scenes)).indice_dict

    def run():
        x = spconv.SparseConvTensor(feat, coord, shape, pyramid.num_scenes)
        x.indice_dict = table
        with torch.no_grad():
            return layer(x).features

    return {"spconv": run}
