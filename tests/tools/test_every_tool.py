"""Every script in tools/: help, and one sentence with a non-zero exit for a call or a place that cannot be."""

import pytest

from tests.tools.scene_tools import call, make_scene, write_weights
from tests.toy import ROOT

PARTS = {"comparison_runs", "gpu_check"}  # of ablations.py and gpu_check.sh
TOOLS = sorted({path.stem for path in (ROOT / "tools").glob("*.py")} - PARTS)


def fails(code, errors, *words):
    """One line on standard error that says all these words."""
    assert code in (1, 2) and len(errors) == 1, errors
    assert "Traceback" not in errors[0] and all(word in errors[0] for word in words), errors[0]
    return True


@pytest.mark.parametrize("tool", TOOLS)
def test_help_and_unknown_arguments(capsys, tool):
    code, said, errors = call(capsys, tool, "--help")
    assert (code, errors) == (0, []) and "usage:" in said and "--help" in said
    code, said, errors = call(capsys, tool, "--no-such-thing", "3")
    assert code == 2 and said == "" and len(errors) == 1 and "Traceback" not in errors[0]


@pytest.fixture
def scene(tmp_path):
    from pointcept_msm.files.scene_io import save_scene

    save_scene(tmp_path / "room", make_scene())
    return tmp_path / "room"


WRITERS = {
    "extract_features": lambda scene, weights, out: (scene, "--weights", weights, "--out", out),
    "visualize_pca": lambda scene, weights, out: (scene, "--weights", weights, "--out", out),
    "make_rooms": lambda scene, weights, out: ("--out", out, "--train", 1, "--val", 0),
    "train": lambda scene, weights, out: ("--config-file", "pretrain-scenes", "--options", f"save_path={out}"),
    "test": lambda scene, weights, out: ("--config-file", "probe-scannet", "--options", f"save_path={out}"),
}


@pytest.mark.parametrize("tool", WRITERS)
@pytest.mark.parametrize("place", ["no folder", "a file"])
def test_a_place_that_cannot_be_written(tmp_path, capsys, scene, tool, place):
    """/proc takes no folder, whoever asks; a file is no folder either."""
    weights = write_weights(tmp_path)
    before = weights.read_bytes()
    out = "/proc/no_folder_can_be_made_here" if place == "no folder" else weights
    code, _, errors = call(capsys, tool, *WRITERS[tool](scene, weights, out))
    assert fails(code, [line for line in errors if "room/s" not in line], str(out))
    assert weights.read_bytes() == before


RUN = ("--options", "save_path={}/run", "data.train.data_root={}/nowhere")


@pytest.mark.parametrize(
    ("tool", "arguments", "words"),
    [
        ("train", ("--config-file", "pretrain-scannet", *RUN), ("nowhere/train does not exist", "scan-net.org")),
        ("train", ("--config-file", "pretrain-scenes", *RUN), ("nowhere does not exist", "coord.npy")),
        ("test", ("--config-file", "probe-scannet", *RUN, "weight={}/teacher.safetensors"), ("nowhere/train",)),
        ("extract_features", ("{}/nothing", "--out", "{}/out", "--weights", "{}/teacher.safetensors"), ()),
        ("visualize_pca", ("{}/nothing", "--out", "{}/out", "--weights", "{}/teacher.safetensors"), ()),
        ("render_scene", ("{}/nothing", "--out", "{}/out.png"), ("nothing does not exist",)),
        ("convert_checkpoint", ("--source", "released", "{}/nothing", "{}/out.safetensors"), ("does not exist",)),
    ],
)  # fmt: skip
def test_what_is_not_there(tmp_path, capsys, tool, arguments, words):
    write_weights(tmp_path)
    code, _, errors = call(capsys, tool, *(argument.replace("{}", str(tmp_path)) for argument in arguments))
    if words:
        assert fails(code, errors, *words)
    else:
        assert code == 2 and "nothing does not exist" in errors[-1] and not any("Traceback" in e for e in errors)
