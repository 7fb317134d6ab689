"""Which rows train beside a run that is held out, and folds of whole runs inside."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from itertools import pairwise
from numbers import Integral
from typing import NamedTuple

import numpy as np

_MOST_BESIDE = 0.5  # share of tested scans with a neighbour that trains; contiguous folds have a few at their ends


class Rows(NamedTuple):
    """Where each row of stacked runs comes from."""

    run: np.ndarray  # (n_rows,), number of the run
    recording: np.ndarray  # (n_rows,), number of the recording: rows of one may be neighbours
    scan: np.ndarray  # (n_rows,), scan in its recording


def stack_rows(counts, runs):
    """Number the rows of runs; `counts` are their rows, `runs` StoryRuns or None where there are plain arrays."""
    recordings, numbers = {}, []
    for i, run in enumerate(runs):
        key = ("alone", i) if run is None or run.block is None else ("cut", run.recording)
        numbers.append(recordings.setdefault(key, len(recordings)))
    scans = [np.arange(n) if run is None else run.rows for n, run in zip(counts, runs, strict=True)]
    return Rows(
        np.repeat(np.arange(len(counts)), counts), np.repeat(numbers, counts), np.concatenate(scans).astype(np.intp)
    )


def trained_rows(rows, runs, gap):
    """Say which rows train: those that lie further than the gap from any scan that was cut off and is held out."""
    trains = np.ones(len(rows.run), dtype=bool)
    blocks = {}
    for i, run in enumerate(runs):
        if run is not None and run.block is not None:
            blocks.setdefault(run.recording, []).append((i, run.block))
    for recording, members in blocks.items():
        _check_one_recording(recording, [block for _, block in members])
        first, last = members[0][1].first, members[0][1].last
        held_out = np.ones(last - first, dtype=bool)
        for _, block in members:
            held_out[block.start - first : block.stop - first] = False
        scans = first + np.flatnonzero(held_out)
        for i, block in members:
            mine = np.flatnonzero(rows.run == i)
            trains[mine] = ~_near(rows.scan[mine], scans, block.gap if gap is None else gap)
    if not trains.any():
        raise ValueError("No scan is left to train on: the gaps beside parts that are held out take all of them.")
    return trains


def _check_one_recording(recording, blocks):
    """Refuse parts of two recordings under one name: beside which scans they lie could not be told."""
    ordered = sorted(blocks, key=lambda block: block.start)
    for before, after in pairwise(ordered):
        if after.start < before.stop or (after.first, after.last) != (before.first, before.last):
            raise ValueError(
                f"Parts of more than one recording are called {recording!r}: scans {before.start} to {before.stop - 1} "
                f"stand beside scans {after.start} to {after.stop - 1}. Name each recording, such as that of each "
                "participant: run.cut(..., recording='story, p1')."
            )


def _near(scans, others, gap):
    """Say which scans lie at most `gap` scans from one of the others (sorted)."""
    if len(others) == 0 or gap == 0:
        return np.zeros(len(scans), dtype=bool)
    after = np.minimum(np.searchsorted(others, scans), len(others) - 1)
    before = np.maximum(after - 1, 0)
    distance = np.minimum(np.abs(others[after] - scans), np.abs(others[before] - scans))
    return distance <= gap


def inner_folds(cv, rows, gap):
    """Give (train, test) rows for a regressor's own cross-validation: folds of whole runs, or blocks of a single run.

    Parameters are an integer, a splitter that gets each row's run as ``groups``, or rows that are given as they are.
    """
    if cv is None or isinstance(cv, Integral):
        labels = _whole_runs(rows, 5 if cv is None else int(cv))
        pairs = [(np.flatnonzero(labels != fold), np.flatnonzero(labels == fold)) for fold in np.unique(labels)]
    elif hasattr(cv, "split"):
        pairs = _ask_splitter(cv, rows)
    elif isinstance(cv, Iterable):
        return cv
    else:
        raise ValueError(f"cv must be an integer, a splitter or pairs of rows, got {cv!r}.")
    folds = [(_without_gap(train, test, rows, gap), test) for train, test in pairs]
    if hasattr(cv, "split"):
        _warn_of_shuffling(cv, folds, rows)
    for i, (train, test) in enumerate(folds):
        if len(train) < 2 or len(test) < 1:
            raise ValueError(
                f"Fold {i} of the {len(folds)} inside the regressor has {len(train)} scans to train and {len(test)} to "
                f"test, with a gap of {gap} scans. Use fewer folds or a smaller gap."
            )
    return folds


def _whole_runs(rows, n_folds):
    """Label rows with folds: contiguous groups of whole runs, or contiguous blocks where there is one run."""
    runs = np.unique(rows.run)
    if n_folds < 2:
        raise ValueError(f"The regressor's cv must be at least 2 folds, got {n_folds}.")
    if len(runs) == 1:
        return np.repeat(np.arange(n_folds), [len(part) for part in np.array_split(rows.run, n_folds)])
    fold_of_run = np.empty(runs[-1] + 1, dtype=np.intp)
    for fold, members in enumerate(np.array_split(runs, min(n_folds, len(runs)))):
        fold_of_run[members] = fold
    return fold_of_run[rows.run]


def _ask_splitter(cv, rows):
    n_runs = len(np.unique(rows.run))
    try:
        pairs = list(cv.split(np.zeros((len(rows.run), 1)), groups=rows.run))
    except ValueError as error:
        raise ValueError(
            f"The splitter {cv!r} can't split the {len(rows.run)} rows of {n_runs} run(s): {error} Give more runs, or "
            "an integer, which cuts a single run into blocks."
        ) from error
    everything = np.arange(len(rows.run))
    return [(everything[train], everything[test]) for train, test in pairs]


def _warn_of_shuffling(cv, folds, rows):
    """Warn of folds in which most scans that are tested have a scan beside them among those that train."""
    beside = n_tested = 0
    for train, test in folds:
        for recording in np.unique(rows.recording[test]):
            scans = np.sort(rows.scan[train][rows.recording[train] == recording])
            tested = rows.scan[test][rows.recording[test] == recording]
            beside += int(_near(tested, scans, 1).sum())
            n_tested += len(tested)
    if beside > _MOST_BESIDE * n_tested:
        warnings.warn(
            f"The regressor's cv={cv!r} tests {beside:,} of {n_tested:,} scans beside a scan that trains: it chooses "
            "as if there were no noise, since scans beside each other are alike. Give an integer, or a splitter of "
            "groups, such as LeaveOneGroupOut: both hold out whole runs.",
            stacklevel=6,
        )


def _without_gap(train, test, rows, gap):
    """Leave out what lies beside the test rows in the same recording."""
    near = np.zeros(len(train), dtype=bool)
    for recording in np.unique(rows.recording[test]):
        here = rows.recording[train] == recording
        scans = np.unique(rows.scan[test][rows.recording[test] == recording])
        near[here] = _near(rows.scan[train][here], scans, gap)
    return train[~near]


def _parameter(regressor, name):
    """Find a parameter of a regressor, or of the parts inside it: the one that is nested least."""
    return min(_parameters(regressor, name), key=lambda key: key.count("__"), default=None)


def _parameters(regressor, name):
    return [key for key in regressor.get_params(deep=True) if key == name or key.endswith(f"__{name}")]


def set_folds(regressor, rows, gap):
    """Let a regressor choose by folds of whole runs, or name one that chooses by rows of its own."""
    key = _parameter(regressor, "cv")
    if key is None:
        name = type(regressor.steps[-1][1] if hasattr(regressor, "steps") else regressor).__name__
        if name.endswith("CV"):
            warnings.warn(
                f"The {name} has no cv: it chooses by rows of its own, and scans beside each other are alike, so that "
                "it chooses as if there were no noise. Give a regressor that has cv.",
                stacklevel=5,
            )
        return
    if regressor.get_params().get(f"{key.removesuffix('cv')}alpha_per_target"):
        warnings.warn(
            f"The {type(regressor).__name__} with alpha_per_target=True chooses by leaving out single scans, and scans "
            "beside each other are alike. Use BandedRidgeEncoder, which has a penalty a voxel and folds of whole runs.",
            stacklevel=5,
        )
        return
    inside = key.removesuffix("cv")
    if inner := [one for one in _parameters(regressor, "cv") if one != key and one.startswith(inside)]:
        warnings.warn(
            f"Inside the {type(regressor).__name__} {inner[0]}={regressor.get_params()[inner[0]]!r} splits rows, not "
            "runs: scans beside each other are alike, so that it chooses as if there were no noise. Search around the "
            "RunwiseRegressor instead, by parameters such as 'regressor__alphas'.",
            stacklevel=5,
        )
    regressor.set_params(**{key: inner_folds(regressor.get_params()[key], rows, gap)})


def set_bands(regressor, bands):
    """Tell a regressor which columns are which band, if it wants to know."""
    key = _parameter(regressor, "bands")
    if key is not None and regressor.get_params()[key] is None:
        regressor.set_params(**{key: dict(bands)})
