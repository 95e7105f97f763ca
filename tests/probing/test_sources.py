"""Raw input as features, and probing without colour or normals: the source never sees them, the rows follow."""

import numpy as np
import pytest

from pointcept_msm.engines.tester import MSMProbeTester
from pointcept_msm.features.extractor import load
from pointcept_msm.host import Config
from pointcept_msm.probing.sources import RawInput, WithoutInputs
from tests.probe_toy import make_weights
from tests.tools.scene_tools import make_scene

SCENE = dict(
    coord=np.array([[0, 0, 1.0], [5, 5, 4.0]]),
    color=np.array([[0, 127.5, 255]] * 2),
    normal=np.array([[0, 0, 1.0]] * 2),
)


def test_raw_input():
    feat = RawInput().extract(SCENE)
    assert feat.dtype == np.float32 and RawInput().channels == 7 and RawInput().levels[0][2] == slice(0, 7)
    assert np.allclose(feat, [[-1, -1, 0, 1, 0, 0, 1], [1, -1, 0, 1, 0, 0, 1]])
    assert np.allclose(RawInput(("height",)).extract(SCENE, rows=np.array([1])), [[1]])
    with pytest.raises(ValueError, match=r"has no normal: .* test.without=\[normal\]"):
        RawInput().extract({k: v for k, v in SCENE.items() if k != "normal"})


def test_the_network_sees_its_fill_and_never_the_colour(tmp_path):
    make_weights(tmp_path, ("student",), dict(grid_size=0.1, fill=dict(color=127.5)))
    extractor, scene = load(tmp_path), make_scene()
    source = WithoutInputs(extractor, ["color"])
    grey = dict(scene, color=np.full_like(scene["color"], 127.5))
    np.testing.assert_array_equal(source.extract(scene), extractor.extract(grey))
    rows = np.array([7, 3])
    np.testing.assert_array_equal(source.extract(scene, rows=rows), source.extract(scene)[rows])
    assert "color" in scene and source.channels == extractor.channels and source.levels == extractor.levels
    with pytest.raises(ValueError, match="has no normal"):
        WithoutInputs(extractor, ["normal"]).extract(scene)
    with pytest.raises(ValueError, match=r"without is \['coord'\]; allowed are color and normal"):
        WithoutInputs(extractor, ["coord"])


def test_the_tester_reports_what_is_left(tmp_path):
    """In the toy scenes the class is the colour: without it every probe falls to chance, with it none does."""
    make_weights(tmp_path, ("student",), dict(grid_size=0.1, fill=dict(color=127.5, normal=0.0)))
    values = {}
    for without in ((), ("color",), ("color", "normal")):
        data = dict(num_classes=3, train=dict(type="ProbeToyDataset"), test=dict(type="ProbeToyDataset", split="val"))
        cfg = Config(dict(weight=str(tmp_path), save_path=str(tmp_path / "out"), data=data))
        options = dict(probes=("knn",), networks=("student",), baselines=("raw",), without=without)
        results = MSMProbeTester(cfg, **options).test()
        assert list(results["settings"]["without"]) == list(without)
        values[without] = [row["metrics"]["knn_mIoU"]["mean"] for row in results["rows"]]
        assert [row["width"] for row in results["rows"]] == [24, 7 - 3 * len(without)]
    assert min(values[()]) > 90 and max(values[("color",)] + values[("color", "normal")]) < 60
