"""The page in a real Chromium, opened from disk, with the browser's own mouse events."""

import numpy as np
import pytest

from pointcept_msm.pictures.page import build_page, order_points
from tests.pictures.browser import BROWSER, Browser
from tests.pictures.test_page import make_scene

image = pytest.importorskip("PIL.Image")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine (chromium or google-chrome)")

STATE = "(({ layer, picked, step, drawn }) => ({ layer, picked, step, drawn, ...viewer.camera }))(viewer.state())"
PRESSED = "[...document.querySelectorAll('button')].filter((b) => b.ariaPressed === 'true').map((b) => b.textContent)"


@pytest.fixture(scope="module")
def scene():
    coord, normal, layers, embedding = make_scene()
    layers["RGB"][:] = (255, 0, 0)
    layers["PCA"][:] = (0, 0, 255)
    return coord, normal, layers, embedding


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def page(browser, scene, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(build_page("floor", *scene, shown="PCA"), encoding="utf-8")
    browser.events.clear()
    browser.open(path)
    return browser


def mean_color(page):
    """Mean colour (3,) of the lit pixels beside the panel."""
    import io

    pixels = np.asarray(image.open(io.BytesIO(page.screenshot())).convert("RGB"))[:, 320:].reshape(-1, 3)
    lit = pixels[pixels.max(1) > 60]
    assert len(lit) > 1000, "nothing is drawn"
    return lit.mean(0)


def test_a_click_shows_the_similarity_to_the_point_under_it(page, scene):
    embedding = scene[3][order_points(scene[0])]
    unit = embedding / np.linalg.norm(embedding, axis=1, keepdims=True)
    for point in (300, 41):
        page.click(*page.run(f"viewer.locate({point}).slice(0, 2)"))
        assert page.run(STATE)["picked"] == point and page.run(PRESSED) == ["similarity"]
        similarity = np.array(page.run("[...viewer.state().similarity]"))
        np.testing.assert_allclose(similarity, unit @ unit[point], atol=0.02)
    assert "cosine similarity to the point at" in page.run("document.getElementById('status').textContent")
    page.screenshot()
    x, y = page.run("viewer.locate(41).slice(0, 2)")
    box = page.run("(({ x, y, width }) => [x, y, width])(document.getElementById('mark').getBoundingClientRect())")
    assert abs(box[0] + box[2] / 2 - x) < 2 and abs(box[1] + box[2] / 2 - y) < 2
    page.click_button("PCA")
    page.screenshot()
    assert page.run("document.getElementById('mark').hidden") is True


def test_buttons_switch_what_is_drawn(page):
    assert page.run(PRESSED) == ["PCA"]
    np.testing.assert_allclose(mean_color(page), (0, 0, 255), atol=12)
    page.click_button("RGB")
    assert page.run(PRESSED) == ["RGB"]
    np.testing.assert_allclose(mean_color(page), (255, 0, 0), atol=12)


def test_orbit_move_and_zoom_pick_nothing(page):
    start = page.run(STATE)
    page.drag((600, 300), (700, 340))
    turned = page.run(STATE)
    assert turned["azimuth"] < start["azimuth"] and turned["elevation"] > start["elevation"]
    page.wheel(600, 300, -240)
    nearer = page.run(STATE)
    assert nearer["distance"] < start["distance"] and nearer["azimuth"] == turned["azimuth"]
    page.drag((600, 300), (640, 300), button="right")
    moved = page.run(STATE)
    assert moved["target"] != start["target"] and moved["azimuth"] == turned["azimuth"]
    assert {state["picked"] for state in (start, turned, nearer, moved)} == {-1}


SLOW = """(() => {  // a graphics card that needs 60 ms a frame
  let start = 0;
  const fence = gl.fenceSync.bind(gl), wait = gl.clientWaitSync.bind(gl);
  gl.fenceSync = (...a) => { start = performance.now(); return fence(...a); };
  gl.clientWaitSync = (...a) => performance.now() - start < 60 ? gl.TIMEOUT_EXPIRED : wait(...a);
})()"""


def test_a_slow_machine_draws_fewer_points_while_moving_and_all_at_rest(page):
    page.run(SLOW)
    page.drag((600, 300), (650, 300), steps=8)
    assert page.run("new Promise((r) => setTimeout(() => r(viewer.state().step), 100))") > 1
    page.run("new Promise((r) => setTimeout(r, 800))")
    page.screenshot()
    assert page.run(STATE)["drawn"] == 1
    np.testing.assert_allclose(mean_color(page), (0, 0, 255), atol=12)


def test_it_asks_for_nothing_but_itself(page):
    page.click(600, 300)
    assert page.requests and all(address.startswith("file:") for address in page.requests)
    assert len({address.partition("#")[0] for address in page.requests}) == 1


def test_an_address_names_layer_and_point(browser, scene, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(build_page("floor", *scene, shown="PCA"), encoding="utf-8")
    browser.open(path, "#layer=RGB")
    assert browser.run(PRESSED) == ["RGB"]
    browser.send("Page.navigate", url="about:blank")
    browser.open(path, "#point=7")
    assert browser.run(PRESSED) == ["similarity"] and browser.run(STATE)["picked"] == 7
