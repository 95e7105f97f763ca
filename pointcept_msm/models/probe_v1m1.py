"""MSM-Probe-v1m1: linear probing in the host's own training loop (Table 15): frozen features and one linear layer.

The features are standardised per channel first: the same class of functions as a plain linear layer, better conditioned
at the paper's learning rate (the paper does not say whether it normalises).
"""

import torch

from pointcept_msm.host import MODELS, register

from .layers.running_standard import RunningStandard
from .segmentor_v1m1 import MSMSegmentor


@register(MODELS, "MSM-Probe-v1m1")
class MSMProbe(MSMSegmentor):
    """MSM-Segmentor-v1m1 of which only the linear layer is trained; the backbone is in eval mode, without gradients.

    standard_batches: training batches on which mean and variance are measured, fixed afterwards.
    """

    def __init__(self, num_classes: int, backbone=None, weight=None, criteria=None, standard_batches: int = 50):
        super().__init__(num_classes, backbone, weight, criteria, norm=False)
        self.norm = RunningStandard(self.backbone.out_channels, standard_batches)
        self.backbone.requires_grad_(False).eval()

    def train(self, mode: bool = True):
        """Set the mode of the head; the backbone stays in eval mode always."""
        super().train(mode)
        self.backbone.eval()
        return self

    @torch.no_grad()
    def extract(self, batch) -> torch.Tensor:
        """Features (V, sum of the levels' channels), without a graph."""
        return self.backbone(batch)
