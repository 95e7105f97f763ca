"""The student's pass over a crop of which some voxels are hidden (Fig. 4 and 5 of the paper).

The encoder runs on the visible voxels alone, with index structures that hold them alone (taken from the crop's, equal
to those that would be built from them), so that nothing of a masked voxel, its position included, can reach it. The
decoder runs on all voxels of the crop; a masked voxel enters each level with that level's token in place of what the
encoder would have given.
"""

from typing import NamedTuple

import torch

from .layers.pyramid import VoxelPyramid


class Hidden(NamedTuple):
    """Voxels masked (V,) bool of a pyramid: the pyramid of the visible ones, the rows that its voxels have in the whole
    one per level (None: nothing is masked), and per level which voxels are masked (V_l,) bool: those of whose children
    none is visible."""

    masked: torch.Tensor
    visible: VoxelPyramid
    rows: list
    levels: list


def hide(pyramid: VoxelPyramid, masked: torch.Tensor) -> Hidden:
    """The index structures of a pass in which voxels `masked` (V,) bool are hidden."""
    visible, rows = pyramid.subset(~masked)
    levels = [masked.new_full((pyramid.count(level),), r is not None) for level, r in enumerate(rows)]
    if visible is not pyramid:
        levels = [level.index_fill_(0, r, False) for level, r in zip(levels, rows, strict=True)]
    return Hidden(masked, visible, rows, levels)


def run_masked(network, tokens, stem_token, feat, pyramid, hidden: Hidden, strategy="bottom_up") -> list:
    """Pass feat (V, C) in pyramid order through `network` with the voxels of `hidden` out of sight: the decoder's
    features per level, fine to coarse.

    bottom_up: masked voxels absent from the encoder, tokens in the decoder (the method).
    top_down: masked voxels enter the encoder with `stem_token`; positions visible throughout (Table 10c).
    visible: no tokens; encoder and decoder see visible voxels only, the result lives on their pyramid.
    unmasked: nothing is hidden; `hidden` only marks what is supervised (Table 10a).
    tokens: per level a parameter (dec_channels[l],).
    """
    visible, rows = hidden.visible, hidden.rows
    if strategy == "bottom_up":
        entries = network.entries(network.encode(take(feat, rows[0]), visible))
        entries = [place(x, r, pyramid.count(i), tokens[i]) for i, (x, r) in enumerate(zip(entries, rows, strict=True))]
        return network.decode(entries, pyramid)
    if strategy == "visible":
        return network.decode(network.entries(network.encode(take(feat, rows[0]), visible)), visible)
    stem = (hidden.masked, stem_token) if strategy == "top_down" else ()
    return network.decode(network.entries(network.encode(feat, pyramid, *stem)), pyramid)


def take(x: torch.Tensor, rows) -> torch.Tensor:
    """Rows of x; x itself where rows is None, which is what `VoxelPyramid.subset` says when nothing is left out."""
    return x if rows is None else x.index_select(0, rows)


def place(feat: torch.Tensor, rows, count: int, token: torch.Tensor) -> torch.Tensor:
    """feat (V_visible, C) at `rows` of count rows, `token` (C,) everywhere else. rows None: feat itself, untouched."""
    if rows is None:
        return feat
    full = token.to(feat.dtype).expand(count, -1)
    return full.index_copy(0, rows, feat)
