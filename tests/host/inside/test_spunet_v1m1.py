"""MSM-SpUNet-v1m1 against Pointcept's own SpUNet-v1m1, its leakage, and that it learns."""

import pytest
import torch

from pointcept_msm.host import HOST, build_model

if HOST != "pointcept":
    pytest.skip("needs the Pointcept host: test_in_pointcept.py runs it there", allow_module_level=True)

from pointcept_msm.models.layers.pyramid import build_pyramid
from pointcept_msm.models.masked_pass import hide, run_masked
from tests.host.miniature import SPUNET, make_batches, make_config, make_trainer

SHAPE = {key: value for key, value in SPUNET.items() if key != "type"}


def make_batch(sizes=(900, 500), extents=(25, 18), seed=0) -> dict:
    generator = torch.Generator().manual_seed(seed)
    scenes = [
        torch.unique(torch.randint(0, extent, (size, 3), generator=generator), dim=0)
        for size, extent in zip(sizes, extents)
    ]
    scenes = [scene[torch.randperm(len(scene), generator=generator)] for scene in scenes]
    count = torch.tensor([len(scene) for scene in scenes])
    feat = torch.randn(int(count.sum()), 6, generator=generator)
    return dict(grid_coord=torch.cat(scenes), feat=feat, offset=count.cumsum(0))


@pytest.fixture
def networks():
    """Ours and Pointcept's with the same weights."""
    torch.manual_seed(0)
    ours, theirs = build_model(SPUNET), build_model(dict(SHAPE, type="SpUNet-v1m1", num_classes=0))
    theirs.load_state_dict(ours.state_dict(), strict=True)
    return ours, theirs


@pytest.mark.parametrize("training", [True, False])
def test_finest_level_is_pointcepts_output(networks, training):
    batch = make_batch()
    levels, expected = [network.train(training)(batch) for network in networks]
    expected = expected.detach()
    assert torch.allclose(levels[0].feat, expected, atol=1e-4 * expected.abs().max().item())
    assert expected.std() > 1e-3


def test_gradients_are_pointcepts(networks):
    batch = make_batch()
    for network in networks:
        out = network.train()(batch)
        (out[0].feat if isinstance(out, list) else out).square().sum().backward()
    theirs = dict(networks[1].named_parameters())
    for name, ours in networks[0].named_parameters():
        expected = theirs[name].grad
        assert torch.allclose(ours.grad, expected, atol=1e-3 * expected.abs().max().item()), name


def test_levels_are_the_pyramids_voxels(networks):
    batch = make_batch()
    levels = networks[0].eval()(batch)
    assert [level.stride for level in levels] == [1, 2, 4]
    assert [level.feat.shape[1] for level in levels] == list(networks[0].dec_channels) == [8, 12, 12]
    scene = torch.repeat_interleave(torch.arange(2), batch["offset"].diff(prepend=torch.zeros(1, dtype=torch.long)))
    for level in levels:
        cells = torch.cat([scene[:, None], batch["grid_coord"] // level.stride], 1)
        assert {tuple(row) for row in level.coord.tolist()} == {tuple(row) for row in cells.tolist()}


def test_order_of_voxels_does_not_matter(networks):
    batch = make_batch(sizes=(900,), extents=(25,))
    order = torch.randperm(len(batch["feat"]))
    shuffled = dict(batch, grid_coord=batch["grid_coord"][order], feat=batch["feat"][order])
    first, second = [networks[0].eval()(x)[0].feat for x in (batch, shuffled)]
    assert torch.equal(first[order], second)


def test_nothing_of_a_masked_voxel_reaches_the_encoder(networks):
    """Other inputs under the mask, and other masked voxels altogether, leave what the decoder is given unchanged."""
    network, batch = networks[0].eval(), make_batch()
    pyramid, order = build_pyramid(batch["grid_coord"], batch["offset"], network.num_levels)
    feat, masked = batch["feat"][order], torch.zeros(len(order), dtype=torch.bool)
    masked[torch.randperm(len(order))[:400]] = True
    other = torch.where(masked[:, None], torch.randn_like(feat), feat)
    visible, _ = pyramid.subset(~masked)
    encoded = [network.encode(x[~masked], visible) for x in (feat, other)]
    assert all(torch.equal(a, b) for a, b in zip(*encoded))
    tokens = [torch.randn(width) for width in network.entry_channels]
    results = [run_masked(network, tokens, None, x, pyramid, hide(pyramid, masked)) for x in (feat, other)]
    assert all(torch.equal(a, b) for a, b in zip(*results))
    assert [len(x) for x in results[0]] == [pyramid.count(level) for level in range(network.num_levels)]


def test_a_mask_of_nothing_is_the_plain_pass(networks):
    network, batch = networks[0].eval(), make_batch()
    pyramid, order = build_pyramid(batch["grid_coord"], batch["offset"], network.num_levels)
    tokens = [torch.randn(width) for width in network.entry_channels]
    nothing = torch.zeros(len(order), dtype=torch.bool)
    feats = run_masked(network, tokens, None, batch["feat"][order], pyramid, hide(pyramid, nothing))
    assert torch.equal(feats[0], network(batch)[0].feat[order])


def test_pretraining_lowers_the_loss_and_trains_every_weight(tmp_path):
    model = dict(type="MSM-v1m1", backbone=dict(SPUNET, bn_momentum=0.1), mask_patch=0.2)
    cfg = make_config(tmp_path, model=model, epoch=10, eval_epoch=10)
    trainer = make_trainer(cfg, make_batches(3))
    assert trainer.model.loss_levels == (0, 1)  # the bottleneck has no decoder
    losses, before = [], {name: p.detach().clone() for name, p in trainer.model.student.named_parameters()}
    trainer.model.register_forward_hook(lambda module, args, output: losses.append(output["loss"].item()))
    trainer.train()
    assert len(losses) == 30 and sum(losses[-3:]) < 0.8 * sum(losses[:3])
    unchanged = [name for name, p in trainer.model.student.named_parameters() if torch.equal(p, before[name])]
    assert not unchanged


def test_wrong_sizes_are_one_sentence():
    with pytest.raises(ValueError, match="channels has 4 and layers 3 entries"):
        build_model(dict(SPUNET, layers=(1, 1, 1)))
    with pytest.raises(ValueError, match="output is 'all'"):
        build_model(dict(SPUNET, output="all"))
