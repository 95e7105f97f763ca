"""Conversion end to end: golden weights in the authors' layout give the authors' features; wrong files are refused."""

import csv
import json
import re
import runpy
from ast import literal_eval
from pathlib import Path

import numpy as np
import pytest
import torch

import pointcept_msm
from pointcept_msm.conversion.sources import released_config
from pointcept_msm.files.weights import load_checkpoint
from pointcept_msm.host import Config
from pointcept_msm.models.feature_sampling import sample_levels
from pointcept_msm.runtime.command_line import run_command
from tests.golden.golden_weights import golden_weight

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests/golden"
TOOL = runpy.run_path(str(ROOT / "tools/convert_checkpoint.py"))
SMALL = dict(
    type="MSM-HUNet-v1m1", in_channels=6, enc_channels=(16, 16, 32, 32, 48), enc_conv_depths=(1, 2, 1, 2, 1),
    enc_attn_depths=(0, 0, 1, 2, 3), enc_num_heads=(2, 2, 4, 4, 6), dec_channels=(16, 24, 32, 40, 48),
    dec_conv_depths=(1, 1, 2, 1, 1), dec_attn_depths=(0, 0, 1, 1, 3), dec_num_heads=(2, 3, 4, 5, 6), window_size=64,
)  # fmt: skip
PREFIX = "module.student."


@pytest.fixture(scope="module")
def golden():
    return {key: torch.from_numpy(array) for key, array in np.load(GOLDEN / "released_small.npz").items()}


@pytest.fixture(scope="module")
def small_state(golden):
    """The golden file's weights by the released names, from the shapes of a network built here."""
    shapes = pointcept_msm.features.extractor.build_extractor(None, SMALL, dict(grid_size=0.02)).network.state_dict()
    seed = int(golden["seed"])
    return {k: torch.from_numpy(np.asarray(golden_weight(k, v.shape, seed))).float() for k, v in shapes.items()}


@pytest.fixture
def config_file(tmp_path):
    path = tmp_path / "small.json"
    path.write_text(json.dumps(SMALL))
    return path


def convert(capsys, *arguments):
    """Exit code and standard error."""
    try:
        code = run_command(TOOL["main"], [str(a) for a in arguments])
    except SystemExit as stop:
        code = stop.code
    return code, capsys.readouterr().err


def write(path, state, container="state_dict", prefix=PREFIX):
    torch.save({container: {prefix + key: value for key, value in state.items()}, "epoch": 3}, path)
    return path


def relative_error(value, reference):
    return float((value - reference).norm() / reference.norm())


def test_golden_weights_give_the_released_features(tmp_path, capsys, golden, small_state, config_file):
    source = write(tmp_path / "released.pth", small_state)
    out = tmp_path / "made/small.safetensors"
    assert convert(capsys, "--source", "released", "--network-config", config_file, source, out) == (0, "")
    extractor = pointcept_msm.load(out)
    assert (extractor.voxel_size, extractor.feat_keys, extractor.channels) == (0.02, ("color", "normal"), 160)
    with torch.no_grad():
        levels = extractor.network.eval()({key: golden[key] for key in ("grid_coord", "feat", "offset")})
    for level, ours in enumerate(levels):
        row = {tuple(coord): i for i, coord in enumerate(ours.coord.tolist())}
        rows = [row[tuple(coord)] for coord in golden[f"level{level}_index"].tolist()]
        assert relative_error(ours.feat[rows], golden[f"level{level}_feat"]) < 1e-3
    count = torch.diff(golden["point_offset"], prepend=torch.zeros(1, dtype=torch.long))
    batch = torch.repeat_interleave(torch.arange(2), count)
    sampled = sample_levels(levels, golden["point_grid_coord"], batch, mode="released")
    assert relative_error(sampled[golden["sample_rows"]], golden["sample_feat"]) < 1e-3


def test_the_full_layout(tmp_path, capsys):
    """208 tensors by the released names, filled so that a swapped pair of equal shape would be seen."""
    with open(GOLDEN / "msm_state_dict.tsv") as file:
        shapes = {row["name"]: literal_eval(row["shape"]) for row in csv.DictReader(file, delimiter="\t")}
    state = {name: torch.full(shape, i / 256).half() for i, (name, shape) in enumerate(shapes.items())}
    out = tmp_path / "main.safetensors"
    assert convert(capsys, "--source", "released", write(tmp_path / "msm.pth", state), out) == (0, "")
    converted, config, meta = load_checkpoint(out)
    assert len(converted) == 208 and all((converted[n] == state[n].float()).all() for n in state)
    assert config == json.loads(json.dumps(released_config()))
    assert meta["source"] == "released" and meta["grid_size"] == 0.02 and meta["feat_keys"] == ["color", "normal"]
    assert "ScanNet" in meta["licence"] and meta["source_file"] == "msm.pth"
    assert not any(str(tmp_path) in str(value) for value in meta.values())


def test_the_released_config_is_that_of_the_main_recipe():
    recipe = Config.fromfile(str(ROOT / "configs/msm/_base_/hunet_2cm.py"))
    own = {"residual_gamma": 0.1, "checkpointing": False}  # what the release has no name for
    assert released_config() == {**own, **recipe.backbone.to_dict()} and recipe.grid_size == 0.02


LOST = "init_transform.0.bias"
FAULTS = {  # of a file: (what is written instead of its tensors, how, what the refusal says)
    "missing key": (lambda s: {k: v for k, v in s.items() if k != LOST}, {}, rf"1 missing \({LOST}"),
    "extra keys": (lambda s: s | {f"head.{i}": torch.ones(2) for i in range(6)}, {}, r"6 unknown .* and 2 more"),
    "wrong prefix": (dict, dict(prefix="module.encoder."), r"no key that begins with 'student.', only encoder"),
    "teacher only": (dict, dict(prefix="module.teacher."), r"use --network teacher"),
    "key of nobody": (
        lambda s: {PREFIX + k: v for k, v in s.items()} | {"module.queue": torch.ones(2)},
        dict(prefix=""),
        r"1 unknown \(queue",
    ),
    "wrong container": (
        dict,
        dict(container="weights"),
        r"no 'state_dict' or 'model' with tensors, only weights, epoch",
    ),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_faulty_files_are_refused_in_one_sentence(tmp_path, capsys, small_state, config_file, kind):
    change, how, words = FAULTS[kind]
    source, out = write(tmp_path / "faulty.pth", change(small_state), **how), tmp_path / "out.safetensors"
    code, error = convert(capsys, "--source", "released", "--network-config", config_file, source, out)
    assert code == 2 and not out.exists()
    assert error.count("\n") == 1 and "Traceback" not in error
    assert re.search(words, error), error


def test_named_faults_are_accepted(tmp_path, capsys, small_state, config_file):
    state = {k: v for k, v in small_state.items() if k != LOST} | {"head.weight": torch.ones(2)}
    source, out = write(tmp_path / "x.pth", state), tmp_path / "x.safetensors"
    arguments = ["--source", "released", "--network-config", config_file, source, out, "--ignore", "head.*"]
    assert convert(capsys, *arguments)[0] == 2
    assert convert(capsys, *arguments, "--ignore", LOST)[0] == 0
    converted, _, meta = load_checkpoint(out)
    assert meta["left_at_initial_values"] == [LOST] and "head.weight" not in converted


@pytest.mark.parametrize("network, ddp", [("student", ""), ("teacher", "module.")])
def test_a_run_of_either_host(tmp_path, capsys, small_state, network, ddp):
    """Names as in model_last.pth: both backbones, the predictor and the tokens; config.py lies beside the run."""
    teacher = {k: v + 1 for k, v in small_state.items()}
    state = {f"student.backbone.{k}": v for k, v in small_state.items()}
    state |= {f"teacher.backbone.{k}": v for k, v in teacher.items()}
    state |= {"student.predictor.0.0.weight": torch.ones(2, 2), "student.tokens.0": torch.ones(2), "train_step": 3}
    (tmp_path / "model").mkdir()
    source = write(tmp_path / "model/model_last.pth", state, prefix=ddp)
    (tmp_path / "config.py").write_text(
        f"grid_size = 0.04\nfeat_keys = ('normal', 'coord')\nmodel = dict(type='MSM-v1m1', backbone={SMALL!r})\n"
    )
    out = tmp_path / "out.safetensors"
    assert convert(capsys, "--source", "pointcept", "--network", network, source, out) == (0, "")
    converted, config, meta = load_checkpoint(out)
    expected = small_state if network == "student" else teacher
    assert all(torch.equal(converted[k], v) for k, v in expected.items()) and len(converted) == len(expected)
    assert (meta["grid_size"], meta["feat_keys"], meta["network"]) == (0.04, ["normal", "coord"], network)
    assert config["enc_channels"] == list(SMALL["enc_channels"])


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--source", "sonata", "IN", "OUT.safetensors"], "'released', 'pointcept', 'spunet'"),
        (["--source", "spunet", "--network", "teacher", "IN", "OUT.safetensors"], "no teacher; there is: backbone"),
        (["--source", "released", "IN", "OUT.pth"], "must end in .safetensors"),
    ],
)
def test_wrong_calls(tmp_path, capsys, arguments, words):
    write(tmp_path / "IN", {"weight": torch.ones(1)})
    code, error = convert(capsys, *(tmp_path / a if a.startswith(("IN", "OUT")) else a for a in arguments))
    assert code == 2 and words in error and error.count("\n") == 1


def test_a_runs_config_is_read_and_never_run(tmp_path, capsys, small_state):
    """config.py beside a stranger's checkpoint: plain values are read, anything else is refused unrun."""
    marker, out = tmp_path / "marker", tmp_path / "out.safetensors"
    source = write(tmp_path / "last.pth", {f"student.backbone.{k}": v for k, v in small_state.items()}, prefix="")
    drop = dict(type="MSMDropInputs", drop_color=0.2)
    text = f"""grid_size = 0.02
feat_keys = ["color", "normal"]
model = dict(type="MSM-v1m1", backbone={SMALL!r})
data = dict(train=dict(type="X", transform=[dict(type="MSMViews", grid_size=0.04, color_augment=[{drop!r}])]))
"""
    (tmp_path / "config.py").write_text(text + f"import os\nos.system('touch {marker}')\n")
    code, error = convert(capsys, "--source", "pointcept", source, out)
    assert code == 2 and "more than plain values (line 5) and is not run" in error and error.count("\n") == 1
    assert not marker.exists() and not out.exists()
    (tmp_path / "config.py").write_text(text)
    assert convert(capsys, "--source", "pointcept", source, out) == (0, "")
    extractor = pointcept_msm.load(out)
    assert extractor.voxel_size == 0.04 and extractor.fill == {"color": 127.5}


def test_a_checkpoint_that_says_what_it_is(tmp_path, capsys, small_state):
    state = {f"teacher.backbone.{k}": v for k, v in small_state.items()}
    network = {"config": SMALL, "meta": {"grid_size": 0.05, "feat_keys": ["color", "normal"]}}
    torch.save({"state_dict": state, "msm": {"network": network}}, tmp_path / "x.pth")
    arguments = ("--source", "pointcept", "--network", "teacher", tmp_path / "x.pth", tmp_path / "x.safetensors")
    assert convert(capsys, *arguments) == (0, "")
    assert pointcept_msm.load(tmp_path / "x.safetensors").voxel_size == 0.05
    code, error = convert(capsys, *arguments, "--grid-size", 0.02)
    assert code == 2 and "was trained with voxels of 0.05 m, --grid-size is 0.02" in error


def test_a_run_without_its_config(tmp_path, capsys, small_state):
    source = write(tmp_path / "last.pth", {f"student.backbone.{k}": v for k, v in small_state.items()}, prefix="")
    code, error = convert(capsys, "--source", "pointcept", source, tmp_path / "out.safetensors")
    assert code == 2 and "--network-config" in error and error.count("\n") == 1
