"""Solutions to what a fit leaves, and what it warns of."""

from __future__ import annotations

import warnings

import numpy as np
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from .._notes import Note, tell
from .._solvers.lasso.cross_validation import BlockSolution, Task
from .._solvers.lasso.screening import ROUNDING
from .._solvers.targets import Targets

# A correlation below this share of the largest that there could be is rounding.
NOTHING = 1e-13


def fitted_attributes(solution: BlockSolution, task: Task, targets: Targets, dtype) -> dict:
    """Return what a fit leaves, by name, in original units of the targets and for all voxels."""
    voxels, n_voxels = targets.voxels, len(targets.centres)
    dtype = dtype if task.shifts is None else np.float64
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


def warn_of_gaps(solution: BlockSolution, targets: Targets, task: Task, max_iter: int, stacklevel: int):
    """Count the voxels that did not converge, and say how far the worst of them is."""
    relative, tol = solution.worst_gaps / np.mean(targets.values**2, axis=1), task.penalty.tol
    late = ~(relative <= tol)
    if not task.stop_early:  # errors are missing where a path was given up, on a fold of smaller targets for less
        late |= np.isnan(solution.errors).any(axis=(1, 2))
    late &= ~_unexplained(solution, targets, task)
    if late.any():
        worst = int(np.argmax(np.where(late, np.nan_to_num(relative, nan=np.inf), -np.inf)))
        warnings.warn(
            f"{late.sum()} of {len(late)} voxels did not converge: the largest duality gap is "
            f"{relative[worst]:.2g} times the mean square of the target (voxel {targets.voxels[worst]}), with "
            f"tol={tol}. Increase max_iter={max_iter}, or use larger alphas.",
            ConvergenceWarning,
            stacklevel=stacklevel + 1,
        )


def _unexplained(solution, targets, task):
    """Tell for which voxels the largest penalty of their own grid is rounding: no feature has to do with them.

    So it is for positive weights where all correlations are negative. Gaps of penalties that small are rounding, too.
    """
    if not isinstance(task.alphas, int):
        return np.zeros(len(solution.alphas), dtype=bool)
    most = task.screened.rounding.max(initial=0.0) / ROUNDING * np.linalg.norm(targets.values, axis=1)
    return solution.alphas[:, 0] * task.penalty.l1_ratio * targets.values.shape[1] <= NOTHING * most


def warn_of_edges(solution: BlockSolution, task: Task, stacklevel: int):
    """Count the voxels whose least error is at an end of the grid, if a better penalty may lie beyond it."""
    if not len(task.folds.train) or not len(solution.errors):
        return
    mean = solution.errors.mean(axis=2)
    best = np.where(np.isnan(mean), np.inf, mean).argmin(axis=1)
    n_voxels, n_alphas = mean.shape
    # Smaller penalties are of no interest to a voxel that the features say nothing of.
    at_best = np.take_along_axis(solution.errors, best[:, None, None], axis=1)[:, 0]
    signal = at_best.mean(axis=1) + at_best.std(axis=1) / np.sqrt(max(at_best.shape[1] - 1, 1)) < mean[:, 0]
    lowest = int(np.sum((best == n_alphas - 1) & signal))
    if isinstance(task.alphas, int):
        if lowest:
            said = (
                "voxels fit best with the smallest penalty of their grid, so smaller ones may fit better still. "
                f"Set eps below {task.eps:g}."
            )
            tell([Note(lowest, n_voxels, said)], stacklevel=stacklevel + 1)
        return
    # Larger penalties give another model only where features have weights at the largest one.
    highest = int(np.sum((best == 0) & (solution.chosen == 0) & (solution.n_selected > 0)))
    if lowest or highest:
        warnings.warn(
            f"Of {n_voxels} voxels, {highest} fit best with the largest and {lowest} with the smallest of the "
            f"penalties given ({task.alphas[0]:.3g} to {task.alphas[-1]:.3g}), so that better ones may lie outside: "
            "penalties fit features of one scale. Give others, or a number of them, such as alphas=30, for a grid "
            "relative to each voxel's own largest penalty.",
            UserWarning,
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
