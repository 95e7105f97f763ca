"""MSM-SpUNet-v1m1: Pointcept's SpUNet-v1m1 as a network that Masked Scene Modeling can train (Pointcept host only).

The layers are Pointcept's own, under its names, so that `student.backbone.*` loads into SpUNet-v1m1 by the usual
keyword mapping. New is that encoder and decoder run apart, each on the voxels it is given: the encoder on the visible
ones alone, the decoder on all, with tokens where the encoder saw nothing.

Voxels stay in the pyramid's order; spconv orders the voxels of a strided convolution as it likes, which `SpconvLevels`
undoes.
"""

import weakref

import torch
from torch import nn

from pointcept_msm.host import HOST, MODELS, build_model, register
from pointcept_msm.runtime.errors import UserError

from .hunet_v1m1 import OUTPUTS, MSMHUNet
from .layers.pyramid import VoxelPyramid
from .layers.serialization import DEPTH, encode_z

PADDING = 96  # voxels beyond the scene, as SpUNet-v1m1: without them a 2x2x2 stride drops the border of an odd extent


class SpconvLevels:
    """The voxels of a pyramid as spconv wants them. `pairs`: its index tables by layer key, shared by all passes;
    rows[l] (V_l,): pyramid row of each voxel in the order in which spconv gave level l."""

    def __init__(self, pyramid: VoxelPyramid):
        self.indices = [pyramid.coord(level).int().contiguous() for level in range(pyramid.num_levels)]
        extent = [size + PADDING for size in pyramid.coord(0)[:, 1:].amax(0).tolist()]
        self.shapes = [[size >> level for size in extent] for level in range(pyramid.num_levels)]
        self.keys, self.num_scenes = pyramid.keys, pyramid.num_scenes
        self.pairs, self.rows = {}, {}

    def tensor(self, level: int, feat: torch.Tensor, spconv_order: bool = False):
        """feat (V_l, C) in pyramid order as a SparseConvTensor, its voxels in that order or in spconv's."""
        from spconv.pytorch import SparseConvTensor

        indices, rows = self.indices[level], self.rows.get(level)
        if spconv_order:
            indices, feat = indices[rows], feat[rows]
        return SparseConvTensor(feat, indices, self.shapes[level], self.num_scenes, indice_dict=dict(self.pairs))

    def run(self, layer, tensor):
        """layer(tensor), keeping the index tables that it made."""
        out = layer(tensor)
        self.pairs.update(out.indice_dict)
        return out

    def stride(self, layer, level: int, feat: torch.Tensor, key: str) -> torch.Tensor:
        """A strided layer on feat (V_l, C) of `level` -> features of the next level, back in pyramid order.

        Its table `key` is made anew each time, as spconv demands, and with it the order.
        """
        self.pairs.pop(key, None)
        out = self.run(layer, self.tensor(level, feat))
        batch, coord = out.indices[:, 0].long(), out.indices[:, 1:].long()
        code = batch << 3 * (DEPTH - level - 1) | encode_z(coord)
        self.rows[level + 1] = rows = torch.searchsorted(self.keys[level + 1], code)
        return torch.empty_like(out.features).index_copy(0, rows, out.features)


@register(MODELS, "MSM-SpUNet-v1m1")
class MSMSpUNet(nn.Module):
    """Arguments of SpUNet-v1m1 without num_classes; bn_momentum: 0.01 as there (short runs need more: features are
    normalised with running statistics); output: levels | hierarchical | finest, as MSM-HUNet-v1m1.

    Levels fine to coarse: the decoder's stages, then the bottleneck, which SpUNet does not decode: a masked voxel there
    is its token and nothing else, so `loss_levels` leaves it out.
    """

    def __init__(
        self,
        in_channels=6,
        base_channels=32,
        channels=(32, 64, 128, 256, 256, 128, 96, 96),
        layers=(2, 3, 4, 6, 2, 2, 2, 2),
        bn_momentum=0.01,
        output="levels",
    ):
        super().__init__()
        if output not in OUTPUTS:
            raise UserError(f"output is {output!r}; choose one of {', '.join(OUTPUTS)}.")
        spunet = _build_spunet(in_channels, base_channels, channels, layers)
        self.conv_input, self.down, self.enc = spunet.conv_input, spunet.down, spunet.enc
        self.up, self.dec = spunet.up, spunet.dec
        for module in self.modules():
            if isinstance(module, nn.BatchNorm1d):
                module.momentum = bn_momentum
        stages = len(layers) // 2
        self.in_channels, self.output, self.num_levels = in_channels, output, stages + 1
        self.enc_channels = self.entry_channels = (base_channels, *channels[:stages])
        self.dec_channels = (*tuple(channels)[: stages - 1 : -1], channels[stages - 1])
        self.loss_levels = tuple(range(stages))
        self.out_channels = self.dec_channels[0] if output == "finest" else sum(self.dec_channels)
        self._known = weakref.WeakKeyDictionary()  # (pyramid, mode) -> SpconvLevels

    forward, check_feat = MSMHUNet.forward, MSMHUNet.check_feat

    def encode(self, feat: torch.Tensor, pyramid: VoxelPyramid, masked=None, token=None) -> list:
        """feat (V, in_channels) in pyramid order -> stem and encoder outputs per level, fine to coarse, (V_l, C_l).

        masked (V,) bool with token (C,): those voxels go on with the token in place of the stem's output (top-down).
        """
        levels = self._levels(pyramid)
        x = levels.run(self.conv_input, levels.tensor(0, feat)).features
        if masked is not None:
            x = torch.where(masked[:, None], token.to(x.dtype), x)
        outputs = [x]
        for stage in range(self.num_levels - 1):
            x = levels.stride(self.down[stage], stage, x, self.down[stage][0].indice_key)
            x = levels.run(self.enc[stage], levels.tensor(stage + 1, x)).features
            outputs.append(x)
        return outputs

    def entries(self, encoded: list) -> list:
        """What enters the decoder at each level: the encoder's outputs as they are."""
        return encoded

    def decode(self, entries: list, pyramid: VoxelPyramid) -> list:
        """entries (V_l, entry_channels[l]) per level -> (V_l, dec_channels[l]), fine to coarse; the last as it came."""
        levels = self._levels(pyramid)
        feats = [*[None] * (self.num_levels - 1), entries[-1]]
        for stage in reversed(range(self.num_levels - 1)):
            self._find_order(levels, stage, entries[stage])
            raised = levels.run(self.up[stage], levels.tensor(stage + 1, feats[stage + 1], spconv_order=True)).features
            x = torch.cat([raised, entries[stage].to(raised.dtype)], 1)
            feats[stage] = levels.run(self.dec[stage], levels.tensor(stage, x)).features
        return feats

    def _levels(self, pyramid):
        """spconv's view of a pyramid, kept as long as the pyramid is. Its tables differ between training and eval."""
        known = self._known.setdefault(pyramid, {})
        if self.training not in known:
            known[self.training] = SpconvLevels(pyramid)
        return known[self.training]

    def _find_order(self, levels, stage, like):
        """Make the tables of a strided convolution that has not run on these voxels; the inverse one needs them."""
        if stage + 1 in levels.rows:
            return
        with torch.no_grad():
            conv = self.down[stage][0]
            levels.stride(conv, stage, like.new_zeros(len(like), conv.in_channels), conv.indice_key)


def _build_spunet(in_channels, base_channels, channels, layers):
    """Pointcept's network; one sentence where it or spconv is missing."""
    if HOST != "pointcept":
        raise ImportError(
            "MSM-SpUNet-v1m1 is Pointcept's SpUNet and needs the Pointcept host: set POINTCEPT_ROOT to a clone, or use "
            "MSM-HUNet-v1m1 instead"
        )
    if len(channels) != len(layers) or len(layers) % 2 or not 2 <= len(layers) // 2 <= 6:
        raise UserError(
            f"channels has {len(channels)} and layers {len(layers)} entries; give both the same even number, 4 to 12: "
            "encoder stages, then decoder stages."
        )
    cfg = dict(in_channels=in_channels, base_channels=base_channels, channels=tuple(channels), layers=tuple(layers))
    return build_model(dict(cfg, type="SpUNet-v1m1", num_classes=0))
