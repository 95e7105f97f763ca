"""MSMLoss: distance between the student's predictions and the teacher's features.

Mean over voxels per scene and level, then plain mean over scenes and levels, so that neither a large scene nor the
finest level dominates. The paper does not state the form: docs/method.md, docs/results/pretraining.md.
"""

from itertools import accumulate

import torch
import torch.nn.functional as F

from pointcept_msm.host import LOSSES, register

KINDS = ("smooth_l1", "cosine", "info_nce")
NOTHING = -1e9  # similarity to a row that holds nothing: finite, so that no gradient is lost to it


def voxel_loss(prediction: torch.Tensor, target: torch.Tensor, kind: str = "smooth_l1", beta: float = 1.0):
    """prediction, target (M, C) -> (M,). smooth_l1: mean over channels; cosine: 2 - 2 cos."""
    prediction, target = prediction.float(), target.float()
    if kind == "smooth_l1":
        return F.smooth_l1_loss(prediction, target, beta=beta, reduction="none").mean(1)
    return 2 - 2 * F.cosine_similarity(prediction, target, dim=1)


def info_nce(prediction: torch.Tensor, target: torch.Tensor, temperature: float, count: torch.Tensor) -> torch.Tensor:
    """prediction, target (B, M, C), of which count (B,) rows hold anything -> scalar: cross-entropy of finding its own
    target among all of its view, by cosine; mean over each view, then over views. float32 also under autocast."""
    row = torch.arange(prediction.shape[1], device=prediction.device)
    empty = row >= count[:, None]  # (B, M)
    with torch.autocast(prediction.device.type, enabled=False):
        prediction = F.normalize(prediction.float(), dim=-1) / temperature
        target = F.normalize(target.float(), dim=-1)
        away = prediction.new_zeros(1, 1, 1).masked_fill(empty[:, None], NOTHING)
        similarity = torch.baddbmm(away, prediction, target.transpose(1, 2))
        values = similarity.logsumexp(-1) - similarity.diagonal(dim1=1, dim2=2)
    return mean_of_means(values.masked_fill(empty, 0).sum(1), count)


def mean_per_scene(values: torch.Tensor, scene: torch.Tensor, num_scenes: int) -> torch.Tensor:
    """values (M,), scene (M,) -> scalar: the mean over scenes, of those that have any value, of their mean."""
    total = values.new_zeros(num_scenes).index_add(0, scene, values)
    count = values.new_zeros(num_scenes).index_add(0, scene, torch.ones_like(values))
    return mean_of_means(total, count)


def mean_of_means(total: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    """Sums (B,) of so many values (B,) -> scalar: the mean of the means of those that have any."""
    return (total / count.clamp(min=1)).sum() / (count > 0).sum().clamp(min=1)


def draw_rows(scene: torch.Tensor, counts: list, most: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Up to `most` rows of each scene at random, as `rows_by_scene` gives them. scene (M,), counts: see there."""
    if scene.device.type == "cpu":
        starts = accumulate(counts[:-1], initial=0)
        order = torch.cat([start + torch.randperm(count) for start, count in zip(starts, counts, strict=True)])
    else:  # in one draw for all scenes
        order = (scene + torch.rand(len(scene), dtype=torch.float64, device=scene.device)).argsort()
    place, count = rows_by_scene(scene, counts, most)
    return order[place], count


def rows_by_scene(scene: torch.Tensor, counts: list, most: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The first rows of each scene, at most `most`: rows (B, K), K the most that any scene has, of which the first (B,)
    count; the others are any rows. scene (M,) ascending, M > 0; counts: B integers, the number of rows of each."""
    width = min(max(counts), most)
    end = torch.searchsorted(scene, torch.arange(len(counts), device=scene.device), right=True)
    start = F.pad(end[:-1], (1, 0))
    rows = start[:, None] + torch.arange(width, device=scene.device)
    return rows.clamp_(max=len(scene) - 1), (end - start).clamp_(max=width)


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

    def __call__(self, prediction, target, scene, counts):
        """prediction, target (M, C); scene (M,) ascending view index, counts: B integers, how many rows each view has
        -> scalar; 0 (with a gradient path) when M is 0."""
        if not len(scene):
            return prediction.sum()
        if self.kind != "info_nce":
            return mean_per_scene(voxel_loss(prediction, target, self.kind, self.beta), scene, len(counts))
        rows, count = draw_rows(scene, counts, self.voxels)
        return info_nce(prediction[rows], target[rows], self.temperature, count)
