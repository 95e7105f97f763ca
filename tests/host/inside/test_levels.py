"""Levels of Pointcept's own backbones, and its wrappers around ours."""

import pytest
import torch

from pointcept_msm.host import HOST, build_model

if HOST != "pointcept":
    pytest.skip("needs the Pointcept host: test_in_pointcept.py runs it there", allow_module_level=True)

from pointcept_msm.engines.evaluators import MSMProbeEvaluator
from pointcept_msm.features.extractor import FeatureExtractor
from pointcept_msm.features.levels import LevelNetwork
from tests.host.miniature import GRID, NETWORK, SPUNET, make_config, make_scene, write_scenes

KEYS = ("color", "normal")
POINT_TRANSFORMER = dict(
    type="PT-v3m2", in_channels=6, stride=(2, 2), enc_depths=(1, 1, 1), enc_channels=(8, 16, 16),
    enc_num_head=(1, 2, 2), enc_patch_size=(32, 32, 32), enable_flash=False, enc_mode=True,
    drop_path=0.0,
)  # fmt: skip


def make_batch() -> dict:
    grid = torch.from_numpy(make_scene(0)["coord"] / GRID).floor().long().unique(dim=0)
    return dict(grid_coord=grid, feat=torch.randn(len(grid), 6), offset=torch.tensor([len(grid)]))


def test_sparse_unet_gives_its_decoder_stages():
    torch.manual_seed(0)
    plain = build_model(dict(SPUNET, type="SpUNet-v1m1", num_classes=5)).eval()
    ours = build_model(SPUNET).eval()
    ours.load_state_dict(plain.state_dict(), strict=False)
    batch = make_batch()
    with torch.no_grad():
        heard, expected = LevelNetwork(plain, GRID, KEYS)(batch), ours(batch)
    assert [level.stride for level in heard] == [level.stride for level in expected] == [1, 2, 4]
    for mine, theirs in zip(heard, expected, strict=True):
        rows = [{tuple(c): f for c, f in zip(x.coord.tolist(), x.feat)} for x in (mine, theirs)]
        assert rows[0].keys() == rows[1].keys()
        assert all(torch.allclose(rows[0][key], rows[1][key], atol=1e-5) for key in rows[0])


def test_point_transformer_gives_the_points_it_pooled_and_the_same_each_time():
    network = LevelNetwork(build_model(POINT_TRANSFORMER).eval(), GRID, KEYS)
    batch = make_batch()
    state = torch.get_rng_state()
    with torch.no_grad():
        first, second = network(batch), network(batch)
    assert torch.equal(state, torch.get_rng_state())
    assert [(level.stride, level.feat.shape[1]) for level in first] == [(1, 8), (2, 16), (4, 16)]
    assert torch.equal(first[0].coord[:, 1:].long(), batch["grid_coord"])
    assert all(torch.equal(a.feat, b.feat) for a, b in zip(first, second))
    assert {tuple(c) for c in first[1].coord[:, 1:].tolist()} == {tuple(c) for c in (batch["grid_coord"] // 2).tolist()}


def test_a_backbone_that_hides_its_pooling_is_refused():
    class Pooled(torch.nn.Module):
        def forward(self, batch):
            return dict(feat=batch["feat"][::2], grid_coord=batch["grid_coord"][::2] // 2)

    with pytest.raises(ValueError, match="does not say how it pooled"):
        LevelNetwork(Pooled(), GRID, KEYS)(make_batch())


def test_extractor_brings_foreign_levels_to_points():
    network = LevelNetwork(build_model(POINT_TRANSFORMER), GRID, KEYS, inputs="pointcept")
    extractor = FeatureExtractor(network, {}, dict(grid_size=GRID, feat_keys=KEYS))
    features = extractor.extract(make_scene(1))
    assert features.shape == (1500, 40) and features.std(0).min() > 0


def test_evaluator_judges_a_supervised_backbone(tmp_path):
    write_scenes(tmp_path / "data")

    class Trainer:
        epoch, max_epoch, global_step, writer, comm_info = 0, 1, 4, None, {}
        cfg = make_config(tmp_path)

    class Segmentor(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.backbone = build_model(dict(SPUNET, type="SpUNet-v1m1", num_classes=5))

    Trainer.model = Segmentor()
    dataset = dict(type="DefaultDataset", split="train", data_root=str(tmp_path / "data"))
    evaluator = MSMProbeEvaluator(
        scenes=4, points_per_scene=100, dataset=dataset, num_classes=3, grid_size=GRID, feat_keys=KEYS,
        inputs="pointcept", metric="backbone_linear",
    )  # fmt: skip
    evaluator.trainer = Trainer
    results = evaluator.evaluate()
    assert set(results) == {"backbone_knn", "backbone_linear"} and 50 < results["backbone_linear"] <= 100
    assert Trainer.comm_info["current_metric_value"] == results["backbone_linear"]


def label_batch(instances=False) -> dict:
    batch = make_batch()
    scene = torch.arange(len(batch["feat"])) % 3
    batch.update(coord=batch["grid_coord"] * GRID, segment=scene)
    if instances:
        batch.update(instance=scene, instance_centroid=torch.zeros(len(scene), 3))
    return batch


@pytest.mark.parametrize("network", [NETWORK, SPUNET], ids=lambda config: config["type"])
@pytest.mark.parametrize("output", ["hierarchical", "finest"])
def test_ours_are_backbones_of_default_segmentor_v2(network, output):
    backbone = build_model(dict(network, output=output))
    criteria = [dict(type="CrossEntropyLoss", loss_weight=1.0, ignore_index=-1)]
    config = dict(type="DefaultSegmentorV2", num_classes=3, backbone_out_channels=backbone.out_channels)
    model = build_model(dict(config, backbone=dict(network, output=output), criteria=criteria))
    batch = label_batch()
    model.train()(batch)["loss"].backward()
    assert model.seg_head.weight.grad.abs().sum() > 0
    assert all(p.grad is not None for p in model.backbone.parameters()) or output == "finest"
    with torch.no_grad():
        assert model.eval()(batch)["seg_logits"].shape == (len(batch["feat"]), 3)


@pytest.mark.parametrize("point_group", ["PG-v1m1", "PG-v1m2"])
def test_ours_is_a_backbone_of_point_group(point_group):
    config = dict(type=point_group, backbone=dict(NETWORK, output="hierarchical"), backbone_out_channels=24)
    if point_group == "PG-v1m2":
        config["criteria"] = [dict(type="CrossEntropyLoss", loss_weight=1.0, ignore_index=-1)]
    model = build_model(dict(config, semantic_num_classes=3)).train()
    model(label_batch(instances=True))["loss"].backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.backbone.parameters())
