"""The pre-training model: gradients, teacher, and the whole loss against a loop written from docs/method.md."""

import copy

import numpy as np
import pytest
import torch

from pointcept_msm.datasets.views import MSMViews
from pointcept_msm.host import build_model
from pointcept_msm.host.run_config import parse_value
from pointcept_msm.models import msm_v1m1_base
from pointcept_msm.models.masking import draw_patch_mask
from pointcept_msm.models.msm_v1m1_base import MSM
from pointcept_msm.runtime.errors import UserError
from tests.models.sparse_scenes import TINY

GRID = 0.1
BACKBONE = dict(type="MSM-HUNet-v1m1", **TINY)
# Without randomness in the network a pass can be repeated: no dropout, and a window that holds the whole scene, so that
# the curve does not matter.
STILL = dict(BACKBONE, attn_drop=0.0, drop_path=0.0, window_size=10**4)


def make_batch(scenes=2, seed=0):
    rng = np.random.default_rng(seed)
    np.random.seed(seed)
    views = MSMViews(grid_size=GRID)
    items = []
    for _ in range(scenes):
        coord = rng.uniform(0, [2, 2, 0.7], (1500, 3)).astype(np.float32)
        items.append(views(dict(coord=coord, color=rng.uniform(0, 255, (1500, 3)), normal=rng.normal(size=(1500, 3)))))
    keys = ("grid_coord", "feat", "position", "student", "match", "grid_size")
    batch = {key: torch.cat([i[key] for i in items]) for key in keys}
    sizes = torch.cat([item["offset"].diff(prepend=torch.zeros(1, dtype=torch.long)) for item in items])
    return dict(batch, offset=sizes.cumsum(0))


@pytest.fixture(scope="module")
def batch():
    return make_batch()


def make_model(backbone=BACKBONE, **kwargs):
    torch.manual_seed(0)
    return MSM(backbone, mask_patch=0.4, **kwargs).train()


VARIANTS = [
    {},
    dict(loss=dict(type="MSMLoss", kind="cosine")),
    dict(mask_strategy="top_down"),
    dict(mask_strategy="unmasked"),
    dict(supervise="visible"),
    dict(supervise="all"),
    dict(target_view="same"),
    dict(target_norm="layer"),
    dict(target_norm="both"),
    dict(predictor="linear"),
    dict(predictor="none"),
    dict(mask_ratio=0.7),
]


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_every_student_parameter_gets_a_gradient_and_the_teacher_none(variant, batch):
    model = make_model(**variant)
    output = model(batch)
    output["loss"].backward()
    assert torch.isfinite(output["loss"]) and output["loss"] > 0
    assert all(value.numel() == 1 for value in output.values())
    missing = [n for n, p in model.student.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]
    assert not missing
    zero = [n for n, p in model.student.named_parameters() if p.grad.abs().sum() == 0]
    assert not zero, "in the graph, but without effect on the loss"
    assert all(p.grad is None and not p.requires_grad for p in model.teacher.parameters())


def test_supervising_the_finest_level_only(batch):
    output = make_model(loss_levels=(0,))(batch)
    assert "loss_level0" in output and "loss_level1" not in output
    assert output["loss"] == output["loss_level0"]
    output["loss"].backward()


def test_nothing_masked_still_gives_every_parameter_a_gradient_tensor(batch):
    model = make_model(mask_ratio=0.0)
    model(batch)["loss"].backward()
    assert all(p.grad is not None for p in model.student.parameters())


def test_the_teacher_stays_in_eval_mode():
    model = make_model()
    model.train()
    assert model.student.training and not any(module.training for module in model.teacher.modules())


@pytest.fixture
def normed(monkeypatch):
    """The model around a network with batch norm behind its stem."""
    network = build_model(BACKBONE)
    network.init_transform.append(torch.nn.BatchNorm1d(8, momentum=1.0))
    monkeypatch.setattr(msm_v1m1_base, "build_model", lambda config: network)
    torch.manual_seed(0)
    return MSM(BACKBONE, mask_patch=0.4).train()


def test_a_teachers_batch_norm_has_statistics_of_its_own(normed, batch):
    """In training those of its batch; afterwards what its own passes left, not what the student's did."""
    student, teacher = (part["backbone"].init_transform for part in (normed.student, normed.teacher))
    with torch.no_grad():
        for parameter in teacher[0].parameters():
            parameter += torch.randn_like(parameter)
    assert teacher[2].training and not any(m.training for m in normed.teacher.modules() if m is not teacher[2])
    stems = []
    teacher.register_forward_hook(lambda module, args, out: stems.append(out))
    normed(batch)["loss"].backward()
    normed.update_teacher(1.0)
    entered = teacher[1](teacher[0](batch["feat"]))
    torch.testing.assert_close(teacher[2].running_mean, entered.mean(0))
    torch.testing.assert_close(stems[0].std(0, correction=0), torch.ones(8), atol=1e-3, rtol=0)
    assert not torch.allclose(student[2].running_mean, entered.mean(0), atol=0.1)
    assert not normed.eval().teacher["backbone"].init_transform[2].training


def test_teacher_starts_as_a_copy_and_moves_by_the_momentum():
    model = make_model()
    teacher, student = model.teacher["backbone"], model.student["backbone"]
    assert all(torch.equal(a, b) for a, b in zip(teacher.parameters(), student.parameters(), strict=True))
    with torch.no_grad():
        for parameter in student.parameters():
            parameter += torch.randn_like(parameter)
    before = copy.deepcopy(teacher.state_dict())
    model.update_teacher(0.9)
    for name, value in teacher.state_dict().items():
        torch.testing.assert_close(value, 0.9 * before[name] + 0.1 * student.state_dict()[name])
    held = copy.deepcopy(teacher.state_dict())
    model.update_teacher(1.0)
    assert all(torch.equal(value, held[name]) for name, value in teacher.state_dict().items())


def test_checkpoint_names_fit_the_hosts_keyword_mapping():
    names = make_model().state_dict()
    assert "student.backbone.init_transform.0.weight" in names and "teacher.backbone.init_transform.0.weight" in names
    assert "student.tokens.0" in names and "student.predictor.0.0.weight" in names


@torch.no_grad()
@pytest.mark.parametrize("kind, supervise", [("smooth_l1", "masked"), ("cosine", "masked"), ("smooth_l1", "all")])
def test_loss_equals_a_loop_over_voxels(kind, supervise, batch):
    """Steps 3 to 8 of docs/method.md, by dictionaries: masks, both directions, correspondence, means."""
    model = make_model(STILL, loss=dict(type="MSMLoss", kind=kind), predictor="linear", supervise=supervise)
    model.teacher["backbone"].requires_grad_(False)
    for parameter in model.teacher.parameters():
        parameter += 0.1 * torch.randn_like(parameter)
    masked = {}

    def remember(crop, patch):
        mask = draw_patch_mask(crop.coord(0), crop.num_scenes, patch, 0.4)
        masked.update({tuple(c): bool(m) for c, m in zip(crop.coord(0).tolist(), mask, strict=True)})
        return mask

    model._draw_mask = remember
    output = model(batch)
    for level in range(3):
        assert float(output[f"loss_level{level}"]) == pytest.approx(
            loop_loss(model, batch, masked, level, kind), rel=1e-4
        )
    mean = np.mean([float(output[f"loss_level{level}"]) for level in range(3)])
    assert float(output["loss"]) == pytest.approx(mean, rel=1e-5)


def loop_loss(model, batch, masked, level, kind):
    view = torch.searchsorted(batch["offset"], torch.arange(len(batch["feat"])), right=True).tolist()
    cells = [(v, *c) for v, c in zip(view, batch["grid_coord"].tolist(), strict=True)]
    coarse = [(v, *(int(x) >> level for x in c)) for v, *c in cells]
    starts = [0, *batch["offset"].tolist()]

    teacher = model.teacher["backbone"](batch)[level]
    mean, std = teacher.feat.mean(0), teacher.feat.var(0, correction=0).sqrt()
    targets = {tuple(c): (f - mean) / std for c, f in zip(teacher.coord.tolist(), teacher.feat, strict=True)}
    student = student_features(model, batch, cells, masked)[level]

    members = {}
    for i, voxel in enumerate(coarse):
        if batch["student"][i]:
            members.setdefault(voxel, []).append(i)
    per_view = {}
    for voxel, rows in members.items():
        if model.supervise == "masked" and not all(masked[cells[i]] for i in rows):
            continue  # one visible child makes the voxel visible
        centre = (torch.tensor(voxel[1:]) + 0.5) * 2**level
        rows = [i for i in rows if batch["match"][i] >= 0]
        if not rows:
            continue
        nearest = min(rows, key=lambda i, c=centre: float((batch["position"][i] - c).square().sum()))
        target = targets[coarse[starts[voxel[0] ^ 1] + int(batch["match"][nearest])]]
        head = model.student["predictor"][str(level)]
        prediction = head.weight @ student[voxel] + head.bias
        per_view.setdefault(voxel[0], []).append(distance(prediction, target, kind))
    assert len(per_view) == 4, "both directions of both scenes"
    return float(np.mean([np.mean(values) for values in per_view.values()]))


def student_features(model, batch, cells, masked):
    """{voxel: decoder feature} per level, from a separate pass over the crop alone."""
    from pointcept_msm.models.layers.pyramid import build_pyramid
    from pointcept_msm.models.masked_pass import hide, run_masked

    crop = batch["student"].nonzero().flatten()
    sizes = torch.tensor([cells[i][0] for i in crop]).bincount()
    pyramid, order = build_pyramid(batch["grid_coord"][crop], sizes.cumsum(0), 3)
    hidden = torch.tensor([masked[tuple(c)] for c in pyramid.coord(0).tolist()])
    tokens = model.student["tokens"]
    feats = run_masked(
        model.student["backbone"], tokens, None, batch["feat"][crop][order], pyramid, hide(pyramid, hidden)
    )
    levels = zip(map(pyramid.coord, range(3)), feats, strict=True)
    return [{tuple(c): f for c, f in zip(coord.tolist(), feat, strict=True)} for coord, feat in levels]


def distance(prediction, target, kind):
    if kind == "cosine":
        return float(2 - 2 * prediction @ target / prediction.norm() / target.norm())
    gap = (prediction - target).abs()
    return float(torch.where(gap < 1, gap.square() / 2, gap - 0.5).mean())


@pytest.mark.parametrize(
    "change, words",
    [
        (dict(mask_strategy="sideways"), "bottom_up, top_down, unmasked"),
        (dict(supervise="none"), "masked, visible, all"),
        (dict(target_view="third"), "other, same"),
        (dict(target_norm="instance"), "batch, layer, both, none"),
        (dict(predictor="deep"), "mlp, linear, none"),
        (dict(loss_levels=(0, 5)), "0 is the finest"),
    ],
)
def test_wrong_arguments_are_refused(change, words):
    with pytest.raises(ValueError, match=words):
        MSM(BACKBONE, **change)


@pytest.mark.parametrize("size, cubes", [(0.05, 8), (0.1, 4), (0.2, 2)])
def test_masked_cubes_are_metres_of_the_views_own_voxels(size, cubes, batch):
    model, seen = make_model(STILL, mask_ratio=0.5), []
    model._draw_mask = lambda crop, patch: (
        seen.append(patch) or draw_patch_mask(crop.coord(0), crop.num_scenes, patch, 0.5)
    )
    model(dict(batch, grid_size=torch.full((4,), size)))
    assert seen == [cubes]  # of mask_patch = 0.4 m
    with pytest.raises(UserError, match="below one voxel of 1 m"):
        model(dict(batch, grid_size=torch.ones(4)))


def test_the_word_none_of_a_command_line_is_none():
    model = MSM(BACKBONE, predictor=parse_value("none"), target_norm=parse_value("none"))
    assert model.target_norm == "none" and isinstance(model.student["predictor"]["0"], torch.nn.Identity)
