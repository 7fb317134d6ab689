"""Linear kernels of bands, centred without centring sparse columns."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import sparse

from .bands import Band, centred_chunks, scaled

# Numbers of a block of rows of a kernel while it is made.
BLOCK = 2**21


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
    centred; in double precision, since the last three terms may be larger than what is left.
    """
    rows_of_new, rows_of_x = scaled(new, band), scaled(X, band)
    transposed = rows_of_x.T.tocsr()
    means = band.means / band.scales
    new_means, x_means, square = rows_of_new @ means, rows_of_x @ means, means @ means
    for rows in _row_blocks(new.shape[0], X.shape[0]):
        block = (rows_of_new[rows] @ transposed).toarray()
        block -= new_means[rows, None] - square
        block -= x_means
        yield rows, block


def weighted_sum(kernels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Add up kernels (n_bands, n, n) by their weights (n_bands,), without a copy of each."""
    total = np.zeros(kernels.shape[1:], dtype=kernels.dtype)
    for rows in _row_blocks(*total.shape):
        for kernel, weight in zip(kernels, weights, strict=True):
            if weight != 0:
                total[rows] += kernel.dtype.type(weight) * kernel[rows]
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
    step = max(1, BLOCK // max(1, n_columns))
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))
