"""Correspondence at every level against brute force over points."""

import numpy as np
import pytest
import torch

from pointcept_msm.datasets.views import MSMViews
from pointcept_msm.models.layers.pyramid import build_pyramid
from pointcept_msm.models.matching import match_levels, match_same_view, pair_up, partner_rows

GRID, LEVELS = 0.05, 4


class Shift:
    """Stand-in for the augmentation: only where the grid falls differs."""

    def __call__(self, scene):
        scene["coord"] = (scene["coord"] + np.random.uniform(0, 3, 3)).astype(np.float32)
        return scene


@pytest.fixture(scope="module")
def batch():
    """Two scenes, each as two views of shared points, cropped so that some places are in one view only."""
    rng = np.random.default_rng(0)
    np.random.seed(0)
    views = MSMViews(grid_size=GRID, max_voxels=900, student_crop=(0.6, 0.6), feat_keys=("coord",))
    views.augment = Shift()
    items = [views(dict(coord=rng.uniform(0, 1, (2500, 3)).astype(np.float32), name=str(i))) for i in range(2)]
    batch = {key: torch.cat([item[key] for item in items]) for key in ("grid_coord", "match", "position", "student")}
    sizes = torch.cat([item["offset"].diff(prepend=torch.zeros(1, dtype=torch.long)) for item in items])
    return dict(batch, offset=sizes.cumsum(0))


@pytest.mark.parametrize("level", range(LEVELS))
def test_every_student_voxel_meets_the_brute_force_target(batch, level):
    pyramid, order = build_pyramid(batch["grid_coord"], batch["offset"], LEVELS)
    in_crop = batch["student"][order]
    student, _ = pyramid.subset(in_crop)
    partner = partner_rows(batch["match"], batch["offset"], order)[in_crop]
    got = match_levels(student, pyramid, batch["position"][order][in_crop], partner)
    got = got.split([student.count(level) for level in range(LEVELS)])[level]
    expected = brute_force(batch, level)
    assert len(expected) == student.count(level)
    for coord, row in zip(student.coord(level).tolist(), got.tolist(), strict=True):
        target = None if row < 0 else tuple(pyramid.coord(level)[row].tolist())
        assert target == expected[tuple(coord)]
    assert sum(target is None for target in expected.values()) > 0 or level > 0


def brute_force(batch, level):
    """{student voxel: teacher voxel or None}, by walking over members; the nearest to the centre that has a partner."""
    starts = [0, *batch["offset"].tolist()]
    expected = {}
    for view in range(len(starts) - 1):
        other = starts[view ^ 1]
        members = {}
        for i in range(starts[view], starts[view + 1]):
            if batch["student"][i]:
                cell = tuple(int(v) >> level for v in batch["grid_coord"][i])
                members.setdefault((view, *cell), []).append(i)
        for voxel, rows in members.items():
            centre = (np.array(voxel[1:]) + 0.5) * 2**level
            rows = [i for i in rows if batch["match"][i] >= 0]
            rows.sort(
                key=lambda i, c=centre: float(np.square(batch["position"][i].numpy().astype(np.float64) - c).sum())
            )
            partner = batch["grid_coord"][other + int(batch["match"][rows[0]])].tolist() if rows else None
            expected[voxel] = None if partner is None else (view ^ 1, *(v >> level for v in partner))
    return expected


def test_same_view_target_is_the_voxel_itself(batch):
    pyramid, order = build_pyramid(batch["grid_coord"], batch["offset"], LEVELS)
    student, _ = pyramid.subset(batch["student"][order])
    rows = match_same_view(student, pyramid).split([student.count(level) for level in range(LEVELS)])
    for level, row in enumerate(rows):
        assert torch.equal(pyramid.coord(level)[row], student.coord(level))


def test_pairs_are_what_is_supervised_and_has_a_match(batch):
    pyramid, order = build_pyramid(batch["grid_coord"], batch["offset"], LEVELS)
    student, _ = pyramid.subset(batch["student"][order])
    sizes = [student.count(level) for level in range(LEVELS)]
    generator = torch.Generator().manual_seed(0)
    rows = torch.randint(-3, 50, (sum(sizes),), generator=generator)
    supervised = torch.rand(sum(sizes), generator=generator) < 0.5
    pairs, expected, shares, start = pair_up(student, rows, supervised), [], [], 0
    for level, size in enumerate(sizes):
        part = slice(start, start := start + size)
        view = student.batch(level).tolist()
        both = zip(rows[part].tolist(), supervised[part].tolist(), view, strict=True)
        found = [(i, row, level * 4 + v) for i, (row, wanted, v) in enumerate(both) if wanted and row >= 0]
        shares.append(len(found) / int(supervised[part].sum()))
        expected += found
    assert list(zip(pairs.student.tolist(), pairs.teacher.tolist(), pairs.part.tolist(), strict=True)) == expected
    assert pairs.counts == [sum(p == part for *_, p in expected) for part in range(4 * LEVELS)]
    assert pairs.share.tolist() == pytest.approx(shares)
