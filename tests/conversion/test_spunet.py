"""Pointcept's SpUNet: config from shapes, every tensor accounted for, heads left behind, colours as it was trained."""

import json
import re

import numpy as np
import pytest
import torch

from pointcept_msm.conversion.spunet import infer_spunet_config, spunet_tensors
from pointcept_msm.features.extractor import load, scale_colors
from pointcept_msm.files.weights import load_checkpoint
from tests.conversion.test_convert import convert

SIZE = ("--grid-size", 0.02)
SMALL = dict(in_channels=6, base_channels=4, channels=[4, 8, 12, 10, 6, 5], layers=[1, 2, 1, 1, 3, 2])


def make_state(prefix="module.backbone.", **changes):
    torch.manual_seed(0)
    tensors = spunet_tensors(**{**SMALL, **changes})
    return {prefix + k: torch.rand(v.shape) if v.is_floating_point() else torch.tensor(7) for k, v in tensors.items()}


def write(path, state):
    torch.save({"state_dict": state, "epoch": 3}, path)
    return path


def test_known_sizes_of_the_standard_network():
    """Written out from SpUNet-v1m1's layers; and inferred from them."""
    tensors = spunet_tensors()
    channels, layers = [32, 64, 128, 256, 256, 128, 96, 96], [2, 3, 4, 6, 2, 2, 2, 2]
    config = dict(type="MSM-SpUNet-v1m1", in_channels=6, base_channels=32, channels=channels, layers=layers)
    assert infer_spunet_config(tensors) == config
    shapes = {k: tuple(v.shape) for k, v in tensors.items()}
    assert shapes["conv_input.0.weight"] == (32, 5, 5, 5, 6)
    assert shapes["down.3.0.weight"] == (256, 2, 2, 2, 128)
    assert shapes["enc.3.block5.conv2.weight"] == (256, 3, 3, 3, 256)
    assert shapes["up.3.0.weight"] == (256, 2, 2, 2, 256) and shapes["up.0.0.weight"] == (96, 2, 2, 2, 96)
    assert shapes["dec.3.block0.conv1.weight"] == (256, 3, 3, 3, 384)
    assert shapes["dec.0.block0.proj.0.weight"] == (96, 1, 1, 1, 128) and "dec.0.block1.proj.0.weight" not in shapes
    assert tensors["down.0.1.num_batches_tracked"].dtype == torch.int64


@pytest.mark.parametrize("prefix", ["module.backbone.", "backbone.", ""])
def test_a_checkpoint_of_any_method_converts(tmp_path, capsys, prefix):
    """As MSC and the segmentors name it; their heads and mask token are left behind."""
    state = make_state(prefix)
    head = prefix.removesuffix("backbone.")
    beside = {f"{head}mask_token": torch.ones(1, 4), f"{head}seg_head.weight": torch.ones(2, 2)}
    beside |= {f"{prefix}final.weight": torch.ones(2, 1, 1, 1, 4)}
    out = tmp_path / "out.safetensors"
    source = write(tmp_path / "x.pth", state | beside)
    code, error = convert(capsys, "--source", "spunet", source, out)
    assert code == 2 and "give them in metres with --grid-size" in error and not out.exists()
    assert convert(capsys, "--source", "spunet", source, out, "--grid-size", 0.04) == (0, "")
    converted, config, meta = load_checkpoint(out)
    assert config == dict(type="MSM-SpUNet-v1m1", **SMALL) and meta["network"] == "backbone"
    assert converted.keys() == {k.removeprefix(prefix) for k in state}
    assert all(torch.equal(converted[k.removeprefix(prefix)], v) for k, v in state.items())
    assert meta["color_range"] == [0.0, 1.0] and meta["feat_keys"] == ["color", "normal"] and meta["grid_size"] == 0.04


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda s: s.pop("module.backbone.enc.1.block1.bn2.running_var"), r"1 missing \(enc.1.block1.bn2.running_var"),
        (lambda s: s.update({"module.backbone.enc.9.x": torch.ones(1)}), r"1 unknown \(enc.9.x"),
        (lambda s: s.update({"module.queue": torch.ones(1)}), r"1 unknown \(queue"),
        (lambda s: s.update({"module.backbone.up.0.1.bias": torch.ones(9)}), r"up.0.1.bias is \(9,\), expected \(5,\)"),
        (lambda s: [s.pop(k) for k in list(s) if ".dec." in k], "is not of a SpUNet with a decoder"),
    ],
)
def test_faulty_files(tmp_path, capsys, change, words):
    state, out = make_state(), tmp_path / "out.safetensors"
    change(state)
    code, error = convert(capsys, "--source", "spunet", write(tmp_path / "x.pth", state), out, *SIZE)
    assert code == 2 and error.count("\n") == 1 and re.search(words, error), error
    assert not out.exists()


def test_inputs_must_be_known(tmp_path, capsys):
    source, out = write(tmp_path / "x.pth", make_state(in_channels=3)), tmp_path / "out.safetensors"
    code, error = convert(capsys, "--source", "spunet", source, out)
    assert code == 2 and "nothing says what the 3 inputs" in error and error.count("\n") == 1
    told = ("--feat-keys", "color", "--color-range", "-1", "1", *SIZE)
    assert convert(capsys, "--source", "spunet", source, out, *told) == (0, "")
    assert load_checkpoint(out)[2]["color_range"] == [-1.0, 1.0]
    lacking = {k: v for k, v in make_state().items() if "block0.bn1" not in k}
    code, error = convert(capsys, "--source", "spunet", write(source, lacking), out, "--ignore", "*bn1*", *SIZE)
    assert code == 2 and "initial values are not known" in error


def test_outside_pointcept_loading_says_where_it_runs(tmp_path, capsys):
    out = tmp_path / "out.safetensors"
    convert(capsys, "--source", "spunet", write(tmp_path / "x.pth", make_state()), out, *SIZE)
    with pytest.raises(ValueError, match="needs the Pointcept host: set POINTCEPT_ROOT") as caught:
        load(out)
    assert "\n" not in str(caught.value)


def test_colors_are_scaled_as_in_training():
    feat = torch.tensor([[0.5, 0, 1, -1, 0, 1]])
    assert scale_colors(feat, ("normal", "color"), (-1, 1)) is feat
    np.testing.assert_allclose(scale_colors(feat, ("normal", "color"), (0, 1)), [[0.5, 0, 1, 0, 0.5, 1]])
    np.testing.assert_allclose(scale_colors(feat, ("color", "normal"), (0, 255)), [[191.25, 127.5, 255, -1, 0, 1]])
    assert scale_colors(feat, ("normal",), (0, 1)) is feat


@pytest.mark.pointcept
def test_the_tensors_are_those_of_pointcepts_network(run_in_pointcept):
    code = (
        "import json, pointcept_msm\n"
        "from pointcept_msm.host import build_model\n"
        f"net = build_model(dict(type='SpUNet-v1m1', num_classes=0, **{SMALL!r}))\n"
        "print(json.dumps({k: [list(v.shape), str(v.dtype)] for k, v in net.state_dict().items()}))\n"
    )
    real = json.loads(run_in_pointcept("-c", code).splitlines()[-1])
    assert real == {k: [list(v.shape), str(v.dtype)] for k, v in spunet_tensors(**SMALL).items()}


@pytest.mark.pointcept
def test_a_converted_network_gives_pointcepts_own_features(run_in_pointcept, tmp_path):
    """Pointcept's SpUNet with a head, saved as its trainer does, against the extractor of the converted file."""
    code = f"""
import numpy as np, torch, pointcept_msm
from pointcept_msm.conversion.convert import convert_checkpoint
from pointcept_msm.datasets.voxelise import voxelise
from pointcept_msm.features.voxels import centre_coord
from pointcept_msm.host import build_model

torch.set_num_threads(1)
torch.manual_seed(0)
config = dict(type="SpUNet-v1m1", **{SMALL!r})
network = build_model(dict(config, num_classes=5))
for module in network.modules():
    if isinstance(module, torch.nn.BatchNorm1d):
        module.running_mean.uniform_(-0.1, 0.1), module.running_var.uniform_(0.5, 1.5)
state = network.state_dict()
torch.save(dict(state_dict={{"module.backbone." + k: v for k, v in state.items()}}), {str(tmp_path / "x.pth")!r})
convert_checkpoint({str(tmp_path / "x.pth")!r}, {str(tmp_path / "x.safetensors")!r}, "spunet", meta=dict(grid_size=0.1))
extractor = pointcept_msm.load({str(tmp_path / "x.safetensors")!r})

rng = np.random.default_rng(0)
scene = dict(coord=rng.uniform(0, 2, (3000, 3)).astype("f4"), color=rng.uniform(0, 255, (3000, 3)).astype("f4"))
scene["normal"] = rng.uniform(-1, 1, (3000, 3)).astype("f4")
scene["normal"] /= np.linalg.norm(scene["normal"], axis=1, keepdims=True)
voxels = voxelise(centre_coord(torch.from_numpy(scene["coord"])).numpy(), 0.1, random=False)
feat = np.c_[scene["color"] / 255, scene["normal"]][voxels.point].astype("f4")
plain = build_model(dict(config, num_classes=0)).eval()
plain.load_state_dict({{k: v for k, v in state.items() if not k.startswith("final")}})
batch = dict(grid_coord=torch.tensor(voxels.grid_coord), feat=torch.tensor(feat), offset=torch.tensor([len(feat)]))
with torch.no_grad():
    expected = plain(batch).numpy()[voxels.voxel]
finest = extractor.extract(scene, "nearest")[:, extractor.levels[0][2]]
print(float(np.abs(finest - expected).max() / np.abs(expected).max()))
"""
    assert float(run_in_pointcept("-c", code).splitlines()[-1]) < 1e-5
