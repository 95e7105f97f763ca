"""What an exported network says of itself."""

from types import SimpleNamespace

import pytest
import torch

from pointcept_msm.engines.export import describe_network, export_networks
from pointcept_msm.features.extractor import load
from pointcept_msm.files.weights import load_checkpoint
from pointcept_msm.host import Config, build_model
from pointcept_msm.models.msm_v1m1_base import MSM
from pointcept_msm.runtime.errors import UserError
from tests.probe_toy import NETWORK


def make_trainer(folder, **options):
    drop = dict(type="MSMDropInputs", drop_color=0.3, drop_normal=0.0)
    transform = [dict(type="MSMViews", grid_size=0.05, color_augment=[drop])]
    cfg = dict(save_path=str(folder), grid_size=0.1, feat_keys=("color", "normal"), epoch=2, seed=5, **options)
    cfg |= dict(model=dict(type="MSM-v1m1", backbone=NETWORK), data=dict(train=dict(type="X", transform=transform)))
    model = MSM(dict(NETWORK), mask_patch=0.4)
    logger = SimpleNamespace(info=lambda *a: None)
    facts = dict(global_step=7, comm_info=dict(model_output_dict=dict(loss=torch.tensor(0.5))))
    return SimpleNamespace(cfg=Config(cfg), model=model, logger=logger, **facts)


@pytest.mark.parametrize("licence, told", [("MIT", "MIT"), (None, "that of the run's author and data")])
def test_provenance_and_fills(tmp_path, licence, told):
    trainer = make_trainer(tmp_path, licence=licence)
    assert [p.name for p in export_networks(trainer)] == ["student.safetensors", "teacher.safetensors"]
    state, config, meta = load_checkpoint(tmp_path / "teacher.safetensors")
    build_model(config).load_state_dict(state)
    assert all(torch.equal(v, state[k]) for k, v in trainer.model.teacher["backbone"].state_dict().items())
    expected = dict(
        method="MSM", network="teacher", steps=7, epochs=2, loss=0.5, dataset="X", seed=5, grid_size=0.05, licence=told,
        fill={"color": 127.5},
    )  # fmt: skip
    assert {key: meta[key] for key in expected} == expected and meta["git_revision"] and meta["version"]
    assert load(tmp_path).fill == {"color": 127.5}


def test_a_training_checkpoint_states_the_fills_too(tmp_path):
    cfg = make_trainer(tmp_path).cfg
    assert describe_network(cfg)["meta"] == {
        "grid_size": 0.05,
        "feat_keys": ("color", "normal"),
        "fill": {"color": 127.5},
        "method": "MSM",
    }
    cfg.data.train.transform[0].color_augment[0].drop_color = 0.0
    assert "fill" not in describe_network(cfg)["meta"]


def test_views_of_two_voxel_sizes_are_refused(tmp_path):
    cfg = make_trainer(tmp_path).cfg  # its top-level grid_size is another than its views', which count
    cfg.data.train.transform.append(dict(type="MSMViews", grid_size=0.1))
    with pytest.raises(UserError, match=r"voxels of \[0.05, 0.1\] m"):
        describe_network(cfg)
