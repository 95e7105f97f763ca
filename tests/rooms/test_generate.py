"""Procedural rooms as data: the same every time, complete, labelled, not told apart by colour."""

import hashlib

import numpy as np
import pytest

from pointcept_msm.rooms.generate import GENERATOR_VERSION, ROOM_CLASSES, STRUCTURE, generate_room

FIELDS = {"coord": 3, "color": 3, "normal": 3, "segment": 0, "instance": 0}


@pytest.fixture(scope="module")
def rooms():
    """Fifteen coarse rooms, each kind three times."""
    return [generate_room(0, "train", index, 8000) for index in range(15)]


def digest(scene) -> str:
    return hashlib.sha256(b"".join(scene[field].tobytes() for field in FIELDS)).hexdigest()


def test_same_arguments_give_the_same_bits():
    assert digest(generate_room(5, "val", 3, 4000)) == digest(generate_room(5, "val", 3, 4000))


def test_a_room_is_what_version_1_made_of_its_seed():
    """Points of each class, and mean place and colour; cosines may differ in the last bit between processors."""
    scene = generate_room(0, "val", 2, 6000)
    points = [1236, 2033, 384, 189, 62, 416, 145, 538, 0, 0, 0, 0, 0, 335, 9, 0, 0, 111, 259, 24, 112, 147]
    assert GENERATOR_VERSION == 1 and scene["instance"].max() == 42
    assert np.abs(np.bincount(scene["segment"], minlength=22) - points).sum() <= 12
    np.testing.assert_allclose(scene["coord"].mean(0), [2.2652, 1.6324, 1.0001], atol=2e-3)
    np.testing.assert_allclose(scene["color"].mean(0), [101.17, 93.406, 79.680], atol=0.1)


@pytest.mark.parametrize("position", range(3))
def test_every_argument_matters(position):
    """Seven values for each: with five kinds of rooms some differ in nothing but the argument."""
    values = [range(7), "abcdefg", range(7)][position]
    calls = [tuple(value if i == position else old for i, old in enumerate((5, "val", 3))) for value in values]
    assert len({digest(generate_room(*call, 1500)) for call in calls}) == 7


def test_fields_have_the_contract_s_types(rooms):
    for scene in rooms:
        for field, width in FIELDS.items():
            assert scene[field].shape == ((8000, width) if width else (8000,))
            assert scene[field].dtype == (np.float32 if width else np.int32)
        assert np.isfinite(scene["coord"]).all()
        assert scene["color"].min() >= 0 and scene["color"].max() <= 255
        np.testing.assert_allclose(np.linalg.norm(scene["normal"], axis=1), 1, atol=2e-3)


def test_rooms_are_metric_and_stand_on_the_floor(rooms):
    for scene in rooms:
        floor = scene["coord"][scene["segment"] == ROOM_CLASSES.index("floor"), 2]
        assert abs(np.median(floor)) < 0.1
        height = np.quantile(scene["coord"][:, 2], 0.999) - np.median(floor)
        assert 2.2 < height < 3.2
    centers = np.array([scene["coord"].mean(axis=0)[:2] for scene in rooms])
    assert np.ptp(centers, axis=0).min() > 2, "rooms should lie at different places"


def test_every_class_appears(rooms):
    seen = np.unique(np.concatenate([scene["segment"] for scene in rooms]))
    assert [ROOM_CLASSES[label] for label in seen] == list(ROOM_CLASSES)
    assert len(ROOM_CLASSES) - len(STRUCTURE) >= 12


def test_an_instance_is_one_thing(rooms):
    structural = [ROOM_CLASSES.index(name) for name in STRUCTURE]
    for scene in rooms:
        np.testing.assert_array_equal(scene["instance"] < 0, np.isin(scene["segment"], structural))
        ids = np.unique(scene["instance"][scene["instance"] >= 0])
        np.testing.assert_array_equal(ids, np.arange(len(ids)))
        for number in ids:
            assert len(np.unique(scene["segment"][scene["instance"] == number])) == 1


def test_colour_alone_does_not_give_the_class(rooms):
    neighbors = pytest.importorskip("sklearn.neighbors")
    fit, test = rooms[:10], rooms[10:]
    color, label = (np.concatenate([scene[key] for scene in fit]) for key in ("color", "segment"))
    guess = neighbors.KNeighborsClassifier(20).fit(color, label).predict(np.concatenate([s["color"] for s in test]))
    truth = np.concatenate([scene["segment"] for scene in test])
    furniture = [c for c in np.unique(truth) if c >= len(STRUCTURE)]
    overlap = [np.sum((guess == c) & (truth == c)) / np.sum((guess == c) | (truth == c)) for c in furniture]
    assert np.mean(overlap) < 0.06


@pytest.mark.parametrize(
    "arguments, word",
    [
        ((-1, "train", 0), "seed"),
        ((0, "", 0), "split"),
        ((0, "a/b", 0), "split"),
        ((0, "a", -2), "index"),
        ((0, "a", 0, 5), "points"),
    ],
)
def test_wrong_arguments_are_explained(arguments, word):
    with pytest.raises(ValueError, match=f"^{word} of a procedural room is .* must be"):
        generate_room(*arguments)
