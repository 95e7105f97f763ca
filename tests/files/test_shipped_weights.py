"""The weights inside the package, whatever file it is: size, provenance, features, card, the default everywhere."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch

import pointcept_msm
from pointcept_msm.features.extractor import build_extractor
from pointcept_msm.files.scene_io import save_scene
from pointcept_msm.files.weights import DEFAULT_WEIGHTS, SHIPPED, load_checkpoint
from pointcept_msm.rooms import generate_room
from tests.tools.scene_tools import call

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def path():
    file = SHIPPED / f"{DEFAULT_WEIGHTS}.safetensors"
    if not file.is_file():
        pytest.fail(
            f"{file.name} is not shipped: make it with tools/ship_weights.py RUN/student.safetensors {file.stem}"
        )
    return file


@pytest.fixture(scope="module")
def room():
    return generate_room(seed=0, split="test", index=0, points=15_000)


def test_it_is_small_and_says_where_it_comes_from(path):
    assert path.stat().st_size <= 8_000_000
    state, config, meta = load_checkpoint(path)
    assert {v.dtype for v in state.values() if v.is_floating_point()} == {torch.float16}
    assert config["type"] == "MSM-HUNet-v1m1" and meta["name"] == path.stem
    told = ("method", "network", "dataset", "steps", "grid_size", "git_revision", "licence", "version")
    assert [key for key in told if not meta.get(key)] == []
    assert meta["method"] == "MSM" and meta["network"] in ("student", "teacher")


def test_it_is_what_load_gives_and_its_features_are_trained_ones(path, room):
    extractor = pointcept_msm.load()
    feat = extractor.extract(room)
    assert feat.shape == (15_000, extractor.channels) and np.isfinite(feat).all()
    blank = build_extractor(None, extractor.config, extractor.meta)
    state, fresh = extractor.network.state_dict(), blank.network.state_dict()
    moved = [float((state[k] - fresh[k]).abs().max()) for k in state if k.endswith("gamma")]
    assert min(moved) > 1e-4, "some residual branch is still at its initial value"
    for _, _, columns in extractor.levels:
        assert (feat[:, columns].std(0) > 1e-4 * feat[:, columns].std()).mean() > 0.9, "a level is constant"


def test_a_bare_scan_without_a_word_on_weights(path, room, tmp_path, capsys):
    """A .ply of points alone, no --weights: features, and what was filled is told."""
    save_scene(tmp_path / "bare.ply", dict(coord=room["coord"]))
    extractor = pointcept_msm.load()
    fill = () if "color" in extractor.fill else ("--fill-color", "127.5")
    code, _, errors = call(capsys, "extract_features", tmp_path / "bare.ply", "--out", tmp_path / "out", *fill)
    facts = json.loads((tmp_path / "out/bare.json").read_text())
    assert code == 0 and facts["weights"] == DEFAULT_WEIGHTS and facts["filled"].keys() == {"color", "normal"}
    assert sum("it has no color" in line or "it has no normal" in line for line in errors) == 2


def test_the_card_is_of_this_file(path):
    card = (ROOT / f"docs/models/{path.stem}.md").read_text(encoding="utf-8")
    tool = runpy.run_path(str(ROOT / "tools/ship_weights.py"))
    assert tool["read_section"](card, "facts") == tool["facts_table"](path), (
        "run tools/ship_weights.py with --card again"
    )
