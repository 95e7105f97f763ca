"""MSM-SpUNet-v1m1 outside Pointcept: one sentence. What it computes: tests/host/inside/test_spunet_v1m1.py."""

import pytest

from pointcept_msm.host import build_model


def test_without_pointcept_one_sentence_says_what_to_do():
    with pytest.raises(ImportError, match="needs the Pointcept host: set POINTCEPT_ROOT"):
        build_model(dict(type="MSM-SpUNet-v1m1"))
