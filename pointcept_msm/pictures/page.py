"""A web page of a scene that opens from disk with no network: orbit, colours to switch, similarity to a clicked point.

Own WebGL (page.html beside this file) rather than a library: in a snapshot of k3d, the closest, what a click shows and
the switches would be our JavaScript all the same, with Jupyter's widgets as requirements. Address fragments:
`#layer=RGB` shows that layer, `#point=1234` the similarity to that point. Legend: N points, K components.
"""

import base64
import gzip
import html
import json
import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from scipy.spatial import cKDTree

from pointcept_msm.models.layers.serialization import encode_z

TEMPLATE = Path(__file__).with_name("page.html")
MAX_BYTES = 30_000_000
LEVEL = 6  # of gzip
AXIS_CELLS = 1 << 16  # of the curve


def build_page(
    name: str,
    coord: np.ndarray,
    normal: np.ndarray,
    layers: Mapping[str, np.ndarray],
    embedding: np.ndarray,
    shown: str | None = None,
    max_bytes: int = MAX_BYTES,
) -> str:
    """The page's text. coord (N, 3) metres, z up; normal (N, 3); layers: name -> colours (N, 3) uint8.

    embedding (N, K): centred features; their cosine is what a click shows, to 8 bits. shown: the layer at first. A page
    above max_bytes is made of evenly spaced points instead, which it says.
    """
    rows, total = order_points(coord), len(coord)
    while True:
        meta, packed = _pack(coord, normal, layers, embedding, rows)
        text = base64.b64encode(packed).decode("ascii")
        if len(text) <= max_bytes or len(rows) < 1000:
            break
        keep = int(len(rows) * 0.97 * max_bytes / len(text))
        rows = rows[np.linspace(0, len(rows) - 1, keep).astype(np.int64)]
    note = f"of {total:,}" if len(rows) < total else ""
    if note:
        logging.getLogger("msm").warning("%s: the page holds %d of %d points, to stay small", name, len(rows), total)
    names = list(layers)
    meta |= dict(name=name, layers=names, shown=names.index(shown) if shown else 0, note=note)
    return fill_template(name, meta, text)


def fill_template(title: str, meta: Mapping, data: str) -> str:
    """The template with its three placeholders replaced; nothing in them can end its element."""
    text = TEMPLATE.read_text(encoding="utf-8")
    safe = json.dumps(meta).replace("<", "\\u003c")
    head, rest = text.split("__TITLE__")
    middle, rest = rest.split("__META__")
    between, tail = rest.split("__DATA__")
    return head + html.escape(title) + middle + safe + between + data + tail


def order_points(coord: np.ndarray, cell: float = 0.04) -> np.ndarray:
    """Rows along a space-filling order of cells (metres), so that alike points lie side by side and pack well."""
    index = np.minimum((coord - coord.min(0)) / cell, AXIS_CELLS - 1).astype(np.int64)  # (N, 3)
    key = encode_z(torch.from_numpy(index)).numpy()
    return np.argsort(key, kind="stable")


def median_spacing(coord: np.ndarray, sample: int = 2000) -> float:
    """Median distance of a point to its nearest neighbour elsewhere, metres."""
    places = np.unique(np.asarray(coord, dtype=np.float64), axis=0)
    if len(places) < 2:
        return 0.01
    query = places[np.linspace(0, len(places) - 1, min(sample, len(places))).astype(np.int64)]
    return float(np.median(cKDTree(places).query(query, k=2)[0][:, 1]))


def _pack(coord, normal, layers, embedding, rows):
    """(numbers of the page, its arrays as gzip), value planes one after the other."""
    coord = coord[rows].astype(np.float64)
    low = coord.min(0)
    extent = np.maximum(coord.max(0) - low, 1e-3)
    length = np.linalg.norm(embedding[rows], axis=1, keepdims=True)
    feature = np.rint(127 * embedding[rows] / np.where(length > 0, length, 1))
    arrays = [
        np.rint((coord - low) / extent * 65535).astype("<u2"),
        np.rint(127 * np.clip(normal[rows], -1, 1)).astype(np.int8),
        *(colors[rows].astype(np.uint8) for colors in layers.values()),
        feature.astype(np.int8),
    ]
    raw = b"".join(np.ascontiguousarray(array.T).tobytes() for array in arrays)
    meta = dict(points=len(rows), width=embedding.shape[1], origin=low.tolist(), extent=extent.tolist())
    meta["spacing"] = 2 * median_spacing(coord)
    near, far = np.quantile(coord - low, (0.002, 0.998), axis=0)  # what to look at first: far outliers do not count
    meta |= dict(middle=((near + far) / 2).tolist(), reach=max(float(np.linalg.norm(far - near)), 1e-2))
    return meta, gzip.compress(raw, LEVEL, mtime=0)
