"""Planted weights and found weights to a score of recovery."""

from typing import NamedTuple

import numpy as np
from scipy import sparse


class SupportRecovery(NamedTuple):
    """How well each voxel's features were found."""

    precision: np.ndarray  # (n_voxels,), share of the found features that were planted
    recall: np.ndarray  # (n_voxels,), share of the planted features that were found
    f1: np.ndarray  # (n_voxels,), harmonic mean of the two


def support_recovery(weights_true, weights, *, tol=0.0, exclude=None):
    """Compare the features a fit gives weight to with those that truly drive each voxel.

    Parameters
    ----------
    weights_true : array-like or sparse of shape (n_voxels, n_features)
        Planted weights, such as ``make_voxel_responses(...).weights``.

    weights : array-like or sparse of the same shape
        Found weights, such as ``SparseVoxelEncoder.coef_``.

    tol : float, default=0.0
        A weight counts where its magnitude is larger than this.

    exclude : array-like of int, default=None
        Columns left out on both sides, such as surprisal where it was forced into every support. Negative ones
        count from the end.

    Returns
    -------
    recovery : SupportRecovery
        ``precision``, ``recall`` and ``f1``, each of shape `(n_voxels,)`. A voxel where nothing was planted and
        nothing found scores 1 in all three. Otherwise precision is 0 where nothing was found, and recall 0 where
        nothing was planted.

    Examples
    --------
    >>> from sklearn_sae_encoding.metrics import support_recovery
    >>> recovery = support_recovery([[1.0, -2.0, 0.0, 0.0]], [[0.5, 0.0, 0.1, 0.0]])
    >>> recovery.precision, recovery.recall, recovery.f1
    (array([0.5]), array([0.5]), array([0.5]))
    """
    true, found = support_of(weights_true, 0.0, exclude), support_of(weights, tol, exclude)
    if true.shape != found.shape:
        raise ValueError(f"Planted and found weights must have the same shape, got {true.shape} and {found.shape}.")
    n_true, n_found, n_both = row_sums(true), row_sums(found), row_sums(true.multiply(found))
    nothing = (n_true == 0) & (n_found == 0)
    return SupportRecovery(
        precision=np.where(nothing, 1.0, n_both / np.maximum(n_found, 1)),
        recall=np.where(nothing, 1.0, n_both / np.maximum(n_true, 1)),
        f1=np.where(nothing, 1.0, 2 * n_both / np.maximum(n_true + n_found, 1)),
    )


def support_of(weights, tol=0.0, exclude=None):
    """Mark the weights that are larger than `tol`, in all but the excluded columns: a CSR array of 1 and nothing."""
    support = sparse.csr_array(abs(sparse.csr_array(weights)) > tol).astype(np.int64)
    if exclude is None:
        return support
    keep = np.ones(support.shape[1], dtype=np.int64)
    keep[np.asarray(exclude, dtype=np.intp)] = 0
    support = sparse.csr_array(support.multiply(keep[None, :]))
    support.eliminate_zeros()
    return support


def row_sums(support):
    """Sum each row of a sparse array."""
    return np.asarray(support.sum(axis=1)).ravel()
