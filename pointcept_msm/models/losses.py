"""MSMLoss: distance between the student's predictions and the teacher's features.

Mean over voxels per scene and level, then plain mean over scenes and levels, so that neither a large scene nor the
finest level dominates. The paper does not state the form: docs/method.md, docs/results/pretraining.md.
"""

from itertools import accumulate

import torch
import torch.nn.functional as F

from pointcept_msm.host import LOSSES, register
from pointcept_msm.runtime.errors import UserError

KINDS = ("smooth_l1", "cosine", "info_nce")
NOTHING = -1e9  # similarity to a row that holds nothing: finite, so that no gradient is lost to it


def voxel_loss(prediction: torch.Tensor, target: torch.Tensor, kind: str = "smooth_l1", beta: float = 1.0):
    """prediction, target (M, C) -> (M,). smooth_l1: mean over channels; cosine: 2 - 2 cos."""
    prediction, target = prediction.float(), target.float()
    if kind == "smooth_l1":
        return F.smooth_l1_loss(prediction, target, beta=beta, reduction="none").mean(1)
    return 2 - 2 * F.cosine_similarity(prediction, target, dim=1)


def info_nce(prediction, target, scene: torch.Tensor, counts: list, temperature: float) -> torch.Tensor:
    """prediction, target (M, C); scene (M,) ascending, counts: B integers, the rows of each scene -> scalar: cross-
    entropy of finding its own target among all of its scene, by cosine; mean over each scene, then over scenes; 0 (with
    a gradient path) when M is 0. float32 also under autocast."""
    if not len(scene):
        return prediction.sum()
    if not at_once(scene):
        parts = zip(prediction.split(counts), target.split(counts), strict=True)
        return torch.stack([_find_own(a[None], b[None], temperature).mean() for a, b in parts if len(a)]).mean()
    start, count = span_scenes(scene, len(counts))
    rows = (start[:, None] + torch.arange(max(counts), device=scene.device)).clamp_(max=len(scene) - 1)
    sides = [x.index_select(0, rows.flatten()).unflatten(0, rows.shape) for x in (prediction, target)]  # (B, K, C)
    none = torch.arange(rows.shape[1], device=scene.device) >= count[:, None]
    return mean_of_means(_find_own(*sides, temperature, none).masked_fill(none, 0).sum(1), count)


def _find_own(prediction, target, temperature, none=None):
    """Cross-entropies (B, K); none (B, K): rows that hold nothing."""
    with torch.autocast(prediction.device.type, enabled=False):
        prediction = F.normalize(prediction.float(), dim=-1) / temperature
        similarity = prediction @ F.normalize(target.float(), dim=-1).transpose(1, 2)
        if none is not None:
            similarity = similarity.masked_fill_(none[:, None], NOTHING)
        own = torch.arange(similarity.shape[1], device=similarity.device).repeat(len(similarity))
        return F.cross_entropy(similarity.flatten(0, 1), own, reduction="none").view(similarity.shape[:2])


def mean_per_scene(values: torch.Tensor, scene: torch.Tensor, num_scenes: int) -> torch.Tensor:
    """values (M,), scene (M,) -> scalar: the mean over scenes, of those that have any value, of their mean."""
    total = values.new_zeros(num_scenes).index_add(0, scene, values)
    count = values.new_zeros(num_scenes).index_add(0, scene, torch.ones_like(values))
    return mean_of_means(total, count)


def mean_of_means(total: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    """Sums (B,) of so many values (B,) -> scalar: the mean of the means of those that have any."""
    return (total / count.clamp(min=1)).sum() / (count > 0).sum().clamp(min=1)


def draw_rows(scene: torch.Tensor, counts: list, most: int) -> torch.Tensor:
    """Up to `most` rows of each scene at random, (M',) scene by scene. scene (M,) ascending; counts: B integers, the
    number of rows of each."""
    order = (shuffle_at_once if at_once(scene) else shuffle_each)(scene, counts)
    start, size = span_scenes(scene, len(counts))
    size = size.clamp_(max=most)
    first = size.cumsum(0) - size  # of each scene in the result
    total = sum(min(count, most) for count in counts)
    shift = torch.repeat_interleave(start - first, size, output_size=total)
    return order[shift + torch.arange(total, device=scene.device)]


def span_scenes(scene: torch.Tensor, num_scenes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """First row and number of rows (B,) of each scene. scene (M,) ascending."""
    end = torch.searchsorted(scene, torch.arange(num_scenes, device=scene.device), right=True)
    start = F.pad(end[:-1], (1, 0))
    return start, end - start


def at_once(x: torch.Tensor) -> bool:
    """Whether all scenes are worked on together: GPUs are slow at many small jobs, CPUs at what outgrows the cache."""
    return x.device.type != "cpu"


def shuffle_each(scene: torch.Tensor, counts: list) -> torch.Tensor:
    """Rows (M,) in which each scene's own are shuffled, scene by scene."""
    starts = accumulate(counts[:-1], initial=0)
    return torch.cat([start + torch.randperm(count) for start, count in zip(starts, counts, strict=True)])


def shuffle_at_once(scene: torch.Tensor, counts: list) -> torch.Tensor:
    """The same in one draw for all scenes, from other random numbers."""
    return (scene + torch.rand(len(scene), dtype=torch.float64, device=scene.device)).argsort()


@register(LOSSES, "MSMLoss")
class MSMLoss:
    """kind: "smooth_l1" (with beta), "cosine", or "info_nce" (with temperature): a voxel's prediction must find its own
    target among those of `voxels` supervised voxels of the same view and level, which `draw` draws anew each time.
    """

    def __init__(self, kind: str = "smooth_l1", beta: float = 1.0, temperature: float = 0.1, voxels: int = 2048):
        if kind not in KINDS:
            raise UserError(f"MSMLoss kind is {kind!r}; choose one of {', '.join(KINDS)}.")
        if temperature <= 0 or voxels < 2:
            raise UserError(f"MSMLoss temperature {temperature}, voxels {voxels}: give above 0, and at least 2.")
        self.kind, self.beta, self.temperature, self.voxels = kind, beta, temperature, voxels

    def draw(self, scene: torch.Tensor, counts: list) -> tuple[torch.Tensor | None, list]:
        """Which rows the loss is to look at (M',), None for all, and how many of each view; so that predictions of the
        others need not be made. scene, counts: as below."""
        if self.kind != "info_nce" or not len(scene):
            return None, counts
        return draw_rows(scene, counts, self.voxels), [min(count, self.voxels) for count in counts]

    def __call__(self, prediction, target, scene, counts):
        """prediction, target (M, C); scene (M,) ascending view index, counts: B integers, how many rows each view has
        -> scalar; 0 (with a gradient path) when M is 0."""
        if self.kind == "info_nce":
            return info_nce(prediction, target, scene, counts, self.temperature)
        if not len(scene):
            return prediction.sum()
        return mean_per_scene(voxel_loss(prediction, target, self.kind, self.beta), scene, len(counts))
