"""Cross entropy plus Lovasz-softmax: terms, ignored points, and inputs that cannot be."""

import math

import numpy as np
import pytest
import torch

from pointcept_msm.models.segmentation_loss import MSMSegmentationLoss, jaccard_weights, lovasz_softmax

GENERATOR = torch.Generator().manual_seed(0)
LOGITS = torch.randn(30, 4, generator=GENERATOR)
SEGMENT = torch.randint(-1, 4, (30,), generator=GENERATOR)


def cross_entropy_loop():
    losses = []
    for row, label in zip(LOGITS.tolist(), SEGMENT.tolist(), strict=True):
        if label >= 0:
            losses.append(math.log(sum(math.exp(x) for x in row)) - row[label])
    return sum(losses) / len(losses)


def test_terms_and_their_weights():
    known = SEGMENT >= 0
    lovasz = float(lovasz_softmax(LOGITS[known].softmax(1), SEGMENT[known]))
    ce = cross_entropy_loop()
    for weights in ((1.0, 0.0), (0.0, 1.0), (2.0, 0.5)):
        expected = weights[0] * ce + weights[1] * lovasz
        assert float(MSMSegmentationLoss(*weights)(LOGITS, SEGMENT)) == pytest.approx(expected, rel=1e-5)


def test_ignored_points_have_no_influence():
    wild = torch.where(SEGMENT[:, None] < 0, torch.full_like(LOGITS, 50.0), LOGITS)
    assert MSMSegmentationLoss()(wild, SEGMENT) == MSMSegmentationLoss()(LOGITS, SEGMENT)
    moved = torch.where(SEGMENT < 0, 255, SEGMENT)
    assert MSMSegmentationLoss(ignore_index=255)(LOGITS, moved) == MSMSegmentationLoss()(LOGITS, SEGMENT)


def test_a_batch_without_labels_gives_zero_with_a_gradient_path():
    logits = LOGITS.clone().requires_grad_()
    loss = MSMSegmentationLoss()(logits, torch.full((30,), -1))
    loss.backward()
    assert float(loss.detach()) == 0 and logits.grad.abs().sum() == 0


def test_what_is_refused():
    with pytest.raises(ValueError, match="above 0"):
        MSMSegmentationLoss(ce=0.0, lovasz=0.0)
    with pytest.raises(ValueError, match=r"labels span .* has 3 classes"):
        MSMSegmentationLoss()(LOGITS[:, :3], SEGMENT)


def jaccard_loss(wrong: set, members: set) -> float:
    """1 - intersection over union of a class when the points `wrong` are the misclassified ones."""
    return len(wrong) / len(members | wrong)


def brute_force(probability, label):
    """The Lovasz extension, from its definition: errors in falling order times the growth of the set function."""
    losses = []
    for c in sorted(set(label.tolist())):
        members = {i for i, y in enumerate(label.tolist()) if y == c}
        error = [1 - p if i in members else p for i, p in enumerate(probability[:, c].tolist())]
        order = sorted(range(len(error)), key=lambda i: -error[i])
        sets = [jaccard_loss(set(order[:k]), members) for k in range(len(order) + 1)]
        losses.append(sum(error[i] * (sets[k + 1] - sets[k]) for k, i in enumerate(order)))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("points, classes, seed", [(1, 2, 0), (7, 3, 1), (25, 5, 2), (60, 40, 3), (12, 1, 4)])
def test_equals_the_definition(points, classes, seed):
    generator = torch.Generator().manual_seed(seed)
    probability = torch.randn(points, classes, generator=generator).mul(2).softmax(1)
    label = torch.randint(0, classes, (points,), generator=generator)  # of 40 classes some do not occur
    assert float(lovasz_softmax(probability, label)) == pytest.approx(brute_force(probability, label), abs=1e-5)


def test_gradient():
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(9, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    label = torch.randint(0, 3, (9,), generator=generator)
    assert torch.autograd.gradcheck(lambda x: lovasz_softmax(x.softmax(1), label), logits)


def test_weights_of_a_million_points_are_exact():
    """Taken as differences of Jaccard indices in float32, they would be wrong by several per cent each."""
    truth = np.random.default_rng(0).integers(0, 2, (1_000_000, 1))
    found, ranks = truth.cumsum(0), np.arange(1, len(truth) + 1)[:, None]
    jaccard = 1 - (truth.sum() - found) / (truth.sum() + ranks - found)
    expected = np.diff(jaccard, axis=0, prepend=0.0)
    np.testing.assert_allclose(jaccard_weights(torch.from_numpy(truth).float()), expected, rtol=1e-5, atol=1e-14)
