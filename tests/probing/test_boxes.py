"""Boxes and their average precision against plain loops, shapely, and the package mean-average-precision."""

import numpy as np
import pytest
import torch

from pointcept_msm.probing.boxes import (
    Boxes,
    Detections,
    box_iou,
    box_overlap,
    detection_scores,
    find_boxes,
    random_turn,
    suppress,
    turn_boxes,
    turn_to_walls,
)


def draw_boxes(rng, count, room=3.0):
    return np.concatenate([rng.uniform(0, room, (count, 3)), rng.uniform(0.2, 2, (count, 3))], 1).astype(np.float32)


def cells(box):
    """The unit cells inside a box with whole corners."""
    low, high = (box[:3] - box[3:] / 2).astype(int), (box[:3] + box[3:] / 2).astype(int)
    return {(x, y, z) for x in range(low[0], high[0]) for y in range(low[1], high[1]) for z in range(low[2], high[2])}


def test_overlap_counts_cells():
    rng = np.random.default_rng(0)
    low = rng.integers(0, 5, (12, 3))
    size = rng.integers(1, 5, (12, 3))
    box = np.concatenate([low + size / 2, size], 1)
    iou, general = (x.numpy() for x in box_overlap(torch.tensor(box[:6]), torch.tensor(box[6:])))
    assert (iou > 0).any() and (iou == 0).any()
    for i in range(6):
        for j in range(6):
            a, b = cells(box[i]), cells(box[6 + j])
            span = [np.array(list(a | b))[:, axis] for axis in range(3)]
            around = np.prod([s.max() - s.min() + 1 for s in span])
            assert iou[i, j] == pytest.approx(len(a & b) / len(a | b))
            assert general[i, j] == pytest.approx(iou[i, j] - (around - len(a | b)) / around)


def test_overlap_equals_shapely():
    shapely = pytest.importorskip("shapely", reason="pip install shapely")
    rng = np.random.default_rng(1)
    a, b = draw_boxes(rng, 40), draw_boxes(rng, 40)
    low, high = (lambda x: x[:3] - x[3:] / 2), (lambda x: x[:3] + x[3:] / 2)
    wanted = np.zeros((40, 40))
    for i, x in enumerate(a.astype(np.float64)):
        for j, y in enumerate(b.astype(np.float64)):
            plan = shapely.box(*low(x)[:2], *high(x)[:2]).intersection(shapely.box(*low(y)[:2], *high(y)[:2])).area
            shared = plan * max(0, min(high(x)[2], high(y)[2]) - max(low(x)[2], low(y)[2]))
            wanted[i, j] = shared / (x[3:].prod() + y[3:].prod() - shared)
    np.testing.assert_allclose(box_iou(a, b), wanted, atol=1e-9)
    assert (wanted > 0.1).sum() > 40


def test_overlap_has_a_gradient_towards_boxes_that_do_not_meet():
    box = torch.tensor([[0.0, 0, 0, 1, 1, 1]], requires_grad=True)
    box_overlap(box, torch.tensor([[5.0, 0, 0, 1, 1, 1]]))[1].sum().backward()
    assert box.grad[0, 0] > 0


def make_scenes(rng, scenes=8, classes=4):
    """Targets, and predictions that are some of them moved, doubled, or drawn at random."""
    targets, predictions = [], []
    for _ in range(scenes):
        count = rng.integers(1, 8)
        box, category = draw_boxes(rng, count, 6), rng.integers(0, classes, count)
        moved = np.repeat(box, 3, 0) + rng.normal(0, 0.12, (3 * count, 6)).astype(np.float32)
        found = np.concatenate([moved, draw_boxes(rng, 4, 6)])
        found[:, 3:] = np.abs(found[:, 3:]) + 0.01
        named = np.concatenate([np.repeat(category, 3), rng.integers(0, classes, 4)])
        named = np.where(rng.random(len(named)) < 0.15, rng.integers(0, classes, len(named)), named)
        targets.append(Boxes(box, category, np.arange(count)))
        predictions.append(Detections(found, named, rng.permutation(len(named)) + rng.random()))
    return predictions, targets


def plain_ap(predictions, targets, threshold):
    """VoteNet's rules as a loop over all predictions, most confident first."""
    values = []
    for c in np.unique(np.concatenate([t.category for t in targets])):
        rows = [
            (s, n, p.box[i]) for n, p in enumerate(predictions) for i, s in enumerate(p.score) if p.category[i] == c
        ]
        wanted = [t.box[t.category == c] for t in targets]
        taken, hits = set(), []
        for _, scene, box in sorted(rows, key=lambda row: -row[0]):
            iou = [box_iou(box[None], w[None])[0, 0] for w in wanted[scene]]
            best = int(np.argmax(iou)) if iou else -1
            hits.append(bool(iou) and iou[best] > threshold and (scene, best) not in taken)
            if hits[-1]:
                taken.add((scene, best))
        recall, precision, area = 0.0, np.cumsum(hits) / (np.arange(len(hits)) + 1), 0.0
        for i, hit in enumerate(hits):
            step = hit / sum(map(len, wanted))
            area, recall = area + step * precision[i:].max(), recall + step
        values.append(area)
    return 100 * np.mean(values)


def test_average_precision_equals_a_loop():
    predictions, targets = make_scenes(np.random.default_rng(2))
    scores = detection_scores(predictions, targets)
    assert 10 < scores["AP50"] < scores["AP25"] < 100
    for threshold, name in ((0.25, "AP25"), (0.5, "AP50")):
        assert scores[name] == pytest.approx(plain_ap(predictions, targets, threshold))


def test_average_precision_equals_the_package_on_boxes_of_equal_height():
    """The package counts pixels: a box from 2 to 4 is three wide."""
    package = pytest.importorskip(
        "mean_average_precision", reason="pip install --no-deps mean-average-precision pandas python-dateutil six"
    )
    predictions, targets = make_scenes(np.random.default_rng(3), scenes=20)
    for scene in (*predictions, *targets):
        scene.box[:, [2, 5]] = 1, 2
    metric = package.MetricBuilder.build_evaluation_metric("map_2d", num_classes=4)
    for pred, target in zip(predictions, targets):
        flat = [
            np.concatenate([b[:, :2] - b[:, 3:5] / 2, b[:, :2] + b[:, 3:5] / 2 - 1], 1) for b in (pred.box, target.box)
        ]
        none = np.zeros((len(target.box), 2))
        metric.add(
            np.concatenate([flat[0], pred.category[:, None], pred.score[:, None]], 1),
            np.concatenate([flat[1], target.category[:, None], none], 1),
        )
    scores = detection_scores(predictions, targets)
    for threshold, name in ((0.25, "AP25"), (0.5, "AP50")):
        value = metric.value(iou_thresholds=threshold)[threshold]
        assert scores[name] == pytest.approx(100 * np.mean([value[c]["ap"] for c in range(4)]), abs=1e-4)


def test_scores_of_perfect_missing_and_absent():
    box, category = draw_boxes(np.random.default_rng(4), 3), np.array([0, 1, 1])
    target, nothing = Boxes(box, category, np.arange(3)), Detections(np.zeros((0, 6)), np.zeros(0), np.zeros(0))
    assert detection_scores([Detections(box, category, np.ones(3))], [target]) == dict(AP25=100, AP50=100)
    assert detection_scores([nothing], [target])["AP25"] == 0
    assert np.isnan(detection_scores([nothing], [Boxes(box[:0], category[:0], category[:0])])["AP25"])


def test_boxes_around_instances():
    rng = np.random.default_rng(5)
    scene = dict(coord=rng.random((300, 3)).astype(np.float32), instance=rng.integers(-1, 6, 300))
    scene["segment"] = np.where(rng.random(300) < 0.1, 7, scene["instance"] % 3)  # a few wrong labels in each
    found = find_boxes(scene, (0, 1))
    assert found.id.tolist() == [0, 1, 3, 4] and found.category.tolist() == [0, 1, 0, 1]
    for box, number in zip(found.box, found.id):
        points = scene["coord"][scene["instance"] == number]
        np.testing.assert_allclose(box[:3] - box[3:] / 2, points.min(0), atol=1e-6)
        np.testing.assert_allclose(box[:3] + box[3:] / 2, points.max(0), atol=1e-6)
    assert find_boxes(scene, (0, 1), min_points=301).box.shape == (0, 6)


def test_weaker_doubles_of_a_class_go():
    box = np.array([[0, 0, 0, 1, 1, 1], [0.1, 0, 0, 1, 1, 1], [0.1, 0, 0, 1, 1, 1], [3, 0, 0, 1, 1, 1.0]])
    assert suppress(box, np.array([0.5, 0.9, 0.7, 0.1]), np.array([0, 0, 1, 0])).tolist() == [1, 2, 3]


def test_turns_keep_boxes_around_their_points():
    rng = np.random.default_rng(6)
    coord = rng.random((50, 3)).astype(np.float32)
    scene = dict(coord=coord, instance=np.zeros(50, int), segment=np.zeros(50, int))
    seen = set()
    for _ in range(40):
        turn = random_turn(rng)
        seen.add(turn.tobytes())
        turned = find_boxes(scene | dict(coord=coord @ turn.T), (0,)).box
        np.testing.assert_allclose(turn_boxes(find_boxes(scene, (0,)).box, turn), turned, atol=1e-6)
    assert len(seen) == 8


@pytest.mark.parametrize("angle", [0.0, 0.3, -0.7, 2.0])
def test_a_turned_room_comes_back_to_its_walls(angle):
    rng = np.random.default_rng(7)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    normal = np.eye(3)[rng.integers(0, 3, 500)] * rng.choice([-1, 1], (500, 1)) + rng.normal(0, 0.05, (500, 3))
    coord = rng.uniform(0, [5, 3, 2], (500, 3))
    back = turn_to_walls(dict(coord=coord @ turn.T, normal=normal @ turn.T))
    size = np.sort(np.ptp(back["coord"][:, :2], axis=0))
    np.testing.assert_allclose(size, [3, 5], atol=0.1)
