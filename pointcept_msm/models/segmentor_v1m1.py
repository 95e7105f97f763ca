"""MSM-Segmentor-v1m1: semantic segmentation on hierarchical features, from scratch or fine-tuned (Table 19); and
MSM-Probe-v1m1: linear probing in the host's own training loop (Table 15), frozen features and one linear layer.

The probe's features are standardised per channel first: the same class of functions as a plain linear layer, better
conditioned at the paper's learning rate (the paper does not say whether it normalises).
"""

from torch import nn

from pointcept_msm.host import LOSSES, MODELS, register

from .building import build_backbone
from .layers.norm import RMSNorm, RunningStandard


@register(MODELS, "MSM-Segmentor-v1m1")
class MSMSegmentor(nn.Module):
    """backbone -> features of all levels at each voxel -> norm -> one linear layer.

    backbone: config of a network that has `output="hierarchical"` (MSM-HUNet-v1m1), None = that of `weight`; weight:
    .safetensors or shipped weights to start it from, None = from scratch; criteria: config of a loss on
    (logits, segment), default MSMSegmentationLoss.
    """

    def __init__(self, num_classes: int, backbone=None, weight: str | None = None, criteria=None, norm: bool = True):
        super().__init__()
        self.backbone = build_backbone(backbone, weight)
        self.norm = RMSNorm(self.backbone.out_channels) if norm else nn.Identity()
        self.head = nn.Linear(self.backbone.out_channels, num_classes)
        self.criteria = LOSSES.build(criteria or dict(type="MSMSegmentationLoss"))

    def forward(self, batch):
        """batch: grid_coord (V, 3), feat (V, C), offset (B,), segment (V,).

        Training: {loss}; eval: {loss, seg_logits (V, classes)}; without segment: {seg_logits}.
        """
        logits = self.head(self.norm(self.backbone(batch)))
        if "segment" not in batch:
            return dict(seg_logits=logits)
        loss = self.criteria(logits, batch["segment"])
        return dict(loss=loss) if self.training else dict(loss=loss, seg_logits=logits)


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
