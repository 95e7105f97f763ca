"""Colour transforms against `colorsys` and their definitions."""

import colorsys

import numpy as np

from pointcept_msm.embedded.colors import (
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
    adjust_saturation,
    gray_scale,
    hue_saturation_value,
    rgb_from_hsv,
)
from pointcept_msm.host import Compose


def colors(points=300):
    return np.random.default_rng(0).integers(30, 200, (points, 3)).astype(np.float32)


def run(**transform):
    return Compose([transform])(dict(color=colors()))["color"]


def test_hsv_both_ways_is_colorsys():
    rgb = np.vstack([colors() / 255, np.eye(3), 1 - np.eye(3), np.zeros((1, 3)), np.ones((1, 3)), [[0.5, 0.5, 0.2]]])
    hue, saturation, value = hue_saturation_value(rgb)
    expected = np.array([colorsys.rgb_to_hsv(*color) for color in rgb])
    assert np.allclose(np.stack([(hue / 6) % 1, saturation, value], 1), expected, atol=1e-7)
    expected = np.array([colorsys.hsv_to_rgb(*color) for color in expected])
    assert np.allclose(rgb_from_hsv((hue / 6) % 1, saturation, value), expected, atol=1e-6)


def test_auto_contrast_fills_the_range():
    color = run(type="ChromaticAutoContrast", p=1, blend_factor=1.0)
    assert np.allclose(color.min(0), 0, atol=1e-3) and np.allclose(color.max(0), 255, atol=1e-3)
    half = run(type="ChromaticAutoContrast", p=1, blend_factor=0.5)
    assert np.allclose(half, (color + colors()) / 2, atol=1e-3)


def test_auto_contrast_of_one_color_stays_finite():
    flat = Compose([dict(type="ChromaticAutoContrast", p=1)])(dict(color=np.full((5, 3), 7, np.float32)))["color"]
    assert np.all(flat == 7)


def test_translation_shifts_all_points_alike():
    shift = run(type="ChromaticTranslation", p=1, ratio=0.1) - colors()
    assert np.allclose(shift, shift[0], atol=1e-4) and 0 < np.abs(shift[0]).max() <= 25.5


def test_jitter():
    noise = run(type="ChromaticJitter", p=1, std=0.02) - colors()
    assert 4.5 < noise.std() < 5.7


def test_factor_one_and_turn_zero_change_nothing():
    for adjust in (adjust_brightness, adjust_contrast, adjust_saturation):
        assert np.allclose(adjust(colors(), 1), colors(), atol=1e-4)
    assert np.allclose(adjust_hue(colors(), 0), colors(), atol=1e-3)


def test_adjustments():
    color = colors()
    assert np.allclose(adjust_brightness(color, 0.5), color / 2)
    assert adjust_brightness(color, 9).max() == 255
    assert np.allclose(adjust_contrast(color, 0), gray_scale(color).mean(), atol=1e-2)
    assert np.allclose(adjust_saturation(color, 0), gray_scale(color))
    third = adjust_hue(np.array([[200, 0, 0]], np.float32), 1 / 3)
    assert np.allclose(third, [[0, 200, 0]], atol=0.01)


def test_color_jitter_ranges():
    jittered = run(type="RandomColorJitter", brightness=(0.5, 0.5), p=1)
    assert np.allclose(jittered, colors() / 2)
    assert np.array_equal(run(type="RandomColorJitter", p=1), colors())


def test_scenes_without_color_pass():
    names = ("ChromaticAutoContrast", "ChromaticTranslation", "ChromaticJitter", "RandomColorJitter")
    assert set(Compose([dict(type=name) for name in names])(dict(coord=np.zeros((3, 3))))) == {"coord"}
