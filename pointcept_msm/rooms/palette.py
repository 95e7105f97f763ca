"""Materials: base colours shared by many classes, and cheap procedural textures.

One palette serves walls, cupboards and book spines alike, so that colour alone does not give the class.
"""

from typing import NamedTuple

import numpy as np

PLAIN, GRAIN, SPECKLE, TILES, PATCHES = range(5)

WOOD = (
    (0.71, 0.52, 0.33),
    (0.55, 0.36, 0.21),
    (0.38, 0.24, 0.15),
    (0.80, 0.66, 0.47),
    (0.62, 0.47, 0.36),
    (0.86, 0.78, 0.66),
)
PAINT = (
    (0.90, 0.89, 0.86),
    (0.82, 0.80, 0.76),
    (0.74, 0.76, 0.78),
    (0.84, 0.79, 0.68),
    (0.70, 0.77, 0.72),
    (0.66, 0.71, 0.79),
)
CLOTH = (
    (0.36, 0.42, 0.52),
    (0.52, 0.30, 0.27),
    (0.42, 0.50, 0.36),
    (0.66, 0.58, 0.46),
    (0.45, 0.44, 0.43),
    (0.74, 0.62, 0.36),
)
DARK = ((0.10, 0.10, 0.11), (0.18, 0.17, 0.17), (0.24, 0.22, 0.20), (0.14, 0.17, 0.22))
STEEL = ((0.62, 0.63, 0.65), (0.48, 0.48, 0.50), (0.78, 0.79, 0.80))
LEAF = ((0.24, 0.42, 0.20), (0.36, 0.50, 0.26), (0.30, 0.38, 0.22), (0.50, 0.48, 0.28))

# family -> (colour sets and their weights, textures, scale of the texture in metres, share of rays lost)
FAMILIES = {
    "hard": (((WOOD, 0.5), (PAINT, 0.32), (DARK, 0.1), (CLOTH, 0.08)), (PLAIN, GRAIN, GRAIN), (0.05, 0.16), 0.02),
    "soft": (
        ((CLOTH, 0.52), (PAINT, 0.22), (WOOD, 0.14), (DARK, 0.12)),
        (PLAIN, SPECKLE, SPECKLE, PATCHES),
        (0.05, 0.25),
        0.0,
    ),
    "wall": (((PAINT, 0.74), (CLOTH, 0.14), (WOOD, 0.12)), (PLAIN, PLAIN, SPECKLE), (0.3, 0.6), 0.0),
    "ceiling": (((PAINT, 0.88), (WOOD, 0.12)), (PLAIN, PLAIN, TILES), (0.5, 0.7), 0.0),
    "floor": (
        ((WOOD, 0.5), (PAINT, 0.24), (CLOTH, 0.18), (DARK, 0.08)),
        (TILES, TILES, GRAIN, SPECKLE),
        (0.18, 0.5),
        0.0,
    ),
    "metal": (((STEEL, 0.6), (DARK, 0.25), (PAINT, 0.15)), (PLAIN,), (0.1, 0.2), 0.12),
    "ceramic": (((PAINT, 0.8), (STEEL, 0.12), (WOOD, 0.08)), (PLAIN,), (0.1, 0.2), 0.08),
    "screen": (((DARK, 0.72), (CLOTH, 0.16), (STEEL, 0.12)), (PLAIN, PLAIN, PATCHES), (0.1, 0.3), 0.18),
    "glass": (((STEEL, 0.5), (PAINT, 0.3), (CLOTH, 0.2)), (PLAIN, PATCHES), (0.3, 0.8), 0.6),
    "leaf": (((LEAF, 0.8), (CLOTH, 0.2)), (SPECKLE,), (0.05, 0.1), 0.02),
    "any": (
        ((CLOTH, 0.4), (WOOD, 0.2), (PAINT, 0.2), (DARK, 0.1), (LEAF, 0.1)),
        (PLAIN, PLAIN, PATCHES, GRAIN),
        (0.06, 0.2),
        0.02,
    ),
}


class Material(NamedTuple):
    """Surface of a part: two colours in [0, 1] mixed by a texture, and the share of rays that never return."""

    color: tuple[float, float, float]
    color2: tuple[float, float, float]
    texture: int
    scale: float
    phase: float
    dropout: float


def sample_material(rng: np.random.Generator, family: str) -> Material:
    """A random material of one family of `FAMILIES`."""
    sets, textures, (low, high), dropout = FAMILIES[family]
    color = _sample_color(rng, sets)
    texture = textures[rng.integers(len(textures))]
    if texture == PATCHES:
        second = _sample_color(rng, sets)
    else:
        second = color * rng.uniform(0.68, 0.9)
    return Material(tuple(color), tuple(second), texture, rng.uniform(low, high), rng.uniform(0, 6.28), dropout)


def vary_material(rng: np.random.Generator, material: Material, amount: float = 0.06) -> Material:
    """The same material a little lighter or darker (planks, drawer fronts, cushions)."""
    gain = 1 + rng.uniform(-amount, amount)
    shade = [tuple(np.clip(np.array(color) * gain, 0.02, 0.98)) for color in (material.color, material.color2)]
    return material._replace(color=shade[0], color2=shade[1], phase=rng.uniform(0, 6.28))


def _sample_color(rng: np.random.Generator, sets) -> np.ndarray:
    """One colour (3,): a set by weight, a base colour of it, then jitter in brightness and hue."""
    weights = np.cumsum([weight for _, weight in sets])
    choice = sets[int(np.searchsorted(weights, rng.uniform(0, weights[-1]), side="right"))][0]
    base = np.array(choice[rng.integers(len(choice))])
    return np.clip(base * rng.uniform(0.82, 1.16) + rng.normal(0, 0.025, 3), 0.03, 0.97)


def sample_albedo(
    materials: tuple[Material, ...], part: np.ndarray, local: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Colour of each point before light, (N, 3) in [0, 1]; `part` (N,) indexes materials, `local` (N, 3): metres."""
    first = np.array([m.color for m in materials])[part]
    second = np.array([m.color2 for m in materials])[part]
    texture = np.array([m.texture for m in materials])[part]
    scale = np.array([m.scale for m in materials])[part]
    phase = np.array([m.phase for m in materials])[part]
    weight = rng.uniform(0, 0.25, len(part))
    for kind, blend in ((GRAIN, _blend_grain), (TILES, _blend_tiles), (PATCHES, _blend_patches)):
        rows = np.flatnonzero(texture == kind)
        weight[rows] += 0.75 * blend(local[rows], scale[rows], phase[rows])
    rows = np.flatnonzero(texture == SPECKLE)
    weight[rows] = rng.uniform(0, 1, len(rows))
    return first + weight[:, None] * (second - first)


def _blend_grain(local, scale, phase):
    """Wavy stripes along x, as in wood."""
    across = (local[:, 1] + 0.7 * local[:, 2]) / scale
    return 0.5 + 0.5 * np.sin(6.283 * across + 1.5 * np.sin(3.0 * local[:, 0] + phase))


def _blend_tiles(local, scale, phase):
    """Planks three times as long as wide, each with its own shade, dark joints."""
    row = np.floor(local[:, 1] / scale)
    along = local[:, 0] / (3 * scale) + 0.37 * row
    shade = np.modf(np.abs(np.sin(12.9898 * np.floor(along) + 78.233 * row + phase)) * 91.7)[0]
    joint = (local[:, 1] / scale - row < 0.06) | (along - np.floor(along) < 0.02)
    return np.where(joint, 1.3, 0.8 * shade)


def _blend_patches(local, scale, phase):
    """Blocks of the two colours (pictures, printed covers, patterned cloth)."""
    u = np.sin(local[:, 0] / scale * 3.1 + phase) + 0.6 * np.sin(local[:, 0] / scale * 7.3 + 2 * phase)
    v = np.sin(local[:, 1] / scale * 2.7 + 3 * phase) + np.sin(local[:, 2] / scale * 3.7 + phase)
    return np.where(u + v > 0, 1.0, 0.1)
