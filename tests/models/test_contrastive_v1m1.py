"""The contrastive rival: pairs against brute force, the loss against a loop, gradients everywhere."""

import numpy as np
import pytest
import torch

from pointcept_msm.datasets.views import MSMViews
from pointcept_msm.embedded.loader import collate_fn
from pointcept_msm.host import build_model
from pointcept_msm.models.contrastive_v1m1 import draw_pairs, partner_in_crop
from pointcept_msm.models.layers.pyramid import build_pyramid
from pointcept_msm.models.matching import match_levels, partner_rows
from tests.models.test_msm_v1m1_base import BACKBONE, GRID, make_batch


@pytest.fixture(scope="module")
def batch():
    return make_batch()


@pytest.fixture(scope="module")
def turned():
    """Two scenes whose views are turned, so that several voxels may meet the same one."""
    rng = np.random.default_rng(0)
    np.random.seed(0)
    turn = dict(type="RandomRotate", angle=[-1, 1], axis="z", center=[0, 0, 0], p=1.0)
    views = MSMViews(grid_size=GRID, student_crop=(0.6, 0.8), feat_keys=("coord",), augment=[turn])
    items = [views(dict(coord=rng.uniform(0, [2, 2, 0.7], (1500, 3)).astype(np.float32))) for _ in range(2)]
    return collate_fn(items)


@pytest.mark.parametrize("limit", [10, 10**6])
def test_pairs_are_the_matches_of_the_scene_and_no_voxel_is_used_twice(turned, limit):
    batch = turned
    pyramid, order = build_pyramid(batch["grid_coord"], batch["offset"], 3)
    crop, (kept, *_) = pyramid.subset(batch["student"][order])
    partner = partner_in_crop(partner_rows(batch["match"], batch["offset"], order), kept)
    rows = match_levels(crop, crop, batch["position"][order][kept], partner)
    for level, row in enumerate(rows.split([crop.count(level) for level in range(3)])):
        view = crop.batch(level)
        pairs = draw_pairs(row, view, 2, limit)
        *sides, scenes, counts = pairs
        assert counts == scenes.bincount(minlength=2).tolist() and (scenes.diff() >= 0).all()
        for scene, (left, right) in enumerate(zip(*(side.split(counts) for side in sides), strict=True)):
            assert 0 < len(left) <= limit and torch.equal(row[left], right)
            assert (view[left] == 2 * scene).all() and (view[right] == 2 * scene + 1).all()
            assert len(left.unique()) == len(left) and len(right.unique()) == len(right)
            reachable = row[(view == 2 * scene) & (row >= 0)].unique()
            assert len(left) == min(limit, len(reachable))
        assert len(row[row >= 0].unique()) < (row >= 0).sum(), "several voxels meet the same one"


def test_partners_in_the_crop_show_the_same_point(batch):
    _, order = build_pyramid(batch["grid_coord"], batch["offset"], 1)
    in_crop = batch["student"][order]
    kept = in_crop.nonzero().flatten()
    partner = partner_in_crop(partner_rows(batch["match"], batch["offset"], order), kept)
    row_of = {int(voxel): i for i, voxel in enumerate(order[in_crop])}  # voxel of the batch -> row of the crop
    starts = [0, *batch["offset"].tolist()]
    for i, voxel in enumerate(order[in_crop].tolist()):
        view = next(v for v in range(4) if voxel < starts[v + 1])
        match = int(batch["match"][voxel])
        expected = -1 if match < 0 else row_of.get(starts[view ^ 1] + match, -1)
        assert int(partner[i]) == expected


def test_gradients_and_outputs(batch):
    torch.manual_seed(0)
    model = build_model(dict(type="MSM-Contrastive-v1m1", backbone=BACKBONE, pairs=200)).train()
    output = model(batch)
    assert set(output) == {"loss", *(f"{name}_level{i}" for name in ("loss", "pairs") for i in range(3))}
    assert all(value.numel() == 1 for value in output.values()) and output["pairs_level0"] <= 400
    output["loss"].backward()
    assert not [name for name, p in model.named_parameters() if p.grad is None or p.grad.abs().sum() == 0]


def test_without_a_match_the_loss_is_zero_with_a_gradient_path(batch):
    model = build_model(dict(type="MSM-Contrastive-v1m1", backbone=BACKBONE)).train()
    output = model(dict(batch, match=torch.full_like(batch["match"], -1)))
    output["loss"].backward()
    assert output["loss"] == 0 and all(p.grad is not None for p in model.student["projector"].parameters())


def test_settings_that_cannot_be():
    with pytest.raises(ValueError, match="above 0"):
        build_model(dict(type="MSM-Contrastive-v1m1", backbone=BACKBONE, temperature=0))
    with pytest.raises(ValueError, match="mlp, linear, none"):
        build_model(dict(type="MSM-Contrastive-v1m1", backbone=BACKBONE, projector="deep"))
