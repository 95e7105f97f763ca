"""Weights by name, path and hub address; what save_pretrained writes; and the shipped file itself."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import pointcept_msm
from pointcept_msm.features.extractor import build_extractor
from pointcept_msm.files import weights
from tests.probe_toy import NETWORK, make_weights
from tests.tools.scene_tools import make_scene

META = dict(grid_size=0.1, features=["color", "normal"], fill={"color": 127.5})


@pytest.fixture
def extractor():
    torch.manual_seed(0)
    return build_extractor(None, NETWORK, META)


def test_a_saved_folder_gives_the_same_features(tmp_path, extractor):
    scene = make_scene()
    feat = extractor.extract(scene)
    path = extractor.save_pretrained(tmp_path / "whole")
    again = pointcept_msm.load(tmp_path / "whole")
    assert path == tmp_path / "whole/model.safetensors" and np.array_equal(again.extract(scene), feat)
    assert again.fill == {"color": 127.5} and again.voxel_size == 0.1
    told = json.loads((tmp_path / "whole/config.json").read_text())
    assert told["config"]["type"] == "MSM-HUNet-v1m1" and told["meta"]["grid_size"] == 0.1
    half = extractor.save_pretrained(tmp_path / "half", half=True)
    assert half.stat().st_size < 0.6 * path.stat().st_size
    network = pointcept_msm.load(tmp_path / "half").network
    assert all(p.dtype == torch.float32 for p in network.parameters())
    close = pointcept_msm.load(half).extract(scene)
    assert 0 < np.abs(close - feat).max() < 0.01 * np.abs(feat).max()


def test_half_precision_refuses_what_it_cannot_hold():
    state = {"a": torch.tensor([1.0, 2.5]), "count": torch.tensor([70000])}
    assert weights.halve(state)["a"].dtype == torch.float16 and weights.halve(state)["count"].dtype == torch.int64
    with pytest.raises(ValueError, match="1 tensors do not fit half precision, first b"):
        weights.halve({"b": torch.tensor([1e6])})


def test_a_runs_folder_gives_its_student(tmp_path):
    make_weights(tmp_path)
    assert weights.find_weights(tmp_path) == tmp_path / "student.safetensors"


def test_unknown_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "SHIPPED", tmp_path)
    with pytest.raises(ValueError, match=r"no weights 'nothing' \(no such file\).*none is shipped"):
        weights.find_weights("nothing")
    (tmp_path / "msm-a.safetensors").touch()
    assert weights.find_weights("msm-a") == tmp_path / "msm-a.safetensors"
    with pytest.raises(ValueError, match=r"holds no model.safetensors and no student.safetensors\).*: msm-a"):
        weights.find_weights(tmp_path)


def edit(path, change):
    """The file with its (state, config, meta) changed in place."""
    state, config, meta = weights.load_checkpoint(path)
    change(state, config, meta)
    weights.save_checkpoint(path, state, config, meta)


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda s, c, m: s.pop("init_transform.0.bias"), r"1 missing \(init_transform.0.bias\)"),
        (lambda s, c, m: s["init_transform.0.bias"].fill_(torch.nan), "NaN or infinity in 1 tensors"),
        (lambda s, c, m: c.update(type="MSM-Nobody"), "MSM-Nobody"),
        (lambda s, c, m: c.update(nonsense=3), "no network can be built .*nonsense"),
        (lambda s, c, m: m.update(fill={"color": 999}), "the fill for color is 999"),
    ],
)
def test_wrong_files_are_refused_in_one_sentence(tmp_path, extractor, change, words):
    path = extractor.save_pretrained(tmp_path)
    edit(path, change)
    with pytest.raises((ValueError, KeyError), match=words) as caught:
        pointcept_msm.load(path)
    assert "\n" not in str(caught.value)


# ---- the hub: a double of huggingface_hub, then the package itself, offline ----


@pytest.fixture
def hub(tmp_path, monkeypatch, extractor):
    """A stand-in module that serves one repository from a folder and records calls."""
    extractor.save_pretrained(tmp_path / "served")
    calls = []

    def hf_hub_download(repo_id, filename, revision=None):
        calls.append((repo_id, filename, revision))
        if repo_id != "owner/repo" or not (tmp_path / "served" / filename).is_file():
            raise OSError("404 Client Error.\n\nRequest ID: 1")
        return str(tmp_path / "served" / filename)

    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(hf_hub_download=hf_hub_download))
    return calls


def test_an_address_of_the_hub(hub, extractor):
    scene = make_scene()
    assert np.array_equal(pointcept_msm.load("hf:owner/repo").extract(scene), extractor.extract(scene))
    weights.find_weights("hf:owner/repo@v1.0:config.json")
    assert hub == [("owner/repo", "model.safetensors", None), ("owner/repo", "config.json", "v1.0")]
    with pytest.raises(ValueError, match=r"cannot get model.safetensors of hf:owner/other \(OSError: 404 Client"):
        weights.find_weights("hf:owner/other")
    with pytest.raises(ValueError, match="'hf:owner' is no address of the hub"):
        weights.find_weights("hf:owner")


def test_without_huggingface_hub(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ValueError, match=r"pip install 'pointcept_msm\[hub\]'"):
        pointcept_msm.load("hf:owner/repo")


def test_the_real_package_offline(tmp_path, extractor):
    """huggingface_hub itself, with no network: what its cache holds is found, what it lacks is one sentence."""
    pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed (the extra `hub`)")
    commit, repo = "a" * 40, tmp_path / "hub/models--owner--repo"
    extractor.save_pretrained(repo / "snapshots" / commit)
    (repo / "refs").mkdir()
    (repo / "refs/main").write_text(commit)
    code = (
        "import sys, pointcept_msm\n"
        "print(pointcept_msm.load('hf:owner/repo').channels)\n"
        "from pointcept_msm.runtime.command_line import run_command\n"
        "sys.exit(run_command(lambda argv: pointcept_msm.load('hf:owner/absent')))\n"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(tmp_path / "hub"), "MSM_HOST": "embedded"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stdout.split() == [str(extractor.channels)], done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert done.returncode == 2 and len(said) == 1 and "cannot get model.safetensors of hf:owner/absent" in said[0]
    assert "Traceback" not in done.stderr
