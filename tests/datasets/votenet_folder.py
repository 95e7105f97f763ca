"""A miniature of the folder that VoteNet's and ScanRefer's scripts make of ScanNet, from procedural rooms."""

import json
from pathlib import Path

import numpy as np

from pointcept_msm.datasets.sentences import describe_objects
from pointcept_msm.datasets.votenet import NYU40
from pointcept_msm.probing.boxes import find_boxes
from pointcept_msm.rooms import ROOM_CLASSES, generate_room

# The rooms' classes as NYU40 numbers; what ScanNet's 20 classes lack keeps a number of its own (lamp 35, plant 37).
NUMBERS = [2, 1, 22, 8, 9, 5, 7, 14, 12, 6, 5, 4, 3, 10, 35, 34, 33, 25, 16, 37, 11, 40]


def write_votenet_folder(root, train=2, val=1, points=6000, scanrefer=False) -> None:
    """<root>/<scan>_*.npy with meta_data beside it, and <root>/ScanRefer_filtered_<split>.json.

    scanrefer: normals beside the colours, aligned files, and boxes with the object's number.
    """
    root = Path(root)
    (root / "meta_data").mkdir(parents=True)
    for split, count in (("train", train), ("val", val)):
        scans, sentences = [f"scene{i:04d}_0{'train val'.index(split) % 7}" for i in range(count)], []
        (root / "meta_data" / f"scannetv2_{split}.txt").write_text("\n".join([*scans, "scene9999_00"]))
        for i, scan in enumerate(scans):
            sentences += write_scan(root, scan, generate_room(0, split, i, points), scanrefer)
        (root / f"ScanRefer_filtered_{split}.json").write_text(json.dumps(sentences))


def write_scan(root, scan, room, scanrefer) -> list[dict]:
    """One scan's files; returns ScanRefer's entries about it."""
    objects = find_boxes(room, range(3, 22), 20)
    numbers = np.array(NUMBERS)
    boxes = [objects.box, numbers[objects.category][:, None], *([objects.id[:, None]] if scanrefer else [])]
    boxes = np.concatenate(boxes, 1)[np.isin(numbers[objects.category], NYU40)]
    vertices = np.concatenate([room["coord"], room["color"], *([room["normal"]] if scanrefer else [])], 1)
    aligned = "_aligned" if scanrefer else ""
    np.save(root / f"{scan}{aligned}_vert.npy", vertices)
    np.save(root / f"{scan}{aligned}_bbox.npy", boxes)
    if scanrefer:  # the same, not aligned: must not be read
        np.save(root / f"{scan}_vert.npy", vertices + 100)
        np.save(root / f"{scan}_bbox.npy", boxes + 100)
    np.save(root / f"{scan}_sem_label.npy", numbers[room["segment"]].astype(np.uint32))
    np.save(root / f"{scan}_ins_label.npy", (room["instance"] + 1).astype(np.uint32))
    made = describe_objects(room | dict(name=scan), *objects, ROOM_CLASSES)
    return [
        dict(scene_id=scan, object_id=str(s.object), object_name="x", ann_id="0", description=" ".join(s.words))
        for s in made
    ]
