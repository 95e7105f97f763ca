"""Small random voxel scenes and networks for the tests of the models."""

import torch

TINY = dict(
    in_channels=6,
    enc_channels=(8, 12, 16),
    enc_conv_depths=(1, 1, 1),
    enc_attn_depths=(0, 1, 1),
    enc_num_heads=(2, 3, 4),
    dec_channels=(8, 12, 16),
    dec_conv_depths=(1, 1, 1),
    dec_attn_depths=(0, 0, 1),
    dec_num_heads=(2, 3, 4),
    window_size=64,
)


def random_scene(voxels=300, extent=16, seed=0, channels=6):
    """Input dictionary of one scene: distinct random voxels in a cube of `extent`, random features."""
    generator = torch.Generator().manual_seed(seed)
    cells = torch.randperm(extent**3, generator=generator)[:voxels]
    grid_coord = torch.stack([cells // extent**2, cells // extent % extent, cells % extent], 1)
    feat = torch.randn(voxels, channels, generator=generator)
    return dict(grid_coord=grid_coord, feat=feat, offset=torch.tensor([voxels]))


def join(*scenes):
    """Several input dictionaries as one batch."""
    batch = {key: torch.cat([scene[key] for scene in scenes]) for key in ("grid_coord", "feat")}
    return dict(batch, offset=torch.tensor([len(scene["feat"]) for scene in scenes]).cumsum(0))
