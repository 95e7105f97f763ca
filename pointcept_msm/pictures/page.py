"""A web page of a scene that opens from disk with no network: orbit, colours to switch, similarity to a clicked point.

Own WebGL (page.html beside this file) rather than a library: in a snapshot of k3d, the closest, what a click shows and
the switches would be our JavaScript all the same, with Jupyter's widgets as requirements. Address fragments:
`#layer=RGB` shows that layer, `#point=1234` the similarity to that point, `#dark` a dark page. Legend: N points, K
components.
"""

import base64
import gzip
import html
import json
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from pointcept_msm.models.layers.serialization import encode_z
from pointcept_msm.pictures.render import find_azimuth, find_box, find_splats, looks_in

TEMPLATE = Path(__file__).with_name("page.html")
MAX_BYTES = 30_000_000
LEVEL = 6  # of gzip
AXIS_CELLS = 1 << 16  # of the curve


class Layer(NamedTuple):
    """Something to colour points by: title on its button; colors (N, 3) uint8, or, for labels, with `legend`, a list of
    (colour, name), the place (N,) of each point in it.
    """

    title: str
    values: np.ndarray
    legend: list[tuple[tuple, str]] | None = None

    @property
    def colors(self) -> np.ndarray:
        """Colours (N, 3) uint8."""
        if self.legend is None:
            return self.values
        return np.array([color for color, _ in self.legend], dtype=np.uint8)[self.values]


def build_page(
    name: str,
    coord: np.ndarray,
    normal: np.ndarray,
    layers: Mapping[str, Layer],
    embedding: np.ndarray,
    shown: str | None = None,
    max_points: int | None = None,
    max_bytes: int = MAX_BYTES,
) -> str:
    """The page's text. coord (N, 3) metres, z up; normal (N, 3).

    embedding (N, K): centred features; their cosine is what a click shows, to 8 bits. shown: the layer at first. With
    more than max_points, or above max_bytes, it is made of evenly spaced points, which it says.
    """
    rows, total = order_points(coord), len(coord)
    keep = min(max_points or total, total)
    while True:
        rows = rows[np.linspace(0, len(rows) - 1, keep).astype(np.int64)]
        meta, packed = _pack(coord[rows], normal[rows], layers, embedding[rows], rows)
        text = base64.b64encode(packed).decode("ascii")
        if len(text) <= max_bytes or len(rows) < 1000:
            break
        keep = int(len(rows) * 0.97 * max_bytes / len(text))
    meta["note"] = f"of {total:,}" if len(rows) < total else ""
    if meta["note"]:
        logging.getLogger("msm").warning("%s: the page holds %d of %d points, to stay small", name, len(rows), total)
    return fill_template(name, meta | dict(name=name, shown=list(layers).index(shown) if shown else 0), text)


def fill_template(title: str, meta: Mapping, data: str) -> str:
    """The template with its three placeholders replaced; nothing in them can end its element."""
    pieces = re.split("__TITLE__|__META__|__DATA__", TEMPLATE.read_text(encoding="utf-8"))
    filled = (html.escape(title), json.dumps(meta).replace("<", "\\u003c"), data, "")
    return "".join(piece + value for piece, value in zip(pieces, filled, strict=True))


def order_points(coord: np.ndarray, cell: float = 0.04) -> np.ndarray:
    """Rows along a space-filling order of cells (metres), so that alike points lie side by side and pack well."""
    index = np.minimum((coord - coord.min(0)) / cell, AXIS_CELLS - 1).astype(np.int64)  # (N, 3)
    return np.argsort(encode_z(torch.from_numpy(index)).numpy(), kind="stable")


def _pack(coord, normal, layers, embedding, rows):
    """(numbers of the page, its arrays as gzip), value planes one after the other."""
    coord = coord.astype(np.float64)
    low = coord.min(0)
    extent = np.maximum(coord.max(0) - low, 1e-3)
    radius, normal = find_splats(coord, normal)
    length = np.linalg.norm(embedding, axis=1, keepdims=True)
    arrays = [
        np.rint((coord - low) / extent * 65535).astype("<u2"),
        np.rint(127 * np.clip(normal, -1, 1)).astype(np.int8),
        np.rint(255 * radius / radius.max()).astype(np.uint8),
        *(layer.values[rows].astype(np.uint8 if layer.legend is None else "<u2") for layer in layers.values()),
        np.rint(127 * embedding / np.where(length > 0, length, 1)).astype(np.int8),
    ]
    raw = b"".join(np.ascontiguousarray(array.T).tobytes() for array in arrays)
    near, far = find_box(coord)  # what to look at first
    sizes = dict(spacing=2 * float(np.median(radius)), size=2 * float(radius.max()))
    place = dict(middle=((near + far) / 2 - low).tolist(), half=np.maximum((far - near) / 2, 1e-2).tolist())
    view = dict(azimuth=find_azimuth(normal, np.deg2rad(45)), cull=looks_in(coord, normal))
    legends = [layer.legend and [[*color, name] for color, name in layer.legend] for layer in layers.values()]
    named = [dict(name=k, title=v.title, legend=each) for (k, v), each in zip(layers.items(), legends)]
    meta = dict(points=len(rows), width=embedding.shape[1], origin=low.tolist(), extent=extent.tolist(), layers=named)
    meta |= sizes | place | view
    return meta, gzip.compress(raw, LEVEL, mtime=0)
