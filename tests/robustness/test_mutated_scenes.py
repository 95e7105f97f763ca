"""Spoilt scenes in files and dictionaries: refused in one sentence that names them, or read as what they are.

Whatever is accepted goes through the views of a training step and through the network: finite numbers come out.
"""

import itertools
import logging
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointcept_msm.datasets.views import MSMViews
from pointcept_msm.embedded.loader import SceneError, SeededDataset
from pointcept_msm.features.extractor import build_extractor
from pointcept_msm.files.scene_files import count_points
from pointcept_msm.files.scene_io import FIELDS, check_scene, load_scene, save_scene
from tests.probe_toy import NETWORK
from tests.robustness.mutations import (
    ODD_NUMBERS,
    ODD_VALUES,
    assert_explained,
    byte_edits,
    patch_archive,
    quietly,
    time_limit,
)

POINTS, GRID = 60, 0.3
FORMATS = ("folder", ".npz", ".ply", ".pth")
CHECKED = (".npz", ".pth")  # formats with checksums: nothing that changed may be read as if it had not
SHAPES = [
    (0, 3),
    (1, 3),
    (POINTS,),
    (POINTS, 1),
    (POINTS, 2),
    (POINTS, 4),
    (3, POINTS),
    (POINTS, 3, 1),
    (),
    (POINTS - 1, 3),
]
TYPES = ["f2", "f4", "f8", ">f4", "i1", "u1", "i2", "u8", "i8", "?", "c8", "S3", "U2", "O", "M8[s]"]


def make_scene():
    rng = np.random.default_rng(1)
    coord = rng.uniform(0, (2, 2, 1), (POINTS, 3))
    normal = rng.normal(size=(POINTS, 3))
    return dict(
        coord=coord.astype(np.float32),
        color=rng.integers(0, 256, (POINTS, 3)).astype(np.float32),
        normal=(normal / np.linalg.norm(normal, axis=1, keepdims=True)).astype(np.float32),
        segment=rng.integers(-1, 5, POINTS).astype(np.int32),
        instance=rng.integers(-1, 9, POINTS).astype(np.int32),
    )


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    return Bench(tmp_path_factory.mktemp("mutated"))


class Bench:
    """Intact files, a place for spoilt ones, a network, and the count of what became of them."""

    def __init__(self, folder):
        self.folder, self.scene = folder, make_scene()
        self.intact = {form: folder / ("intact" if form == "folder" else f"intact{form}") for form in FORMATS}
        for path in self.intact.values():
            save_scene(path, self.scene)
        self.numbers = itertools.count()
        self.extractor = build_extractor(None, NETWORK, dict(grid_size=GRID, feat_keys=["color", "normal"]))
        self.views = MSMViews(grid_size=GRID, max_voxels=40)
        self.accepted = self.refused = 0

    def place(self, form):
        shutil.rmtree(self.folder / "spoilt", ignore_errors=True)
        folder = self.folder / "spoilt"
        folder.mkdir()
        return folder / f"{next(self.numbers)}{'' if form == 'folder' else form}"

    def run(self, read, *names):
        """The scene that `read` returns, put to use; None when it was refused in one sentence."""
        with time_limit():
            try:
                scene = read()
            except Exception as error:
                self.refused += 1
                assert_explained(error, *names)
                return None
            self.accepted += 1
            assert_sound(scene)
            self.use(scene)
            return scene

    def use(self, scene):
        try:
            item = self.draw(scene)
            features = self.extractor.extract(scene)
        except (ValueError, SceneError) as error:
            assert_explained(error)
            return
        assert np.isfinite(item["feat"].numpy()).all() and len(item["grid_coord"]) <= 80
        assert features.shape == (len(scene["coord"]), self.extractor.channels) and np.isfinite(features).all()

    def draw(self, scene):
        """Views drawn as a worker draws them, where any failure must become a SceneError with the scene's name."""

        class One:
            def __getitem__(one, index):
                return self.views(dict(scene))

            def get_data_name(one, index):
                return "spoilt"

        try:
            return SeededDataset(One(), seed=0)[(0, 0)]
        except SceneError as error:
            assert "spoilt" in str(error) and "Error:" not in str(error), error
            raise


def assert_sound(scene):
    count = len(scene["coord"])
    assert count >= 1
    for field in FIELDS:
        if field not in scene:
            continue
        values, is_label = scene[field], field in ("segment", "instance")
        assert values.dtype == (np.int32 if is_label else np.float32), field
        assert values.shape == ((count,) if is_label else (count, 3)), field
        assert np.isfinite(values).all(), field
    assert all(scene["color"].min() >= 0 and scene["color"].max() <= 255 for _ in range("color" in scene))
    assert all(scene[label].min() >= -1 for label in ("segment", "instance") if label in scene)


def is_part_of(scene, whole):
    """Whether every field of a scene is the whole one's to the bit (fields may be missing)."""
    return all(np.array_equal(scene[field], whole[field]) for field in FIELDS if field in scene)


def spoil_bytes(bench, form, field, edit, inside, index):
    """A copy of an intact scene with spoilt bytes; `inside`: of an archive's entry, with a valid checksum."""
    path = bench.place(form)
    if form == "folder":
        shutil.copytree(bench.intact[form], path)
        file = path / f"{field}.npy"
        file.write_bytes(edit(file.read_bytes()))
    elif inside and form in CHECKED:
        patch_archive(bench.intact[form], edit, index, path)
    else:
        path.write_bytes(edit(bench.intact[form].read_bytes()))
    return path


def check_bytes(bench, form, field, edit, inside, index):
    path = spoil_bytes(bench, form, field, edit, inside, index)
    scene = bench.run(lambda: load_scene(path), path)
    with time_limit():
        try:
            count = count_points(path)
        except Exception as error:
            assert_explained(error, path)
        else:
            assert scene is None or count == len(scene["coord"])
    if scene is not None and form in CHECKED and not inside:
        assert is_part_of(scene, bench.scene), "spoilt numbers were taken for a scene"


BYTES = dict(
    form=st.sampled_from(FORMATS), field=st.sampled_from(FIELDS), edit=byte_edits(), inside=st.booleans(),
    index=st.integers(0, 9),
)  # fmt: skip


def spoil_array(scene, field, kind, value, number, row, shape, dtype):
    """(scene with one thing wrong or odd in one field, whether it must be refused; None: it may be either)."""
    spoilt = {key: values.copy() for key, values in scene.items()}
    values, is_label = spoilt[field], field in ("segment", "instance")
    if kind == "number":
        wide = values.astype(np.float64)
        wide.reshape(-1)[row % wide.size] = float(number)
        spoilt[field] = wide
        bad = {"coord": not abs(number) <= 1e9, "color": not 0 <= number <= 255, "normal": False}
        label_bad = not (number == int(number) if np.isfinite(number) else False) or not abs(number) < 2**31
        return spoilt, label_bad if is_label else bad[field]
    if kind == "shape":
        spoilt[field] = np.resize(values, shape)
        fits = shape in ((POINTS,), (POINTS, 1)) if is_label else shape == (POINTS, 3)
        return spoilt, not fits if field != "coord" else None
    if kind == "type":
        with np.errstate(all="ignore"):
            spoilt[field] = np.clip(values, 0, 100).astype(dtype)
        return spoilt, np.dtype(dtype).kind not in ("biuf" if is_label else "iuf")
    if kind == "drop":
        del spoilt[field]
        return spoilt, field == "coord"
    spoilt[field] = value
    return spoilt, None


def check_dictionary(bench, **how):
    try:
        with np.errstate(all="ignore"):
            spoilt, refuse = spoil_array(bench.scene, **how)
    except (ValueError, TypeError, OverflowError):  # numpy cannot even make it
        return
    scene = bench.run(lambda: check_scene(spoilt, "a dictionary"), "a dictionary")
    assert refuse is None or (scene is None) == refuse, f"refused: {scene is None}, expected: {refuse}"
    with time_limit():
        try:
            assert len(bench.extractor.extract(spoilt)) >= 1
        except Exception as error:
            assert_explained(error)
            assert scene is None or how["field"] in ("color", "normal") or "spans" in str(error), error


ARRAYS = dict(
    field=st.sampled_from(FIELDS), kind=st.sampled_from(["number", "shape", "type", "drop", "value"]),
    value=st.sampled_from(ODD_VALUES), number=st.sampled_from([*ODD_NUMBERS, 7, 255, 256, -1.0, 1e9, 2e9]),
    row=st.integers(0, 200), shape=st.sampled_from(SHAPES), dtype=st.sampled_from(TYPES),
)  # fmt: skip


@quietly(60)
@given(**BYTES)
def test_spoilt_files(bench, **how):
    check_bytes(bench, **how)


@quietly(60)
@given(**ARRAYS)
def test_spoilt_dictionaries(bench, **how):
    check_dictionary(bench, **how)


@pytest.mark.slow
@quietly(1400)
@given(**BYTES)
def test_many_spoilt_files(bench, **how):
    check_bytes(bench, **how)


@pytest.mark.slow
@quietly(600)
@given(**ARRAYS)
def test_many_spoilt_dictionaries(bench, **how):
    check_dictionary(bench, **how)


@pytest.mark.slow
def test_both_ends_were_met(bench):
    """The cases before this one were neither all refused nor all accepted, or they would prove little."""
    print(f"\n{bench.accepted} accepted, {bench.refused} refused")
    assert min(bench.accepted, bench.refused) > 200


@pytest.fixture(autouse=True, scope="module")
def quiet_log():
    logger = logging.getLogger("msm")
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(logging.NOTSET)
