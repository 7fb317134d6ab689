"""Which columns a band has, and how they are centred and scaled."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import sparse

# Dense columns that are copied, centred and scaled at a time.
CHUNK = 4096
# Stored numbers of sparse columns that are described at a time.
STORED = 2**16


class Band(NamedTuple):
    columns: np.ndarray  # (n_kept,) int64, columns of X
    means: np.ndarray  # (n_kept,) float64, subtracted
    scales: np.ndarray  # (n_kept,) float64, divided by


class ColumnStatistics(NamedTuple):
    means: np.ndarray  # (n_features,) float64
    deviations: np.ndarray  # (n_features,) float64, population standard deviations, 0 for constant columns
    fires: np.ndarray  # (n_features,) int64, rows that are not zero


def column_statistics(X: np.ndarray | sparse.csr_array) -> ColumnStatistics:
    """Describe the columns of `X` (n_samples, n_features), in double precision."""
    n_samples, n_features = X.shape
    if sparse.issparse(X):
        means, variances, fires = _sparse_moments(X)
    else:
        means, variances, fires = np.zeros(n_features), np.zeros(n_features), np.zeros(n_features, dtype=np.int64)
        for start in range(0, n_features, CHUNK):
            part = X[:, start : start + CHUNK].astype(np.float64)
            where = slice(start, start + CHUNK)
            means[where], variances[where], fires[where] = part.mean(0), part.var(0), np.count_nonzero(part, axis=0)
    # Rounding of the mean leaves constant columns a variance of this size.
    eps = np.finfo(np.float64).eps
    constant = variances <= n_samples * eps * variances + (n_samples * means * eps) ** 2
    return ColumnStatistics(means, np.where(constant, 0.0, np.sqrt(variances)), fires)


def _sparse_moments(X):
    """Means, variances and counts of what is not zero, some stored numbers at a time."""
    n_samples, n_features = X.shape
    parts = [slice(start, start + STORED) for start in range(0, X.nnz, STORED)]
    fires, stored = np.zeros(n_features, dtype=np.int64), np.zeros(n_features, dtype=np.int64)
    means, squares = np.zeros(n_features), np.zeros(n_features)
    for part in parts:
        np.add.at(fires, X.indices[part], X.data[part] != 0)
        np.add.at(stored, X.indices[part], 1)
        np.add.at(means, X.indices[part], X.data[part])
    means /= n_samples
    # In two passes: the mean of squares less the squared mean would cancel.
    for part in parts:
        np.add.at(squares, X.indices[part], (X.data[part] - means[X.indices[part]]) ** 2)
    return means, (squares + (n_samples - stored) * means**2) / n_samples, fires


def without_duplicates(X):
    """Add up what a sparse `X` stores twice, in a copy."""
    if sparse.issparse(X) and not X.has_canonical_format:
        X = X.copy()
        X.sum_duplicates()
    return X


def make_band(columns: np.ndarray, statistics: ColumnStatistics, centre: bool, scale: bool) -> Band:
    """Say how columns enter; constant ones, which centring makes zero, leave."""
    if centre:
        columns = columns[statistics.deviations[columns] > 0]
    deviations = statistics.deviations[columns]
    ones, zeros = np.ones(len(columns)), np.zeros(len(columns))
    return Band(
        columns,
        statistics.means[columns] if centre else zeros,
        np.where(deviations > 0, deviations, 1.0) if scale else ones,
    )


def scaled_columns(X: sparse.csr_array, band: Band) -> sparse.csr_array:
    """Take the (ascending) columns of a band out of a sparse `X`, scaled but not centred, in double precision."""
    first, last = band.columns[0], band.columns[-1]
    part = X[:, first : last + 1][:, band.columns - first]
    return sparse.csr_array((part.data / band.scales[part.indices], part.indices, part.indptr), shape=part.shape)


def centred_chunks(X: np.ndarray, band: Band):
    """Yield the columns of a dense band, centred and scaled, some at a time and in the precision of `X`."""
    for start in range(0, len(band.columns), CHUNK):
        where = slice(start, start + CHUNK)
        part = (X[:, band.columns[where]] - band.means[where]) / band.scales[where]
        yield where, part.astype(X.dtype, copy=False)


def centred_rows(X: np.ndarray | sparse.csr_array, bands: tuple[Band, ...]) -> np.ndarray:
    """Copy the columns of all bands, side by side, centred and scaled, as a dense array in the precision of `X`."""
    rows = np.empty((X.shape[0], sum(len(band.columns) for band in bands)), dtype=X.dtype)
    start = 0
    for band in bands:
        end = start + len(band.columns)
        part = X[:, band.columns]
        rows[:, start:end] = ((part.toarray() if sparse.issparse(part) else part) - band.means) / band.scales
        start = end
    return rows
