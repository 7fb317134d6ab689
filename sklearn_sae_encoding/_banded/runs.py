"""Columns in units of their standard deviation in each run."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from .._solvers.banded.bands import column_statistics


def runs_to_fit(groups, n_rows):
    """Give the run of each row of ``fit``."""
    if groups is None:
        raise ValueError(
            "scale='runs' needs the run of each row: fit(X, y, groups=runs), in cross_val_voxel_scores "
            "params={'groups': runs}. For lists of runs put it into RunwiseRegressor(..., scale='runs')."
        )
    return _checked(groups, n_rows)


def runs_to_predict(groups, n_rows, n_fitted):
    """Give the run of each new row; rows without one are one run only where ``fit`` knew one run alone."""
    if groups is None and n_fitted > 1:
        raise ValueError(
            f"scale='runs' was fitted to {n_fitted} runs: say the run of each of these {n_rows} rows, too, by groups=, "
            f"such as predict(X, groups=runs). If they are one run: groups=np.zeros({n_rows})."
        )
    return np.zeros(n_rows, dtype=np.intp) if groups is None else _checked(groups, n_rows)


def _checked(groups, n_rows):
    groups = np.asarray(groups)
    if groups.shape != (n_rows,):
        raise ValueError(f"groups must hold the run of each of the {n_rows} rows, got shape {groups.shape}.")
    return groups


def scaled_by_run(X, groups):
    """Divide each column by its deviation over the rows of each run; a column that is constant in a run stays there.

    Of sparse rows the stored numbers are copied, where they stand is not. Nothing is centred.
    """
    scaled = X.copy() if not sparse.issparse(X) else sparse.csr_array((X.data.copy(), X.indices, X.indptr), X.shape)
    for run in np.unique(groups):
        rows = np.flatnonzero(groups == run)
        deviations = column_statistics(X[rows]).deviations
        deviations = np.where(deviations > 0, deviations, 1.0)
        if not sparse.issparse(X):
            scaled[rows] = X[rows] / deviations
            continue
        for row in rows:
            stored = slice(X.indptr[row], X.indptr[row + 1])
            scaled.data[stored] = X.data[stored] / deviations[X.indices[stored]]
    return scaled
