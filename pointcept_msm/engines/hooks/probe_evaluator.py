"""MSMProbeEvaluator: a quick look at the features during training, on labelled train scenes only.

A fixed, seeded set of train scenes is split by scene into one part to fit on and one to score; kNN and a ridge
classifier on a few hundred points a scene. The number steers the choice of checkpoint, it is no result: those come
from the tester.
"""

import logging
import time
from collections.abc import Sequence

import numpy as np

from pointcept_msm.datasets.drop_inputs import find_grid_size
from pointcept_msm.engines.hooks.export import NETWORKS, find_networks
from pointcept_msm.features.extractor import FeatureExtractor
from pointcept_msm.host import HOOKS, HookBase, build_dataset, register
from pointcept_msm.host.levels import INPUTS, LevelNetwork
from pointcept_msm.probing.features import SceneFeatures, extract_scene
from pointcept_msm.probing.knn import LevelSlice, predict_knn
from pointcept_msm.probing.linear import fit_ridge, split_scenes
from pointcept_msm.probing.metrics import check_classes, confusion_matrix, segmentation_scores
from pointcept_msm.probing.scene_list import SceneList
from pointcept_msm.runtime import comm

LOGGER = logging.getLogger("msm")
PROBES = ("knn", "linear")


def quick_scores(
    scenes: Sequence[SceneFeatures], levels: Sequence[LevelSlice], num_classes: int, seed: int = 0, device: str = "cpu"
) -> dict[str, float]:
    """{knn, linear}: mIoU in percent on scenes held out of `scenes`; the order of scenes does not matter.

    ValueError: no labelled point on either side of the split.
    """
    scenes = sorted(
        (s._replace(feat=s.feat[s.segment >= 0], segment=s.segment[s.segment >= 0]) for s in scenes),
        key=lambda s: s.name,
    )
    fit, held = split_scenes([s.name for s in scenes], share=0.5, seed=seed)
    feat, label = (np.concatenate([getattr(scenes[i], key) for i in fit]) for key in ("feat", "segment"))
    query, truth = (np.concatenate([getattr(scenes[i], key) for i in held]) for key in ("feat", "segment"))
    if not len(label) or not len(truth):
        raise ValueError(
            "the evaluator's train scenes have no labelled points; give it `dataset`, a config of labelled scenes"
        )
    check_classes("train", label, num_classes)
    linear = fit_ridge(feat, np.eye(num_classes, dtype=np.float32)[label], l2=1e-2).predict(query)
    predictions = dict(
        knn=predict_knn(query, feat, label, num_classes, ks=(20,), levels=levels, device=device)[20], linear=linear
    )
    confusions = {name: confusion_matrix(pred, truth, num_classes) for name, pred in predictions.items()}
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
        max_voxels: int = 240_000,
        seed: int = 0,
        inputs: str = "msm",
    ):
        if inputs not in INPUTS:
            raise ValueError(f"inputs is {inputs!r}; choose one of {', '.join(INPUTS)}.")
        allowed = [f"{network}_{probe}" for network in (*NETWORKS, "backbone") for probe in PROBES]
        if metric not in allowed:
            raise ValueError(f"metric is {metric!r}; allowed: {', '.join(allowed)}")
        if every < 1 or scenes < 2 or points_per_scene < 1:
            raise ValueError(
                f"every {every}, scenes {scenes}, points_per_scene {points_per_scene}: allowed at least "
                "1, 2 and 1, as half of the scenes are held out"
            )
        self.every, self.scenes, self.points, self.metric, self.seed = every, scenes, points_per_scene, metric, seed
        self.dataset, self.num_classes, self.max_voxels = dataset, num_classes, max_voxels
        self.meta, self.inputs = dict(grid_size=grid_size, feat_keys=feat_keys), inputs
        self.scene_list = None

    def before_train(self):
        """Set the metric to -inf, so that a saver which runs before the first evaluation finds one."""
        self._set_metric(float("-inf"))

    def after_epoch(self):
        """Evaluate when it is time; every process takes part."""
        done = self.trainer.epoch + 1
        if done % self.every == 0 or done == self.trainer.max_epoch:
            self.evaluate()

    def evaluate(self) -> dict[str, float]:
        """{"<network>_<probe>": mIoU} on every process; logged, and written to tensorboard by the first."""
        start, results = time.time(), {}
        for name, network in find_networks(self.trainer.model).items():
            extractor = self._build_extractor(network)
            scenes = self._extract(extractor)
            scores = quick_scores(scenes, extractor.levels, self._num_classes(), self.seed, str(extractor.device))
            results |= {f"{name}_{probe}": value for probe, value in scores.items()}
        if self.metric not in results:
            raise ValueError(
                f"metric {self.metric!r} was not measured, only {', '.join(results) or 'nothing'}; choose another"
            )
        self._set_metric(results[self.metric])
        self._report(results, time.time() - start)
        return results

    def _build_extractor(self, network):
        meta = self._meta()
        if not hasattr(network, "encode"):  # not one of ours
            network = LevelNetwork(network, meta["grid_size"], meta["feat_keys"] or ("color", "normal"), self.inputs)
        return FeatureExtractor(network, {}, meta, max_voxels=self.max_voxels)

    def _extract(self, extractor):
        """Features of the fixed points of all scenes, each process its share, on every process."""
        if self.scene_list is None:
            dataset = build_dataset(self.dataset) if self.dataset else self.trainer.train_loader.dataset
            self.scene_list = SceneList(dataset, self.scenes, self.seed)
        rank, world = comm.get_rank(), comm.get_world_size()
        mine = [
            extract_scene(extractor, self.scene_list[i], points=self.points, seed=self.seed)
            for i in range(rank, len(self.scene_list), world)
        ]
        return [scene for part in comm.all_gather(mine) for scene in part]

    def _meta(self):
        cfg = self.trainer.cfg
        grid_size = self.meta["grid_size"] or find_grid_size(cfg.data.get("train") or {}) or cfg.get("grid_size")
        meta = dict(grid_size=grid_size, feat_keys=self.meta["feat_keys"] or cfg.get("feat_keys"))
        if not meta["grid_size"]:
            raise ValueError("the voxel size is not known; set grid_size in the config or on MSMProbeEvaluator")
        return meta

    def _num_classes(self):
        count = self.num_classes or self.trainer.cfg.data.get("num_classes")
        if not count:
            raise ValueError(
                "the number of classes is not known; set data.num_classes or MSMProbeEvaluator's num_classes"
            )
        return int(count)

    def _set_metric(self, value):
        self.trainer.comm_info["current_metric_value"] = value
        self.trainer.comm_info["current_metric_name"] = f"{self.metric}_mIoU"

    def _report(self, results, seconds):
        done = self.trainer.epoch + 1
        shown = ", ".join(f"{name} {value:.1f}" for name, value in results.items())
        LOGGER.info("probe after epoch %d (mIoU on held-out train scenes): %s [%.0f s]", done, shown, seconds)
        if self.trainer.writer is not None:
            for name, value in results.items():
                self.trainer.writer.add_scalar(f"probe/{name}_mIoU", value, done)
