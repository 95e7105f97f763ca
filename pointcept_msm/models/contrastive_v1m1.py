"""MSM-Contrastive-v1m1: a minimal contrastive rival on the same network, views and crops (after PointContrast, 2020).

No teacher, no mask: InfoNCE between the two crops' features of the same places, one loss a decoder level as in
MSM-v1m1, so that what is compared is the objective and nothing else.
"""

import torch
from torch import nn

from pointcept_msm.host import MODELS, build_model, register

from .layers.pyramid import build_pyramid
from .losses import info_nce
from .matching import match_level, partner_rows
from .predictor import build_predictor


@register(MODELS, "MSM-Contrastive-v1m1")
class MSMContrastive(nn.Module):
    """backbone: as for MSM-v1m1; pairs: matched voxels a scene and level, each the other's negatives; temperature: of
    the cosines; projector: mlp | linear | none, between the decoder and the loss.
    """

    def __init__(self, backbone, pairs=4096, temperature=0.07, projector="mlp", projector_ratio=4):
        super().__init__()
        if pairs < 2 or temperature <= 0:
            raise ValueError(f"pairs {pairs}, temperature {temperature}: give at least 2, and a number above 0.")
        self.pairs, self.temperature = pairs, temperature
        network = build_model(backbone)
        heads = [build_predictor(projector, width, projector_ratio) for width in network.dec_channels]
        self.student = nn.ModuleDict(dict(backbone=network, projector=nn.ModuleList(heads)))

    def forward(self, batch):
        """batch as `MSMViews` collates it -> one-element tensors: loss, and per level loss_level<l>, pairs_level<l>."""
        network = self.student["backbone"]
        network.check_feat(batch["feat"])
        pyramid, order = build_pyramid(batch["grid_coord"], batch["offset"], network.num_levels)
        in_crop = batch["student"][order]
        crop, _ = pyramid.subset(in_crop)
        feats = network.decode(network.entries(network.encode(batch["feat"][order][in_crop], crop)), crop)
        partner = partner_in_crop(partner_rows(batch["match"], batch["offset"], order), in_crop)
        position = batch["position"][order][in_crop]
        output, losses = {}, []
        for level, feat in enumerate(feats):
            row = match_level(crop, crop, level, position, partner)
            pairs = draw_pairs(row, crop.batch(level), crop.num_scenes // 2, self.pairs)
            losses.append(self._level_loss(self.student["projector"][level], feat, pairs))
            output[f"loss_level{level}"] = losses[-1].detach()
            output[f"pairs_level{level}"] = feat.new_tensor(float(sum(len(left) for left, _ in pairs)))
        return dict(loss=torch.stack(losses).mean(), **output)

    def _level_loss(self, projector, feat, pairs):
        left, right = (projector(feat[torch.cat(side)]) for side in zip(*pairs, strict=True))
        sizes = [len(rows) for rows, _ in pairs]
        scenes = zip(left.split(sizes), right.split(sizes), strict=True)
        losses = [both_directions(a, b, self.temperature) for a, b in scenes if len(a)]
        return torch.stack(losses).mean() if losses else left.sum()  # the sum of nothing keeps the gradient's path


def partner_in_crop(partner: torch.Tensor, in_crop: torch.Tensor) -> torch.Tensor:
    """Partners (V_crop,) of the crop's voxels as rows of the crop, -1 = none or not in it.

    partner (V,): rows of all voxels, -1 = none; in_crop (V,) bool.
    """
    row = torch.full_like(partner, -1)
    row[in_crop] = torch.arange(int(in_crop.sum()), device=row.device)
    return torch.where(partner < 0, -1, row[partner.clamp(min=0)])[in_crop]


def draw_pairs(row: torch.Tensor, view: torch.Tensor, scenes: int, limit: int) -> list:
    """Up to `limit` pairs (rows of view 2 s, rows of view 2 s + 1) of each scene s, at random, no voxel in two pairs.

    row (V,): the matching voxel in the other view, -1 = none; view (V,).
    """
    left = ((row >= 0) & (view % 2 == 0)).nonzero().flatten()
    left = left[torch.randperm(len(left), device=left.device)]
    target, inverse = row[left].unique(return_inverse=True)
    place = torch.arange(len(left), device=left.device)
    first = torch.full_like(target, len(left)).scatter_reduce(0, inverse, place, "amin").sort().values
    left = left[first]
    scene = view[left] // 2
    chosen = [left[scene == s][:limit] for s in range(scenes)]
    return [(rows, row[rows]) for rows in chosen]


def both_directions(left: torch.Tensor, right: torch.Tensor, temperature: float) -> torch.Tensor:
    """left, right (M, C), row i of one matching row i of the other -> scalar: InfoNCE from each side to the other."""
    return (info_nce(left, right, temperature).mean() + info_nce(right, left, temperature).mean()) / 2
