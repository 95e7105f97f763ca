"""Sentences that mean one object of a scene: ScanRefer's, or made for labelled rooms from templates.

A made sentence is true and means one object: by its class where that is the only one, else by a colour, a size or a
neighbour that no other object of its class has.
"""

import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pointcept_msm.runtime.errors import UserError

SOURCE = (
    "ScanRefer is free for research: ask for it by the form at https://github.com/daveredrum/ScanRefer, and put "
    "ScanRefer_filtered_train.json and ScanRefer_filtered_val.json into data/scanrefer"
)
COLORS = {
    "white": (220, 215, 210), "grey": (130, 130, 130), "black": (40, 38, 38), "brown": (110, 75, 50),
    "beige": (190, 160, 120), "red": (130, 70, 65), "green": (90, 120, 75), "blue": (95, 110, 140),
}  # fmt: skip
MARGIN = 1.5  # a size or a distance singles out when it is so many times another's
NEXT = 1.0  # metres between the centres of objects that are next to each other, at most


class Sentence(NamedTuple):
    """words: in lower case; object: the instance's number in the scene; unique: the only one of its class there, None
    where the scene must tell."""

    scene: str
    object: int
    words: tuple[str, ...]
    unique: bool | None = None


def read_scanrefer(path: str | Path) -> list[Sentence]:
    """The descriptions in one of ScanRefer's JSON files. UserError: no such file, or another content."""
    if not Path(path).is_file():
        raise UserError(f"there are no sentences at {path}; {SOURCE}")
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
        return [Sentence(d["scene_id"], int(d["object_id"]), _split(d["description"])) for d in found]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is no list of scene_id, object_id and description ({error!r}); {SOURCE}") from error


def _split(text):
    """Words and signs of a sentence, in lower case."""
    return tuple(re.findall(r"[a-z0-9]+|[.,]", text.lower()))


def describe_objects(
    scene: dict, box: np.ndarray, category: np.ndarray, ids: np.ndarray, names: Sequence[str], seed=0, each: int = 3
) -> list[Sentence]:
    """At most `each` sentences for every object that one can be made for. scene: color, instance and name; box (K, 6)
    centre and size, category (K,) or -1, ids (K,) instance numbers; names of the categories."""
    rng = np.random.default_rng([seed, *str(scene["name"]).encode()])
    instance, counts = np.asarray(scene["instance"]), Counter(category.tolist())
    colors = [np.asarray(scene["color"])[instance == i].mean(0) for i in ids]
    shade = np.array([min(COLORS, key=lambda word: np.square(c - COLORS[word]).sum()) for c in colors])
    sentences = []
    for i in np.flatnonzero(category >= 0):
        c = category[i]
        others = np.flatnonzero((category == c) & (np.arange(len(ids)) != i))
        anchors = {names[a]: box[category == a, :3] for a in counts if a not in (c, -1)}
        phrases = list(_phrases(i, others, shade, box, names[c], anchors))
        for text in rng.permutation(phrases)[:each] if phrases else ():
            sentences.append(Sentence(scene["name"], int(ids[i]), ("the", *_split(text)), not len(others)))
    return sentences


def _phrases(i, others, shade, box, name, anchors):
    """Everything that is true of object i and of none of `others`, those of its class."""
    if not len(others):
        yield name
    if shade[i] not in shade[others]:
        yield f"{shade[i]} {name}"
    size, sizes = box[i, 3:].prod(), box[others, 3:].prod(1)
    if len(others) and size > MARGIN * sizes.max():
        yield f"largest {name}"
    if len(others) and MARGIN * size < sizes.min():
        yield f"smallest {name}"
    for anchor, places in anchors.items():
        own = np.linalg.norm(box[i, :3] - places, axis=1).min()
        far = [np.linalg.norm(box[j, :3] - places, axis=1).min() for j in others]
        if own < NEXT and all(d > MARGIN * NEXT for d in far):
            yield f"{name} next to the {anchor}"
