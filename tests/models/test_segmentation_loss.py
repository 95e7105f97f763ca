"""Cross entropy plus Lovasz-softmax: terms, ignored points, and inputs that cannot be."""

import math

import pytest
import torch

from pointcept_msm.models.lovasz import lovasz_softmax
from pointcept_msm.models.segmentation_loss import MSMSegmentationLoss

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
