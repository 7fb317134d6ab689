"""Solutions to what a fit leaves, and what it warns of."""

from __future__ import annotations

import warnings

import numpy as np
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from .._solvers.lasso.cross_validation import BlockSolution, Task
from .._solvers.targets import Targets


def fitted_attributes(solution: BlockSolution, task: Task, targets: Targets, dtype) -> dict:
    """Return what a fit leaves, by name, in original units of the targets and for all voxels."""
    voxels, n_voxels = targets.voxels, len(targets.centres)
    scale, missing = targets.scales[voxels], np.full(n_voxels, np.nan)
    weights = solution.weights
    weights.data *= np.repeat(scale, np.diff(weights.indptr))
    intercepts = targets.centres[voxels] + scale * solution.intercepts
    chosen = np.take_along_axis(solution.alphas, solution.chosen[:, None], axis=1)[:, 0]
    fitted = {
        "coef_": _rows_at(weights, voxels, n_voxels).astype(dtype),
        "intercept_": _at(intercepts, voxels, targets.centres).astype(dtype),
        "alpha_": _at(chosen, voxels, missing),
        "alphas_": task.alphas,
        "dual_gap_": _at(solution.gaps * scale**2, voxels, missing),
        "n_iter_": _at(solution.knots + 1, voxels, np.ones(n_voxels, dtype=np.int64)),
    }
    if isinstance(task.alphas, int):
        fitted["alphas_"] = _at(solution.alphas, voxels, np.full((n_voxels, task.alphas), np.nan))
    if task.refit is not None:
        fitted["refit_alpha_"] = _at(solution.refit_alphas, voxels, missing)
    if len(task.folds.train):
        errors = solution.errors * scale[:, None, None] ** 2
        fitted["cv_mse_path_"] = _at(errors, voxels, np.full((n_voxels, *errors.shape[1:]), np.nan))
    return fitted


def warn_of_unfitted(targets: Targets, stacklevel: int):
    """Count the voxels that can't be fitted."""
    n_constant, n_absent = targets.constant.sum(), targets.absent.sum()
    if n_constant or n_absent:
        warnings.warn(
            f"Of {len(targets.constant)} voxels, {n_constant} are constant and {n_absent} are NaN in every sample. "
            "They get zero weights, and predictions of that constant or NaN.",
            UserWarning,
            stacklevel=stacklevel + 1,
        )


def warn_of_gaps(
    solution: BlockSolution, targets: Targets, tol: float, max_iter: int, early_stopping: bool, stacklevel: int
):
    """Count the voxels that did not converge, and say how far the worst of them is."""
    relative = solution.worst_gaps / np.mean(targets.values**2, axis=1)
    late = ~(relative <= tol)
    if not early_stopping:  # errors are missing where a path was given up, on a fold of smaller targets for less
        late |= np.isnan(solution.errors).any(axis=(1, 2))
    if late.any():
        worst = int(np.argmax(np.where(late, np.nan_to_num(relative, nan=np.inf), -np.inf)))
        warnings.warn(
            f"{late.sum()} of {len(late)} voxels did not converge: the largest duality gap is "
            f"{relative[worst]:.2g} times the mean square of the target (voxel {targets.voxels[worst]}), with "
            f"tol={tol}. Increase max_iter={max_iter}, or use larger alphas.",
            ConvergenceWarning,
            stacklevel=stacklevel + 1,
        )


def _at(values, place, default):
    out = default.astype(np.result_type(values, default))
    out[place] = values
    return out


def _rows_at(matrix, place, n_rows):
    """Put the rows of a CSR array in the given places among empty rows."""
    counts = np.zeros(n_rows, dtype=matrix.indptr.dtype)
    counts[place] = np.diff(matrix.indptr)
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(matrix.indptr.dtype)
    return sparse.csr_array((matrix.data, matrix.indices, indptr), shape=(n_rows, matrix.shape[1]))
