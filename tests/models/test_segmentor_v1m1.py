"""Supervised training on hierarchical features, and starting from an exported network."""

import pytest
import torch

from pointcept_msm.files.weights import save_checkpoint
from pointcept_msm.host import build_model
from pointcept_msm.runtime.errors import UserError
from tests.models.sparse_scenes import TINY, join, random_scene

BACKBONE = dict(type="MSM-HUNet-v1m1", **TINY)


def make_batch():
    """Two scenes whose classes can be told from the first input channel; a few voxels have no label."""
    batch = join(random_scene(seed=0), random_scene(voxels=200, seed=1))
    segment = (batch["feat"][:, 0] > 0).long() + (batch["feat"][:, 0] > 1).long()
    segment[::17] = -1
    return dict(batch, segment=segment)


def make_model(kind="MSM-Segmentor-v1m1", **kwargs):
    torch.manual_seed(0)
    return build_model(dict(type=kind, num_classes=3, **{"backbone": BACKBONE, **kwargs}))


def export(path, **changes):
    """An exported network with other weights than a new model's."""
    torch.manual_seed(5)
    config = dict(BACKBONE, **changes)
    save_checkpoint(path, build_model(config).state_dict(), config, dict(grid_size=0.1, network="student"))
    return str(path)


def test_outputs_in_training_evaluation_and_test():
    model, batch = make_model(), make_batch()
    training = model.train()(batch)
    assert set(training) == {"loss"} and training["loss"].numel() == 1
    evaluation = model.eval()(batch)
    assert set(evaluation) == {"loss", "seg_logits"} and evaluation["seg_logits"].shape == (500, 3)
    del batch["segment"]
    assert set(model(batch)) == {"seg_logits"}


def test_logits_belong_to_the_input_rows():
    model, batch = make_model().eval(), random_scene()
    order = torch.randperm(300)
    shuffled = dict(batch, grid_coord=batch["grid_coord"][order], feat=batch["feat"][order])
    torch.testing.assert_close(model(shuffled)["seg_logits"], model(batch)["seg_logits"][order])


def test_every_parameter_gets_a_gradient():
    model = make_model().train()
    model(make_batch())["loss"].backward()
    assert not [name for name, p in model.named_parameters() if p.grad is None or p.grad.abs().sum() == 0]


def test_it_starts_from_an_exported_network(tmp_path):
    path = export(tmp_path / "student.safetensors")
    model = make_model(weight=path)
    torch.manual_seed(5)
    expected = build_model(BACKBONE).state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in model.backbone.state_dict().items())
    assert all(p.requires_grad for p in model.parameters())


def test_the_network_may_be_that_of_the_weights(tmp_path):
    path = export(tmp_path / "student.safetensors")
    assert make_model(backbone=None, weight=path).backbone.out_channels == make_model().backbone.out_channels
    assert make_model(backbone=None, weight="msm-tiny-rooms").backbone.out_channels == 240
    with pytest.raises(UserError, match="neither a backbone nor a weight"):
        make_model(backbone=None)


def test_weights_of_another_network_are_refused_in_one_sentence(tmp_path):
    for name, change in (("wider", dict(dec_channels=(8, 20, 16), dec_num_heads=(2, 4, 4))),
                         ("deeper", dict(enc_conv_depths=(2, 1, 1)))):  # fmt: skip
        path = export(tmp_path / f"{name}.safetensors", **change)
        with pytest.raises(UserError, match=f"{name}.safetensors does not fit the network"):
            make_model(weight=path)
    with pytest.raises(UserError, match="no weights"):
        make_model(weight=str(tmp_path / "none.safetensors"))


def make_probe(path, **kwargs):
    return make_model("MSM-Probe-v1m1", weight=export(path / "teacher.safetensors"), **kwargs)


def test_only_the_head_is_trained(tmp_path):
    model, batch = make_probe(tmp_path).train(), make_batch()
    assert {name for name, p in model.named_parameters() if p.requires_grad} == {"head.weight", "head.bias"}
    before = {key: value.clone() for key, value in model.backbone.state_dict().items()}
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.05, weight_decay=0.01)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        losses.append(model(batch)["loss"])
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.7 * losses[0]
    assert all(torch.equal(value, before[key]) for key, value in model.backbone.state_dict().items())
    assert all(p.grad is None for p in model.backbone.parameters())


def test_the_backbone_stays_in_eval_mode_and_without_a_graph(tmp_path):
    model = make_probe(tmp_path)
    for mode in (True, False, True):
        model.train(mode)
        assert model.training == mode and model.norm.training == mode
        assert not any(module.training for module in model.backbone.modules())
    assert not model.backbone(make_batch()).requires_grad
    first, second = (model.backbone(make_batch()) for _ in range(2))
    assert torch.equal(first, second)  # no drop path, no shuffled curves


def test_it_is_a_linear_layer_on_standardised_features(tmp_path):
    model, batch = make_probe(tmp_path, standard_batches=1).train(), make_batch()
    model(batch)
    feat = model.backbone(batch)
    weight = (feat - feat.mean(0)) / (feat.var(0, correction=0) + 1e-6).sqrt()
    expected = weight @ model.head.weight.T + model.head.bias
    torch.testing.assert_close(model.eval()(batch)["seg_logits"], expected, atol=1e-4, rtol=1e-4)
    assert model.norm.seen == 1 and feat.shape == (500, 8 + 12 + 16)
