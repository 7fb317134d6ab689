"""Responses by run: lists with one array a run, where a sample is a run and a score counts its scans."""

import numpy as np


def is_runs(X, Y):
    """Tell a list with one array a run from a list of rows; two dimensions, or one where `X` holds runs or arrays."""
    if isinstance(Y, (list, tuple)) and any(hasattr(run, "n_scans") for run in Y):
        raise ValueError("Y holds StoryRuns: X and Y are swapped. X are the runs, Y the responses to them.")
    if not isinstance(Y, (list, tuple)) or not Y or not all(isinstance(run, np.ndarray) for run in Y):
        return False
    if all(run.ndim == 2 for run in Y):
        return True
    holds_runs = isinstance(X, (list, tuple)) and all(
        hasattr(run, "n_scans") or getattr(run, "ndim", 0) == 2 for run in X
    )
    return holds_runs and all(run.ndim in (1, 2) for run in Y)


def check_runs(X, Y):
    """Check responses by run: as many as runs, the same voxels, finite but for voxels that are absent in all."""
    if len(X) != len(Y):
        raise ValueError(f"X holds {len(X)} runs, but Y holds the responses to {len(Y)}. They must be as many.")
    for i, (run, response) in enumerate(zip(X, Y, strict=True)):
        if response.dtype.kind not in "fiub":
            raise ValueError(f"The responses to run {i} must be numbers, got dtype {response.dtype}.")
        if response.ndim != Y[0].ndim or response.shape[1:] != Y[0].shape[1:]:
            raise ValueError(
                f"All runs need the same voxels, but the responses to run {i} have the shape {response.shape} and "
                f"those to run 0 {Y[0].shape}."
            )
        n_rows = getattr(run, "n_rows", None)
        if n_rows is not None and n_rows != len(response):
            raise ValueError(
                f"The responses to run {i} have {len(response)} rows, but the run has {n_rows} (after scans= and "
                "kept=)."
            )
    find_absent([run.reshape(len(run), -1) for run in Y])
    return list(Y)


def find_absent(responses):
    """Find voxels that are NaN in all scans; any other NaN is an error that names its run, scan and voxels.

    Parameters
    ----------
    responses : list of ndarray of shape (n_scans_i, n_voxels)

    Returns
    -------
    absent : ndarray of bool of shape (n_voxels,)
    """
    absent = np.array([np.isnan(run).all(axis=0) for run in responses])  # (n_runs, n_voxels)
    everywhere = absent.all(axis=0)
    somewhere = absent.any(axis=0) & ~everywhere
    if somewhere.any():
        voxels = np.flatnonzero(somewhere)
        runs = np.flatnonzero(absent[:, voxels[0]])
        raise ValueError(
            f"{len(voxels)} voxel(s) are absent (NaN) in some runs but not in all, such as voxel {voxels[0]}, absent "
            f"in run(s) {', '.join(map(str, runs[:5]))}: voxels {', '.join(map(str, voxels[:10]))}. Leave them out "
            "of all runs."
        )
    if everywhere.all():
        raise ValueError("All voxels are NaN in all scans of all runs: Input contains NaN.")
    for i, run in enumerate(responses):
        bad = np.argwhere(~np.isfinite(run[:, ~everywhere]))
        if len(bad):
            raise ValueError(
                f"The responses to run {i} hold {len(bad)} value(s) that are NaN or infinity, the first in scan "
                f"{bad[0][0]}. Clean the run, or leave the scan out by the run's kept=."
            )
    return everywhere


def too_few_runs(cv, Y, error):
    """Say in words of runs that a splitter can't split them."""
    if "groups" in str(error):
        return ValueError(
            f"The splitter {cv!r} can't split {len(Y)} run(s), as a sample is a run: {error} Give groups=, one label a "
            "run, such as its story."
        )
    return ValueError(
        f"The splitter {cv!r} can't split {len(Y)} run(s), as a sample is a run: {error} Give more runs or "
        "fewer folds, or cut a recording into parts (StoryRun.cut)."
    )


def take(Y, samples):
    """Take samples of responses: rows of an array, or runs of a list."""
    return [Y[i] for i in np.arange(len(Y))[samples]] if isinstance(Y, list) else Y[samples]


def n_rows(Y):
    """Count what a score is over: rows of an array, or scans of a list of runs."""
    return sum(map(len, Y)) if isinstance(Y, list) else len(Y)


def n_voxels(Y):
    """Count voxels."""
    first = Y[0] if isinstance(Y, list) else Y
    return first.shape[1] if first.ndim == 2 else 1


def shaped_like(predictions, Y):
    """Give predictions the dimensions of the responses: a single voxel comes as one or two."""
    if isinstance(Y, list):
        if not isinstance(predictions, (list, tuple)) or len(predictions) != len(Y):
            raise ValueError(
                f"Of {len(Y)} run(s) the estimator predicted {type(predictions).__name__}; expected a list with one "
                "array a run. Put the regressor into a RunwiseRegressor."
            )
        return [shaped_like(one, run) for one, run in zip(predictions, Y, strict=True)]
    predictions = np.asarray(predictions)
    if predictions.ndim != Y.ndim and predictions.size == Y.size:
        predictions = predictions.reshape(Y.shape)
    return predictions


def pooled(Y):
    """Put the scans of all runs below each other."""
    return np.concatenate(Y) if isinstance(Y, list) else Y


def nothing_like(Y):
    """Make room for predictions: NaN in the shape of the responses."""
    return [np.full(run.shape, np.nan) for run in Y] if isinstance(Y, list) else np.full(Y.shape, np.nan)


def put(room, samples, predictions):
    """Put the predictions of samples into their places."""
    if isinstance(room, list):
        for i, run in zip(np.arange(len(room))[samples], predictions, strict=True):
            room[i] = run
    else:
        room[samples] = predictions
