"""The web page: what is packed into it, its size, its independence. What it does in a browser: test_in_browser.py."""

import base64
import gzip
import json
import re

import numpy as np

from pointcept_msm.pictures.page import Layer, build_page, order_points


def make_scene(points=600, width=5, seed=0):
    """A floor seen from above, its features, two layers of colour and one of classes."""
    rng = np.random.default_rng(seed)
    coord = np.concatenate([rng.uniform(-2, 3, (points, 2)), np.zeros((points, 1))], 1).astype(np.float32)
    normal = np.tile(np.float32([0, 0, 1]), (points, 1))
    layers = {key: Layer(key, rng.integers(0, 255, (points, 3)).astype(np.uint8)) for key in ("RGB", "PCA")}
    legend = [((250, 10, 10), "floor"), ((10, 10, 250), "rug")]
    layers["segment"] = Layer("segment", (coord[:, 0] > 0.5).astype(np.int64), legend)
    return coord, normal, layers, rng.standard_normal((points, width)).astype(np.float32)


def unpack(page):
    """(meta, position, normal, layers, features) of a page, each (N, ...)."""
    meta = json.loads(re.search(r'<script id="meta"[^>]*>(.*?)</script>', page, re.DOTALL)[1])
    data = gzip.decompress(base64.b64decode(re.search(r'<script id="data"[^>]*>(.*?)</script>', page, re.DOTALL)[1]))
    count, at = meta["points"], 0

    def take(columns, dtype):
        nonlocal at
        size = columns * count * np.dtype(dtype).itemsize
        at += size
        return np.frombuffer(data[at - size : at], dtype).reshape(columns, count).T

    position, normal = take(3, "<u2"), take(3, "i1")
    size = take(1, "u1")
    assert size.max() == 255 and size.min() > 0
    layers = [take(1, "<u2")[:, 0] if layer["legend"] else take(3, "u1") for layer in meta["layers"]]
    features = take(meta["width"], "i1")
    assert at == len(data)
    return meta, position, normal, layers, features


def test_the_page_holds_the_scene():
    coord, normal, layers, embedding = make_scene()
    meta, position, packed_normal, packed_layers, features = unpack(
        build_page("a room", coord, normal, layers, embedding, "PCA")
    )
    rows = order_points(coord)
    assert sorted(rows) == list(range(600)) and (meta["name"], meta["shown"], meta["cull"]) == ("a room", 1, False)
    assert [layer["name"] for layer in meta["layers"]] == [*layers]
    assert meta["layers"][2]["legend"] == [[250, 10, 10, "floor"], [10, 10, 250, "rug"]]
    place = position / 65535 * np.array(meta["extent"]) + np.array(meta["origin"])
    np.testing.assert_allclose(place, coord[rows], atol=1e-3)
    assert (packed_normal == (0, 0, 127)).all()
    assert all((mine == layer.values[rows]).all() for mine, layer in zip(packed_layers, layers.values(), strict=True))
    assert (layers["segment"].colors[coord[:, 0] > 0.5] == (10, 10, 250)).all()
    unit = embedding[rows] / np.linalg.norm(embedding[rows], axis=1, keepdims=True)
    np.testing.assert_allclose(features / 127, unit, atol=0.004)


def test_the_page_asks_nothing_of_the_network_and_names_cannot_break_it():
    page = build_page("</script><script>alert(1)//__DATA__", *make_scene(50))
    assert not re.search(r"https?://|src=|href=|@import|fetch\(|XMLHttpRequest", page)
    assert "alert(1)</" not in page and page.count("<script") == 3
    assert unpack(page)[0]["name"] == "</script><script>alert(1)//__DATA__"


def test_a_page_that_would_be_too_large_holds_fewer_points(caplog):
    scene = make_scene(20_000)
    whole = build_page("x", *scene)
    page = build_page("x", *scene, max_bytes=len(whole) // 2)
    assert len(page) < 0.6 * len(whole)
    meta = unpack(page)[0]
    assert 8000 < meta["points"] < 12000 and meta["note"] == "of 20,000" and "of 20000 points" in caplog.text
    assert unpack(build_page("x", *scene, max_points=100))[0]["points"] == 100


def test_far_outliers_do_not_move_the_first_view():
    coord, *rest = make_scene(2000)
    views = []
    for far in (0, 50):
        coord[0] = (far, far, 0)
        meta = unpack(build_page("x", coord, *rest))[0]
        views.append(([m + o for m, o in zip(meta["middle"], meta["origin"])], meta["half"]))
    np.testing.assert_allclose(views[0], views[1], atol=0.02)
    np.testing.assert_allclose(views[0][1], (2.5, 2.5, 0.01), atol=0.02)


def test_order():
    grid = np.stack(np.meshgrid(np.arange(20), np.arange(20), [0.0]), -1).reshape(-1, 3) * 0.05
    shuffled = np.random.default_rng(0).permutation(grid)
    steps = np.linalg.norm(np.diff(shuffled[order_points(shuffled, 0.05)], axis=0), axis=1)
    assert np.median(steps) < 0.11 and np.median(np.linalg.norm(np.diff(shuffled, axis=0), axis=1)) > 0.3
