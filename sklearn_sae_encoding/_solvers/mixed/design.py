"""Rows to the sums that the likelihood needs, and the columns that can be told apart."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import sparse

_SPARSE_FROM = 2_000_000  # cells of the table of co-occurrences; a larger one that is mostly empty stays sparse
_SPARSE_BELOW = 0.2
_SUMMED = ("large_counts", "cross", "rest", "large_sums", "rest_sums", "gram")


class CrossedSums(NamedTuple):
    """What rows with crossed levels amount to: counts of levels, and sums of the columns over levels.

    The factor with most levels comes first; its block of the random effects' cross product is diagonal, which is
    why it can be eliminated. The levels of all others stand together, one factor after the other.
    """

    n_rows: int
    order: tuple[int, ...]  # positions of the factors as they were given, the largest first
    sizes: tuple[int, ...]  # levels by factor, in that order
    large_counts: np.ndarray  # (n_large,), rows by level of the largest factor
    cross: np.ndarray | sparse.csr_array  # (n_large, n_rest), rows by pair of levels
    rest: np.ndarray  # (n_rest, n_rest), rows by pair of levels
    large_sums: np.ndarray  # (n_large, n_columns)
    rest_sums: np.ndarray  # (n_rest, n_columns)
    gram: np.ndarray  # (n_columns, n_columns)

    def plus(self, other: CrossedSums) -> CrossedSums:
        """Sums over the rows of both, of the same levels."""
        summed = {name: getattr(self, name) + getattr(other, name) for name in ("n_rows", *_SUMMED)}
        return self._replace(**summed)


def crossed_sums(columns: np.ndarray, codes: list[np.ndarray], n_levels: list[int]) -> CrossedSums:
    """Reduce rows to sums.

    ``columns`` is (n_rows, n_columns), ``codes`` holds one integer vector (n_rows,) a factor, with levels from 0 to
    ``n_levels - 1``; levels without a row are fine.
    """
    n_rows = len(columns)
    order = tuple(sorted(range(len(codes)), key=lambda factor: -n_levels[factor]))
    indicators = [_indicator(codes[factor], n_levels[factor]) for factor in order]
    large = indicators[0] if indicators else sparse.csr_array((n_rows, 0))
    rest = sparse.hstack(indicators[1:], format="csr") if len(indicators) > 1 else sparse.csr_array((n_rows, 0))
    return CrossedSums(
        n_rows=n_rows,
        order=order,
        sizes=tuple(n_levels[factor] for factor in order),
        large_counts=np.asarray(large.sum(axis=0), dtype=float).ravel(),
        cross=_dense_where_full(sparse.csr_array(large.T @ rest)),
        rest=(rest.T @ rest).toarray(),
        large_sums=large.T @ columns,
        rest_sums=rest.T @ columns,
        gram=columns.T @ columns,
    )


def _indicator(codes: np.ndarray, n_levels: int) -> sparse.csr_array:
    n_rows = len(codes)
    return sparse.csr_array((np.ones(n_rows), (np.arange(n_rows), codes)), shape=(n_rows, n_levels))


def _dense_where_full(table: sparse.csr_array) -> np.ndarray | sparse.csr_array:
    cells = table.shape[0] * table.shape[1]
    if cells > _SPARSE_FROM and table.nnz < _SPARSE_BELOW * cells:
        return table
    return table.toarray()


class Basis(NamedTuple):
    """Orthonormal columns with the span of the predictors, and which predictors were needed for it."""

    columns: np.ndarray  # (n_rows, n_kept)
    triangle: np.ndarray  # (n_kept, n_kept), predictors[:, kept] = columns @ triangle
    kept: np.ndarray  # (n_kept,) positions of predictors that no earlier ones span


def orthonormal_basis(predictors: np.ndarray, tolerance: float = 1e-7) -> Basis:
    """QR of the predictors, without those that earlier ones span to ``tolerance`` of their own length."""
    lengths = np.linalg.norm(predictors, axis=0)
    scaled = predictors / np.where(lengths > 0, lengths, 1.0)
    triangle = np.linalg.qr(scaled, mode="r")
    kept = _leading_independent(triangle, tolerance)
    columns, triangle = np.linalg.qr(scaled[:, kept])
    return Basis(columns, triangle * lengths[kept], kept)


def _leading_independent(columns: np.ndarray, tolerance: float) -> np.ndarray:
    """Positions of the columns, each of length one or zero, that their predecessors do not span."""
    basis = np.zeros((len(columns), 0))
    kept = []
    for position, column in enumerate(columns.T):
        left = column - basis @ (basis.T @ column)
        left -= basis @ (basis.T @ left)  # twice is enough for orthogonality to rounding
        length = np.linalg.norm(left)
        if length > tolerance:
            basis = np.column_stack([basis, left / length])
            kept.append(position)
    return np.array(kept, dtype=int)
