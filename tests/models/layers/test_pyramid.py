"""Level structure against Python sets and dictionaries."""

import pytest
import torch

from pointcept_msm.models.layers.pyramid import build_pyramid
from pointcept_msm.models.layers.serialization import CURVES, encode_curves, encode_z
from tests.models.sparse_scenes import join, random_scene


def build(*scenes, levels=3):
    batch = join(*scenes)
    return build_pyramid(batch["grid_coord"], batch["offset"], levels)


def rows(coord):
    return [tuple(row) for row in coord.tolist()]


def test_levels_parents_and_ancestors():
    pyramid, _ = build(random_scene(seed=0), random_scene(seed=1))
    for level in range(3):
        expected = {(b, x >> level, y >> level, z >> level) for b, x, y, z in rows(pyramid.coord(0))}
        assert len(rows(pyramid.coord(level))) == len(expected) and set(rows(pyramid.coord(level))) == expected
        above = pyramid.coord(level)[pyramid.ancestors[level]]
        assert torch.equal(above[:, 1:], pyramid.coord(0)[:, 1:] >> level) and torch.equal(
            above[:, 0], pyramid.batch(0)
        )


def test_subset_of_everything_is_itself():
    pyramid, _ = build(random_scene())
    same, sub_rows = pyramid.subset(torch.ones(pyramid.count(0), dtype=torch.bool))
    assert same is pyramid and sub_rows == [None] * 3


@pytest.mark.parametrize(
    "grid_coord, offset, words",
    [
        ([[0, 0, 0], [0, 0, 0]], [2], "more than once"),
        ([[0, 0, -1]], [1], "0 to 65535"),
        ([[0, 0, 65536]], [1], "0 to 65535"),
        ([[0, 0, 0]], [2], "offset"),
        ([[0, 0]], [1], r"\(V, 3\)"),
    ],
)
def test_wrong_input_is_refused(grid_coord, offset, words):
    with pytest.raises(ValueError, match=words):
        build_pyramid(torch.tensor(grid_coord), torch.tensor(offset), 2)


def test_a_part_is_what_its_voxels_alone_would_be():
    """Keys, parents, scene ends, curve orders and neighbours, of a part of a part too, one scene of it empty."""
    scenes = [random_scene(seed=seed) for seed in range(3)]
    pyramid, _ = build(*scenes)
    generator = torch.Generator().manual_seed(2)
    part, coord = pyramid, pyramid.coord(0)
    for _ in range(2):
        keep = (torch.rand(len(coord), generator=generator) < 0.6) & (coord[:, 0] != 1)
        whole, (part, rows_in_whole), coord = part, part.subset(keep), coord[keep]
        offset = torch.bincount(coord[:, 0], minlength=3).cumsum(0)
        alone, _ = build_pyramid(coord[:, 1:], offset, 3)
        assert part.scene_ends == alone.scene_ends and torch.equal(part.ancestors, alone.ancestors)
        for level in range(3):
            assert torch.equal(part.keys[level], alone.keys[level])
            assert torch.equal(part.coord(level), alone.coord(level))
            assert torch.equal(whole.coord(level)[rows_in_whole[level]], part.coord(level))
            assert torch.equal(part.batch(level), part.coord(level)[:, 0])
            assert torch.equal(part.neighbours(level), alone.neighbours(level))
            for curve in CURVES[1:]:
                for mine, expected in zip(part.curve_order(level, curve), alone.curve_order(level, curve), strict=True):
                    assert torch.equal(mine, expected)
        assert all(torch.equal(mine, expected) for mine, expected in zip(part.parents, alone.parents, strict=True))


def test_curve_orders_sort_by_scene_and_code():
    pyramid, _ = build(random_scene(seed=0), random_scene(seed=1))
    for level in range(3):
        coord = pyramid.coord(level)
        codes = [encode_z(coord[:, 1:]), *encode_curves(encode_z(coord[:, 1:]))]
        for curve, code in zip(CURVES, codes, strict=True):
            wanted = sorted(range(len(code)), key=lambda i, c=code, b=coord: (int(b[i, 0]), int(c[i])))
            if curve == CURVES[0]:
                assert pyramid.curve_order(level, curve) is None and wanted == list(range(len(code)))
                continue
            order, inverse = pyramid.curve_order(level, curve)
            assert order.tolist() == wanted and torch.equal(inverse[order], torch.arange(len(code)))
