"""Looks at a network during training: MSMProbeEvaluator at frozen features, MSMSemSegEvaluator at a segmentor.

The probe's numbers steer the choice of checkpoint, they are no result: a fixed, seeded set of labelled train scenes is
split by scene into one part to fit on and one to score; kNN and a ridge classifier on a few hundred points a scene.
"""

import logging
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch

from pointcept_msm.datasets.inputs import find_grid_size
from pointcept_msm.engines.export import NETWORKS, count_steps, find_networks
from pointcept_msm.engines.method_hooks import unwrap
from pointcept_msm.engines.metrics_writer import EVALUATIONS, append_line, to_json_number
from pointcept_msm.features.extractor import FeatureExtractor
from pointcept_msm.features.levels import LevelNetwork
from pointcept_msm.host import HOOKS, HookBase, build_dataset, register
from pointcept_msm.probing.features import SceneFeatures, SceneList, extract_scenes
from pointcept_msm.probing.knn import LevelSlice, predict_knn
from pointcept_msm.probing.linear import fit_ridge, pool, split_scenes
from pointcept_msm.probing.metrics import check_classes, class_iou, confusion_matrix, segmentation_scores
from pointcept_msm.runtime import comm
from pointcept_msm.runtime.errors import UserError

LOGGER = logging.getLogger("msm")
PROBES = ("knn", "linear")


def read_num_classes(hook) -> int:
    """The hook's own or the config's number of classes. UserError: neither is set."""
    count = getattr(hook, "num_classes", None) or hook.trainer.cfg.data.get("num_classes")
    if not count:
        raise UserError(f"{type(hook).__name__} does not know the number of classes: set data.num_classes")
    return int(count)


def write_scores(trainer, scores: dict[str, float]) -> None:
    """Scalars of the epoch that just ended: a line of evaluations.jsonl, and tensorboard, where there is one."""
    if comm.is_main_process():
        record = dict(step=count_steps(trainer), epoch=trainer.epoch + 1)
        record |= {name: to_json_number(value) for name, value in scores.items()}
        append_line(Path(trainer.cfg.save_path) / EVALUATIONS, record)
    if trainer.writer is not None:
        for name, value in scores.items():
            trainer.writer.add_scalar(name, value, trainer.epoch + 1)


def quick_scores(
    scenes: Sequence[SceneFeatures], levels: Sequence[LevelSlice], num_classes: int, seed: int = 0, device: str = "cpu"
) -> dict[str, float]:
    """{knn, linear}: mIoU in percent on scenes held out of `scenes`; the order of scenes does not matter.

    UserError: no labelled point on either side of the split.
    """
    scenes = sorted((s.take(s.segment >= 0) for s in scenes), key=lambda s: s.name)
    fit, held = split_scenes([s.name for s in scenes], share=0.5, seed=seed)
    (feat, label), (query, truth) = (pool([scenes[i] for i in part]) for part in (fit, held))
    if not len(label) or not len(truth):
        raise UserError(
            "the evaluator's train scenes have no labelled points; give it `dataset`, a config of labelled scenes"
        )
    check_classes("train", label, num_classes)
    linear = fit_ridge(feat, np.eye(num_classes, dtype=np.float32)[label], l2=1e-2).predict(query)
    knn = predict_knn(query, feat, label, num_classes, ks=(20,), levels=levels, device=device)[20]
    confusions = {"knn": confusion_matrix(knn, truth, num_classes)}
    confusions["linear"] = confusion_matrix(linear, truth, num_classes)
    return {name: segmentation_scores(confusion)["mIoU"] for name, confusion in confusions.items()}


@register(HOOKS, "MSMProbeEvaluator")
class MSMProbeEvaluator(HookBase):
    """Every `every` epochs and at the end: kNN and linear mIoU of student and teacher; put it before the saver.

    scenes: train scenes in all, half to fit and half to score. dataset: config of labelled train scenes (default:
    cfg.data.train); the test split is never read. metric: "<network>_<probe>", sets comm_info's current_metric_value;
    the network is student, teacher, or backbone (of a model that has neither). grid_size, feat_keys, num_classes:
    default to the model's and the config's. inputs: "pointcept" for networks trained by Pointcept's own transforms.
    """

    def __init__(
        self,
        every: int = 1,
        scenes: int = 24,
        points_per_scene: int = 400,
        metric: str = "student_linear",
        dataset: dict | None = None,
        num_classes: int | None = None,
        grid_size: float | None = None,
        feat_keys: Sequence[str] | None = None,
        seed: int = 0,
        inputs: str = "msm",
    ):
        allowed = [f"{network}_{probe}" for network in (*NETWORKS, "backbone") for probe in PROBES]
        if metric not in allowed:
            raise UserError(f"metric is {metric!r}; allowed: {', '.join(allowed)}")
        self.every, self.scenes, self.points, self.metric, self.seed = every, scenes, points_per_scene, metric, seed
        self.dataset, self.num_classes = dataset, num_classes
        self.grid_size, self.feat_keys, self.inputs, self.scene_list = grid_size, feat_keys, inputs, None

    def before_train(self):
        """Set the metric to -inf, so that a saver which runs before the first evaluation finds one."""
        self._set_metric(float("-inf"))

    def after_epoch(self):
        done = self.trainer.epoch + 1
        if done % self.every == 0 or done == self.trainer.max_epoch:
            self.evaluate()

    def evaluate(self) -> dict[str, float]:
        """{"<network>_<probe>": mIoU} on every process; logged, and written to tensorboard by the first."""
        start, results = time.time(), {}
        if self.scene_list is None:
            dataset = build_dataset(self.dataset) if self.dataset else self.trainer.train_loader.dataset
            self.scene_list = SceneList(dataset, self.scenes, self.seed)
        for name, network in find_networks(self.trainer.model).items():
            extractor = self._build_extractor(network)
            scenes = list(extract_scenes(extractor, self.scene_list, points=self.points, seed=self.seed))
            scores = quick_scores(scenes, extractor.levels, read_num_classes(self), self.seed, str(extractor.device))
            results |= {f"{name}_{probe}": value for probe, value in scores.items()}
        if self.metric not in results:
            measured = ", ".join(results) or "nothing"
            raise UserError(f"metric {self.metric!r} was not measured, only {measured}; choose another")
        self._set_metric(results[self.metric])
        shown = ", ".join(f"{name} {value:.1f}" for name, value in results.items())
        done, seconds = self.trainer.epoch + 1, time.time() - start
        LOGGER.info(f"probe after epoch {done} (mIoU on held-out train scenes): {shown} [{seconds:.0f} s]")
        write_scores(self.trainer, {f"probe/{name}_mIoU": value for name, value in results.items()})
        return results

    def _build_extractor(self, network):
        cfg = self.trainer.cfg
        grid_size = self.grid_size or find_grid_size(cfg.data.get("train") or {}) or cfg.get("grid_size")
        if not grid_size:
            raise UserError("the voxel size is not known; set grid_size in the config or on MSMProbeEvaluator")
        meta = dict(grid_size=grid_size, feat_keys=self.feat_keys or cfg.get("feat_keys"))
        if not hasattr(network, "encode"):  # not one of ours
            network = LevelNetwork(network, grid_size, meta["feat_keys"] or ("color", "normal"), self.inputs)
        return FeatureExtractor(network, {}, meta, max_voxels=240_000)

    def _set_metric(self, value):
        self.trainer.comm_info["current_metric_value"] = value
        self.trainer.comm_info["current_metric_name"] = f"{self.metric}_mIoU"


@register(HOOKS, "MSMSemSegEvaluator")
class MSMSemSegEvaluator(HookBase):
    """After epochs, if `cfg.evaluate`: mIoU, mAcc and allAcc over the whole validation set, in either host.

    Needs the model's `seg_logits`, `segment` of the batch (or `inverse` and `origin_segment`, of one scene) and
    `data.num_classes`. The figures are those of `segmentation_scores`, by its rule and by Pointcept's.
    """

    def before_train(self):
        """Fail before the first epoch, not after it."""
        if self.trainer.cfg.evaluate:
            read_num_classes(self)

    def after_epoch(self):
        if self.trainer.cfg.evaluate and self.trainer.val_loader is not None:
            self.evaluate()

    def evaluate(self) -> dict[str, float]:
        """Scores as shares, on every process; logged, and written to tensorboard by the first."""
        classes, model = read_num_classes(self), unwrap(self.trainer.model)
        confusion, losses = np.zeros((classes, classes), dtype=np.int64), []
        model.eval()
        for batch in self.trainer.val_loader:
            if isinstance(batch, Exception):  # a scene that a worker could not read
                raise batch
            loss, counts = self.evaluate_batch(model, batch, classes)
            confusion += counts
            losses += [] if loss is None else [float(loss)]
        model.train()
        confusion = sum(comm.all_gather(confusion))
        losses = [loss for part in comm.all_gather(losses) for loss in part]
        return self.report(confusion, losses)

    @torch.no_grad()
    def evaluate_batch(self, model, batch: dict, classes: int):
        """(loss or None, confusion matrix), counted on the CPU, wherever the predictions and `inverse` are."""
        device = next(model.parameters()).device
        moved = {k: v.to(device, non_blocking=True) if isinstance(v, torch.Tensor) else v for k, v in batch.items()}
        with getattr(self.trainer, "autocast", nullcontext)():
            output = model(moved)
        predicted, segment = output["seg_logits"].argmax(1).cpu().numpy(), batch["segment"]
        if "inverse" in batch:
            if len(batch["offset"]) > 1:
                raise UserError(
                    "'inverse' in a validation batch of several scenes mixes them up: leave batch_size_val None."
                )
            predicted, segment = predicted[batch["inverse"].cpu().numpy()], batch["origin_segment"]
        ignore = self.trainer.cfg.data.get("ignore_index", -1)
        return output.get("loss"), confusion_matrix(predicted, segment.cpu().numpy(), classes, ignore)

    def report(self, confusion: np.ndarray, losses: Sequence[float]) -> dict[str, float]:
        found, cfg = segmentation_scores(confusion), self.trainer.cfg
        scores = {name: found[name] / 100 for name in ("mIoU", "mAcc", "allAcc", "mIoU_all", "mAcc_all")}
        if losses:
            scores["loss"] = sum(losses) / len(losses)
        self.trainer.logger.info(
            "Val result: mIoU/mAcc/allAcc {mIoU:.4f}/{mAcc:.4f}/{allAcc:.4f}".format(**scores)
            + f" over the {found['classes']} of {len(confusion)} classes that occur; over all, absent ones as 0 "
            "(Pointcept's rule), {mIoU_all:.4f}/{mAcc_all:.4f}.".format(**scores)
        )
        names = cfg.data.get("names") or [str(i) for i in range(len(confusion))]
        for index, (name, value) in enumerate(zip(names, class_iou(confusion), strict=True)):
            self.trainer.logger.info(f"Class_{index}-{name} Result: iou {value / 100:.4f}", extra={"file_only": True})
        write_scores(self.trainer, {f"val/{name}": value for name, value in scores.items()})
        self.trainer.comm_info.update(current_metric_value=scores["mIoU"], current_metric_name="mIoU")
        return scores
