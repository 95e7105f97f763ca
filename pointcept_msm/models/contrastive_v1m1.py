"""MSM-Contrastive-v1m1: a minimal contrastive rival on the same network, views and crops (after PointContrast, 2020).

No teacher, no mask: InfoNCE between the two crops' features of the same places, one loss a decoder level as in
MSM-v1m1, so that what is compared is the objective and nothing else.
"""

import torch
from torch import nn

from pointcept_msm.host import MODELS, build_model, register
from pointcept_msm.runtime.errors import UserError

from .layers.pyramid import build_pyramid, positions
from .losses import info_nce, span_scenes
from .masked_pass import take
from .matching import match_levels, partner_rows
from .msm_v1m1_base import build_predictor


@register(MODELS, "MSM-Contrastive-v1m1")
class MSMContrastive(nn.Module):
    """backbone: as for MSM-v1m1; pairs: matched voxels a scene and level, each the other's negatives; temperature: of
    the cosines; projector: mlp | linear | none, between the decoder and the loss.
    """

    def __init__(self, backbone, pairs=4096, temperature=0.07, projector="mlp", projector_ratio=4):
        super().__init__()
        if pairs < 2 or temperature <= 0:
            raise UserError(f"pairs {pairs}, temperature {temperature}: give at least 2, and a number above 0.")
        self.pairs, self.temperature = pairs, temperature
        network = build_model(backbone)
        heads = [build_predictor(projector, width, projector_ratio) for width in network.dec_channels]
        self.student = nn.ModuleDict(dict(backbone=network, projector=nn.ModuleList(heads)))

    def forward(self, batch):
        """batch as `MSMViews` collates it -> one-element tensors: loss, and per level loss_level<l>, pairs_level<l>."""
        network = self.student["backbone"]
        network.check_feat(batch["feat"])
        pyramid, order = build_pyramid(batch["grid_coord"], batch["offset"], network.num_levels)
        crop, kept = pyramid.subset(batch["student"][order])
        feat, position = (take(batch[key][order], kept[0]) for key in ("feat", "position"))
        feats = network.decode(network.entries(network.encode(feat, crop)), crop)
        partner = partner_in_crop(partner_rows(batch["match"], batch["offset"], order), kept[0])
        rows = match_levels(crop, crop, position, partner).split([len(feat) for feat in feats])
        output, losses = {}, []
        for level, feat in enumerate(feats):
            pairs = draw_pairs(rows[level], crop.batch(level), crop.num_scenes // 2, self.pairs)
            losses.append(self._level_loss(self.student["projector"][level], feat, *pairs))
            output[f"loss_level{level}"] = losses[-1].detach()
            output[f"pairs_level{level}"] = feat.new_tensor(float(len(pairs[0])))
        return dict(loss=torch.stack(losses).mean(), **output)

    def _level_loss(self, projector, feat, left, right, scene, counts):
        """left, right (M,): rows of a pair; scene, counts: see `info_nce`."""
        left, right = projector(feat[left]), projector(feat[right])
        return sum(info_nce(a, b, scene, counts, self.temperature) for a, b in ((left, right), (right, left))) / 2


def partner_in_crop(partner: torch.Tensor, kept) -> torch.Tensor:
    """Partners (V_crop,) of the crop's voxels as rows of the crop, -1 = none or not in it.

    partner (V,): rows of all voxels, -1 = none; kept (V_crop,): the crop's rows, None for all.
    """
    if kept is None:
        return partner
    row = torch.full((len(partner) + 1,), -1, device=partner.device)  # the last is that of -1
    row[kept] = torch.arange(len(kept), device=row.device)
    return row[partner[kept]]


def draw_pairs(row: torch.Tensor, view: torch.Tensor, scenes: int, limit: int):
    """Up to `limit` pairs of each scene at random, no voxel in two pairs: rows (M,) of views 2 s and of views 2 s + 1,
    their scenes (M,), ascending, and the number of each scene's.

    row (V,): the matching voxel in the other view, -1 = none; view (V,).
    """
    left = positions((row >= 0) & (view % 2 == 0))
    left = left[torch.randperm(len(left), device=left.device)]
    target, inverse = row[left].unique(return_inverse=True)
    place = torch.arange(len(left), device=left.device)
    first = torch.full_like(target, len(left)).scatter_reduce(0, inverse, place, "amin").sort().values
    scene, order = (view[left[first]] // 2).sort(stable=True)
    start, _ = span_scenes(scene, scenes)
    kept = positions(torch.arange(len(scene), device=scene.device) - start[scene] < limit)
    left, scene = left[first][order][kept], scene[kept]
    return left, row[left], scene, torch.bincount(scene, minlength=scenes).tolist()
