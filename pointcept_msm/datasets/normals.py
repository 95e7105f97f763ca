"""Normals of a scene that came without: the flattest direction of each point's neighbourhood, turned towards the room.

Legend: N points, K neighbours.
"""

import numpy as np
from scipy.spatial import cKDTree

NEIGHBOURS = 24
EYE_HEIGHT = 0.6  # share of the scene's height above its floor at which somebody would have stood and scanned
BLOCK = 1 << 15  # points at a time


def estimate_normals(coord: np.ndarray, viewpoint=None) -> np.ndarray:
    """Unit normals (N, 3) float32 of coord (N, 3) in metres, z up.

    Each is the direction of least variance among the K nearest points, with the sign that faces `viewpoint` (3,)
    (default: the scene's middle above its floor; right for walls, floor and ceiling of a room, a guess for objects).
    Fewer than three points in one place get (0, 0, 1).
    """
    coord = np.asarray(coord, dtype=np.float64)
    tree, ranks = cKDTree(coord), np.arange(1, min(NEIGHBOURS, len(coord)) + 1)  # a list keeps the axis for K = 1
    normal = np.empty((len(coord), 3), dtype=np.float32)
    for start in range(0, len(coord), BLOCK):
        _, near = tree.query(coord[start : start + BLOCK], k=ranks)  # (n, K)
        normal[start : start + BLOCK] = fit_planes(coord[near])
    eye = find_viewpoint(coord) if viewpoint is None else np.asarray(viewpoint, dtype=np.float64)
    normal[((eye - coord) * normal).sum(1) < 0] *= -1
    return normal


def fit_planes(groups: np.ndarray) -> np.ndarray:
    """Unit normals (n, 3) of the least-squares planes through groups of points (n, K, 3); (0, 0, 1) where undefined."""
    centred = groups - groups.mean(1, keepdims=True)
    value, vector = np.linalg.eigh(np.einsum("nki,nkj->nij", centred, centred))  # rising
    normal = vector[:, :, 0]
    normal[value[:, 1] <= 1e-12 * np.maximum(value[:, 2], 1e-12)] = (0, 0, 1)  # a line or a single place has no plane
    return normal


def find_viewpoint(coord: np.ndarray) -> np.ndarray:
    """The middle of the scene in x and y, at `EYE_HEIGHT` of its height; far outliers do not move it."""
    low, high = np.quantile(coord, 0.01, axis=0), np.quantile(coord, 0.99, axis=0)
    return low + (high - low) * np.array([0.5, 0.5, EYE_HEIGHT])
