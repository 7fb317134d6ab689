"""Memory and time of a fit, said before it starts."""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np

from .search import PREDICTIONS, RESOLUTION

GB = 1e9
# Copies of a kernel that are alive at once besides those of the bands: of a candidate, himalaya's product and sum,
# its training part, eigenvectors and their workspace.
COPIES = 6
# An eigendecomposition of n rows takes about 9 n³ operations, at a fraction of the speed of products.
DECOMPOSITION, SLOWNESS = 9.0, 4.0
# Predictions of penalties are products of few columns at a time, and errors of them: slower than one large product.
PREDICTING = 1.8
# Bytes of a block of voxels, where the caller leaves it open and memory is not limited.
BLOCK = 2e9


class Size(NamedTuple):
    """What a fit is made of."""

    n_samples: int
    n_columns: int  # that are kept
    n_kernels: int  # that are kept: those of wide bands
    n_voxels: int
    n_candidates: int
    n_alphas: int
    n_folds: int
    itemsize: int  # bytes of a number
    primal: bool
    n_jobs: int


def fixed_bytes(size: Size) -> float:
    """Memory that doesn't depend on the block of voxels, besides features and responses as they came."""
    decomposed = min(size.n_samples, size.n_columns) if size.primal else size.n_samples
    working = COPIES * float(decomposed) ** 2 * size.itemsize + PREDICTIONS + RESOLUTION
    if size.primal:
        rows = float(size.n_samples) * size.n_columns * size.itemsize
        return rows + size.n_jobs * (2 * rows + working)
    return size.n_kernels * float(size.n_samples) ** 2 * size.itemsize + size.n_jobs * working


def voxel_bytes(size: Size) -> float:
    """Memory of a voxel in a block: targets, their rotated copy in the primal form, and errors."""
    errors = 8.0 * size.n_alphas * (1 + size.n_jobs) + 32.0 * size.n_candidates
    copies = 1.0 + size.n_jobs * size.primal
    return copies * size.n_samples * size.itemsize + errors


def kept_bytes(size: Size) -> float:
    """Memory of what a fit leaves: residuals or weights of all voxels."""
    return float(size.n_columns if size.primal else size.n_samples) * size.n_voxels * size.itemsize


def voxels_of_a_block(size: Size, limit: float | None) -> int:
    """As many voxels as fit: a block shares all decompositions."""
    room = BLOCK if limit is None else limit - fixed_bytes(size) - kept_bytes(size)
    return int(np.clip(room // voxel_bytes(size), 1, size.n_voxels))


def peak_bytes(size: Size, block: int) -> float:
    return fixed_bytes(size) + kept_bytes(size) + block * voxel_bytes(size)


def seconds(size: Size, block: int, dtype) -> float:
    """Estimate the time of the search and the solutions from the speed of one product, measured here."""
    return operations(size, block) / _speed(dtype)


def operations(size: Size, block: int) -> float:
    """Count the operations of the search and the solutions, in those of products."""
    n_rows = min(size.n_samples, size.n_columns) if size.primal else size.n_samples
    n_train = n_rows if size.primal else n_rows * (1 - 1 / max(size.n_folds, 2))
    n_test = size.n_samples / max(size.n_folds, 1)
    decompositions = SLOWNESS * DECOMPOSITION * n_train**3
    matrices = 2.0 * size.n_alphas * n_test * n_train**2
    products = PREDICTING * 2.0 * size.n_alphas * n_test * n_train * size.n_voxels
    blocks = -(-size.n_voxels // block)
    folds = size.n_folds * size.n_candidates * (blocks * (decompositions + matrices) + products)
    solutions = size.n_candidates * blocks * SLOWNESS * DECOMPOSITION * n_rows**3 + 4.0 * n_rows**2 * size.n_voxels
    return folds / size.n_jobs + solutions


def check_memory(size: Size, block: int, limit: float | None) -> None:
    """Raise MemoryError with what would fit, if a fit takes more than `limit` bytes."""
    if limit is None or peak_bytes(size, block) <= limit:
        return
    form = "primal" if size.primal else "kernel"
    rows = _largest(lambda n: peak_bytes(size._replace(n_samples=n), 1) <= limit, size.n_samples)
    columns = _largest(
        lambda p: peak_bytes(size._replace(primal=True, n_columns=p), 1) <= limit, min(size.n_columns, size.n_samples)
    )
    few = peak_bytes(size._replace(n_voxels=1), 1) <= limit
    voxels = _largest(lambda v: peak_bytes(size._replace(n_voxels=v), 1) <= limit, size.n_voxels) if few else 0
    fits = [
        f"{rows} rows in the {form} form" if rows else "",
        f"form='primal' with at most {columns} columns in all bands" if columns else "",
        f"{voxels} voxels at a time" if 0 < voxels < size.n_voxels else "",
    ]
    raise MemoryError(
        f"A fit in the {form} form to {size.n_samples} rows, {size.n_columns} columns and {size.n_voxels} voxels takes "
        f"about {peak_bytes(size, block) / GB:.3g} GB besides the data, more than max_memory={limit / GB:g} (GB). What "
        f"would fit: {'; or '.join(one for one in fits if one) or 'nothing of this kind; raise max_memory'}."
    )


def _largest(fits, top):
    low, high = 0, int(top)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def _speed(dtype, n=512):
    a, fastest = np.ones((n, n), dtype=dtype), np.inf
    for _ in range(4):  # the first one may start threads
        start = time.perf_counter()
        a @ a
        fastest = min(fastest, time.perf_counter() - start)
    return 2.0 * n**3 / fastest
