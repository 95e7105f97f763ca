"""MSMLoss and target normalisation against loops."""

import math

import numpy as np
import pytest
import torch
from sklearn.preprocessing import StandardScaler

from pointcept_msm.models import losses
from pointcept_msm.models.losses import MSMLoss
from pointcept_msm.models.matching import normalise_target

NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
CUDA = pytest.param("cuda", marks=[pytest.mark.gpu, NO_GPU])
GENERATOR = torch.Generator().manual_seed(0)
PREDICTION, TARGET = 2 * torch.randn(2, 40, 5, generator=GENERATOR)
SCENE = torch.randint(0, 3, (40,), generator=GENERATOR).sort().values
COUNTS = [*SCENE.bincount().tolist(), 0]  # a scene without a voxel at the end


def smooth_l1(p, t, beta):
    parts = [abs(a - b) for a, b in zip(p, t, strict=True)]
    return sum(d * d / (2 * beta) if d < beta else d - beta / 2 for d in parts) / len(parts)


def cosine(p, t, _):
    dot = sum(a * b for a, b in zip(p, t, strict=True))
    return 2 - 2 * dot / math.sqrt(sum(a * a for a in p) * sum(b * b for b in t))


@pytest.mark.parametrize(
    "kind, form, beta", [("smooth_l1", smooth_l1, 1.0), ("smooth_l1", smooth_l1, 0.3), ("cosine", cosine, 1.0)]
)
def test_loss_equals_a_loop(kind, form, beta):
    per_scene = {}
    for p, t, s in zip(PREDICTION.tolist(), TARGET.tolist(), SCENE.tolist(), strict=True):
        per_scene.setdefault(s, []).append(form(p, t, beta))
    expected = np.mean([np.mean(values) for values in per_scene.values()])
    assert float(MSMLoss(kind, beta)(PREDICTION, TARGET, SCENE, COUNTS)) == pytest.approx(expected, rel=1e-5)


def look(loss, prediction, target, scene=SCENE, counts=COUNTS):
    """The loss of the rows that it draws."""
    rows, counts = loss.draw(scene, counts)
    return loss(prediction[rows], target[rows], scene[rows], counts)


@pytest.fixture(params=[False, True], ids=["scene by scene", "at once"])
def both_ways(request, monkeypatch):
    monkeypatch.setattr(losses, "at_once", lambda x: request.param)


@pytest.mark.usefixtures("both_ways")
def test_rows_are_drawn_evenly_and_without_repeats():
    scene, counts = torch.tensor([0] * 6 + [2] * 2), [6, 0, 2]
    hits = torch.zeros(8)
    for _ in range(300):
        rows = losses.draw_rows(scene, counts, 3)
        assert scene[rows].tolist() == [0, 0, 0, 2, 2] and len(rows.unique()) == 5
        hits[rows] += 1
    assert (hits[:6] > 100).all() and (hits[:6] < 200).all() and (hits[6:] == 300).all()


@pytest.mark.usefixtures("both_ways")
def test_info_nce_equals_a_loop_within_each_scene():
    cosines = lambda a, b: float(torch.cosine_similarity(a, b, dim=0))  # noqa: E731
    per_scene = []
    for scene in range(3):
        rows = (scene == SCENE).nonzero().flatten().tolist()
        terms = []
        for i in rows:
            weight = {j: math.exp(cosines(PREDICTION[i], TARGET[j]) / 0.2) for j in rows}
            terms.append(-math.log(weight[i] / sum(weight.values())))
        per_scene.append(np.mean(terms))
    loss = look(MSMLoss("info_nce", temperature=0.2), PREDICTION, TARGET)
    assert float(loss) == pytest.approx(np.mean(per_scene), rel=1e-5)


@pytest.mark.parametrize("device", ["cpu", CUDA])
def test_info_nce_is_float32_under_autocast(device):
    inputs = [x.to(device) for x in (PREDICTION, TARGET, SCENE)]
    want = MSMLoss("info_nce")(*inputs, COUNTS)
    with torch.autocast(device, dtype=torch.bfloat16):
        assert torch.equal(MSMLoss("info_nce")(*inputs, COUNTS), want)


def test_info_nce_of_at_most_so_many_voxels():
    torch.manual_seed(0)
    alike = torch.ones(50, 3)  # nobody can tell them apart: the loss is the log of their number
    loss = look(MSMLoss("info_nce", voxels=8), alike, alike, torch.arange(50) // 45, [45, 5])
    assert float(loss) == pytest.approx((math.log(8) + math.log(5)) / 2)
    with pytest.raises(ValueError, match="temperature 0"):
        MSMLoss("info_nce", temperature=0)
    empty = torch.zeros(0, 4, requires_grad=True)
    assert float(MSMLoss("info_nce")(empty, empty, torch.zeros(0, dtype=torch.long), [0, 0]).detach()) == 0


def test_no_voxel_gives_zero_with_a_gradient_path():
    prediction = torch.zeros(0, 4, requires_grad=True)
    loss = MSMLoss()(prediction, torch.zeros(0, 4), torch.zeros(0, dtype=torch.long), [0, 0])
    loss.backward()
    assert float(loss.detach()) == 0 and prediction.grad.shape == (0, 4)


def test_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="smooth_l1, cosine"):
        MSMLoss("l2")


def normalised(feat, norm):
    """All rows."""
    return normalise_target(feat, torch.arange(len(feat)), norm)


def test_targets_are_rows_normalised_by_all():
    rows = torch.tensor([7, 2, 2])
    torch.testing.assert_close(normalise_target(TARGET, rows, "batch"), normalised(TARGET, "batch")[rows])


def test_batch_norm_equals_scikit_learn():
    feat = TARGET * 3 + 1
    np.testing.assert_allclose(normalised(feat, "batch"), StandardScaler().fit_transform(feat), atol=1e-5)


def test_layer_norm_both_and_none():
    layer = normalised(TARGET, "layer")
    torch.testing.assert_close(layer.mean(1), torch.zeros(40), atol=1e-5, rtol=0)
    torch.testing.assert_close(layer.std(1, correction=0), torch.ones(40), atol=1e-3, rtol=0)
    both = normalised(normalised(TARGET, "batch"), "layer")
    torch.testing.assert_close(normalised(TARGET, "both"), both)
    assert torch.equal(normalised(TARGET, "none"), TARGET)


def test_a_constant_channel_stays_finite():
    assert torch.equal(normalised(torch.ones(10, 3), "batch"), torch.zeros(10, 3))
