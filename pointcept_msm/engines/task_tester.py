"""MSMTaskTester: object detection and visual grounding on frozen features, beside what no training gives."""

import itertools
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from pointcept_msm.datasets.sentences import describe_objects, read_scanrefer
from pointcept_msm.datasets.voxelise import voxelise
from pointcept_msm.engines.tester import MSMProbeTester, ProbeOptions
from pointcept_msm.host import MODELS, TESTERS, register
from pointcept_msm.probing import detection, grounding
from pointcept_msm.probing.boxes import Boxes, detection_scores, find_boxes, turn_to_walls
from pointcept_msm.probing.evaluate import Outcome, fit_best, fit_instances
from pointcept_msm.probing.features import SceneFeatures, SceneList, extract_scene
from pointcept_msm.probing.instance import InstanceProbe, predict_instances
from pointcept_msm.runtime import comm
from pointcept_msm.runtime.errors import UserError

LOGGER = logging.getLogger("msm")
INSTANCE_SCENES = 200  # the instance probe of the grounding is fitted on at most so many
MAX_PROPOSALS = 80


@dataclass
class TaskOptions(ProbeOptions):
    """Keys of `cfg.test`, beside those of the probes.

    head: arguments of the registered MSM-Detection-v1m1 or MSM-Grounding-v1m1. training: those of `Training`. align:
    scenes are turned to their walls first. box_points: least size of an object, in points of the whole scene.
    Detection: points: so many, by farthest-point sampling of the voxels of edge `voxels` in metres; frozen: with False
    the network is trained too. Grounding: sentences: ScanRefer's file, {split} in the place of the split; None: made
    from labels; points_per_scene: of train and test scenes, as for the instance probe.
    """

    probes: Sequence[str] = ("instance",)  # the grounding's proposals; both tasks need `things`
    task: str = "detection"
    head: dict = field(default_factory=dict)
    training: dict = field(default_factory=dict)
    align: bool = False
    box_points: int = 1
    points: int = 2048
    voxels: float = 0.02
    frozen: bool = True
    sentences: str | None = None

    def __post_init__(self):
        super().__post_init__()
        if self.task not in ("detection", "grounding"):
            raise UserError(f"test.task is {self.task!r}; allowed: detection, grounding")
        if not self.frozen and (self.task == "grounding" or self.without):
            raise UserError("test.frozen=False trains the network under the detection head, with all its inputs, only")


@register(TESTERS, "MSMTaskTester")
class MSMTaskTester(MSMProbeTester):
    """As MSMProbeTester, for the tasks of `TaskOptions`: one head is trained for each row and seed, by one process."""

    options_type = TaskOptions

    def evaluate(self, source, train: SceneList, test: SceneList, seed: int) -> Outcome | None:
        """One head, or one for each source of proposals, trained on `train` and scored on `test`."""
        if not comm.is_main_process():
            return None
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            torch.manual_seed(seed)
            metrics = (self.detect if self.options.task == "detection" else self.ground)(source, train, test, seed)
        return Outcome(metrics, {}, {})

    def detect(self, source, train, test, seed) -> dict[str, float]:
        """box_AP25 and box_AP50."""
        option = self.options
        network = None if option.frozen else getattr(source, "network", None)  # raw input has none to train
        clouds = [self.build_cloud(source, scene, network) for scene in self.read(train)]
        head = self.build_head("MSM-Detection-v1m1", in_channels=source.channels, num_classes=len(option.things))
        detection.fit_detection(head, clouds, detection.Training(**option.training), seed, network)
        del clouds
        found, wanted = [], []
        for cloud in (self.build_cloud(source, scene, network) for scene in self.read(test)):
            found.append(detection.predict_detections(head, cloud, network))
            wanted.append(cloud.objects)
        return {f"box_{name}": value for name, value in detection_scores(found, wanted).items()}

    def ground(self, source, train, test, seed) -> dict[str, float]:
        """Accuracies with true boxes ("true_") and with those that the instance probe found ("found_") as proposals."""
        option = self.options
        shared = dict(points=option.points_per_scene, seed=seed)
        fit = [extract_scene(source, s, **shared) for s in itertools.islice(self.read(train), INSTANCE_SCENES)]
        semantic, l2 = fit_best(fit, option, seed)
        probe = fit_instances(fit, semantic, option, l2, seed)
        del fit
        known, questions = self.build_queries(source, train, "train", probe, shared)
        unseen, asked = self.build_queries(source, test, "test", probe, shared)
        if not questions or not asked:
            raise UserError(f"{len(questions)} train and {len(asked)} test sentences; grounding needs some of each")
        vocabulary = sorted({word for query in questions for word in query.words})
        metrics = {}
        for kind in known:
            head = self.build_head("MSM-Grounding-v1m1", in_channels=2 * source.channels, vocabulary=vocabulary)
            grounding.fit_grounding(head, known[kind], questions, detection.Training(**option.training), seed)
            metrics |= grounding.grounding_scores(grounding.choose_boxes(head, unseen[kind], asked), asked, f"{kind}_")
        return metrics

    def read(self, scenes: SceneList) -> Iterator[dict]:
        """The scenes, turned to their walls if that is wanted; not those that bring boxes, which are."""
        return (turn_to_walls(s) if self.options.align and "boxes" not in s else s for s in scenes)

    def build_head(self, name: str, **arguments) -> torch.nn.Module:
        return MODELS.build(dict(type=name, **arguments, **self.options.head)).to(self.options.device)

    def build_cloud(self, source, scene: dict, network: torch.nn.Module | None) -> detection.Cloud:
        """What the detector takes of a scene; its boxes are those that the scene brings, or of its instances."""
        option, things = self.options, sorted(self.options.things)
        if "boxes" in scene:
            given = scene["boxes"][np.isin(scene["boxes"][:, 6], things)].astype(np.float32)
            objects = Boxes(given[:, :6], given[:, 6].astype(np.int64), np.arange(len(given)))
        else:
            objects = find_boxes(scene, things, option.box_points)
        objects = objects._replace(category=np.searchsorted(things, objects.category))
        coord = np.asarray(scene["coord"], dtype=np.float32)
        points = voxelise(coord, option.voxels, random=False).point
        rows = detection.farthest_points(torch.from_numpy(coord[points]).to(option.device), option.points)
        rows = points[rows.cpu().numpy()]
        coord = torch.from_numpy(coord[rows])
        if network is None:
            return detection.Cloud(coord, objects, torch.from_numpy(source.extract(scene, rows=rows)))
        item = source.to_device(source.prepare(scene), rows)
        return detection.Cloud(coord, objects, inputs=(item.voxels.grid, item.feat, item.place))

    def build_queries(
        self, source, scenes: SceneList, part: str, probe: InstanceProbe, shared: dict
    ) -> tuple[dict[str, list[grounding.Proposals]], list[grounding.Query]]:
        """Proposals of each kind, "true" and "found", of the scenes that have sentences, and these."""
        option, data, lost = self.options, self.cfg.data, 0
        split = data[part].get("split", part)
        given = read_scanrefer(option.sentences.format(split=split)) if option.sentences else None
        names = data.get("names") or [f"class{i}" for i in range(option.num_classes)]
        proposals, queries = dict(true=[], found=[]), []
        for scene in self.read(scenes):
            objects = find_boxes(scene, (*option.things, -1), option.box_points)
            if given is None:
                sentences = describe_objects(scene, *objects, names)
            else:
                sentences = [s for s in given if s.scene == scene["name"].rpartition("/")[2]]
            place = {number: i for i, number in enumerate(objects.id.tolist())}
            meant = [(s, place[s.object]) for s in sentences if s.object in place]
            lost += len(sentences) - len(meant)
            if not meant:
                continue
            alone = Counter(objects.category[list({i for _, i in meant})].tolist())
            for s, i in meant:
                unique = alone[int(objects.category[i])] == 1 if s.unique is None else s.unique
                queries.append(grounding.Query(len(proposals["true"]), s.words, objects.box[i], unique))
            points = extract_scene(source, scene, **shared)
            proposals["true"].append(grounding.pool_proposals(points.feat, points.instance, objects))
            proposals["found"].append(propose(probe, points, option.min_points))
        if lost:
            LOGGER.warning("%s: %d sentences mean objects without a point, left out", part, lost)
        return proposals, queries


def propose(probe: InstanceProbe, points: SceneFeatures, min_points: int) -> grounding.Proposals:
    """The surest `MAX_PROPOSALS` instances that the probe finds in a scene."""
    pred = predict_instances(probe, points.feat, points.coord, min_points)
    found = find_boxes(dict(coord=points.coord, instance=pred.label, segment=np.zeros_like(pred.label)), (0,))
    best = np.argsort(-pred.score[found.id], kind="stable")[:MAX_PROPOSALS]
    return grounding.pool_proposals(points.feat, pred.label, Boxes(*(part[best] for part in found)))
