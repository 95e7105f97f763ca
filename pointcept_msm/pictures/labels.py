"""Colours of classes and of instances, and legends: ScanNet's own for its classes, far apart for all others."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pointcept_msm.pictures.render import contrast
from pointcept_msm.runtime.errors import UserError

UNKNOWN = (190, 190, 190)  # the label -1
# The benchmark's colours by its classes' names, in the order of its 20 labels, then further names for the same colour.
SCANNET = {
    "wall": (174, 199, 232), "floor": (152, 223, 138), "cabinet": (31, 119, 180), "bed": (255, 187, 120),
    "chair": (188, 189, 34), "sofa": (140, 86, 75), "table": (255, 152, 150), "door": (214, 39, 40),
    "window": (197, 176, 213), "bookshelf": (148, 103, 189), "picture": (196, 156, 148), "counter": (23, 190, 207),
    "desk": (247, 182, 210), "curtain": (219, 219, 141), "refrigerator": (255, 127, 14),
    "shower curtain": (158, 218, 229), "toilet": (44, 160, 44), "sink": (112, 128, 144), "bathtub": (227, 119, 194),
    "otherfurniture": (82, 84, 163),
    # Not of the benchmark: for classes of the procedural rooms and of S3DIS.
    "ceiling": (78, 71, 183), "armchair": (96, 207, 209), "lamp": (255, 214, 0), "monitor": (40, 40, 70),
    "plant": (0, 120, 60), "clutter": (110, 110, 110), "beam": (200, 54, 131), "column": (92, 193, 61),
    "board": (66, 188, 102),
}  # fmt: skip
SAME = {"refridgerator": "refrigerator", "bookcase": "bookshelf", "other furniture": "otherfurniture"}


# Others, each as far in Oklab (Ottosson 2020) as can be from white, from unknown and from those before it.
SPREAD = """912daa 14782d dc4614 1491f5 46c346 dc78f5 dcdc2d 2df5c3 aa9146 465faa f57891 46aaaa
    915f5f c32d78 f5aa46 9178c3 f5aaf5 91aaf5 5fdcf5 2d7878 f5782d aac35f 5f9114 c391c3"""
SPREAD = [tuple(bytes.fromhex(text)) for text in SPREAD.split()]


def color_table(count: int, names: Sequence[str] | None = None) -> np.ndarray:
    """Colours (count + 1, 3) uint8 of the labels 0 to count - 1, the last row that of -1.

    By name where ScanNet has one, 20 labels without names being its 20; the others of `SPREAD`, darker and darker.
    """
    names = names if names is not None else list(SCANNET)[:20] if count == 20 else ()
    known = [SCANNET.get(SAME.get(name.lower(), name.lower())) for name in names[:count]] + [None] * count
    free = [c for c in SPREAD if all(np.abs(np.subtract(c, k)).sum() > 60 for k in known[:count] if k)] or SPREAD
    table = np.array([UNKNOWN] * (count + 1), dtype=np.uint8)
    for number, label in enumerate(i for i in range(count) if not known[i]):
        table[label] = np.array(free[number % len(free)]) * 0.75 ** (number // len(free))
    for label in (i for i in range(count) if known[i]):
        table[label] = known[label]
    return table


def find_names(path) -> list[str] | None:
    """Names of a scene's classes: the list `names` of a `classes.json` in one of the three folders above it."""
    for folder in list(Path(path).absolute().parents)[:3]:
        if (folder / "classes.json").is_file():
            try:
                names = json.loads((folder / "classes.json").read_text())["names"]
                return [str(name) for name in names]
            except (ValueError, KeyError, TypeError) as error:
                raise UserError(f"{folder}/classes.json holds no list `names` ({error})") from error
    return None


def add_legend(image: Image.Image, entries: Sequence[tuple[tuple, str]], background="white") -> Image.Image:
    """The picture with a strip below it: a square of each colour and its name."""
    text = max(13, image.height // 42)
    font = ImageFont.load_default(text)
    wide = [int(font.getlength(name)) + 3 * text for _, name in entries]
    places, x, y = [], text, 0
    for width in wide:
        if x + width > image.width and x > text:
            x, y = text, y + 1
        places.append((x, y))
        x += width
    whole = Image.new("RGB", (image.width, image.height + int((y + 1.5) * 1.6 * text)), background)
    whole.paste(image, (0, 0))
    draw = ImageDraw.Draw(whole)
    for (color, name), (x, y) in zip(entries, places):
        top = image.height + int((y + 0.5) * 1.6 * text)
        draw.rectangle((x, top, x + text, top + text), tuple(int(c) for c in color))
        draw.text((x + 1.5 * text, top + text / 2), name, contrast(background), font, anchor="lm")
    return whole


def list_entries(labels: np.ndarray, table: np.ndarray, names: Sequence[str] | None) -> tuple[list, np.ndarray]:
    """(colour and name of every label that occurs, the most frequent first, -1 being "unknown"; the place of each label
    in that list, as long as `table`: of -1 at the end).
    """
    found, count = np.unique(labels, return_counts=True)
    found = found[np.argsort(-count, kind="stable")]
    named = ["unknown" if i < 0 else names[i] if names and i < len(names) else str(i) for i in found]
    order = np.zeros(len(table), dtype=np.int64)
    order[found] = np.arange(len(found))
    return [(tuple(table[i].tolist()), name) for i, name in zip(found, named)], order
