"""The web page: what is packed into it, its size, its independence, and, where there is a browser, a click."""

import base64
import gzip
import html
import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from pointcept_msm.viewer.page import build_page, median_spacing, order_points

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def make_scene(points=600, width=5, seed=0):
    """A floor seen from above, its features and two layers of colour."""
    rng = np.random.default_rng(seed)
    coord = np.concatenate([rng.uniform(-2, 3, (points, 2)), np.zeros((points, 1))], 1).astype(np.float32)
    normal = np.tile(np.float32([0, 0, 1]), (points, 1))
    layers = {name: rng.integers(0, 255, (points, 3)).astype(np.uint8) for name in ("RGB", "PCA")}
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
    layers = [take(3, "u1") for _ in meta["layers"]]
    features = take(meta["width"], "i1")
    assert at == len(data)
    return meta, position, normal, layers, features


def test_the_page_holds_the_scene():
    coord, normal, layers, embedding = make_scene()
    meta, position, packed_normal, packed_layers, features = unpack(
        build_page("a room", coord, normal, layers, embedding, "PCA")
    )
    rows = order_points(coord)
    assert sorted(rows) == list(range(600)) and (meta["name"], meta["layers"], meta["shown"]) == (
        "a room",
        [*layers],
        1,
    )
    place = position / 65535 * np.array(meta["extent"]) + np.array(meta["origin"])
    np.testing.assert_allclose(place, coord[rows], atol=1e-3)
    assert (packed_normal == (0, 0, 127)).all()
    assert all((mine == colors[rows]).all() for mine, colors in zip(packed_layers, layers.values(), strict=True))
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


def test_spacing_and_order():
    grid = np.stack(np.meshgrid(np.arange(20), np.arange(20), [0.0]), -1).reshape(-1, 3) * 0.05
    assert median_spacing(np.concatenate([grid, grid])) == pytest.approx(0.05)
    assert median_spacing(grid[:1]) > 0
    shuffled = np.random.default_rng(0).permutation(grid)
    steps = np.linalg.norm(np.diff(shuffled[order_points(shuffled, 0.05)], axis=0), axis=1)
    assert np.median(steps) < 0.11 and np.median(np.linalg.norm(np.diff(shuffled, axis=0), axis=1)) > 0.3


CLICK = """<script>
const wait = setInterval(() => {
  if (document.body.dataset.error) done({ error: document.body.dataset.error });
  if (document.body.dataset.ready !== "yes") return;
  const canvas = document.getElementById("canvas"), before = pixels();
  const [x, y] = viewer.locate(POINT);
  const where = { clientX: x, clientY: y, pointerId: 1, button: 0 };
  const event = (kind) => canvas.dispatchEvent(new PointerEvent(kind, where));
  event("pointerdown"); event("pointerup");
  const { picked, layer, similarity } = viewer.state(), buttons = [...document.getElementById("layers").children];
  const shown = buttons.map((b) => b.getAttribute("aria-pressed"));
  const status = document.getElementById("status").textContent;
  const finish = () => done({ picked, layer, shown, similarity: [...similarity], status, before, after: pixels() });
  requestAnimationFrame(() => requestAnimationFrame(finish));
}, 50);
function pixels() {  // mean colour of the middle of the canvas
  const gl = document.getElementById("canvas").getContext("webgl2"), w = 40, all = new Uint8Array(w * w * 4);
  gl.readPixels(gl.drawingBufferWidth / 2 - 20, gl.drawingBufferHeight / 2 - 20, w, w, gl.RGBA, gl.UNSIGNED_BYTE, all);
  return [0, 1, 2].map((c) => all.filter((_, i) => i % 4 === c).reduce((a, b) => a + b, 0) / (w * w));
}
function done(result) {
  clearInterval(wait);
  const out = document.createElement("pre");
  out.id = "result"; out.textContent = JSON.stringify(result);
  document.body.append(out);
}
</script></body>"""


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
def test_a_click_in_a_real_browser(tmp_path):
    """Opened from disk: the page draws, a click picks the point under it and shows its cosines."""
    coord, normal, layers, embedding = make_scene()
    page = build_page("floor", coord, normal, layers, embedding)
    point = 300
    path = tmp_path / "page.html"
    path.write_text(page.replace("</body>", CLICK.replace("POINT", str(point))), encoding="utf-8")
    flags = ["--headless=new", "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
    flags += ["--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={tmp_path}/profile", "--window-size=900,700"]
    command = [BROWSER, *flags, "--virtual-time-budget=20000", "--dump-dom", path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    found = re.search(r'<pre id="result">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, (done.stdout[-500:], done.stderr[-1500:])
    result = json.loads(html.unescape(found[1]))
    assert "error" not in result, result
    unit = embedding[order_points(coord)]
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    np.testing.assert_allclose(result["similarity"], unit @ unit[result["picked"]], atol=0.02)
    assert result["picked"] == point
    assert result["layer"] == 2 and result["shown"] == ["false", "false", "true"]
    assert "cosine similarity" in result["status"]
    assert max(result["before"]) > 30 and result["before"] != result["after"]
