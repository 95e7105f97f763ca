"""Feature sampling against dense `grid_sample`, the authors' formula, a per-point loop, gradients and the golden
file.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pointcept_msm.models import feature_sampling
from pointcept_msm.models.feature_sampling import Level, sample_levels, split_key, voxel_key

GOLDEN = Path(__file__).parents[1] / "golden" / "released_small.npz"


def make_levels(seed=0, scenes=3, widths=(5, 4, 3), size=(23, 14, 9), dtype=torch.float64):
    """Random sparse scenes of different size, their voxel pyramid and random features."""
    rng = np.random.default_rng(seed)
    fine = []
    for b in range(scenes):
        xyz = np.unique(rng.integers(0, np.array(size) + 3 * b, (200, 3)), axis=0)
        fine.append(np.c_[np.full(len(xyz), b), xyz - xyz.min(0)])
    fine = np.concatenate(fine)
    levels = []
    for i, width in enumerate(widths):
        coord = np.unique(np.c_[fine[:, :1], fine[:, 1:] >> i], axis=0)
        coord = coord[rng.permutation(len(coord))]
        feat = torch.from_numpy(rng.standard_normal((len(coord), width))).to(dtype)
        levels.append(Level(torch.from_numpy(coord).int(), feat, 2**i))
    return levels, torch.from_numpy(fine[rng.permutation(len(fine))])


def dense_sample(level, batch, grid, align_corners, renormalise):
    """The same by `F.grid_sample` on a dense grid of each scene."""
    out = torch.zeros(len(grid), level.feat.shape[1], dtype=level.feat.dtype)
    for b in batch.unique():
        mine = level.coord[:, 0] == b
        coord, feat = level.coord[mine, 1:].long(), level.feat[mine]
        size = coord.max(0).values + 1
        dense = torch.zeros(feat.shape[1] + 1, *size.tolist(), dtype=feat.dtype)
        dense[:-1, coord[:, 0], coord[:, 1], coord[:, 2]] = feat.T
        dense[-1, coord[:, 0], coord[:, 1], coord[:, 2]] = 1
        rows = batch == b
        g = 2 * ((grid[rows].to(feat.dtype) + 0.5) / level.stride) / size - 1
        got = F.grid_sample(
            dense[None],
            g.flip(-1)[None, :, None, None],
            mode="bilinear",
            padding_mode="zeros",
            align_corners=align_corners,
        )[0, :, :, 0, 0].T
        out[rows] = got[:, :-1] / got[:, -1:] if renormalise else got[:, :-1]
    return out


@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("mode, align_corners, renormalise", [("exact", False, True), ("released", True, False)])
def test_equals_dense_grid_sample(mode, align_corners, renormalise, shuffled, monkeypatch):
    """Many blocks, the last of each not full, some points of one voxel in two blocks; in order of voxels or not."""
    monkeypatch.setattr(feature_sampling, "CPU_QUERIES", 50)
    levels, fine = make_levels()
    queries = torch.cat([fine, fine[::3], fine[:1].expand(120, -1)])
    if not shuffled:
        queries = queries[voxel_key(queries[:, 0], queries[:, 1:]).argsort()]
    want = [dense_sample(x, queries[:, 0], queries[:, 1:], align_corners, renormalise) for x in levels]
    torch.testing.assert_close(sample_levels(levels, queries[:, 1:], queries[:, 0], mode), torch.cat(want, 1))
    apart = sample_levels(levels, queries[:, 1:] + 0.5, queries[:, 0], mode)
    torch.testing.assert_close(apart, torch.cat(want, 1))


def test_corners_stay_in_their_row_and_scene():
    """Keys of the last cell of a row and of the first of the next, or of the next scene, are neighbours."""
    top = feature_sampling.AXIS_SIZE - 1
    coord = torch.tensor([[0, 4, 4, top], [0, 4, 5, 0], [0, top, top, top], [1, 0, 0, 0]])
    level = Level(coord.int(), torch.tensor([[1.0], [2], [4], [8]]), 1)
    for rows, want in ((slice(0, 4), [1.0, 2, 4, 8]), (slice(3, 4), [8.0])):
        for shift in (-0.25, 0.25):
            place = coord[rows, 1:].double() + 0.5
            place[:, 2] += shift
            got = sample_levels([level], place, coord[rows, 0], "exact")[:, 0]
            torch.testing.assert_close(got, torch.tensor(want))


@pytest.mark.parametrize("mode", ["exact", "nearest"])
def test_a_voxel_out_of_range_is_not_its_neighbour_in_the_keys(mode):
    """Whole indices take one corner: -1 of a row would be read as the last cell of the row or the scene before."""
    top = feature_sampling.AXIS_SIZE - 1
    coord = torch.tensor([[0, 4, 4, top], [0, 4, 5, 0], [0, 4, 6, 0], [0, top, top, top], [1, 0, 0, 0]])
    level = Level(coord.int(), torch.ones(len(coord), 1), 1)
    beyond = torch.tensor(
        [[0, 4, 5, -1], [0, 4, 4, top + 1], [0, 4, 5, top + 1], [1, 0, 0, -1], [0, top, top, top + 1]]
    )
    beyond = torch.cat([beyond, torch.tensor([[0, 4, 6, -2], [0, 5, -1, top]])])
    for rows, want in ((beyond, 0.0), (coord, 1.0)):
        got = sample_levels([level], rows[:, 1:] + 0.5, rows[:, 0], mode)[:, 0]
        assert got.tolist() == [want] * len(rows)


def test_nearest_is_the_ancestor():
    levels, fine = make_levels()
    got = sample_levels(levels, fine[:, 1:], fine[:, 0], "nearest")
    start = 0
    for i, level in enumerate(levels):
        table = {tuple(c): f for c, f in zip(level.coord.tolist(), level.feat, strict=True)}
        want = torch.stack([table[b, x >> i, y >> i, z >> i] for b, x, y, z in fine.tolist()])
        torch.testing.assert_close(got[:, start : start + want.shape[1]], want)
        start += want.shape[1]


@pytest.mark.parametrize("mode", ["exact", "released", "nearest"])
def test_float_positions(mode):
    """A float at a voxel's centre equals the integer; beyond every voxel the features are zero."""
    levels, fine = make_levels()
    whole = sample_levels(levels, fine[:, 1:], fine[:, 0], mode)
    torch.testing.assert_close(sample_levels(levels, fine[:, 1:] + 0.5, fine[:, 0], mode), whole)
    far = torch.tensor([[-40.0, 3.0, 3.0], [1e7, 3.0, 3.0]])
    assert sample_levels(levels, far, torch.zeros(2, dtype=torch.long), mode).abs().max() == 0


@pytest.mark.parametrize("mode", ["exact", "released", "nearest"])
def test_gradient(mode):
    levels, fine = make_levels(widths=(2, 2), size=(5, 4, 3), scenes=2)
    queries = fine[:25]

    def forward(*feats):
        return sample_levels(
            [x._replace(feat=f) for x, f in zip(levels, feats, strict=True)], queries[:, 1:], queries[:, 0], mode
        )

    assert torch.autograd.gradcheck(forward, [x.feat.requires_grad_() for x in levels])


@pytest.mark.parametrize("mode", ["exact", "released"])
def test_scene_alone_and_order(mode):
    """A scene's rows depend neither on its batch-mates nor on the order of voxels and queries."""
    levels, fine = make_levels()
    together = sample_levels(levels, fine[:, 1:], fine[:, 0], mode)
    mine = fine[:, 0] == 1
    alone = [Level(x.coord[x.coord[:, 0] == 1], x.feat[x.coord[:, 0] == 1], x.stride) for x in levels]
    torch.testing.assert_close(
        sample_levels(alone, fine[mine, 1:], fine[mine, 0], mode), together[mine], rtol=0, atol=1e-14
    )
    order = torch.randperm(len(fine))
    torch.testing.assert_close(
        sample_levels(levels, fine[order, 1:], fine[order, 0], mode), together[order], rtol=0, atol=0
    )


def test_extent_makes_a_part_equal_the_whole():
    levels, fine = make_levels(scenes=1)
    want = sample_levels(levels, fine[:, 1:], fine[:, 0], "released")
    inner = fine[:, 1] < 8
    part = [
        Level(x.coord[x.coord[:, 1] * x.stride < 16], x.feat[x.coord[:, 1] * x.stride < 16], x.stride) for x in levels
    ]
    extent = fine[:, 1:].max(0, keepdim=True).values + 1
    got = sample_levels(part, fine[inner, 1:], fine[inner, 0], "released", extent=extent)
    torch.testing.assert_close(got, want[inner])


def test_keys_have_room():
    batch = torch.tensor([0, 32767])
    coord = torch.tensor([[65535, 0, 65535], [65535, 65535, 65535]])
    key = voxel_key(batch, coord)
    assert (key >= 0).all()
    assert torch.equal(split_key(key)[0], batch) and torch.equal(split_key(key)[1], coord)


def test_half_precision_gives_float32():
    levels, fine = make_levels(dtype=torch.bfloat16)
    got = sample_levels(levels, fine[:, 1:], fine[:, 0])
    assert got.dtype == torch.float32
    want = sample_levels([x._replace(feat=x.feat.float()) for x in levels], fine[:, 1:], fine[:, 0])
    torch.testing.assert_close(got, want)


@pytest.mark.parametrize(
    "change, text",
    [(dict(mode="linear"), "allowed: exact"), (dict(grid=-1), "spans -1"), (dict(batch=3), r"must be \(N, 3\)")],
)
def test_errors(change, text):
    levels, fine = make_levels()
    grid = fine[:, 1:] if "grid" not in change else fine[:, 1:] - fine[:, 1:].min() - 1
    batch = fine[:, 0] if "batch" not in change else fine[:3, 0]
    with pytest.raises(ValueError, match=text):
        sample_levels(levels, grid, batch, change.get("mode", "exact"))


def test_golden_features_of_the_coarsest_level():
    """The file holds level 4 whole, so the authors' sampled features of that level can be reproduced from it alone."""
    golden = np.load(GOLDEN)
    assert len(golden["level4_index"]) == golden["level4_count"]
    level = Level(torch.from_numpy(golden["level4_index"]), torch.from_numpy(golden["level4_feat"]), 16)
    rows = golden["sample_rows"]
    batch = torch.from_numpy(np.searchsorted(golden["point_offset"], rows, side="right"))
    got = sample_levels([level], torch.from_numpy(golden["point_grid_coord"][rows]), batch, "released").numpy()
    want = golden["sample_feat"][:, -level.feat.shape[1] :]
    assert np.abs(got - want).max() <= 1e-4 * np.abs(want).max()
