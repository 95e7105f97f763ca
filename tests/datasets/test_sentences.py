"""Sentences: made ones are true of one object and of no other, and ScanRefer's file is read or refused."""

import json

import numpy as np
import pytest

from pointcept_msm.datasets.sentences import COLORS, MARGIN, NEXT, describe_objects, read_scanrefer
from pointcept_msm.probing.boxes import find_boxes
from pointcept_msm.rooms import ROOM_CLASSES, generate_room
from pointcept_msm.runtime.errors import UserError


@pytest.fixture(scope="module")
def rooms():
    made = [generate_room(0, "train", index, 8000) | dict(name=f"train/{index}") for index in range(4)]
    return [(room, find_boxes(room, range(3, 22), 20)) for room in made]


def meant(words, room, objects):
    """Numbers of the objects that a sentence is true of, read from its words alone."""
    text = " ".join(words[1:])
    own, _, anchor = text.partition(" next to the ")
    name = own.split()[-1]
    mine = objects.category == ROOM_CLASSES.index(name)
    size = objects.box[:, 3:].prod(1)
    for word in own.split()[:-1]:
        if word in ("largest", "smallest"):
            mine &= size == (max if word == "largest" else min)(size[mine])
        else:
            color = [room["color"][room["instance"] == i].mean(0) for i in objects.id]
            mine &= [min(COLORS, key=lambda w: np.linalg.norm(np.subtract(COLORS[w], c))) == word for c in color]
    if anchor:
        places = objects.box[objects.category == ROOM_CLASSES.index(anchor), :3]
        near = [np.linalg.norm(place - box[:3]) < NEXT * MARGIN for box in objects.box for place in places]
        mine &= np.reshape(near, (len(objects.box), -1)).any(1)
    return objects.id[mine].tolist()


def test_a_sentence_is_true_of_its_object_alone(rooms):
    seen = set()
    for room, objects in rooms:
        sentences = describe_objects(room, *objects, ROOM_CLASSES)
        assert sentences == describe_objects(room, *objects, ROOM_CLASSES) and len(sentences) > 5
        for s in sentences:
            assert meant(s.words, room, objects) == [s.object], s
            category = objects.category[objects.id == s.object]
            assert s.unique == ((objects.category == category).sum() == 1)
            seen |= {w for w in ("largest", "smallest", "next") if w in s.words} | {s.words[1]} & set(COLORS)
        assert all(sum(s.object == i for s in sentences) <= 3 for i in objects.id)
    assert {"largest", "smallest", "next"} < seen and len(seen & set(COLORS)) > 3
    assert any(s.unique for s in sentences) and not all(s.unique for s in sentences)


def test_other_seeds_make_other_sentences(rooms):
    room, objects = rooms[1]
    assert describe_objects(room, *objects, ROOM_CLASSES, seed=1) != describe_objects(room, *objects, ROOM_CLASSES)


def test_objects_of_unknown_class_are_not_named(rooms):
    room, objects = rooms[0]
    assert any("chair" in s.words for s in describe_objects(room, *objects, ROOM_CLASSES))
    hidden = objects._replace(category=np.where(objects.category == 5, -1, objects.category))
    sentences = describe_objects(room, *hidden, ROOM_CLASSES)
    assert sentences and not any("chair" in s.words or hidden.category[hidden.id == s.object] < 0 for s in sentences)


def test_scanrefer_is_read(tmp_path):
    entry = dict(scene_id="scene0000_00", object_id="34", object_name="coffee_table", ann_id="1")
    text = "This is a brown table. It's in the middle, near 2 chairs!"
    (tmp_path / "train.json").write_text(json.dumps([entry | dict(description=text, token=["this"])]))
    (sentence,) = read_scanrefer(tmp_path / "train.json")
    assert (sentence.scene, sentence.object, sentence.unique) == ("scene0000_00", 34, None)
    assert " ".join(sentence.words) == "this is a brown table . it s in the middle , near 2 chairs"


@pytest.mark.parametrize("content", ["{]", "[1, 2]", '[{"scene_id": "a"}]', '[{"scene_id": "a", "object_id": "b"}]'])
def test_another_content_is_refused(tmp_path, content):
    (tmp_path / "train.json").write_text(content)
    with pytest.raises(UserError, match=r"no list of scene_id.*daveredrum/ScanRefer"):
        read_scanrefer(tmp_path / "train.json")


def test_a_missing_file_says_where_to_get_it(tmp_path):
    with pytest.raises(UserError, match=r"nothing\.json.*form at https://github.com/daveredrum/ScanRefer") as error:
        read_scanrefer(tmp_path / "nothing.json")
    assert "\n" not in str(error.value)
