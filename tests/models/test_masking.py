"""Patch masks against a plain count of cubes."""

import pytest
import torch

from pointcept_msm.models.masking import draw_patch_mask, patch_in_voxels
from pointcept_msm.runtime.errors import UserError
from tests.models.sparse_scenes import join, random_scene


def scene_coords(*scenes):
    batch = join(*scenes)
    count = torch.diff(batch["offset"], prepend=torch.zeros(1, dtype=torch.long))
    return torch.cat([torch.repeat_interleave(torch.arange(len(count)), count)[:, None], batch["grid_coord"]], 1)


@pytest.mark.parametrize("patch", [1, 3, 4, 16])
@pytest.mark.parametrize("ratio", [0.1, 0.4, 0.9])
def test_share_of_whole_cubes_in_every_scene(patch, ratio):
    coord = scene_coords(random_scene(500, 20, seed=0), random_scene(60, 30, seed=1))
    masked = draw_patch_mask(coord, 2, patch, ratio)
    cubes = {}
    for (scene, *xyz), hidden in zip(coord.tolist(), masked.tolist(), strict=True):
        cubes.setdefault(scene, {}).setdefault(tuple(v // patch for v in xyz), set()).add(hidden)
    for found in cubes.values():
        assert all(len(states) == 1 for states in found.values()), "a cube is partly masked"
        hidden = sum(states == {True} for states in found.values())
        wanted = round(ratio * len(found))
        assert hidden == min(max(wanted, 1), len(found) - 1) if len(found) > 1 else hidden == 0


def test_every_cube_is_equally_likely():
    coord = scene_coords(random_scene(64, 4))
    drawn = torch.stack([draw_patch_mask(coord, 1, 2, 0.5) for _ in range(400)]).float().mean(0)
    assert (drawn - 0.5).abs().max() < 0.15


def test_ratio_zero_masks_nothing_and_a_seed_decides():
    coord = scene_coords(random_scene())
    assert not draw_patch_mask(coord, 1, 4, 0.0).any()
    one, two, other = (draw_patch_mask(coord, 1, 4, 0.4, torch.Generator().manual_seed(s)) for s in (3, 3, 4))
    assert torch.equal(one, two) and not torch.equal(one, other)


def test_wrong_values_are_refused():
    with pytest.raises(ValueError, match="0 <= ratio < 1"):
        draw_patch_mask(scene_coords(random_scene()), 1, 4, 1.0)
    with pytest.raises(ValueError, match="below one voxel"):
        patch_in_voxels(0.005, torch.tensor([0.02]))
    assert patch_in_voxels(0.32, torch.tensor([0.02, 0.02])) == 16
    with pytest.raises(UserError, match=r"voxels of 0\.02, 0\.04 m"):
        patch_in_voxels(0.32, torch.tensor([0.02, 0.04], dtype=torch.float64))
