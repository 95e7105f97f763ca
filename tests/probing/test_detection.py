"""The detector: matching and loss against plain loops, VoteNet's rules, fine-tuning, and what it must find in rooms."""

from itertools import permutations

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from pointcept_msm.datasets.voxelise import voxelise
from pointcept_msm.host import build_model
from pointcept_msm.models.feature_sampling import sample_levels
from pointcept_msm.probing import detection
from pointcept_msm.probing.boxes import Boxes, box_overlap, detection_scores, find_boxes, random_turn, turn_to_walls
from pointcept_msm.probing.detection import (
    Cloud,
    MSMDetection,
    Training,
    detection_loss,
    farthest_points,
    match_queries,
)
from pointcept_msm.rooms import generate_room
from tests.probe_toy import NETWORK

SMALL = dict(queries=8, layers=2, width=16, hidden=16, dropout=0.0, head_dropout=0.0)


def test_matching_is_the_best_of_all():
    rng = np.random.default_rng(0)
    cost = rng.normal(size=(2, 3, 5, 4))
    counts = [4, 0, 2]
    layer, scene, query, number = match_queries(cost, counts)
    for i, j in np.ndindex(2, 3):
        mine = (layer == i) & (scene == j)
        assert sorted(number[mine]) == list(range(counts[j])) and len(set(query[mine])) == counts[j]
        best = min(sum(cost[i, j, q, k] for k, q in enumerate(p)) for p in permutations(range(5), counts[j]))
        assert cost[i, j, query[mine], number[mine]].sum() == pytest.approx(best)


def test_loss_equals_a_loop():
    torch.manual_seed(0)
    logits, box = torch.randn(2, 3, 6, 5), torch.rand(2, 3, 6, 6)
    targets = [(torch.rand(n, 6), torch.randint(0, 4, (n,))) for n in (3, 0, 2)]
    extent = torch.rand(3, 3) + 1
    total, weight = 0.0, torch.tensor([1, 1, 1, 1, 0.25])
    for layer in range(2):
        label, regression = torch.full((3, 6), 4), 0.0
        for b, (wanted, category) in enumerate(targets):
            giou = box_overlap(box[layer, b], wanted)[1]
            cost = -logits[layer, b].softmax(-1)[:, category] - 2 * giou
            best = min(permutations(range(6), len(wanted)), key=lambda p: sum(cost[q, k] for k, q in enumerate(p)))
            for k, q in enumerate(best):
                error = (box[layer, b, q] - wanted[k]).abs()
                regression += 5 * (error[:3] / extent[b]).sum() + (error[3:] / extent[b]).sum() + 1 - giou[q, k]
                label[b, q] = category[k]
        total += cross_entropy(logits[layer].reshape(-1, 5), label.reshape(-1), weight) + regression / 5
    assert detection_loss(logits, box, extent, targets).item() == pytest.approx(float(total), rel=1e-5)


def test_farthest_points_equal_a_loop():
    coord = torch.rand(200, 3)
    chosen = [0]
    for _ in range(19):
        distance = torch.cdist(coord, coord[chosen]).amin(1)
        chosen.append(int(distance.argmax()))
    assert farthest_points(coord, 20).tolist() == chosen
    assert farthest_points(coord[chosen], 7).tolist() == list(range(7)), "the first are a coarser sampling"
    assert farthest_points(coord[:3], 5).tolist() == [0, 1, 2, 0, 1]


def test_output_and_gradients():
    torch.manual_seed(0)
    head = MSMDetection(7, 4, **SMALL)
    coord = torch.rand(2, 30, 3) * 4
    logits, box, extent = head(torch.randn(2, 30, 7), coord)
    assert logits.shape == (2, 2, 8, 5) and box.shape == (2, 2, 8, 6)
    torch.testing.assert_close(extent, coord.amax(1) - coord.amin(1))
    assert ((box[..., :3] - coord[:, :8]).abs() <= 0.5).all() and (box[..., 3:] <= extent[:, None]).all()
    targets = [(torch.rand(2, 6), torch.tensor([0, 3]))] * 2
    detection_loss(logits, box, extent, targets).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in head.parameters())


class FixedHead(torch.nn.Module):
    """Gives what it is told, whatever it sees."""

    def __init__(self, logits, box):
        super().__init__()
        self.logits, self.box = torch.nn.Parameter(logits), box

    def forward(self, feat, coord):
        return self.logits[None, None], self.box[None, None], None


def test_votenet_rules():
    """Kept: the surer of two of one class, a box of another class; gone: an empty box and one that is nothing."""
    box = torch.tensor(
        [[0, 0, 0, 1, 1, 1], [0.1, 0, 0, 1, 1, 1], [0, 0, 0, 1, 1, 1], [9, 0, 0, 1, 1, 1], [0, 0, 0, 1, 1, 1]]
    )
    share = torch.tensor([[0.6, 0.1, 0.3], [0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.9, 0.05, 0.05], [0.02, 0.02, 0.96]])
    cloud = Cloud(torch.rand(20, 3) - 0.5, Boxes(*[np.zeros(0)] * 3), torch.zeros(20, 1))
    found = detection.predict_detections(FixedHead(share.log(), box.float()), cloud)
    assert found.category.tolist() == [0, 1, 0, 1]
    np.testing.assert_allclose(found.box[[0, 2]], box[[1, 2]].numpy(), atol=1e-6)
    np.testing.assert_allclose(found.score, [0.8 * 0.9, 0.1 * 0.9, 0.2 * 0.9, 0.7 * 0.9], rtol=1e-5)


def make_live_clouds(count=2):
    """Clouds of one random scene each with the network's inputs, and frozen features of the same network in eval."""
    torch.manual_seed(0)
    network, frozen, live = build_model(dict(NETWORK)).eval(), [], []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        coord = rng.uniform(0, [3, 2, 1], (400, 3))
        voxels = voxelise(coord, 0.1, random=False)
        grid, feat = torch.from_numpy(voxels.grid_coord), torch.randn(len(voxels.point), 6)
        rows = torch.from_numpy(rng.choice(len(grid), 40, replace=False))
        with torch.no_grad():
            levels = network(dict(grid_coord=grid, feat=feat, offset=torch.tensor([len(grid)])))
            sampled = sample_levels(levels, grid[rows], torch.zeros(40, dtype=torch.long))
        objects = Boxes(np.array([[1, 1, 0.5, 1, 1, 1]], np.float32), np.array([seed % 2]), np.array([0]))
        points = torch.from_numpy(coord[voxels.point][rows]).float()
        frozen.append(Cloud(points, objects, sampled))
        live.append(Cloud(points, objects, inputs=(grid, feat, rows)))
    return network, frozen, live


def test_live_features_are_the_frozen_ones_and_fine_tuning_moves_the_network():
    network, frozen, live = make_live_clouds()
    with torch.no_grad():
        a, b = detection.collect_features(frozen, "cpu"), detection.collect_features(live, "cpu", network)
    torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    training = Training(epochs=2, batch_size=2, lr=1e-3)
    head = MSMDetection(a.shape[2], 2, **SMALL)
    detection.fit_detection(head, frozen, training)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    detection.fit_detection(head, live, training, network=network)
    moved = [key for key, value in network.named_parameters() if not torch.equal(value, before[key])]
    assert len(moved) > 0.8 * len(list(network.parameters())) and not network.training and not head.training


FURNITURE = (3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15, 16, 18)  # what 1,024 points of a room show well enough


def make_room(split, index, points, kind, rng, turned=False):
    """Points of a room with features that hold their class and the way to their object's centre, or random ones."""
    scene = turn_to_walls(generate_room(0, split, index, 20_000))
    if turned:
        scene["coord"] = scene["coord"] @ random_turn(rng).T
    objects = find_boxes(scene, FURNITURE, 50)
    rows = voxelise(scene["coord"], 0.08, random=False).point
    rows = rows[farthest_points(torch.from_numpy(scene["coord"][rows]), points).numpy()]
    coord, category = scene["coord"][rows], np.searchsorted(FURNITURE, objects.category)
    feat = rng.normal(size=(points, 32))
    if kind == "oracle":
        feat = np.zeros((points, len(FURNITURE) + 3))
        for box, c, number in zip(objects.box, category, objects.id):
            mine = scene["instance"][rows] == number
            feat[mine, c], feat[mine, -3:] = 1, box[:3] - coord[mine]
    coord, feat = (torch.from_numpy(x.astype(np.float32)) for x in (coord, feat))
    return Cloud(coord, objects._replace(category=category), feat)


def fit_and_score(train, test, epochs, **training):
    torch.manual_seed(0)
    size = dict(queries=256, layers=2, width=64, hidden=64, dropout=0.0, head_dropout=0.0, reach=2.0)
    head = MSMDetection(train[0].feat.shape[1], len(FURNITURE), **size, see_own_point=True)
    training = dict(batch_size=4, lr=2e-3, warmup=0.02 * epochs, weight_decay=0.1, clip=1.0, augment=False) | training
    detection.fit_detection(head, train, Training(epochs, **training))
    return detection_scores([detection.predict_detections(head, c) for c in test], [c.objects for c in test])


@pytest.mark.slow
def test_one_room_is_overfitted():
    room = [make_room("train", 0, 256, "random", np.random.default_rng(0))]
    assert fit_and_score(room, room, 250, batch_size=1)["AP50"] > 95


@pytest.mark.slow
def test_rooms_are_read_from_features_that_hold_class_and_centre_and_not_from_random_ones():
    scores = {}
    for kind, epochs in (("oracle", 20), ("random", 5)):
        rng = np.random.default_rng(0)
        train = [make_room("train", i, 1024, kind, rng, turned=turn > 0) for i in range(64) for turn in range(6)]
        test = [make_room("val", i, 1024, kind, rng) for i in range(16)]
        scores[kind] = fit_and_score(train, test, epochs)["AP25"]
    assert scores["oracle"] > 90 and scores["random"] < 20, scores
