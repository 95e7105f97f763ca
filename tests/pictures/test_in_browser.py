"""The page in a real Chromium, opened from disk, with the browser's own mouse events."""

import numpy as np
import pytest

from pointcept_msm.pictures.page import build_page, order_points
from tests.pictures.browser import BROWSER, Browser
from tests.pictures.test_page import make_scene

image = pytest.importorskip("PIL.Image")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine (chromium or google-chrome)")

STATE = "(({ layer, picked, step, drawn }) => ({ layer, picked, step, drawn, ...viewer.camera }))(viewer.state())"
PRESSED = (
    "[...document.querySelectorAll('#layers button')].filter((b) => b.ariaPressed === 'true').map((b) => b.textContent)"
)


@pytest.fixture(scope="module")
def scene():
    coord, normal, layers, embedding = make_scene()
    layers["RGB"].values[:] = (255, 0, 0)
    layers["PCA"].values[:] = (0, 0, 255)
    return coord, normal, layers, embedding


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def page(browser, scene, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(build_page("floor", *scene, shown="PCA"), encoding="utf-8")
    browser.open(path)
    return browser


def mean_color(page):
    """Mean colour (3,) of what is drawn beside the panel, in front of a light or a dark page."""
    import io

    pixels = np.asarray(image.open(io.BytesIO(page.screenshot())).convert("RGB"))[:, 320:].reshape(-1, 3)
    drawn = pixels[(np.abs(pixels - pixels[-1].astype(int)).max(1) > 40)]
    assert len(drawn) > 1000, "nothing is drawn"
    return drawn.mean(0)


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
    np.testing.assert_allclose(mean_color(page), (0, 0, 255), atol=40)
    page.click_button("RGB")
    assert page.run(PRESSED) == ["RGB"]
    np.testing.assert_allclose(mean_color(page), (255, 0, 0), atol=40)


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
    np.testing.assert_allclose(mean_color(page), (0, 0, 255), atol=40)


def test_an_address_names_layer_and_point(browser, scene, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(build_page("floor", *scene, shown="PCA"), encoding="utf-8")
    browser.open(path, "#layer=RGB")
    assert browser.run(PRESSED) == ["RGB"]
    browser.send("Page.navigate", url="about:blank")
    browser.open(path, "#point=7")
    assert browser.run(PRESSED) == ["similarity"] and browser.run(STATE)["picked"] == 7


def test_keys(page):
    start = page.run(STATE)
    for key in ("ArrowLeft", "ArrowUp", "+"):
        page.press(key)
    turned = page.run(STATE)
    assert turned["azimuth"] > start["azimuth"] and turned["elevation"] < start["elevation"]
    assert turned["distance"] < start["distance"]
    page.press("r")
    assert {k: v for k, v in page.run(STATE).items() if k != "drawn"} == {
        k: v for k, v in start.items() if k != "drawn"
    }
    page.press("1")
    assert page.run(PRESSED) == ["RGB"]
    page.press("d")
    assert page.run("getComputedStyle(document.body).backgroundColor") == "rgb(22, 24, 29)"
    np.testing.assert_allclose(mean_color(page), (255, 0, 0), atol=40)
    page.click(*page.run("viewer.locate(300).slice(0, 2)"))
    page.press("Escape")
    assert page.run(PRESSED) == ["RGB"]
    for key, name in (("w", "cull"), ("s", "shading"), ("e", "edges")):
        before = page.run(f"document.getElementById('{name}').checked")
        page.press(key)
        assert page.run(f"document.getElementById('{name}').checked") is not before


def test_classes_under_the_pointer_and_in_the_legend(page):
    page.click_button("segment")
    point = page.run("viewer.locate(300).slice(0, 2)")
    page.mouse("mouseMoved", *point)
    page.run("new Promise((r) => setTimeout(r, 300))")
    shown = page.run("(({ hidden, textContent }) => [hidden, textContent])(document.getElementById('tip'))")
    assert shown == [False, page.run("viewer.classOf(300)")] and shown[1] in ("floor", "rug")
    assert page.run("[...document.querySelectorAll('#legend label')].map((l) => l.textContent)") == ["floor", "rug"]
    both = mean_color(page)
    page.run("document.querySelector('#legend input').click()")  # hides the floor
    only = mean_color(page)
    assert both[0] > 60 and only[0] < 40 < only[2]
    hidden = page.run("Array.from({ length: 600 }, (_, i) => i).find((i) => viewer.classOf(i) === 'floor')")
    x, y = page.run(f"viewer.locate({hidden}).slice(0, 2)")
    assert page.run(f"viewer.pick({x}, {y})") != hidden, "what is hidden is not picked"


def test_unlike_points_keep_their_own_colour_faded(page):
    page.click(*page.run("viewer.locate(300).slice(0, 2)"))
    far = int(np.argmin(page.run("[...viewer.state().similarity]")))
    red, green, blue = page.run(f"[...viewer.state().colors.slice({4 * far}, {4 * far + 3})]")
    assert red > green + 20 and red > blue + 20 and green > 100, "a pale red"


def test_the_picture_is_saved(page):
    page.click_button("save picture")
    saved = "const t = setInterval(() => { if (document.body.dataset.saved) r(document.body.dataset.saved); }, 50)"
    code = f"new Promise((r) => {{ {saved} }})"
    name, size = page.run(code).split()
    assert name == "floor-PCA.png" and int(size) > 2000


def test_on_a_phone_the_panel_is_folded_and_does_not_hide_the_scene(scene, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(build_page("floor", *scene, shown="PCA"), encoding="utf-8")
    box = (
        "(({ x, y, width, height }) => [x, y, width, height])(document.getElementById('panel').getBoundingClientRect())"
    )
    with Browser(tmp_path / "phone", size=(390, 780)) as phone:
        phone.open(path)
        x, y, width, height = phone.run(box)
        assert (x, width) == (0, 390) and height < 80 and y + height == pytest.approx(780, abs=1)
        phone.click_button("+")
        assert 200 < phone.run(box)[3] <= 0.56 * 780
        places = phone.run("[...Array(600).keys()].map((i) => viewer.locate(i))")
        assert all(0 < x < 390 and 0 < y < 780 for x, y, _ in places)
