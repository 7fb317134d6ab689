"""Parameters and features to bands, candidates and the form of a fit."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from numbers import Integral
from typing import NamedTuple

import numpy as np
from sklearn.utils import check_array

from .._solvers.banded import planning
from .._solvers.banded.backend import himalaya_backend
from .._solvers.banded.bands import Band, ColumnStatistics, column_statistics, make_band
from .._validation import check_penalties

# Ends of the grid of penalties, as multiples of the number of rows, for kernels whose mean diagonal is one.
GRID = (1e-4, 1e3)


class Prepared(NamedTuple):
    names: tuple  # of the bands that are used
    used: np.ndarray  # (n_used,), their places among all bands
    n_bands: int  # of all bands
    bands: tuple[Band, ...]  # columns that are kept
    left_out: dict  # how many columns of each band left, and why
    deviations: np.ndarray  # (n_features,), standard deviations
    diagonals: np.ndarray  # (n_used,), mean diagonals of the kernels

    @property
    def n_kept(self) -> int:
        return sum(len(band.columns) for band in self.bands)

    def by_column(self):
        """Say of all columns what is subtracted from them, by what they are divided, and which are kept."""
        n_features = len(self.deviations)
        means, scales, kept = np.zeros(n_features), np.ones(n_features), np.zeros(n_features, dtype=bool)
        for band in self.bands:
            means[band.columns], scales[band.columns], kept[band.columns] = band.means, band.scales, True
        return means, scales, kept


class Candidates(NamedTuple):
    weights: np.ndarray  # (n_candidates, n_used), of the kernels
    alphas: np.ndarray  # (n_alphas,), ascending


def prepare_bands(X, columns: Mapping, given) -> Prepared:
    """Say which columns of each band are used, and how they enter."""
    statistics = column_statistics(X)
    used = _used(given.only, columns)
    n_samples = X.shape[0]
    centre, scale = given.fit_intercept, given.scale == "columns"
    bands, left_out = [], {}
    for name in used:
        own = columns[name]
        low, high = _firing(given.firing, name, columns)
        fires = statistics.fires[own]
        rare, frequent = fires < low * n_samples, fires > high * n_samples
        remaining = own[~rare & ~frequent]
        bands.append(make_band(remaining, statistics, centre, scale))
        left_out[name] = {
            "rare": int(rare.sum()),
            "frequent": int(frequent.sum()),
            "constant": len(remaining) - len(bands[-1].columns),
        }
    diagonals = np.array([_diagonal(band, statistics, centre) for band in bands])
    places = np.array([list(columns).index(name) for name in used])
    return Prepared(
        names=tuple(used),
        used=places,
        n_bands=len(columns),
        bands=tuple(bands),
        left_out=left_out,
        deviations=statistics.deviations,
        diagonals=diagonals,
    )


def _used(only, columns):
    if only is None:
        return list(columns)
    only = [only] if isinstance(only, str) else list(only)
    unknown = [band for band in only if band not in columns]
    if unknown or not only:
        raise ValueError(f"only={only} must name at least one of the bands, which are {list(columns)}.")
    return [band for band in columns if band in only]


def _diagonal(band: Band, statistics: ColumnStatistics, centre: bool) -> float:
    squares = statistics.deviations[band.columns] ** 2
    if not centre:
        squares = squares + statistics.means[band.columns] ** 2
    return float(np.sum(squares / band.scales**2))


def _firing(firing, name, columns):
    if firing is None:
        return 0.0, 1.0
    if isinstance(firing, Mapping):
        unknown = [band for band in firing if band not in columns]
        if unknown:
            raise ValueError(f"firing names the bands {unknown}, but there are {list(columns)}.")
        limits = firing.get(name, (0.0, 1.0))
    else:
        limits = firing
    limits = tuple(limits)
    if len(limits) != 2 or not 0 <= limits[0] <= limits[1] <= 1:
        raise ValueError(f"firing must be two shares of the rows, 0 <= lowest <= highest <= 1, got {limits!r}.")
    return limits


def is_primal(given, prepared: Prepared, n_samples: int) -> bool:
    """Take the form with the smaller decompositions."""
    if given.search == "gradient":
        if given.form == "primal":
            raise ValueError("search='gradient' works on kernels: set form='kernel' or 'auto', or search='random'.")
        return False
    if given.form == "auto":
        return 0 < prepared.n_kept < n_samples
    return given.form == "primal" and prepared.n_kept > 0


def make_candidates(given, prepared: Prepared, n_samples: int) -> Candidates:
    """Draw weights of the bands, or take those that were given, and make the grid of penalties.

    A number of penalties makes everything relative: weights are those of kernels of unit mean diagonal.
    """
    weights = _restricted(_weights(given, prepared.n_bands), prepared)
    if isinstance(given.alphas, Integral):
        diagonals = prepared.diagonals
        weights = np.where(diagonals > 0, weights / np.where(diagonals > 0, diagonals, 1.0), 0.0)
        return Candidates(weights, n_samples * np.geomspace(*GRID, given.alphas))
    return Candidates(weights, np.unique(check_penalties(np.atleast_1d(given.alphas), "alphas")))


def _weights(given, n_bands):
    if n_bands == 1:
        return np.ones((1, 1))
    if isinstance(given.candidates, Integral):
        from himalaya.kernel_ridge import generate_dirichlet_samples

        with himalaya_backend("numpy"):
            drawn = generate_dirichlet_samples(
                given.candidates, n_bands, list(np.atleast_1d(given.concentration)), given.random_state
            )
        drawn[0] = 1 / n_bands
        return np.asarray(drawn, dtype=np.float64)
    weights = check_array(given.candidates, dtype=np.float64, input_name="candidates")
    if weights.shape[1] != n_bands or weights.min() < 0 or not (weights.sum(axis=1) > 0).all():
        raise ValueError(
            f"candidates must hold a weight of at least 0 for each of the {n_bands} bands in each row, not all of them "
            f"0, got shape {weights.shape} with minimum {weights.min()}."
        )
    return weights


def _restricted(weights, prepared):
    """Candidates of some bands: those of all bands with the other weights left out, the rest of the same sum, once."""
    if len(prepared.used) == prepared.n_bands:
        return weights
    sums, weights = weights.sum(axis=1), weights[:, prepared.used]
    some = weights.sum(axis=1) > 0
    if not some.any():
        return np.ones((1, len(prepared.used)))
    weights, sums = weights[some], sums[some]
    weights = weights * (sums / weights.sum(axis=1))[:, None]
    _, first = np.unique(weights.round(12), axis=0, return_index=True)
    return weights[np.sort(first)]


def check_folds(folds, n_samples: int) -> tuple:
    """Return pairs of row indices; raise if a fold trains on one row or holds none out."""
    checked = []
    for fold, (train, test) in enumerate(folds):
        train, test = _rows(train, fold, n_samples), _rows(test, fold, n_samples)
        if len(train) < 2 or len(test) < 1:
            raise ValueError(
                f"Fold {fold} of cv trains on {len(train)} rows and holds {len(test)} out; expected at least 2 and 1."
            )
        checked.append((train, test))
    if not checked:
        raise ValueError("cv gives no folds. An iterator of folds is used up after one fit: give a list of them.")
    return tuple(checked)


def _rows(rows, fold, n_samples):
    try:
        return np.arange(n_samples)[rows]
    except IndexError as error:
        raise ValueError(f"Fold {fold} of cv does not fit {n_samples} samples: {error}.") from error


def plan(size: planning.Size, n_bands: int, given, dtype) -> int:
    """Say how long a fit takes and how much memory; return the voxels of a block."""
    limit = None if given.max_memory is None else given.max_memory * planning.GB
    block = given.block_size
    if block == "auto":
        block = planning.voxels_of_a_block(size, limit)
    planning.check_memory(size, block, limit)
    if given.verbose:
        form = "primal" if size.primal else "kernel"
        print(
            f"{form} form: {size.n_samples} rows, {size.n_columns} columns in {n_bands} bands, {size.n_voxels} "
            f"voxels, {size.n_candidates} candidates of {size.n_alphas} penalties, {size.n_folds} folds: about "
            f"{planning.seconds(size, block, dtype):.2g} s and {planning.peak_bytes(size, block) / planning.GB:.2g} GB",
            file=sys.stderr,
        )
    return block
