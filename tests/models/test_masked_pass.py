"""Nothing of a masked voxel reaches the student's encoder; with nothing masked the pass is the plain one."""

import pytest
import torch

from pointcept_msm.models.hunet_v1m1 import MSMHUNet
from pointcept_msm.models.layers.pyramid import build_pyramid
from pointcept_msm.models.masked_pass import hide, run_masked
from pointcept_msm.models.masking import draw_patch_mask
from tests.models.sparse_scenes import TINY, join, random_scene


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return MSMHUNet(**TINY).eval()


@pytest.fixture(scope="module")
def tokens(network):
    return [torch.randn(width, generator=torch.Generator().manual_seed(width)) for width in network.dec_channels]


def prepare(scene, ratio=0.4):
    pyramid, order = build_pyramid(scene["grid_coord"], scene["offset"], 3)
    masked = draw_patch_mask(pyramid.coord(0), pyramid.num_scenes, 4, ratio, torch.Generator().manual_seed(0))
    return pyramid, scene["feat"][order], masked


class Spy:
    """Stands for the network and keeps what its encoder gave."""

    def __init__(self, network):
        self.network = network

    def __getattr__(self, name):
        return getattr(self.network, name)

    def encode(self, *args):
        self.encoded = self.network.encode(*args)
        return self.encoded


def encode_and_decode(network, tokens, feat, pyramid, masked, strategy="bottom_up"):
    spy = Spy(network)
    result = run_masked(spy, tokens, torch.ones(8), feat, pyramid, hide(pyramid, masked), strategy)
    return spy.encoded, result


@torch.no_grad()
def test_features_of_masked_voxels_reach_nothing(network, tokens):
    pyramid, feat, masked = prepare(join(random_scene(seed=0), random_scene(200, seed=1)))
    changed = torch.where(masked[:, None], torch.randn_like(feat) * 100, feat)
    (enc_a, dec_a), (enc_b, dec_b) = (encode_and_decode(network, tokens, x, pyramid, masked) for x in (feat, changed))
    assert not torch.equal(feat, changed)
    assert all(torch.equal(a, b) for a, b in zip(enc_a, enc_b, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(dec_a, dec_b, strict=True))


@torch.no_grad()
def test_positions_of_masked_voxels_do_not_reach_the_encoder(network, tokens):
    """Move the masked voxels elsewhere, or remove them: the encoder's output is the same to the bit."""
    scene = random_scene()
    pyramid, feat, masked = prepare(scene)
    encoded, _ = encode_and_decode(network, tokens, feat, pyramid, masked)
    visible = pyramid.coord(0)[~masked, 1:]
    for extra in (torch.empty(0, 3, dtype=torch.long), torch.tensor([[40, 41, 42], [17, 3, 60], [40, 41, 43]])):
        coord = torch.cat([visible, extra])
        other, order = build_pyramid(coord, torch.tensor([len(coord)]), 3)
        hidden = order >= len(visible)
        feats = torch.cat([feat[~masked], torch.randn(len(extra), 6)])[order]
        moved, _ = encode_and_decode(network, tokens, feats, other, hidden)
        assert all(torch.equal(a, b) for a, b in zip(encoded, moved, strict=True))


@torch.no_grad()
def test_a_visible_voxel_does_reach_the_encoder(network, tokens):
    """The tests above could fail: a change of one visible voxel shows."""
    pyramid, feat, masked = prepare(random_scene())
    changed = feat.clone()
    changed[(~masked).nonzero()[0]] += 1
    (a, _), (b, _) = (encode_and_decode(network, tokens, x, pyramid, masked) for x in (feat, changed))
    assert not torch.equal(a[0], b[0]) and not torch.equal(a[2], b[2])


@torch.no_grad()
@pytest.mark.parametrize("strategy", ["bottom_up", "top_down", "visible", "unmasked"])
def test_ratio_zero_is_the_plain_forward_to_the_bit(network, tokens, strategy):
    scene = join(random_scene(seed=0), random_scene(200, seed=1))
    pyramid, feat, masked = prepare(scene, ratio=0.0)
    _, result = encode_and_decode(network, tokens, feat, pyramid, masked, strategy)
    plain = network(scene)
    _, order = build_pyramid(scene["grid_coord"], scene["offset"], 3)
    assert torch.equal(result[0], plain[0].feat[order])
    assert all(torch.equal(a, b.feat) for a, b in zip(result[1:], plain[1:], strict=True))
    assert not any(level.any() for level in hide(pyramid, masked).levels)


def test_masked_levels_equal_a_walk_over_children():
    pyramid, _, masked = prepare(random_scene(120, 24))
    for level, found in enumerate(hide(pyramid, masked).levels):
        visible = {tuple(c) for c in (pyramid.coord(0)[~masked, 1:] >> level).tolist()}
        expected = [tuple(c) not in visible for c in pyramid.coord(level)[:, 1:].tolist()]
        assert found.tolist() == expected
        assert 0 < sum(expected) < len(expected)


@torch.no_grad()
def test_tokens_enter_where_voxels_are_masked(network, tokens):
    """A level's token changes the decoder from that level on down, and nothing above it."""
    pyramid, feat, masked = prepare(random_scene())
    _, before = encode_and_decode(network, tokens, feat, pyramid, masked)
    for level in range(3):
        other = [token + (i == level) for i, token in enumerate(tokens)]
        _, after = encode_and_decode(network, other, feat, pyramid, masked)
        same = [torch.equal(a, b) for a, b in zip(before, after, strict=True)]
        assert same == [i > level for i in range(3)]


@torch.no_grad()
def test_visible_strategy_knows_visible_voxels_only(network, tokens):
    pyramid, feat, masked = prepare(random_scene())
    _, result = encode_and_decode(network, tokens, feat, pyramid, masked, "visible")
    alone, order = build_pyramid(pyramid.coord(0)[~masked, 1:], (~masked).sum()[None], 3)
    expected = network.decode(network.entries(network.encode(feat[~masked][order], alone)), alone)
    assert all(torch.equal(a, b) for a, b in zip(result, expected, strict=True))


@torch.no_grad()
def test_top_down_shows_positions_but_not_features(network, tokens):
    pyramid, feat, masked = prepare(random_scene())
    changed = torch.where(masked[:, None], feat + 5, feat)
    (a, _), (b, _) = (encode_and_decode(network, tokens, x, pyramid, masked, "top_down") for x in (feat, changed))
    assert torch.equal(a[0], b[0]) and len(a[0]) == len(feat)
