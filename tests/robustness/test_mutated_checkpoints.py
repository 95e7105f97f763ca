"""Spoilt checkpoints: exported networks, training checkpoints to probe and to convert."""

import logging
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from pointcept_msm.engines.tester import load_networks
from pointcept_msm.features.extractor import load
from pointcept_msm.files.torch_files import read_torch_file
from pointcept_msm.files.weights import load_checkpoint
from tests import toy
from tests.probe_toy import make_weights
from tests.robustness.msm_run import find_differences, read
from tests.robustness.mutations import assert_explained, byte_edits, patch_archive, quietly, time_limit

SCENE = dict(coord=np.eye(3), color=np.full((3, 3), 9.0), normal=np.eye(3))


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """An exported network, and the checkpoint of a toy run that was stopped on its way."""
    folder = tmp_path_factory.mktemp("checkpoints")
    logging.getLogger("msm").setLevel(logging.CRITICAL)
    make_weights(folder, ("teacher",))
    toy.build_trainer(folder, ["max_steps=12", "seed=1"]).train()
    shutil.copy(folder / "run/model/model_last.pth", folder / "intact.pth")
    yield folder
    logging.getLogger("msm").setLevel(logging.NOTSET)


def attempt(action, *names):
    """What `action` returns, or None when it refused in one sentence."""
    with time_limit():
        try:
            return action()
        except Exception as error:
            assert_explained(error, *names)
            return None


def check_export(bench, edit):
    """Bytes of a safetensors file: the weights are the exported ones, or the file is refused."""
    path = bench / "spoilt.safetensors"
    path.write_bytes(edit((bench / "teacher.safetensors").read_bytes()))
    loaded = attempt(lambda: load_checkpoint(path), path)
    if loaded is not None:
        assert find_differences(loaded[0], load_file(bench / "teacher.safetensors")) == []
    extractor = attempt(lambda: load(path, device="cpu"))
    features = attempt(lambda: extractor.extract(SCENE)) if extractor is not None else None
    assert features is None or np.isfinite(features).all()


def check_training_checkpoint(bench, edit, inside, index):
    """Bytes of a .pth: without a matching checksum nothing else than the written checkpoint may be read."""
    path = bench / "spoilt.pth"
    if inside:
        patch_archive(bench / "intact.pth", edit, index, path)
    else:
        path.write_bytes(edit((bench / "intact.pth").read_bytes()))
    content = attempt(lambda: read_torch_file(path), path)
    if content is not None and not inside:
        assert find_differences(content, read(bench / "intact.pth")) == []
    attempt(lambda: load_networks(path))


EXPORT = dict(edit=byte_edits())
TRAINING = dict(edit=byte_edits(), inside=st.booleans(), index=st.integers(0, 40))


@quietly(40)
@given(**EXPORT)
def test_spoilt_exports(bench, **how):
    check_export(bench, **how)


@quietly(40)
@given(**TRAINING)
def test_spoilt_training_checkpoints(bench, **how):
    check_training_checkpoint(bench, **how)


@pytest.mark.slow
@quietly(400)
@given(**EXPORT)
def test_many_spoilt_exports(bench, **how):
    check_export(bench, **how)


@pytest.mark.slow
@quietly(400)
@given(**TRAINING)
def test_many_spoilt_training_checkpoints(bench, **how):
    check_training_checkpoint(bench, **how)
