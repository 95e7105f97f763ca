"""Features as colours: one principal-component basis over all scenes, so that equal colours mean equal features.

Levels are first scaled so that each counts the same (`normalise_levels`), which also bounds outliers. Centre and colour
range are medians and median absolute deviations (MAD), as the authors' picture script does for its range. Legend: N
points, C channels, K components.
"""

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from zipfile import BadZipFile

import numpy as np
import torch

from pointcept_msm.files.atomic import replace_file
from pointcept_msm.probing.knn import LevelSlice, normalise_levels
from pointcept_msm.runtime.errors import UserError

COMPONENTS = 16  # the first three are colours, all together stand for the features in the viewer
SAMPLE = 60_000  # rows a basis is fitted to
SPREAD = 2.5  # MADs from the median to either end of a colour channel
BLOCK = 1 << 15


class PcaBasis(NamedTuple):
    """blocks: column ranges, each scaled to count the same; centre (C,); components (K, C), orthonormal rows, strongest
    first; low and high (K,): values shown as 0 and 1.
    """

    blocks: list[tuple[int, int]]
    centre: np.ndarray
    components: np.ndarray
    low: np.ndarray
    high: np.ndarray


def fit_basis(
    features: Sequence[np.ndarray], levels: Sequence[LevelSlice] | None = None, components: int = COMPONENTS
) -> PcaBasis:
    """One basis for arrays (N_i, C) of several scenes; deterministic, signs included.

    Every scene has the same weight. components is cut to C. UserError: no rows, or rows that are not finite.
    """
    sample = sample_rows(features)
    if not len(sample) or not np.isfinite(sample).all():
        raise UserError(f"{len(sample)} rows of features, not all finite: give at least one row, and check the weights")
    blocks = [(s.start, s.stop) for _, _, s in levels] if levels else [(0, sample.shape[1])]
    rows = _normalise(sample, blocks).astype(np.float64)
    centre = np.median(rows, axis=0)
    rows -= centre
    _, vector = np.linalg.eigh(rows.T @ rows)
    axes = vector[:, ::-1][:, : min(components, rows.shape[1])].T  # strongest first
    axes = axes * np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(1)])[:, None]
    low, high = find_range(rows @ axes.T)
    return PcaBasis(blocks, *(x.astype(np.float32) for x in (centre, axes, low, high)))


def sample_rows(features: Sequence[np.ndarray], total: int = SAMPLE) -> np.ndarray:
    """Evenly spaced rows of every array, an equal number of each where it has that many."""
    share = max(total // max(len(features), 1), 1)
    picks = [f[np.linspace(0, len(f) - 1, min(share, len(f))).astype(np.int64)] for f in features if len(f)]
    return np.concatenate(picks).astype(np.float32) if picks else np.empty((0, 0), dtype=np.float32)


def find_range(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Median -+ SPREAD MADs of every column of (N, K); a column without spread gets a range of its own size."""
    middle = np.median(values, axis=0)
    mad = np.median(np.abs(values - middle), axis=0)
    reach = SPREAD * np.where(mad > 0, mad, np.maximum(np.abs(values - middle).max(0), 1e-6) / SPREAD)
    return middle - reach, middle + reach


def project(basis: PcaBasis, feat: np.ndarray) -> np.ndarray:
    """Coordinates (N, K) float32 of features (N, C) in the basis. UserError: another width."""
    if feat.shape[1] != len(basis.centre):
        raise UserError(
            f"features are {feat.shape[1]} wide, the basis {len(basis.centre)}: use one fitted with the same weights"
        )
    out = np.empty((len(feat), len(basis.components)), dtype=np.float32)
    for start in range(0, len(feat), BLOCK):
        rows = _normalise(feat[start : start + BLOCK], basis.blocks)
        out[start : start + BLOCK] = (rows - basis.centre) @ basis.components.T
    return out


def explained_share(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """How much of the variance of each column of values (N, K) a linear map from known (N, D) explains, (K,) from 0 to
    1: with coordinates, how far colours show where a point lies and not what it belongs to. A constant column has 0."""
    values, known = (x - x.mean(0) for x in (values.astype(np.float64), known.astype(np.float64)))
    rest = values - known @ np.linalg.lstsq(known, values, rcond=None)[0]
    total = (values**2).sum(0)
    return 1 - np.divide((rest**2).sum(0), total, out=np.ones_like(total), where=total > 0)


def color_features(basis: PcaBasis, feat: np.ndarray) -> np.ndarray:
    """RGB (N, 3) float32 in [0, 1]: the first three components within the basis' range."""
    return color_values(basis, project(basis, feat))


def color_values(basis: PcaBasis, values: np.ndarray) -> np.ndarray:
    """RGB (N, 3) in [0, 1] of projected features (N, K); channels that a basis of K < 3 lacks are 0.5."""
    rgb = np.full((len(values), 3), 0.5, dtype=np.float32)
    shown = min(3, values.shape[1])
    span = (values[:, :shown] - basis.low[:shown]) / (basis.high - basis.low)[:shown]
    rgb[:, :shown] = np.clip(span, 0, 1)
    return rgb


def fit_bases(features: Sequence[np.ndarray], levels: Sequence[LevelSlice]) -> dict[str, PcaBasis]:
    """A basis of all levels together ("all") and one of each level by its name."""
    bases = {"all": fit_basis(features, levels)}
    for name, _, columns in levels:
        bases[name] = fit_basis([f[:, columns] for f in features], components=3)
    return bases


def save_bases(path, bases: Mapping[str, PcaBasis], meta: Mapping) -> None:
    """Write bases and what they belong to (plain JSON values) as one `.npz`, atomically."""
    arrays = {f"{n}.{k}": np.asarray(v) for n, basis in bases.items() for k, v in basis._asdict().items()}
    with replace_file(path) as file:
        np.savez(file, meta=np.array(json.dumps(dict(meta))), **arrays)


def load_bases(path) -> tuple[dict[str, PcaBasis], dict]:
    """(bases, meta) as `save_bases` wrote them. UserError: another file."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
        meta = json.loads(str(arrays.pop("meta")))
        names = dict.fromkeys(key.rpartition(".")[0] for key in arrays)
        bases = {n: PcaBasis(*(arrays[f"{n}.{field}"] for field in PcaBasis._fields)) for n in names}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, BadZipFile) as error:
        raise UserError(
            f"{path} is no basis of visualize_pca.py ({str(error).splitlines()[0]}): give a basis.npz that it wrote, "
            "or leave out --basis to fit one"
        ) from error
    return {n: b._replace(blocks=[tuple(map(int, block)) for block in b.blocks]) for n, b in bases.items()}, meta


def _normalise(rows, blocks):
    """Rows (N, C) with every block at the same length, as the nearest-neighbour probe compares them."""
    levels = [("", 0.0, slice(start, stop)) for start, stop in blocks]
    return normalise_levels(torch.from_numpy(np.array(rows, dtype=np.float32)), levels).numpy()
