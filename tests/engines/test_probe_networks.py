"""Finding the networks to judge in files, folders and training checkpoints."""

import hashlib

import pytest
import torch

from pointcept_msm.engines.probe_networks import collect_networks, load_networks
from pointcept_msm.host import build_model
from tests.probe_toy import NETWORK, make_weights


def test_folder_file_and_override(tmp_path):
    make_weights(tmp_path)
    both = load_networks(tmp_path)
    assert [n.name for n in both] == ["student", "teacher"] and both[0].meta["grid_size"] == 0.1
    assert both[0].checkpoint == hashlib.sha256((tmp_path / "student.safetensors").read_bytes()).hexdigest()
    assert [n.name for n in load_networks(tmp_path, ("teacher",))] == ["teacher"]
    (single,) = load_networks(tmp_path / "teacher.safetensors", meta=dict(grid_size=0.2))
    assert single.name == "teacher" and single.meta["grid_size"] == 0.2 and single.config["dec_channels"] == [8, 16]


def test_model_in_memory():
    model = torch.nn.Module()
    model.student = torch.nn.ModuleDict(dict(backbone=build_model(dict(NETWORK))))
    (network,) = collect_networks(model, ("student", "teacher"), NETWORK, dict(grid_size=0.1))
    with torch.no_grad():
        model.student["backbone"].init_transform[0].bias += 1
    assert network.name == "student"
    changed = model.student["backbone"].state_dict()["init_transform.0.bias"]
    assert not torch.equal(network.state_dict["init_transform.0.bias"], changed)  # a copy, not a view
    with pytest.raises(ValueError, match="no teacher with a backbone"):
        collect_networks(model, ("teacher",), NETWORK, {})


def test_config_of_the_run(tmp_path):
    """A checkpoint in a run's folder needs no config: the run keeps its own."""
    make_weights(tmp_path, ("student",))
    (exported,) = load_networks(tmp_path)
    (tmp_path / "model").mkdir()
    state = {f"student.backbone.{key}": value for key, value in exported.state_dict.items()}
    torch.save(dict(state_dict=state), tmp_path / "model" / "model_last.pth")
    (tmp_path / "config.py").write_text(
        f"grid_size = 0.3\nfeat_keys = ('color', 'normal')\nmodel = dict(backbone={NETWORK!r})\n"
    )
    (found,) = load_networks(tmp_path / "model" / "model_last.pth")
    assert found.config == NETWORK and found.meta["grid_size"] == 0.3 and found.meta["network"] == "student"
    (other,) = load_networks(tmp_path / "model" / "model_last.pth", meta=dict(grid_size=0.1))
    assert other.meta["grid_size"] == 0.1


def test_the_config_beside_a_strangers_checkpoint_is_never_run(tmp_path):
    torch.save(dict(state_dict={"student.backbone.x": torch.zeros(1)}), tmp_path / "model_last.pth")
    marker = tmp_path / "marker"
    text = f"grid_size = 0.3\nmodel = dict(backbone={NETWORK!r})\nimport os\nos.system('touch {marker}')\n"
    (tmp_path / "config.py").write_text(text)
    with pytest.raises(ValueError, match=r"config.py holds more than plain values \(line 3\) and is not run"):
        load_networks(tmp_path / "model_last.pth")
    assert not marker.exists()


def test_weights_that_are_not_there(tmp_path):
    with pytest.raises(ValueError, match=r"holds none of student\.safetensors"):
        load_networks(tmp_path)
    with pytest.raises(ValueError, match="no weights"):
        load_networks(tmp_path / "x.safetensors")
    torch.save(dict(state_dict={"backbone.conv.weight": torch.zeros(1)}), tmp_path / "a.pth")
    with pytest.raises(ValueError, match=r"only backbone\.conv"):
        load_networks(tmp_path / "a.pth", config=NETWORK)
    with pytest.raises(ValueError, match=r"needs model\.backbone"):
        load_networks(tmp_path / "a.pth")
