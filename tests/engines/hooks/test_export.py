"""Which networks a run exports, and what they are called."""

import pytest

from pointcept_msm.engines.hooks.export import find_networks, name_method
from pointcept_msm.host import Config
from tests.models.test_msm_v1m1_base import BACKBONE, make_model
from tests.models.test_segmentor_v1m1 import make_model as make_segmentor


def test_student_and_teacher_a_trained_backbone_or_nothing():
    msm = make_model()
    assert find_networks(msm) == {name: getattr(msm, name)["backbone"] for name in ("student", "teacher")}
    segmentor = make_segmentor()
    assert find_networks(segmentor) == {"backbone": segmentor.backbone}
    assert find_networks(make_segmentor("MSM-Probe-v1m1")) == {}  # frozen: the file it started from is there already


@pytest.mark.parametrize(
    "model, name",
    [
        (dict(type="MSM-v1m1"), "MSM"),
        (dict(type="MSM-Contrastive-v1m1"), "contrastive"),
        (dict(type="MSM-Segmentor-v1m1", backbone=BACKBONE), "supervised"),
        (dict(type="MSM-Segmentor-v1m1", weight=None), "supervised"),
        (dict(type="MSM-Segmentor-v1m1", weight="student.safetensors"), "fine-tuned"),
    ],
)
def test_names_of_methods(model, name):
    assert name_method(Config(dict(model=model)).model) == name
