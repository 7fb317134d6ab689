"""Columns in units of their standard deviation in each run."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from .._solvers.banded.bands import column_statistics


def scaled_by_run(X, groups, needed=False):
    """Divide each column by its deviation over the rows of each run; a column that is constant in a run stays there.

    Of sparse rows the stored numbers are copied, where they stand is not. Nothing is centred.
    """
    if groups is None:
        if needed:
            raise ValueError(
                "scale='runs' needs the run of each row: fit(X, y, groups=runs). For lists of runs put it into "
                "RunwiseRegressor(..., scale='runs')."
            )
        groups = np.zeros(X.shape[0], dtype=np.intp)
    groups = np.asarray(groups)
    if groups.shape != (X.shape[0],):
        raise ValueError(f"groups must hold the run of each of the {X.shape[0]} rows, got shape {groups.shape}.")
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
