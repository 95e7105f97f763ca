"""Any network of the host as one that gives levels, so that this package's probes judge other methods' features too.

Networks are told apart by what they return: ours give levels; Pointcept's point transformers a `Point` with the chain
of points that it was pooled from; its sparse U-Nets one tensor, while their decoder stages can be listened to.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from pointcept_msm.datasets.inputs import count_channels
from pointcept_msm.models.feature_sampling import Level
from pointcept_msm.runtime.errors import UserError

INPUTS = ("msm", "pointcept")  # scaling of the input features


class LevelNetwork(nn.Module):
    """network behind the interface of the extractor: {grid_coord (V, 3), feat (V, C), offset (B,)} -> [Level].

    feat holds the columns of feat_keys in this package's scaling; inputs="pointcept" turns them into what Pointcept's
    configs feed. grid_size: metres a voxel. Every pass starts from one seed, as Pointcept's point transformers shuffle
    their curves in eval too; the random generators are left as they were found.
    """

    def __init__(self, network: nn.Module, grid_size: float, feat_keys: Sequence[str], inputs: str = "msm"):
        super().__init__()
        if inputs not in INPUTS:
            raise UserError(f"inputs is {inputs!r}; choose one of {', '.join(INPUTS)}.")
        self.network, self.grid_size, self.feat_keys, self.inputs = network, grid_size, tuple(feat_keys), inputs

    def forward(self, batch: dict) -> list[Level]:
        """Levels fine to coarse; the finest level's rows are those of the batch."""
        scene = scene_of_rows(batch["offset"])
        coord = shift_to_centre(batch["grid_coord"] * self.grid_size, scene)
        feat = batch["feat"]
        if self.inputs == "pointcept":
            feat = rescale_feat(feat, self.feat_keys, coord)
        with torch.random.fork_rng([coord.device] if coord.is_cuda else []), listen(self.network) as heard:
            torch.manual_seed(0)
            out = self.network(dict(batch, feat=feat, coord=coord, grid_size=self.grid_size))
        if isinstance(out, list):
            return out
        if isinstance(out, dict):
            return levels_of_point(out, len(scene))
        if heard:
            return levels_of_stages(heard)
        return [Level(torch.cat([scene[:, None], batch["grid_coord"]], 1).int(), out, 1)]


def scene_of_rows(offset: torch.Tensor) -> torch.Tensor:
    """offset (B,) cumulative scene ends -> scene index (V,)."""
    count = torch.diff(offset, prepend=offset.new_zeros(1))
    return torch.repeat_interleave(torch.arange(len(count), device=count.device), count)


def shift_to_centre(coord: torch.Tensor, scene: torch.Tensor) -> torch.Tensor:
    """coord (V, 3) of each scene with x and y around their mid-range and z from 0: Pointcept's CenterShift."""
    shape, index = (int(scene[-1]) + 1, 3), scene[:, None].expand(-1, 3)
    low = coord.new_zeros(shape).scatter_reduce(0, index, coord, "amin", include_self=False)
    high = coord.new_zeros(shape).scatter_reduce(0, index, coord, "amax", include_self=False)
    middle = torch.cat([((low + high) / 2)[:, :2], low[:, 2:]], 1)
    return coord - middle[scene]


def rescale_feat(feat: torch.Tensor, feat_keys: Sequence[str], coord: torch.Tensor) -> torch.Tensor:
    """feat (V, C) of this package -> that of Pointcept's configs: color from [-1, 1] to [0, 1], coord as shifted."""
    rules = {"color": lambda x: (x + 1) / 2, "coord": lambda x: coord.to(x.dtype)}
    parts = feat.split([count_channels([key]) for key in feat_keys], 1)
    return torch.cat([rules.get(key, lambda x: x)(part) for key, part in zip(feat_keys, parts, strict=True)], 1)


@contextmanager
def listen(network: nn.Module) -> Iterator[list]:
    """What the decoder stages of a sparse U-Net (`dec`, fine to coarse) and its bottleneck give inside the block."""
    heard, stages = [], []
    if hasattr(network, "conv_input") and isinstance(getattr(network, "dec", None), nn.ModuleList):
        stages = [*network.dec, network.enc[-1]]
    handles = [stage.register_forward_hook(lambda module, args, out: heard.append(out)) for stage in stages]
    try:
        yield heard
    finally:
        for handle in handles:
            handle.remove()


def levels_of_stages(tensors: list) -> list[Level]:
    """SparseConvTensors as levels, fine to coarse; they come in the order in which the network ran."""
    ordered = sorted(tensors, key=lambda x: -x.spatial_shape[0])
    finest = ordered[0].spatial_shape[0]
    strides = [2 ** round(math.log2(finest / x.spatial_shape[0])) for x in ordered]  # shapes halve with rounding
    return [Level(x.indices, x.features, stride) for x, stride in zip(ordered, strides)]


def levels_of_point(point: dict, count: int) -> list[Level]:
    """A Point of Pointcept and the points it was pooled from: levels fine to coarse. count: voxels that went in.

    UserError: the chain does not reach up to them, so strides are not known.
    """
    chain = [point]
    while "pooling_parent" in chain[-1]:  # a missing attribute would be an empty Point, not an error
        chain.append(chain[-1]["pooling_parent"])
    if len(chain[-1]["feat"]) != count:
        raise UserError(
            f"the backbone gives {len(chain[-1]['feat'])} rows for {count} voxels and does not say how it pooled them "
            "(pooling_parent); give the evaluator a network whose finest rows are its input's"
        )
    rows = [(torch.cat([x["batch"][:, None], x["grid_coord"]], 1).int(), x["feat"]) for x in reversed(chain)]
    return [Level(coord, feat, 2**i) for i, (coord, feat) in enumerate(rows)]
