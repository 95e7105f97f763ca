"""What is filled in for a scene, and that it is said."""

import numpy as np
import pytest

from pointcept_msm.datasets.scene_inputs import prepare_scene

COORD = np.random.default_rng(0).uniform(0, 3, (50, 3)).astype(np.float32)
BARE = dict(coord=COORD, name="bare")


def test_a_bare_scene_is_filled_and_says_so(caplog):
    caplog.set_level("INFO", logger="msm")
    scene, filled = prepare_scene(BARE, ("color", "normal"), fill_color=127.5)
    assert (scene["color"] == 127.5).all() and scene["color"].shape == scene["normal"].shape == (50, 3)
    assert filled["color"] == "127.5 everywhere" and "estimated" in filled["normal"]
    assert "bare has no color: 127.5" in caplog.text and "bare has no normal: estimated" in caplog.text
    assert BARE.keys() == {"coord", "name"}


def test_what_is_there_or_not_taken_is_left_alone():
    given = BARE | dict(color=COORD, normal=COORD)
    scene, filled = prepare_scene(given, ("color", "normal"), fill_color=1)
    assert filled == {} and scene["color"] is COORD and scene["normal"] is COORD
    scene, filled = prepare_scene(BARE, ("normal",))
    assert filled.keys() == {"normal"} and "color" not in scene


@pytest.mark.parametrize(
    "arguments, words",
    [
        (dict(), "no color.*--fill-color 127.5"),
        (dict(fill_color=300), "300; allowed is 0-255"),
        (dict(fill_color=0, estimate=False), "no normals"),
    ],
)
def test_nothing_is_filled_unasked(arguments, words):
    with pytest.raises(ValueError, match=words) as caught:
        prepare_scene(BARE, ("color", "normal"), **arguments)
    assert "\n" not in str(caught.value)
