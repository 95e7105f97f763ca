"""MSMSegmentationLoss: cross entropy and Lovasz-softmax, the pair that Pointcept's segmentation recipes train with.

Lovasz-softmax has the best Jaccard index as its minimum (Berman, Triki, Blaschko, CVPR 2018). Per class, the errors of
all points are sorted from large to small; the k-th weighs as much as the Jaccard loss grows when the k-th point joins
the wrong ones. Weights do not depend on the errors but for their order, so they carry no gradient. Legend: N points, K
classes.
"""

import torch
import torch.nn.functional as F

from pointcept_msm.host import LOSSES, register
from pointcept_msm.runtime.errors import UserError

COLUMNS_AT_ONCE = 16  # classes sorted together: bounds the memory of ScanNet200


@register(LOSSES, "MSMSegmentationLoss")
class MSMSegmentationLoss:
    """ce * cross entropy + lovasz * Lovasz-softmax over the points whose label is not ignore_index."""

    def __init__(self, ce: float = 1.0, lovasz: float = 1.0, ignore_index: int = -1):
        if ce < 0 or lovasz < 0 or ce + lovasz == 0:
            raise UserError(f"MSMSegmentationLoss weights are ce {ce}, lovasz {lovasz}; give one that is above 0.")
        self.ce, self.lovasz, self.ignore_index = ce, lovasz, ignore_index

    def __call__(self, logits: torch.Tensor, segment: torch.Tensor) -> torch.Tensor:
        """logits (N, C), segment (N,) -> scalar in float32; 0, with a gradient path, when no point has a label."""
        known = segment != self.ignore_index
        logits, label = logits[known].float(), segment[known].long()
        if not len(label):
            return logits.sum()
        if int(label.max()) >= logits.shape[1] or int(label.min()) < 0:
            raise UserError(
                f"labels span {int(label.min())} to {int(label.max())}, the model has {logits.shape[1]} classes; "
                f"set num_classes, or ignore_index (now {self.ignore_index})."
            )
        loss = logits.new_zeros(())
        if self.ce:
            loss = loss + self.ce * F.cross_entropy(logits, label)
        if self.lovasz:
            loss = loss + self.lovasz * lovasz_softmax(logits.softmax(1), label)
        return loss


def jaccard_weights(truth: torch.Tensor) -> torch.Tensor:
    """truth (N, K) of 0 and 1, each column in order of falling error -> (N, K): what each error weighs.

    The loss 1 - (F - f) / (F + b) after f points of the class and b others, F being all of the class, grows by 1 / (F +
    b) with a point of the class and by (F - f) / ((F + b) (F + b - 1)) with another one. A column must not be all 0.
    """
    total = truth.sum(0)
    found = truth.cumsum(0)
    ranks = torch.arange(1, len(truth) + 1, device=truth.device, dtype=truth.dtype)
    union = total + ranks[:, None] - found
    return torch.where(truth > 0, 1 / union, (total - found) / (union * (union - 1).clamp(min=1)))


def lovasz_softmax(probability: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """probability (N, C), label (N,) in 0 ... C - 1 -> scalar: mean over the classes that occur. N > 0."""
    parts = []
    for classes in label.unique().split(COLUMNS_AT_ONCE):
        truth = (label[:, None] == classes).to(probability.dtype)  # (N, K)
        error = (truth - probability[:, classes]).abs()
        with torch.no_grad():
            order = error.argsort(0, descending=True)
            weight = torch.empty_like(error).scatter_(0, order, jaccard_weights(truth.gather(0, order)))
        parts.append((error * weight).sum(0))
    return torch.cat(parts).mean()
