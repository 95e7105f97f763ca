"""Raw input as features."""

import numpy as np
import pytest

from pointcept_msm.probing.baselines import RawInput

SCENE = dict(
    coord=np.array([[0, 0, 1.0], [5, 5, 4.0]]),
    color=np.array([[0, 127.5, 255]] * 2),
    normal=np.array([[0, 0, 1.0]] * 2),
)


def test_columns():
    feat = RawInput().extract(SCENE)
    assert feat.dtype == np.float32 and RawInput().channels == 7 and RawInput().levels[0][2] == slice(0, 7)
    assert np.allclose(feat, [[-1, -1, 0, 1, 0, 0, 1], [1, -1, 0, 1, 0, 0, 1]])
    assert np.allclose(RawInput(("height",)).extract(SCENE, rows=np.array([1])), [[1]])


def test_errors():
    with pytest.raises(ValueError, match="allowed: height, color, normal"):
        RawInput(("intensity",))
    with pytest.raises(ValueError, match="has no normal"):
        RawInput().extract({k: v for k, v in SCENE.items() if k != "normal"})
