"""MSM-HUNet-v1m1: the hybrid U-Net of Masked Scene Modeling, tensor for tensor as released (Tables 12 and 13).

Stem, then per level: strided convolution, ResNet blocks, attention blocks (coarse levels only). The decoder starts at
the bottleneck and works up, adding each level's skip connection; every decoder level is an output.

`encode`, `entries` and `decode` are separate because the masked pass (models/masked_pass.py) puts tokens between them.
"""

from itertools import pairwise

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from pointcept_msm.host import MODELS, register
from pointcept_msm.runtime.errors import UserError

from .feature_sampling import Level, sample_levels
from .layers.blocks import AttentionBlock, AttentionStage, ResNetBlock
from .layers.norm import SkipPath, SparseNorm
from .layers.pyramid import VoxelPyramid, build_pyramid
from .layers.sparse_conv import InverseConv, StridedConv

OUTPUTS = ("levels", "hierarchical", "finest")


@register(MODELS, "MSM-HUNet-v1m1")
class MSMHUNet(nn.Module):
    """Hybrid U-Net. All tuples are per level, fine to coarse, decoder included.

    residual_gamma: scale of every block's contribution at the start; 0.1 as released, for long schedules; short ones
    learn far more from 1 (docs/results/pretraining.md).
    checkpointing: blocks keep only their input in training and run again in the backward pass (less memory, more time).
    output: "levels" -> list of Level; "hierarchical" -> (V, sum of dec_channels); "finest" -> (V, dec_channels[0]).
    """

    def __init__(
        self,
        in_channels=6,
        enc_channels=(32, 64, 128, 256, 384),
        enc_conv_depths=(2, 2, 2, 2, 2),
        enc_attn_depths=(0, 0, 0, 2, 2),
        enc_num_heads=(4, 8, 16, 32, 48),
        dec_channels=(64, 96, 128, 256, 384),
        dec_conv_depths=(2, 2, 2, 2, 2),
        dec_attn_depths=(0, 0, 0, 2, 2),
        dec_num_heads=(4, 8, 16, 32, 48),
        window_size=1024,
        attn_drop=0.1,
        drop_path=0.2,
        residual_gamma=0.1,
        output="levels",
        checkpointing=False,
    ):
        super().__init__()
        per_level = (enc_conv_depths, enc_attn_depths, enc_num_heads, dec_channels, dec_conv_depths, dec_attn_depths)
        _check_arguments(enc_channels, (*per_level, dec_num_heads), dec_channels, output)
        self.in_channels, self.output, self.checkpointing = in_channels, output, checkpointing
        self.num_levels = len(enc_channels)
        self.enc_channels, self.dec_channels = tuple(enc_channels), tuple(dec_channels)
        self.out_channels = dec_channels[0] if output == "finest" else sum(dec_channels)

        self.init_transform = nn.Sequential(nn.Linear(in_channels, enc_channels[0]), SparseNorm(enc_channels[0]))
        self.down = nn.ModuleList(
            nn.ModuleList([StridedConv(fine, coarse), SparseNorm(coarse)]) for fine, coarse in pairwise(enc_channels)
        )
        stage = dict(window=window_size, attn_drop=attn_drop)
        rates = _drop_rates(drop_path, enc_conv_depths, enc_attn_depths)
        self.resnet_enc = _conv_stages(enc_channels, enc_conv_depths, rates)
        self.att_enc = _attention_stages(enc_channels, enc_attn_depths, enc_num_heads, enc_conv_depths, rates, **stage)

        self.decoder_init_norm = SparseNorm(enc_channels[-1])
        coarse_to_fine = [tuple(x)[::-1] for x in (dec_channels, dec_conv_depths, dec_attn_depths, dec_num_heads)]
        widths, conv_depths, attn_depths, heads = coarse_to_fine
        self.up = nn.ModuleList(
            nn.ModuleList([SparseNorm(coarse), InverseConv(coarse, fine)]) for coarse, fine in pairwise(widths)
        )
        self.linears_skip = nn.ModuleList(
            nn.Sequential(SparseNorm(enc), nn.Linear(enc, dec))
            for enc, dec in zip(tuple(enc_channels)[-2::-1], widths[1:], strict=True)
        )
        self.skip = nn.ModuleList(SkipPath(width) for width in widths[1:])
        rates = _drop_rates(drop_path, conv_depths, attn_depths, reverse=True)
        self.resnet_dec = _conv_stages(widths, conv_depths, rates)
        self.att_dec = _attention_stages(widths, attn_depths, heads, conv_depths, rates, **stage)
        _start_residuals(self, residual_gamma)
        for block in self.modules():
            if isinstance(block, ResNetBlock):
                block.remake = not checkpointing

    def forward(self, input_dict):
        """input_dict: grid_coord (V, 3) integers, feat (V, in_channels), offset (B,) cumulative scene ends.

        Returns list of Level fine to coarse (finest rows in input order), or (V, C); see `output`.
        """
        feat = input_dict["feat"]
        self.check_feat(feat)
        pyramid, order = build_pyramid(input_dict["grid_coord"], input_dict["offset"], self.num_levels)
        feats = self.decode(self.entries(self.encode(feat.index_select(0, order), pyramid)), pyramid)
        inverse = torch.empty_like(order)
        inverse[order] = torch.arange(len(order), device=order.device)
        if self.output == "finest":
            return feats[0].index_select(0, inverse)
        coords = [pyramid.coord(level).int() for level in range(self.num_levels)]
        feats[0], coords[0] = (x[0].index_select(0, inverse) for x in (feats, coords))
        levels = [Level(coord, feat, 2**i) for i, (coord, feat) in enumerate(zip(coords, feats, strict=True))]
        if self.output == "levels":
            return levels
        return sample_levels(levels, coords[0][:, 1:], coords[0][:, 0])

    def check_feat(self, feat: torch.Tensor):
        """Raise ValueError unless feat is (V, in_channels)."""
        if feat.ndim != 2 or feat.shape[1] != self.in_channels:
            raise UserError(
                f"The network takes {self.in_channels} input channels, the batch has feat of shape {tuple(feat.shape)};"
                " set `in_channels` to the width of `feat_keys`, or collect the features the weights were trained on."
            )

    def encode(self, feat: torch.Tensor, pyramid: VoxelPyramid, masked=None, token=None) -> list:
        """feat (V, in_channels) in pyramid order -> encoder outputs per level, fine to coarse, (V_l, C_l).

        masked (V,) bool with token (C,): those voxels enter with the token in place of the stem's output (top-down).
        """
        x = self.init_transform(feat)
        if masked is not None:
            x = torch.where(masked[:, None], token.to(x.dtype), x)
        outputs = []
        for level in range(self.num_levels):
            if level > 0:
                conv, norm = self.down[level - 1]
                x = norm(conv(x, pyramid, level - 1))
            x = self._stage(self.resnet_enc[level], self.att_enc[level], x, pyramid, level)
            outputs.append(x)
        return outputs

    def entries(self, encoded: list) -> list:
        """What enters the decoder at each level, fine to coarse: projected skips, and the normed bottleneck last."""
        skips = [linear(x) for linear, x in zip(self.linears_skip, encoded[-2::-1], strict=True)]
        return [*skips[::-1], self.decoder_init_norm(encoded[-1])]

    def decode(self, entries: list, pyramid: VoxelPyramid) -> list:
        """entries (V_l, .) per level, fine to coarse -> decoder features (V_l, dec_channels[l]), fine to coarse."""
        feats = [None] * self.num_levels
        for step in range(self.num_levels):
            level = self.num_levels - 1 - step
            if step == 0:
                x = entries[level]
            else:
                norm, conv = self.up[step - 1]
                raised = conv(norm(x), pyramid, level)
                x = self.skip[step - 1](raised, entries[level], pyramid.batch(level), pyramid.num_scenes)
            x = self._stage(self.resnet_dec[step], self.att_dec[step], x, pyramid, level)
            feats[level] = x
        return feats

    def _stage(self, convs, attention, x, pyramid, level):
        for block in convs:
            x = self._run(block, x, pyramid, level)
        return self._run(attention, x, pyramid, level)

    def _run(self, part, x, pyramid, level):
        if self.checkpointing and self.training and torch.is_grad_enabled():
            return checkpoint(part, x, pyramid, level, use_reentrant=False)
        return part(x, pyramid, level)


def _drop_rates(drop_path, conv_depths, attn_depths, reverse=False):
    """Per stage the rates of its blocks, convolution before attention; linear from 0 to drop_path over all blocks, and
    back down in the decoder."""
    total = sum(conv_depths) + sum(attn_depths)
    rates = torch.linspace(0, drop_path, total).tolist()
    rates = iter(rates[::-1] if reverse else rates)
    return [[next(rates) for _ in range(conv + attn)] for conv, attn in zip(conv_depths, attn_depths, strict=True)]


def _start_residuals(network, gamma):
    for block in network.modules():
        if isinstance(block, ResNetBlock | AttentionBlock):
            for path in block.children():
                if isinstance(path, SkipPath):
                    nn.init.constant_(path.gamma, gamma)


def _conv_stages(channels, depths, rates):
    return nn.ModuleList(
        nn.ModuleList([ResNetBlock(width, rates[s][b]) for b in range(depth)])
        for s, (width, depth) in enumerate(zip(channels, depths, strict=True))
    )


def _attention_stages(channels, depths, heads, conv_depths, rates, window, attn_drop):
    stages = []
    for s, (width, depth, head) in enumerate(zip(channels, depths, heads, strict=True)):
        drop = rates[s][conv_depths[s] :]
        stages.append(AttentionStage([AttentionBlock(width, head, window, drop[b], attn_drop) for b in range(depth)]))
    return nn.ModuleList(stages)


def _check_arguments(enc_channels, per_level, dec_channels, output):
    lengths = {len(x) for x in (enc_channels, *per_level)}
    if len(lengths) != 1:
        raise UserError(f"Per-level tuples have different lengths {sorted(lengths)}; give one entry a level in each.")
    if enc_channels[-1] != dec_channels[-1]:
        raise UserError(
            f"The decoder starts from the bottleneck: enc_channels ends in {enc_channels[-1]}, dec_channels in "
            f"{dec_channels[-1]}; make them equal."
        )
    if output not in OUTPUTS:
        raise UserError(f"output is {output!r}; choose one of {', '.join(OUTPUTS)}.")
