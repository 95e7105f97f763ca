"""Grounding: scores and pooling against loops, the head's independence of padding, and what sentences must tell it."""

import numpy as np
import pytest
import torch

from pointcept_msm.datasets.sentences import COLORS, describe_objects
from pointcept_msm.host import MODELS, register
from pointcept_msm.probing.boxes import Boxes, box_iou, find_boxes, turn_to_walls
from pointcept_msm.probing.detection import Training
from pointcept_msm.probing.grounding import (
    MSMGrounding,
    Proposals,
    Query,
    choose_boxes,
    collate,
    fit_grounding,
    grounding_scores,
    pool_proposals,
)
from pointcept_msm.rooms import ROOM_CLASSES, generate_room


def make_proposals(rng, sizes=(3, 6), channels=5):
    boxes = [np.concatenate([rng.uniform(0, 5, (n, 3)), rng.uniform(0.3, 2, (n, 3))], 1) for n in sizes]
    return [Proposals(rng.normal(size=(len(b), channels)).astype(np.float32), b.astype(np.float32)) for b in boxes]


def test_scores_equal_a_loop():
    rng = np.random.default_rng(0)
    (own,) = make_proposals(rng, (40,))
    shift = np.concatenate([rng.normal(0, 0.25, (40, 3)), np.zeros((40, 3))], 1)
    queries = [Query(0, ("x",), box, bool(rng.integers(2))) for box in own.box]
    scores = grounding_scores(own.box + shift, queries, "gt_")
    for threshold in (0.25, 0.5):
        right = {True: [], False: []}
        for q, found in zip(queries, own.box + shift):
            right[q.unique].append(box_iou(q.box[None], found[None])[0, 0] >= threshold)
        name = round(100 * threshold)
        assert scores[f"gt_unique{name}"] == pytest.approx(100 * np.mean(right[True]))
        assert scores[f"gt_multiple{name}"] == pytest.approx(100 * np.mean(right[False]))
        assert scores[f"gt_overall{name}"] == pytest.approx(100 * np.mean(right[True] + right[False]))
    assert 0 < scores["gt_overall50"] < scores["gt_overall25"] < 100
    assert np.isnan(grounding_scores(own.box[:1], [queries[0]._replace(unique=True)])["multiple25"])


def test_pooling_equals_a_loop():
    rng = np.random.default_rng(1)
    feat, label = rng.normal(size=(60, 4)).astype(np.float32), rng.choice([-1, 4, 9], 60)
    box = rng.random((3, 6)).astype(np.float32)
    pooled = pool_proposals(feat, label, Boxes(box, np.zeros(3, int), np.array([4, 7, 9])))
    np.testing.assert_array_equal(pooled.box, box[[0, 2]])
    for row, number in zip(pooled.feat, (4, 9)):
        points = feat[label == number]
        np.testing.assert_allclose(row, [*(sum(points) / len(points)), *np.max(points, 0)], rtol=1e-5)
    nothing = pool_proposals(feat, np.full(60, -1), Boxes(box, np.zeros(3, int), np.array([4, 7, 9])))
    assert nothing.feat.shape == (1, 8) and box_iou(nothing.box, box).max() == 0


def test_proposals_that_overlap_nothing_teach_nothing():
    scenes, far = make_proposals(np.random.default_rng(4)), np.array([99, 99, 99, 1, 1, 1], np.float32)
    torch.manual_seed(0)
    head = MSMGrounding(5, ["x"], width=16)
    before = {key: value.clone() for key, value in head.state_dict().items()}
    fit_grounding(head, scenes, [Query(0, ("x",), far, True)], Training(2, 4, 1e-3))
    assert not head.training and all(torch.equal(value, before[key]) for key, value in head.state_dict().items())
    assert score(head, scenes, [Query(0, ("x",), far, True)])["overall25"] == 0


def test_padding_changes_nothing():
    scenes, words = (
        make_proposals(np.random.default_rng(2)),
        (("the", "chair"), ("the", "big", "red", "unheard", "bed")),
    )
    torch.manual_seed(0)
    head = MSMGrounding(5, ["the", "chair", "big", "red", "bed"], width=16).eval()
    queries = [Query(i, words[i], scenes[i].box[0], True) for i in range(2)]
    with torch.no_grad():
        together = head(*collate(scenes, queries, "cpu"), words)
        for i, query in enumerate(queries):
            alone = head(*collate(scenes, [query], "cpu"), [words[i]])[0]
            torch.testing.assert_close(together[i, : len(alone)], alone, atol=1e-5, rtol=1e-5)
    assert torch.isinf(together[0, 3:]).all() and torch.isfinite(together[1]).all()
    assert not torch.allclose(head(*collate(scenes, queries[1:], "cpu"), [words[0]])[0], together[1])


def test_an_encoder_of_ones_own():
    @register(MODELS, "MSMTestWords")
    class Words(torch.nn.Module):
        width = 3

        def forward(self, sentences):
            return torch.ones(len(sentences), 2, 3), torch.ones(len(sentences), 2, dtype=torch.bool)

    try:
        scenes = make_proposals(np.random.default_rng(3))
        head = MSMGrounding(5, text_encoder=dict(type="MSMTestWords"), width=16)
        assert head(*collate(scenes, [Query(1, ("a",), scenes[1].box[0], True)], "cpu"), [("a",)]).shape == (1, 6)
    finally:
        MODELS.module_dict.pop("MSMTestWords")


def make_rooms(split, count):
    """Proposals whose features hold the object's class, and queries, of rooms; with each query its object's class.
    Colours are in no proposal, so that sentences with one are left out."""
    scenes, queries, names = [], [], []
    for index in range(count):
        room = turn_to_walls(generate_room(0, split, index, 10_000)) | dict(name=f"{split}/{index}")
        objects = find_boxes(room, range(3, 22), 25)
        scenes.append(Proposals(np.eye(22, dtype=np.float32)[objects.category], objects.box))
        for s in [s for s in describe_objects(room, *objects, ROOM_CLASSES, each=5) if s.words[1] not in COLORS]:
            (place,) = np.flatnonzero(objects.id == s.object)
            queries.append(Query(index, s.words, objects.box[place], s.unique))
            names.append(ROOM_CLASSES[objects.category[place]])
    return scenes, queries, names


def fit_rooms(scenes, queries, epochs):
    torch.manual_seed(0)
    words = {word for q in queries for word in q.words}
    head = MSMGrounding(scenes[0].feat.shape[1], words, width=64, dropout=0.0)
    fit_grounding(head, scenes, queries, Training(epochs, 16, 1e-3, warmup=1, weight_decay=1e-5, clip=1.0))
    return head


def score(head, scenes, queries):
    return grounding_scores(choose_boxes(head, scenes, queries), queries)


@pytest.mark.slow
def test_one_room_is_overfitted():
    scenes, queries, _ = make_rooms("train", 1)
    scenes = [
        s._replace(feat=np.random.default_rng(0).normal(size=(len(s.box), 32)).astype(np.float32)) for s in scenes
    ]
    assert score(fit_rooms(scenes, queries, 60), scenes, queries)["overall50"] > 95


@pytest.mark.slow
def test_what_sentences_tell_on_rooms():
    """Class and box suffice; without the class, or without what a sentence adds to the name, there is chance."""
    scenes, queries, _ = make_rooms("train", 96)
    unseen, asked, names = make_rooms("val", 24)
    head = fit_rooms(scenes, queries, 15)
    scores = score(head, unseen, asked)
    assert scores["overall50"] > 95 and scores["multiple50"] > 85
    rng = np.random.default_rng(0)
    shuffled = [q._replace(words=asked[i].words) for q, i in zip(asked, rng.permutation(len(asked)))]
    chance = 100 * np.mean([1 / len(unseen[q.scene].box) for q in asked])
    assert score(head, unseen, shuffled)["overall50"] < chance + 5
    named = [q._replace(words=("the", name)) for q, name in zip(asked, names)]
    same = [(unseen[q.scene].feat[:, ROOM_CLASSES.index(name)]).sum() for q, name in zip(asked, names)]
    chance = 100 * np.mean([1 / n for n, q in zip(same, asked) if not q.unique])
    scores = score(head, unseen, named)
    assert scores["unique50"] > 95 and abs(scores["multiple50"] - chance) < 10
    blind = [
        [s._replace(feat=rng.normal(size=(len(s.box), 32)).astype(np.float32)) for s in x] for x in (scenes, unseen)
    ]
    assert score(fit_rooms(blind[0], queries, 5), blind[1], asked)["overall50"] < 60
