"""MSMLoss and target normalisation against loops."""

import math

import numpy as np
import pytest
import torch
from sklearn.preprocessing import StandardScaler

from pointcept_msm.models import target_norm
from pointcept_msm.models.losses import MSMLoss
from pointcept_msm.models.target_norm import normalise_target

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
    loss = MSMLoss("info_nce", temperature=0.2)(PREDICTION, TARGET, SCENE, COUNTS)
    assert float(loss) == pytest.approx(np.mean(per_scene), rel=1e-5)


def test_info_nce_is_float32_under_autocast():
    want = MSMLoss("info_nce")(PREDICTION, TARGET, SCENE, COUNTS)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(MSMLoss("info_nce")(PREDICTION, TARGET, SCENE, COUNTS), want)


def test_info_nce_of_at_most_so_many_voxels():
    torch.manual_seed(0)
    alike = torch.ones(50, 3)  # nobody can tell them apart: the loss is the log of their number
    assert float(MSMLoss("info_nce", voxels=8)(alike, alike, torch.zeros(50, dtype=torch.long), [50])) == pytest.approx(
        math.log(8)
    )
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


def test_batch_norm_equals_scikit_learn():
    feat = TARGET * 3 + 1
    np.testing.assert_allclose(normalise_target(feat, "batch"), StandardScaler().fit_transform(feat), atol=1e-5)


def test_whitening_takes_correlations_away_and_keeps_directions(monkeypatch):
    monkeypatch.setattr(target_norm, "SHRINK", 0.0)
    mixed = torch.randn(400, 4, generator=torch.Generator().manual_seed(1)) @ torch.tensor(
        [[2.0, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 0.1], [0, 0, 0, 1]]
    )
    white = normalise_target(mixed, "whiten").double()
    torch.testing.assert_close(white.T @ white / 400, torch.eye(4).double(), atol=1e-4, rtol=0)
    batch = normalise_target(mixed, "batch").double()
    value, vector = np.linalg.eigh(np.corrcoef(mixed.numpy().T))
    torch.testing.assert_close(white, batch @ torch.from_numpy(vector / value**0.5 @ vector.T), atol=1e-4, rtol=0)


def test_whitening_few_voxels_stays_finite():
    assert normalise_target(torch.randn(3, 10), "whiten").isfinite().all()


def test_layer_norm_both_and_none():
    layer = normalise_target(TARGET, "layer")
    torch.testing.assert_close(layer.mean(1), torch.zeros(40), atol=1e-5, rtol=0)
    torch.testing.assert_close(layer.std(1, correction=0), torch.ones(40), atol=1e-3, rtol=0)
    both = normalise_target(normalise_target(TARGET, "batch"), "layer")
    torch.testing.assert_close(normalise_target(TARGET, "both"), both)
    assert torch.equal(normalise_target(TARGET, "none"), TARGET)
    with pytest.raises(ValueError, match="batch, layer, both, whiten, none"):
        normalise_target(TARGET, "instance")


def test_a_constant_channel_stays_finite():
    assert torch.equal(normalise_target(torch.ones(10, 3), "batch"), torch.zeros(10, 3))
