"""Linear probing in the host: nothing but the linear layer moves, and the backbone is always in eval mode."""

import torch

from tests.models.test_segmentor_v1m1 import export, make_batch, make_model


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
    batch = make_batch()
    batch["feat"].requires_grad_()
    assert not model.extract(batch).requires_grad
    first, second = (model.extract(make_batch()) for _ in range(2))
    assert torch.equal(first, second)  # no drop path, no shuffled curves


def test_it_is_a_linear_layer_on_standardised_features(tmp_path):
    model, batch = make_probe(tmp_path, standard_batches=1).train(), make_batch()
    model(batch)
    feat = model.extract(batch)
    weight = (feat - feat.mean(0)) / (feat.var(0, correction=0) + 1e-6).sqrt()
    expected = weight @ model.head.weight.T + model.head.bias
    torch.testing.assert_close(model.eval()(batch)["seg_logits"], expected, atol=1e-4, rtol=1e-4)
    assert model.norm.seen == 1 and feat.shape == (500, 8 + 12 + 16)
