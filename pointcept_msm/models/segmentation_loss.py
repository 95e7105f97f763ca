"""MSMSegmentationLoss: cross entropy and Lovasz-softmax, the pair that Pointcept's segmentation recipes train with."""

import torch
import torch.nn.functional as F

from pointcept_msm.host import LOSSES, register
from pointcept_msm.runtime.errors import UserError

from .lovasz import lovasz_softmax


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
