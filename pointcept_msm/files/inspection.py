"""A look at a scene before it is used: extent, spacing, floor, and doubts about its unit and its up axis, with numbers.

What the rules know of rooms: the floor is a plane at the low end, and furniture stands on it, in the lower half; a room
is between two and five metres high and has walls where its floor ends. They decide by a wide margin or not at all.
"""

import numpy as np
from scipy.spatial import cKDTree

SAMPLE = 8_000  # points looked at
SLABS = 50  # along each axis
CELLS = 40  # along the longest side
FLOOR_SHARE = 0.05  # of the points, which a floor has in one slab
FURNISHED = 0.05  # share of what stands free in a scene, from which on it is taken for furniture
LOW_FURNITURE = 0.54  # share of it in the lower half
MARGIN = 0.03  # by which another axis must look more like up than z
ROOM_HEIGHTS = (1.8, 5.0)  # metres
LARGEST_ROOM = 15.0  # metres
UNITS = {"feet": 0.3048, "centimetres": 0.01, "millimetres": 0.001}  # metres
TOO_SPARSE = 3.0  # voxels from point to point
TOO_SMALL = 12  # voxels across
STRAY_SHARE, FEWEST = 0.0005, 500  # of the points; of scenes smaller than that nothing can be said
FLOOR_GAP, SIDE_GAP = 0.2, 1.0  # metres
AXES = ("x", "y", "z")


def inspect_scene(coord: np.ndarray, voxel_size: float | None = None) -> tuple[str, list[str]]:
    """(size, density and floor in a sentence, doubts, a sentence each) of points (N, 3), taken as metres with z up.

    The size is without the outermost 0.2 % of the points. voxel_size: of the network that is to see them, metres.
    """
    some = coord[:: max(1, len(coord) // SAMPLE)].astype(np.float64)
    low, high = np.quantile(some, [0.002, 0.998], axis=0)
    extent = np.maximum(high - low, 1e-9)
    place = np.clip((some - low) / extent, 0, 1 - 1e-9)  # (n, 3), 0 to 1 along each axis
    shares = [np.bincount((axis * SLABS).astype(int), minlength=SLABS) / len(place) for axis in place.T]
    planes = {name: (s[:4].max(), s[-4:].max()) for name, s in zip(AXES, shares)}  # fullest slab at either end
    below, inside = _find_furniture(place, extent)
    scores = {up: _floor(planes, up) + 0.5 * (below[up] - 0.5) for up in below}
    up = max(scores, key=scores.get)
    certain = scores[up] > scores["z"] + MARGIN and _floor(planes, up) >= FLOOR_SHARE
    furnished = inside >= FURNISHED and below[up] >= LOW_FURNITURE and extent.min() > 0.1 * extent.max()
    up = up if certain and furnished else "z"
    spacing = _find_spacing(some, len(coord))
    floor = low[2] + (shares[2][:4].argmax() + 0.5) / SLABS * extent[2]
    floor = f"{floor:.4g}" if planes["z"][0] >= FLOOR_SHARE else "none found"
    seen = f"{len(coord):,} points, {_show_size(extent)} m, {spacing:.3g} m apart; floor: {floor}"
    doubts = [] if len(coord) < FEWEST else _doubt(place, extent, planes, up, spacing, voxel_size, furnished)
    return seen, doubts


def find_strays(coord: np.ndarray) -> tuple[np.ndarray, str | None]:
    """(coord (N, 3) with stray points brought to the rest, a sentence or None): the same array where there are none.

    Stray are the outermost 0.05 % of the points, at least one, if a gap parts them from all others: of 0.2 m below the
    floor, of 1 m to a side. The floor and the middle of a scene, which its voxels go by, would follow them.
    """
    count, said = max(int(len(coord) * STRAY_SHARE), 1), []
    if len(coord) < FEWEST:
        return coord, None
    ends = [(2, 1, "below", FLOOR_GAP)] + [(axis, sign, "beside", SIDE_GAP) for axis in (0, 1) for sign in (1, -1)]
    for axis, sign, where, gap in ends:
        values = sign * coord[:, axis]
        if np.count_nonzero(values < values.min() + gap) <= count:
            edge = np.sort(np.partition(values, count)[: count + 1])
            wide = np.flatnonzero(np.diff(edge) > gap)
            if len(wide):
                limit = edge[wide[-1] + 1]
                said.append(f"{wide[-1] + 1} of {len(coord)} points up to {limit - edge[0]:.3g} m {where} the rest")
                coord = coord.copy()
                coord[values < limit, axis] = sign * limit
    return coord, f"{' and '.join(said)} count as stray" if said else None


def _find_furniture(place, extent):
    """What stands free in a scene, away from its six sides: its share in the lower half along x, -x, ... -z, and its
    share of all, counted in cells."""
    size = (extent / extent.max() * CELLS).clip(1)
    cell = np.floor(place * size).astype(np.int64)
    cell = np.unique((cell[:, 0] * 64 + cell[:, 1]) * 64 + cell[:, 2])
    middle = (np.stack([cell // 4096, cell // 64 % 64, cell % 64], 1) + 0.5) / size
    free = middle[((middle > 0.1) & (middle < 0.9)).all(1)]
    below = (free < 0.5).mean(0) if len(free) else np.full(3, 0.5)
    shares = {name: float(share) for name, share in zip(AXES, below)}
    return shares | {f"-{name}": 1 - share for name, share in shares.items()}, len(free) / len(cell)


def _floor(planes, up):
    return planes[up[-1]][1 if up[0] == "-" else 0]


def _find_spacing(some, count):
    """Median distance to the next point, from a sample: on surfaces it falls with the root of the number of points."""
    few = some[:: max(1, len(some) // 2048)]
    if len(few) < 2:
        return 0.0
    distance = cKDTree(few).query(few, k=2)[0][:, 1]
    return float(np.median(distance)) * min(1.0, len(few) / count) ** 0.5


def _share_walled(place, extent, up):
    """Share of the directions around the middle of the floor in which walls rise where the floor ends."""
    axis = AXES.index(up[-1])
    height = 1 - place[:, axis] if up[0] == "-" else place[:, axis]
    flat = np.delete((place - 0.5) * extent, axis, 1)
    radius, direction = np.hypot(*flat.T), ((np.arctan2(*flat.T) / np.pi + 1) * 18).astype(int) % 36
    floor, wall = (np.zeros(36) for _ in range(2))
    on_floor, raised = height < 0.1, (height > 0.4) & (height < 0.9)
    np.maximum.at(floor, direction[on_floor], radius[on_floor])
    for d in range(36):
        there = radius[raised & (direction == d)]
        wall[d] = np.median(there) if len(there) >= 5 else 0
    return float(((floor > 0) & (wall > 0.75 * floor)).mean())


def _doubt(place, extent, planes, up, spacing, voxel_size, furnished):
    size = _show_size(extent)
    doubts, height = [], extent[AXES.index(up[-1])]
    if extent.max() < 1e-6:
        return ["all its points lie in one place"]
    if up != "z":
        shown = f"{_floor(planes, up):.0%} of the points against {planes['z'][0]:.0%} at the low end of z"
        doubts.append(f"the floor seems to lie at the low end of {up} ({shown}): if so, give up={up!r}")
    units = [u for u, m in UNITS.items() if extent.max() * m <= LARGEST_ROOM]
    unit = next((u for u in units if ROOM_HEIGHTS[0] <= height * UNITS[u] <= ROOM_HEIGHTS[1]), None)
    unit = unit if furnished and height > 1.3 * ROOM_HEIGHTS[1] and _floor(planes, up) >= FLOOR_SHARE else None
    if unit and _share_walled(place, extent, up) >= 0.5:
        doubts.append(
            f"as metres it measures {size}; it looks like a room in {unit}, {height * UNITS[unit]:.2g} m high: if so, "
            f"give scale={UNITS[unit]}"
        )
    elif voxel_size and spacing > TOO_SPARSE * voxel_size:
        likely = next((u for u in units if extent.min() * UNITS[u] >= 1 and spacing * UNITS[u] <= 0.1), None)
        hint = (
            f"if its unit is {likely}, give scale={UNITS[likely]}; if not"
            if likely and spacing > 0.3
            else "to join them"
        )
        doubts.append(
            f"it measures {size} m and its points lie {spacing:.2g} m apart, {spacing / voxel_size:.0f} voxels of "
            f"{voxel_size:g} m: {hint}, give voxel_size={_round(2 * spacing)}"
        )
    elif voxel_size and extent.max() < TOO_SMALL * voxel_size:
        doubts.append(
            f"it measures {size} m, {max(extent.max() / voxel_size, 1):.0f} voxels of {voxel_size:g} m across: if its "
            f"unit is not metres, give scale; if it is, give voxel_size={_round(extent.max() / 100)}"
        )
    return doubts


def _show_size(extent):
    return " x ".join(f"{length:.4g}" for length in extent)


def _round(value):
    return float(f"{value:.1g}")
