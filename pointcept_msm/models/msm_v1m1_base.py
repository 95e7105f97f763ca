"""MSM-v1m1: the pre-training model. A student sees a masked crop of each view and predicts, at every decoder level, the
features that its exponential moving average, the teacher, has at the same places of the whole other view.

One batch holds 2B views: 2 i and 2 i + 1 show scene i. docs/method.md gives the method step by step.
"""

import copy

import torch
from torch import nn

from pointcept_msm.host import LOSSES, MODELS, build_model, register
from pointcept_msm.runtime.errors import UserError

from .layers.pyramid import build_pyramid
from .masked_pass import hide, run_masked, take
from .masking import draw_patch_mask, patch_in_voxels
from .matching import TARGET_NORMS, match_levels, match_same_view, normalise_target, pair_up, partner_rows

PREDICTORS = ("mlp", "linear", "none")
SUPERVISE = ("masked", "visible", "all")
OBSERVED_ROWS = 2048  # teacher voxels a level kept for the collapse monitor


@register(MODELS, "MSM-v1m1")
class MSM(nn.Module):
    """Student, teacher and loss.

    backbone: config of a network with `encode`, `entries`, `decode` (MSM-HUNet-v1m1); mask_patch: edge of
    the masked cubes, metres (the batch's grid_size says how many voxels that is).
    mask_strategy: bottom_up | top_down | unmasked (Table 10a, 10c); supervise: masked | visible (no tokens at all) |
    all (one pass, the loss on masked and visible voxels).
    loss_levels: levels in the loss, None = all that the network decodes (Table 10b: (0,)); target_view: other | same.
    """

    def __init__(
        self,
        backbone,
        loss=None,
        mask_ratio=0.4,
        mask_patch=0.32,
        mask_strategy="bottom_up",
        supervise="masked",
        loss_levels=None,
        target_view="other",
        target_norm="batch",
        predictor="mlp",
        predictor_ratio=4,
    ):
        super().__init__()
        _check_choice("mask_strategy", mask_strategy, ("bottom_up", "top_down", "unmasked"))
        _check_choice("supervise", supervise, SUPERVISE)
        _check_choice("target_view", target_view, ("other", "same"))
        target_norm = "none" if target_norm is None else target_norm  # what a command line makes of the word
        _check_choice("target_norm", target_norm, TARGET_NORMS)
        self.mask_ratio, self.mask_patch = mask_ratio, mask_patch
        self.strategy = "visible" if supervise == "visible" else mask_strategy
        self.supervise, self.target_view, self.target_norm = supervise, target_view, target_norm
        self.momentum = None  # the teacher's, set by MSMTeacherHook for the log
        self.observed: list = []  # teacher features for MSMCollapseMonitor

        network = build_model(backbone)
        self.loss_levels = _check_levels(loss_levels, network)
        self.student = nn.ModuleDict(dict(backbone=network))
        heads = {str(i): build_predictor(predictor, network.dec_channels[i], predictor_ratio) for i in self.loss_levels}
        self.student["predictor"] = nn.ModuleDict(heads)
        self.student["tokens"] = nn.ParameterList(_tokens(network, self.strategy))
        self.loss = LOSSES.build(loss or dict(type="MSMLoss"))
        self.teacher = nn.ModuleDict(dict(backbone=copy.deepcopy(network))).requires_grad_(False)
        self.teacher.eval()
        self.register_buffer("train_step", torch.zeros((), dtype=torch.long))

    def train(self, mode: bool = True):
        """Set the mode of the student; the teacher stays in eval mode always, but for batch norm, where a backbone has
        it: there it normalises with its own batch and keeps running statistics of its own, as the student's belong to
        other weights."""
        super().train(mode)
        self.teacher.eval()
        for norm in _batch_norms(self.teacher):
            norm.train(mode)
        return self

    def forward(self, batch):
        """batch as `MSMViews` collates it -> flat dict of one-element tensors with `loss`, `loss_level<l>`, ..."""
        network = self.student["backbone"]
        network.check_feat(batch["feat"])
        pyramid, order = build_pyramid(batch["grid_coord"], batch["offset"], network.num_levels)
        crop, kept = pyramid.subset(batch["student"][order])
        hidden = hide(crop, self._draw_mask(crop, patch_in_voxels(self.mask_patch, batch["grid_size"])))
        pairs = self._pair_up(batch, order, pyramid, crop, kept[0], hidden)
        # From here on no size is unknown: a GPU's host runs ahead through both networks.
        feat = batch["feat"].index_select(0, order)
        targets = self._teacher_targets(feat, pyramid, pairs)
        feats = run_masked(network, *self._tokens(), take(feat, kept[0]), crop, hidden, self.strategy)
        return self._losses(feats, targets, pairs, hidden.masked)

    def _pair_up(self, batch, order, pyramid, crop, kept, hidden):
        """Per level the voxels that the loss compares."""
        student = crop
        if self.strategy == "visible":
            student = hidden.visible
            kept = hidden.rows[0] if kept is None else take(kept, hidden.rows[0])
        if self.target_view == "other":
            partner = partner_rows(batch["match"], batch["offset"], order)
            rows = match_levels(student, pyramid, take(batch["position"][order], kept), take(partner, kept))
        else:
            rows = match_same_view(student, pyramid)
        levels = [hidden.masked.new_ones(student.count(level)) for level in range(student.num_levels)]
        levels = hidden.levels if self.supervise == "masked" else levels
        levels = [x if level in self.loss_levels else torch.zeros_like(x) for level, x in enumerate(levels)]
        return pair_up(student, rows, torch.cat(levels))

    @torch.no_grad()
    def _teacher_targets(self, feat, pyramid, pairs):
        """Per level what its pairs' students are compared with (M_l, C): no more of the teacher's features is kept."""
        teacher = self.teacher["backbone"]
        levels = teacher.decode(teacher.entries(teacher.encode(feat, pyramid)), pyramid)
        self.observed = [x[:: max(1, len(x) // OBSERVED_ROWS)].to(torch.float32, copy=True) for x in levels]
        rows = pairs.teacher.split(_per_level(pairs.counts, len(levels)))
        return [normalise_target(*x, self.target_norm) for x in zip(levels, rows, strict=True)]

    def _draw_mask(self, crop, patch):
        return draw_patch_mask(crop.coord(0), crop.num_scenes, patch, self.mask_ratio)

    def _tokens(self):
        """(decoder tokens per level, token at the encoder's input); what the strategy does not use is None."""
        tokens = self.student["tokens"]
        return (None, tokens[0]) if self.strategy == "top_down" else (tokens, None)

    def _losses(self, feats, targets, pairs, masked):
        drawn, counts = self.loss.draw(pairs.part, pairs.counts)
        held, kept = (_per_level(x, len(feats)) for x in (pairs.counts, counts))
        own, part = (take(x, drawn).split(kept) for x in (pairs.student, pairs.part))
        drawn = [None] * len(feats) if drawn is None else drawn.split(kept)
        views, output, losses = len(counts) // len(feats), {}, []
        for level in self.loss_levels:
            target = take(targets[level], None if drawn[level] is None else drawn[level] - sum(held[:level]))
            prediction = self.student["predictor"][str(level)](feats[level].index_select(0, own[level]))
            view, count = part[level] - level * views, counts[level * views : (level + 1) * views]
            losses.append(self.loss(prediction, target, view, count))
            output[f"loss_level{level}"] = losses[-1].detach()
            output[f"matched_level{level}"] = pairs.share[level]
        output["masked_share"] = masked.float().mean()
        loss = torch.stack(losses).mean()
        if len(self.student["tokens"]):  # without a masked voxel they still take part: DDP asks each for a gradient
            loss = loss + torch.cat(list(self.student["tokens"])).sum() * 0.0
        return dict(loss=loss, **output)

    @torch.no_grad()
    def update_teacher(self, momentum: float):
        """teacher <- momentum * teacher + (1 - momentum) * student; buffers are copied, but for batch norm's."""
        teacher, student = self.teacher["backbone"], self.student["backbone"]
        torch._foreach_lerp_(list(teacher.parameters()), list(student.parameters()), 1 - momentum)
        own = {id(buffer) for norm in _batch_norms(teacher) for buffer in norm.buffers()}
        for target, source in zip(teacher.buffers(), student.buffers(), strict=True):
            if id(target) not in own:
                target.copy_(source)
        self.momentum = momentum


def build_predictor(kind: str | None, channels: int, ratio: int = 4) -> nn.Module:
    """The head between the student's decoder and the loss, one a level (Fig. 4, module phi): (M, C) -> (M, C).

    mlp: Linear C -> ratio C, GELU, Linear -> C; linear; none, or None, which is what a command line makes of it:
    identity. UserError: another kind.
    """
    if kind in ("none", None):
        return nn.Identity()
    if kind not in PREDICTORS:
        raise UserError(f"predictor is {kind!r}; choose one of {', '.join(PREDICTORS)}.")
    if kind == "linear":
        return nn.Linear(channels, channels)
    return nn.Sequential(nn.Linear(channels, ratio * channels), nn.GELU(), nn.Linear(ratio * channels, channels))


def _batch_norms(module):
    return [part for part in module.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]


def _per_level(counts, levels):
    """Sums over the views of each level."""
    views = len(counts) // levels
    return [sum(counts[level * views : (level + 1) * views]) for level in range(levels)]


def _tokens(network, strategy):
    """One learnable vector a level, as wide as what enters the decoder there, or one of the stem's width when masked
    voxels enter the encoder."""
    entries = getattr(network, "entry_channels", network.dec_channels)
    widths = {"bottom_up": entries, "top_down": network.enc_channels[:1]}.get(strategy, ())
    return [nn.Parameter(nn.init.trunc_normal_(torch.empty(width), std=0.02)) for width in widths]


def _check_choice(name, value, allowed):
    if value not in allowed:
        raise UserError(f"{name} is {value!r}; choose one of {', '.join(allowed)}.")


def _check_levels(levels, network):
    num_levels = network.num_levels
    levels = tuple(getattr(network, "loss_levels", range(num_levels)) if levels is None else levels)
    if not levels or any(not 0 <= level < num_levels for level in levels) or len(set(levels)) != len(levels):
        raise UserError(f"loss_levels is {levels}; give different levels of 0 ... {num_levels - 1} (0 is the finest).")
    return levels
