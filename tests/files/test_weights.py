"""Exported networks: what goes in comes out, and a wrong file is refused in one sentence."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pointcept_msm.files.weights import load_checkpoint, save_checkpoint


def test_round_trip(tmp_path):
    base = torch.arange(12.0).reshape(3, 4)
    state = {"a.weight": base.t(), "shared": base, "half": base.bfloat16(), "count": torch.tensor(3)}
    path = tmp_path / "deep" / "student.safetensors"
    save_checkpoint(path, state, {"type": "X", "channels": [1, 2]}, {"network": "student", "loss": None})
    loaded, config, meta = load_checkpoint(path)
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[key], state[key]) and loaded[key].dtype == state[key].dtype for key in state)
    assert config == {"type": "X", "channels": [1, 2]} and meta == {"network": "student", "loss": None}
    assert [p.name for p in path.parent.iterdir()] == ["student.safetensors"]


def test_a_failed_save_keeps_the_old_file(tmp_path):
    path = tmp_path / "x.safetensors"
    save_checkpoint(path, {"a": torch.ones(1)}, {}, {})
    with pytest.raises(TypeError, match="not JSON serializable"):
        save_checkpoint(path, {"a": torch.zeros(1)}, {}, {"array": np.zeros(3)})
    assert load_checkpoint(path)[0]["a"] == 1


def test_wrong_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no checkpoint at"):
        load_checkpoint(tmp_path / "nowhere.safetensors")
    good, torn, other, bare, odd = (tmp_path / f"{name}.safetensors" for name in ("good", "torn", "pth", "bare", "odd"))
    save_checkpoint(good, {"a": torch.ones(1000)}, {}, {})
    torn.write_bytes(good.read_bytes()[:1000])
    torch.save({"a": torch.ones(1)}, other)
    save_file({"a": torch.ones(1)}, bare)
    save_file({"a": torch.ones(1)}, odd, metadata={"config": "{}", "meta": "{"})
    for path, message in (
        (torn, "damaged or not a safetensors file"),
        (other, "damaged or not a safetensors file"),
        (bare, "no sound config and meta in its metadata"),
        (odd, "no sound config and meta in its metadata"),
        (tmp_path, "no checkpoint at"),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            load_checkpoint(path)
        assert "\n" not in str(caught.value)
