"""The student's pass over a crop of which some voxels are hidden (Fig. 4 and 5 of the paper).

The encoder runs on the visible voxels alone, with index structures built from them alone, so that nothing of a masked
voxel, its position included, can reach it. The decoder runs on all voxels of the crop; a masked voxel enters each level
with that level's token in place of what the encoder would have given.
"""

from typing import NamedTuple

import torch

from .layers.pyramid import VoxelPyramid

STRATEGIES = ("bottom_up", "top_down", "visible", "unmasked")


class MaskedPass(NamedTuple):
    """Decoder features per level fine to coarse, on the voxels of `pyramid`; masked[l] (V_l,) bool."""

    feats: list
    masked: list
    pyramid: VoxelPyramid


def run_masked(network, tokens, stem_token, feat, pyramid, masked, strategy="bottom_up") -> MaskedPass:
    """Pass feat (V, C) in pyramid order through `network` with voxels `masked` (V,) bool hidden.

    bottom_up: masked voxels absent from the encoder, tokens in the decoder (the method).
    top_down: masked voxels enter the encoder with `stem_token`; positions visible throughout (Table 10c).
    visible: no tokens; encoder and decoder see visible voxels only, the result lives on their pyramid.
    unmasked: nothing is hidden; `masked` only marks what is supervised (Table 10a).
    tokens: per level a parameter (dec_channels[l],).
    """
    visible, rows = pyramid.subset(~masked)
    masked_levels = masked_per_level(pyramid, rows)
    if strategy == "bottom_up":
        entries = network.entries(network.encode(feat[~masked], visible))
        entries = [place(x, r, pyramid.count(i), tokens[i]) for i, (x, r) in enumerate(zip(entries, rows, strict=True))]
        return MaskedPass(network.decode(entries, pyramid), masked_levels, pyramid)
    if strategy == "visible":
        feats = network.decode(network.entries(network.encode(feat[~masked], visible)), visible)
        return MaskedPass(feats, [torch.zeros_like(x[:, 0], dtype=torch.bool) for x in feats], visible)
    if strategy == "top_down":
        encoded = network.encode(feat, pyramid, masked, stem_token)
    elif strategy == "unmasked":
        encoded = network.encode(feat, pyramid)
    else:
        raise ValueError(f"Unknown masking strategy {strategy!r}; choose one of {', '.join(STRATEGIES)}.")
    return MaskedPass(network.decode(network.entries(encoded), pyramid), masked_levels, pyramid)


def masked_per_level(pyramid: VoxelPyramid, visible_rows: list) -> list:
    """Per level (V_l,) bool: voxels none of whose children is visible. visible_rows as `VoxelPyramid.subset` gives."""
    masked = []
    for level, rows in enumerate(visible_rows):
        hidden = torch.ones(pyramid.count(level), dtype=torch.bool, device=pyramid.keys[0].device)
        hidden[slice(None) if rows is None else rows] = False
        masked.append(hidden)
    return masked


def place(feat: torch.Tensor, rows, count: int, token: torch.Tensor) -> torch.Tensor:
    """feat (V_visible, C) at `rows` of count rows, `token` (C,) everywhere else. rows None: feat itself, untouched."""
    if rows is None:
        return feat
    full = token.to(feat.dtype).expand(count, -1)
    return full.index_copy(0, rows, feat)
