"""Linear kernels of bands, centred without centring sparse columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy import sparse

from .bands import Band, centred_chunks, centred_rows, scaled_columns

# Numbers of a block of rows of a kernel while it is made, and the fewest rows of one.
BLOCK, ROWS = 2**17, 128
# Numbers of sparse columns that are scaled at a time, and the fewest for each row: each time all products are added up.
STORED, STORED_A_ROW = 2**16, 96
# A band of so many times fewer columns than rows is kept as its rows: its kernel is cheap to make, and large to keep.
NARROW = 16
# Sparse columns are taken out first where they are so many times fewer than all: each part of them passes over all.
FEW = 4


class BandKernel(NamedTuple):
    """The kernel of a band, or the rows that it is the product of; the other is empty."""

    kernel: np.ndarray  # (n_samples, n_samples) or (0, 0)
    rows: np.ndarray  # (n_samples, n_kept), centred and scaled, or (0, 0)

    @property
    def is_kept_as_rows(self) -> bool:
        return not self.kernel.size


def is_narrow(band: Band, n_samples: int) -> bool:
    return NARROW * len(band.columns) <= n_samples


def band_products(X: np.ndarray | sparse.csr_array, band: Band, dtype) -> BandKernel:
    """Make the kernel of a wide band, and the rows of a narrow one."""
    nothing = np.zeros((0, 0), dtype=dtype)
    if is_narrow(band, X.shape[0]):
        return BandKernel(nothing, centred_rows(X, (band,)).astype(dtype, copy=False))
    return BandKernel(band_kernel(X, band, dtype), nothing)


def band_kernel(X: np.ndarray | sparse.csr_array, band: Band, dtype) -> np.ndarray:
    """Products of all pairs of centred and scaled rows, (n_samples, n_samples)."""
    n_samples = X.shape[0]
    kernel = np.zeros((n_samples, n_samples), dtype=dtype)
    if len(band.columns) == 0:
        return kernel
    if sparse.issparse(X):
        for rows, block in sparse_cross_blocks(X, X, band):
            kernel[rows] = block
    else:
        for _, part in centred_chunks(X, band):
            for rows in _row_blocks(n_samples, n_samples):
                kernel[rows] += part[rows] @ part.T
    for rows in _row_blocks(n_samples, n_samples):  # the same number on both sides, whatever the order of sums
        kernel[rows, rows.start :] += kernel[rows.start :, rows].T
        kernel[rows, rows.start :] /= 2
        kernel[rows.start :, rows] = kernel[rows, rows.start :].T
    return kernel


def cross_blocks(new, X, band: Band) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield products of centred rows of `new` with those of `X`, some rows of `new` at a time."""
    if sparse.issparse(X) or sparse.issparse(new):
        yield from sparse_cross_blocks(sparse.csr_array(new), sparse.csr_array(X), band)
        return
    for rows in _row_blocks(new.shape[0], X.shape[0]):
        block = np.zeros((rows.stop - rows.start, X.shape[0]), dtype=X.dtype)
        for (_, part), (_, fitted) in zip(centred_chunks(new[rows], band), centred_chunks(X, band), strict=True):
            block += part @ fitted.T
        yield rows, block


def sparse_cross_blocks(new: sparse.csr_array, X: sparse.csr_array, band: Band) -> Iterator[tuple[slice, np.ndarray]]:
    """Do the same for sparse rows.

    With means m of the scaled columns, ``(x - m) @ (z - m) == x @ z - x @ m - z @ m + m @ m``, so that no column is
    centred; in double precision, since the last three terms may be larger than what is left. Some columns at a time
    are taken and scaled, so that no copy of X is made, neither by column nor in double precision.
    """
    if FEW * len(band.columns) < X.shape[1]:
        same, own = new is X, Band(np.arange(len(band.columns)), band.means, band.scales)
        X = X[:, band.columns]
        new, band = X if same else new[:, band.columns], own
    chunks = _column_chunks(X, band)
    new_means, x_means, square = np.zeros(new.shape[0]), np.zeros(X.shape[0]), 0.0
    for some in chunks:
        means = some.means / some.scales
        new_means += scaled_columns(new, some) @ means
        if new is not X:
            x_means += scaled_columns(X, some) @ means
        square += means @ means
    x_means = new_means if new is X else x_means
    for rows in _row_blocks(new.shape[0], X.shape[0]):
        block = np.zeros((rows.stop - rows.start, X.shape[0]))
        for some in chunks:
            part = scaled_columns(X, some)
            block += ((part if new is X else scaled_columns(new, some))[rows] @ part.T).toarray()
        block -= new_means[rows, None] - square
        block -= x_means
        yield rows, block


def _column_chunks(X: sparse.csr_array, band: Band) -> list[Band]:
    """Cut the columns of a band, in ascending order, into parts of at most some stored numbers, or of one column."""
    if np.any(np.diff(band.columns) < 0):
        band = Band(*(part[np.argsort(band.columns)] for part in band))
    limit = max(STORED, STORED_A_ROW * X.shape[0])
    stored = np.cumsum(np.bincount(X.indices, minlength=X.shape[1])[band.columns])
    start, chunks = 0, []
    while start < len(band.columns):
        before = stored[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(stored, before + limit, side="right")))
        chunks.append(Band(*(part[start:stop] for part in band)))
        start = stop
    return chunks


def all_kernels(kernels: tuple[BandKernel, ...]) -> np.ndarray:
    """Make the kernels of all bands, (n_bands, n_samples, n_samples)."""
    return np.array([one.rows @ one.rows.T if one.is_kept_as_rows else one.kernel for one in kernels])


def is_finite(products: BandKernel) -> bool:
    """Tell whether a kernel is finite: of rows no product is larger than the squares."""
    if products.is_kept_as_rows:
        return bool(np.isfinite(np.einsum("ij,ij->i", products.rows, products.rows)).all())
    return all(np.isfinite(row).all() for row in products.kernel)


def weighted_sum(kernels: tuple[BandKernel, ...], weights: np.ndarray) -> np.ndarray:
    """Add up the kernels of bands by their weights (n_bands,), without a copy of each."""
    first = kernels[0]
    n_samples, dtype = max(len(first.kernel), len(first.rows)), first.rows.dtype
    total = np.zeros((n_samples, n_samples), dtype=dtype)
    used = [(kernel, dtype.type(weight)) for kernel, weight in zip(kernels, weights, strict=True) if weight != 0]
    for rows in _row_blocks(n_samples, n_samples):
        for kernel, weight in used:
            if kernel.is_kept_as_rows:
                total[rows] += (weight * kernel.rows[rows]) @ kernel.rows.T
            else:
                total[rows] += weight * kernel.kernel[rows]
    return total


def centre_by(kernel: np.ndarray, rows: np.ndarray) -> None:
    """Centre a kernel in place by the mean of some of its rows, in the space of its features."""
    means = kernel[:, rows].mean(axis=1, dtype=np.float64)
    middle = means[rows].mean()
    kernel -= (means - middle).astype(kernel.dtype)[:, None]
    kernel -= means.astype(kernel.dtype)


def mean_diagonal(kernel: np.ndarray) -> float:
    return float(np.mean(np.diagonal(kernel), dtype=np.float64))


def _row_blocks(n_rows, n_columns) -> Iterator[slice]:
    step = max(ROWS, BLOCK // max(1, n_columns))
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))
