"""MSMLoss: distance between the student's predictions and the teacher's features.

Mean over voxels per scene and level, then plain mean over scenes and levels, so that neither a large scene nor the
finest level dominates. The paper does not state the form: docs/method.md, docs/results.md.
"""

import torch
import torch.nn.functional as F

from pointcept_msm.host import LOSSES, register

KINDS = ("smooth_l1", "cosine", "info_nce")


def voxel_loss(prediction: torch.Tensor, target: torch.Tensor, kind: str = "smooth_l1", beta: float = 1.0):
    """prediction, target (M, C) -> (M,). smooth_l1: mean over channels; cosine: 2 - 2 cos."""
    prediction, target = prediction.float(), target.float()
    if kind == "smooth_l1":
        return F.smooth_l1_loss(prediction, target, beta=beta, reduction="none").mean(1)
    return 2 - 2 * F.cosine_similarity(prediction, target, dim=1)


def info_nce(prediction: torch.Tensor, target: torch.Tensor, temperature: float) -> torch.Tensor:
    """prediction, target (M, C) -> (M,): cross-entropy of finding its own target among all M, by cosine; float32 also
    under autocast."""
    own = torch.arange(len(prediction), device=prediction.device)
    with torch.autocast(prediction.device.type, enabled=False):
        similarity = F.normalize(prediction.float(), dim=1) @ F.normalize(target.float(), dim=1).T / temperature
        return F.cross_entropy(similarity, own, reduction="none")


def mean_per_scene(values: torch.Tensor, scene: torch.Tensor, num_scenes: int) -> torch.Tensor:
    """values (M,), scene (M,) -> scalar: the mean over scenes, of those that have any value, of their mean."""
    total = values.new_zeros(num_scenes).index_add(0, scene, values)
    count = values.new_zeros(num_scenes).index_add(0, scene, torch.ones_like(values))
    return (total / count.clamp(min=1)).sum() / (count > 0).sum().clamp(min=1)


@register(LOSSES, "MSMLoss")
class MSMLoss:
    """kind: "smooth_l1" (with beta), "cosine", or "info_nce" (with temperature): a voxel's prediction must find its own
    target among those of `voxels` supervised voxels of the same view and level, drawn anew each time.
    """

    def __init__(self, kind: str = "smooth_l1", beta: float = 1.0, temperature: float = 0.1, voxels: int = 2048):
        if kind not in KINDS:
            raise ValueError(f"MSMLoss kind is {kind!r}; choose one of {', '.join(KINDS)}.")
        if temperature <= 0 or voxels < 2:
            raise ValueError(f"MSMLoss temperature {temperature}, voxels {voxels}: give above 0, and at least 2.")
        self.kind, self.beta, self.temperature, self.voxels = kind, beta, temperature, voxels

    def __call__(self, prediction, target, scene, num_scenes):
        """prediction, target (M, C); scene (M,) view index -> scalar; 0 (with a gradient path) when M is 0."""
        if self.kind == "info_nce":
            return self._info_nce(prediction, target, scene, num_scenes)
        return mean_per_scene(voxel_loss(prediction, target, self.kind, self.beta), scene, num_scenes)

    def _info_nce(self, prediction, target, scene, num_scenes):
        losses = []
        for view in range(num_scenes):
            rows = (scene == view).nonzero().flatten()
            rows = rows[torch.randperm(len(rows), device=rows.device)[: self.voxels]]
            if len(rows):
                losses.append(info_nce(prediction[rows], target[rows], self.temperature).mean())
        return torch.stack(losses).mean() if losses else prediction.sum()  # which is 0, with a gradient
