"""What is filled in for a scene, and that it is said."""

import numpy as np
import pytest

from pointcept_msm.datasets.inputs import check_fill, prepare_scene

COORD = np.random.default_rng(0).uniform(0, 3, (50, 3)).astype(np.float32)
BARE = dict(coord=COORD, name="bare")


def test_a_bare_scene_is_filled_and_says_so():
    scene, filled = prepare_scene(BARE, ("color", "normal"), {"color": 127.5, "normal": "estimate"})
    assert (scene["color"] == 127.5).all() and scene["color"].shape == scene["normal"].shape == (50, 3)
    assert filled["color"] == "127.5 everywhere" and "estimated" in filled["normal"]
    assert BARE.keys() == {"coord", "name"}


def test_what_is_there_or_not_taken_is_left_alone():
    given = BARE | dict(color=COORD, normal=COORD)
    scene, filled = prepare_scene(given, ("color", "normal"), {"color": 9.0})
    assert filled == {} and scene["color"] is COORD and scene["normal"] is COORD
    scene, filled = prepare_scene(BARE, ("normal",), {"normal": (0, 0, 1), "color": 3})
    assert filled.keys() == {"normal"} and "color" not in scene


def test_a_constant_stands_everywhere():
    scene, filled = prepare_scene(BARE, ("normal", "coord"), check_fill({"normal": (0, 0, 1)}))
    assert (scene["normal"] == (0, 0, 1)).all() and scene["normal"].dtype == np.float32
    assert filled == {"normal": "0, 0, 1 everywhere"}
    scene["normal"][0] = 5  # an array of its own, not a view of one row
    assert (scene["normal"][1:] == (0, 0, 1)).all()


@pytest.mark.parametrize("fill, lacking", [({}, "no color and no normal"), ({"color": 127.5}, "no normal;")])
def test_nothing_is_filled_unasked(fill, lacking):
    with pytest.raises(ValueError, match=f"bare has {lacking}.*--fill-color 127.5") as caught:
        prepare_scene(BARE, ("color", "normal"), fill)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "fill, words",
    [
        ({"color": 300}, "300; allowed is 0 to 255"),
        ({"color": "estimate"}, "'estimate'; allowed is 0 to 255"),
        ({"color": 0.5}, "looks like a fraction"),
        ({"color": float("nan")}, "nan; allowed"),
        ({"normal": (0, 2, 0)}, 'allowed is -1 to 1, one or three numbers, or "estimate"'),
        ({"normal": (0, 1)}, "allowed is -1 to 1"),
        ({"segment": 1}, "fill names segment; allowed are color and normal"),
    ],
)
def test_wrong_fills(fill, words):
    with pytest.raises(ValueError, match=words) as caught:
        check_fill(fill)
    assert "\n" not in str(caught.value)
