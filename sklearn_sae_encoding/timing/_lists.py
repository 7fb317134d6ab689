"""Lists with one array a run."""

from __future__ import annotations

import warnings

import numpy as np
from scipy import sparse

from sklearn_sae_encoding.metrics._runs import find_absent
from sklearn_sae_encoding.timing._run import StoryRun

_MOST_APART = 0.5  # share of the voxels whose runs may differ in their baselines


def is_list_of_arrays(X):
    """Tell a list of arrays, one a run, from an array and from a list of rows."""
    return isinstance(X, (list, tuple)) and len(X) > 0 and all(_is_array(run) for run in X)


def is_list_of_runs(X):
    """Tell a list of runs from everything else."""
    return isinstance(X, (list, tuple)) and len(X) > 0 and all(isinstance(run, StoryRun) for run in X)


def _is_array(run):
    return sparse.issparse(run) or getattr(run, "ndim", 0) == 2


def as_arrays(X):
    """Check arrays of numbers, one a run."""
    runs = []
    for i, run in enumerate(X):
        run = sparse.csr_array(run) if sparse.issparse(run) else np.asarray(run)
        if run.dtype.kind not in "fiub":
            raise ValueError(f"Run {i} must hold numbers, got dtype {run.dtype}.")
        run = run if run.dtype in (np.float64, np.float32) else run.astype(np.float64)
        bad = ~np.isfinite(run.data if sparse.issparse(run) else run)
        if bad.any():
            where = "" if sparse.issparse(run) else f", the first in scan {np.argwhere(bad)[0][0]}"
            raise ValueError(f"The features of run {i} hold {bad.sum()} value(s) that are NaN or infinite{where}.")
        runs.append(run)
    return runs


def check_responses(runs, y):
    """Check responses, one array a run with the rows of the run, and give them with two dimensions each.

    `runs` are the numbers of rows expected. Also says which voxels are absent: NaN in all scans of all runs.
    """
    if not isinstance(y, (list, tuple)):
        raise ValueError(f"y must be a list with one array a run, got {type(y).__name__}: X holds {len(runs)} run(s).")
    if any(isinstance(run, StoryRun) for run in y):
        raise ValueError("y holds StoryRuns: X and y are swapped. X are the runs, y the responses to them.")
    if len(y) != len(runs):
        raise ValueError(f"X holds {len(runs)} runs, but y holds the responses to {len(y)}. They must be as many.")
    responses = [_check_response(run, i, n_rows) for i, (run, n_rows) in enumerate(zip(y, runs, strict=True))]
    for i, run in enumerate(responses):
        if run.shape[1] != responses[0].shape[1]:
            raise ValueError(
                f"All runs need the same voxels, but run {i} has {run.shape[1]} and run 0 has {responses[0].shape[1]}."
            )
    return responses, find_absent(responses)


def warn_of_baselines(responses, stacklevel):
    """Warn of runs whose means lie further apart than their scans: they were not cleaned, each run alone."""
    if len(responses) < 2:
        return
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.array([run.mean(axis=0, dtype=np.float64) for run in responses])
        apart = means.std(axis=0) / np.mean([run.std(axis=0, dtype=np.float64) for run in responses], axis=0)
    known = np.isfinite(apart)
    if known.any() and (above := float(np.mean(apart[known] > 1))) > _MOST_APART:
        warnings.warn(
            f"In {above:.0%} of the voxels the means of the {len(responses)} runs lie further apart than the scans in "
            "them: a model then explains baselines. Clean each run alone, clean_runs(responses, runs).",
            stacklevel=stacklevel + 1,
        )


def _check_response(run, i, n_rows):
    run = np.asarray(run)
    if run.ndim not in (1, 2) or run.dtype.kind not in "fiub":
        raise ValueError(
            f"The responses to run {i} must be numbers of shape (n_scans, n_voxels), got shape {run.shape}, dtype "
            f"{run.dtype}: Unknown label type."
        )
    if len(run) != n_rows:
        raise ValueError(
            f"The responses to run {i} have {len(run)} rows, but the run has {n_rows} (after scans= and kept=). Were "
            "scans dropped from one and not from the other?"
        )
    return run[:, None] if run.ndim == 1 else run
