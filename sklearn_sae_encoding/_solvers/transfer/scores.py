r"""Features and signs of source voxels refitted on target voxels, all targets of a source at once.

A fit on some texts needs only products over them: ``G = X'X`` on the source's features, ``c = X'y``. All sources
share ``c``, computed once a fold for every feature that any of them uses; all targets share ``G``. Scores follow from
the same products over the test texts, with both sides centred there: ``r = w'c / sqrt(w'G w y'y)``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..running import Problem
from ..running.threads import threaded_map
from .nonnegative_ridge import solve_nonnegative_ridge

# A prediction that varies by less than this, relative to its parts, is constant up to rounding.
_CONSTANT = 8 * np.finfo(np.float64).eps


class Source(NamedTuple):
    columns: np.ndarray  # (n_selected,), of the features
    signs: np.ndarray  # (n_selected,), -1 or 1
    ridge: float  # the penalty, where none is tuned


class Rows(NamedTuple):
    """What fitting on some texts and evaluating on others needs to know of features and targets."""

    fit: np.ndarray  # (n_fit, n_features), centred
    evaluated: np.ndarray  # (n_evaluated, n_features)
    cross_fit: np.ndarray  # (n_targets, n_features)
    cross_evaluated: np.ndarray  # (n_targets, n_features)
    squares: np.ndarray  # (n_targets,), sums of squares of the evaluated targets


class Fold(NamedTuple):
    rows: Rows  # fitted on the training texts, evaluated on the test texts by correlation
    tuning: list[Rows]  # fitted and evaluated within the training texts, by squared error


class TransferFits(NamedTuple):
    fold_scores: np.ndarray  # (n_sources, n_folds, n_targets)
    violations: np.ndarray  # (n_sources,), largest of all fits


class Task(NamedTuple):
    """What all sources share."""

    folds: list[Fold]
    grid: np.ndarray | None  # (n_alphas,), each target's penalty is tuned in each fold


def as_problem(folds: list[Fold], grid: np.ndarray | None) -> Problem:
    """Put the scores of sources on all targets into the form that running knows."""
    return Problem(Task(folds, grid), solve_block, no_fits, noun="sources")


def solve_block(task: Task, sources: list[tuple[Source, ...]], n_threads: int = 1) -> TransferFits:
    """Score each of the `sources` on all targets; each is given as it is in every fold."""
    fits = threaded_map(lambda source: transfer_source(source, task.folds, task.grid), sources, n_threads)
    scores, violations = zip(*fits, strict=True)
    return TransferFits(np.array(scores), np.array(violations))


def no_fits(task: Task) -> TransferFits:
    """Return the scores of no source."""
    return TransferFits(np.zeros((0, len(task.folds), len(task.folds[0].rows.squares))), np.zeros(0))


def prepare_fold(
    features: np.ndarray, scaled: np.ndarray, targets: np.ndarray, train: np.ndarray, test: np.ndarray, tuning: list
) -> Fold:
    """Prepare `features` (n_samples, n_features), of which the `scaled` are divided by their sd over `train`.

    `targets` are (n_samples, n_targets); `tuning` are pairs of rows of the training texts.
    """
    sd = features[train].std(axis=0)
    features = features / np.where(scaled & (sd > 0), sd, 1.0)
    sd = targets[train].std(axis=0)
    targets = targets / np.where(sd > 0, sd, 1.0)
    inner = [_rows(features[train], targets[train], fit, held_out, centre_apart=False) for fit, held_out in tuning]
    return Fold(_rows(features, targets, train, test, centre_apart=True), inner)


def transfer_source(source: tuple[Source, ...], folds: list[Fold], grid: np.ndarray | None) -> tuple[np.ndarray, float]:
    """Return the scores of a source, given as it is in each fold, (n_folds, n_targets), and the largest violation."""
    n_targets = len(folds[0].rows.squares)
    fold_scores, violation = np.empty((len(folds), n_targets)), 0.0
    for f, (own, fold) in enumerate(zip(source, folds, strict=True)):
        ridge = own.ridge
        if grid is not None:
            ridge, worst = _tune(own, fold.tuning, grid)
            violation = np.fmax(violation, worst)
        solved = _solve(own, fold.rows, ridge)
        fold_scores[f] = _correlation(own, fold.rows, solved.weights)
        violation = np.maximum(violation, solved.violations.max(initial=0.0))
    return fold_scores, float(violation)


def _rows(features, targets, fit, evaluated, centre_apart):
    """Centre both sides: by the means over the fitted rows, and the evaluated rows by their own if `centre_apart`."""
    X, X_mean, Y, Y_mean = features[fit], features[fit].mean(axis=0), targets[fit], targets[fit].mean(axis=0)
    X_eval, Y_eval = features[evaluated], targets[evaluated]
    if centre_apart:
        X_eval, Y_eval = _centred(X_eval), _centred(Y_eval)
    else:
        X_eval, Y_eval = X_eval - X_mean, Y_eval - Y_mean
    X = X - X_mean
    return Rows(X, X_eval, (Y - Y_mean).T @ X, Y_eval.T @ X_eval, np.einsum("ij,ij->j", Y_eval, Y_eval))


def _centred(values):
    """Centre columns; those that are constant up to rounding become zero."""
    centred = values - values.mean(axis=0)
    constant = np.abs(centred).max(axis=0) <= _CONSTANT * np.abs(values).max(axis=0)
    return np.where(constant, 0.0, centred)


def _solve(source, rows, ridge):
    X = rows.fit[:, source.columns] * source.signs
    return solve_nonnegative_ridge(X.T @ X, rows.cross_fit[:, source.columns] * source.signs, ridge)


def _quadratic(source, rows, weights):
    """``w'c`` and ``w'G w`` over the evaluated rows, and the scale of the latter."""
    X = rows.evaluated[:, source.columns] * source.signs
    gram = X.T @ X
    linear = np.einsum("tj,tj->t", weights, rows.cross_evaluated[:, source.columns] * source.signs)
    return linear, np.einsum("tj,tj->t", weights @ gram, weights), weights**2 @ np.diag(gram)


def _correlation(source, rows, weights):
    linear, quadratic, parts = _quadratic(source, rows, weights)
    constant = quadratic <= _CONSTANT**2 * parts
    with np.errstate(invalid="ignore", divide="ignore"):
        r = np.clip(linear / np.sqrt(quadratic * rows.squares), -1, 1)
    return np.where(rows.squares == 0, np.nan, np.where(constant, 0.0, r))


def _tune(source, tuning, grid):
    """Return each target's penalty of least squared error (the first of equals), and the largest violation."""
    errors, violation = np.zeros((len(grid), len(tuning[0].squares))), 0.0
    for rows in tuning:
        for a, ridge in enumerate(grid):
            solved = _solve(source, rows, ridge)
            linear, quadratic, _ = _quadratic(source, rows, solved.weights)
            errors[a] += (rows.squares - 2 * linear + quadratic) / len(rows.evaluated)
            violation = np.maximum(violation, solved.violations.max(initial=0.0))
    return grid[np.argmin(errors, axis=0)], violation
