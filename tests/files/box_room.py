"""A furnished box of a room, as a scan of it: floor, three walls, a table and a chair."""

import numpy as np

RECTANGLES = [  # corner, two edges, normal, colour, class, share of the points
    ((0, 0, 0), (4, 0, 0), (0, 3, 0), (0, 0, 1), (140, 100, 70), 0, 0.27),
    ((0, 0, 0), (4, 0, 0), (0, 0, 2.5), (0, 1, 0), (220, 215, 200), 1, 0.15),
    ((0, 3, 0), (4, 0, 0), (0, 0, 2.5), (0, -1, 0), (210, 220, 205), 1, 0.15),
    ((0, 0, 0), (0, 3, 0), (0, 0, 2.5), (1, 0, 0), (220, 205, 215), 1, 0.12),
    ((1.5, 1, 0.75), (1.2, 0, 0), (0, 0.8, 0), (0, 0, 1), (170, 60, 40), 2, 0.15),
    ((1.5, 1, 0), (1.2, 0, 0), (0, 0, 0.75), (0, -1, 0), (60, 60, 160), 2, 0.08),
    ((3, 2, 0), (0.6, 0, 0), (0, 0, 1), (0, -1, 0), (40, 130, 60), 3, 0.08),
]


def make_room(points=9000, seed=0):
    """coord float64 metres, color uint8, normal float32, segment int32."""
    rng = np.random.default_rng(seed)
    parts = []
    for corner, u, v, normal, color, label, share in RECTANGLES:
        count = int(points * share)
        a, b = rng.random((2, count, 1))
        shade = np.clip(np.array(color) + rng.normal(0, 8, (count, 3)), 0, 255)
        place = np.array(corner) + a * np.array(u) + b * np.array(v)
        parts.append((place, shade, np.tile(normal, (count, 1)), np.full(count, label)))
    coord, color, normal, segment = (np.concatenate(part) for part in zip(*parts))
    order = rng.permutation(len(coord))
    color = np.rint(color).astype(np.uint8)
    arrays = dict(coord=coord, color=color, normal=normal.astype(np.float32), segment=segment.astype(np.int32))
    return {key: values[order] for key, values in arrays.items()}
