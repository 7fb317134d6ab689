"""Runs of scans to one response a stimulus: a beta a trial from nilearn's GLM, repeats averaged."""

from __future__ import annotations

import io
import os
import re
import warnings
from typing import NamedTuple

import numpy as np
import pandas as pd

from sklearn_sae_encoding._files import read_text
from sklearn_sae_encoding.metrics import ncsnr_from_repeats, noise_ceiling

__all__ = ["StimulusBetas", "TrialBetas", "average_repeats", "events_by_trial", "trial_betas"]

# Name of a trial's regressor: what was presented, and the how manyeth trial of the run it is.
_TRIAL = re.compile(r"(?P<stimulus>.+) @trial(?P<trial>\d+)", flags=re.DOTALL)

# A whole number as pandas writes it where another row of the column is missing.
_WHOLE = re.compile(r"-?\d+\.0")

# A trial whose regressor is smaller than this share of the largest one, or than this in units of a long event's, lies
# outside the scans: nilearn leaves rounding of later ones, and the very end of the response of earlier ones.
_OUTSIDE, _NOTHING = 1e-3, 1e-4

# Voxels whose repeats are laid out side by side at once.
_BLOCK = 4096


class TrialBetas(NamedTuple):
    """Responses to single trials."""

    betas: np.ndarray  # (n_trials, n_voxels), float32, in units of the GLM (percent of the mean signal by default)
    trials: pd.DataFrame  # a row a trial: `stimulus` (str), `run` (int), `trial` (int, in the run)


class StimulusBetas(NamedTuple):
    """Responses to stimuli, repeats averaged."""

    betas: np.ndarray  # (n_stimuli, n_voxels), float32; NaN in voxels that are missing
    stimuli: list  # n_stimuli names, in the order of the rows
    n_repeats: np.ndarray  # (n_stimuli,)
    ncsnr: np.ndarray  # (n_voxels,), signal sd over noise sd of a single trial; NaN without repeats, or missing
    noise_ceiling: np.ndarray  # (n_voxels,), of the averaged betas, in units of r; NaN likewise
    missing: np.ndarray  # (n_voxels,), bool: NaN or infinite in a trial that would enter


def events_by_trial(events, stimulus):
    """Give every trial a regressor of its own ("least squares, all").

    Parameters
    ----------
    events : DataFrame or path
        BIDS events of one run: columns `onset` and `duration`, in seconds, and `stimulus`. Other conditions
        (a row whose stimulus is missing, empty or ``n/a``) keep their `trial_type`. Numbers name stimuli as well:
        ``73``, ``73.0`` in a column of floats, and ``"73.0"`` where all of a column end so are one stimulus, since a
        single missing value turns whole numbers into such.

    stimulus : str
        The column that says what was presented, such as ``"stim_file"`` or ``"sentence"``.

    Returns
    -------
    events : DataFrame
        `onset`, `duration` and `trial_type`, ready for the ``fit`` of nilearn's ``FirstLevelModel``. A trial's type is
        the stimulus followed by the trial's number, such as ``"a dog barks @trial3"``.

    Raises
    ------
    ValueError
        If a column is missing or stands twice, an onset or duration is not a number, no row has a stimulus, or a file
        is not in UTF-8 or no table.

    TypeError
        If it is no table, such as a list of several runs.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_sae_encoding.betas import events_by_trial
    >>> events = pd.DataFrame({"onset": [0.0, 6.0, 9.0], "duration": [2.0, 1.0, 2.0],
    ...                        "trial_type": ["listen", "button", "listen"], "text": ["a dog", None, "a dog"]})
    >>> events_by_trial(events, stimulus="text")
       onset  duration     trial_type
    0    0.0       2.0  a dog @trial0
    1    6.0       1.0         button
    2    9.0       2.0  a dog @trial1
    """
    if isinstance(events, (str, os.PathLike)):
        events = _read_events(events, stimulus)
    if not isinstance(events, pd.DataFrame):
        raise TypeError(
            f"Expected the events of one run, a DataFrame or the path of a file, got {type(events).__name__}. For "
            "several runs: [events_by_trial(run, stimulus) for run in events]."
        )
    for column in ("onset", "duration", stimulus):
        if (n := list(events.columns).count(column)) != 1:
            names = ", ".join(map(str, events.columns))
            raise ValueError(f"The events have {n or 'no'} column{'s' * (n > 1)} {column!r}; they have {names}.")
    for column in ("onset", "duration"):
        bad = np.flatnonzero(
            ~np.isfinite(pd.to_numeric(events[column], errors="coerce").to_numpy(float, na_value=np.nan))
        )
        if len(bad):
            raise ValueError(f"Row {bad[0]} of the events has the {column} {events[column].iloc[bad[0]]!r}: no number.")
    names = _names(events[stimulus])
    named = np.array([name is not None for name in names])
    if not named.any():
        raise ValueError(f"No row of the events has a {stimulus}: there is no trial to estimate.")
    types = events["trial_type"] if "trial_type" in events else pd.Series("other", index=events.index)
    types = types.astype(object).to_numpy(copy=True)
    trials = np.cumsum(named) - 1
    types[named] = [f"{names[row]} @trial{trials[row]}" for row in np.flatnonzero(named)]
    onset, duration = (pd.to_numeric(events[column]).to_numpy() for column in ("onset", "duration"))
    return pd.DataFrame({"onset": onset, "duration": duration, "trial_type": types})


def _read_events(path, stimulus):
    # pandas would also take words such as "null", "None" and "NA" for missing, and "007" for a number.
    text = {stimulus: str, "trial_type": str}
    missing = {"na_values": ["n/a", ""], "keep_default_na": False}
    try:
        events = pd.read_csv(io.StringIO(read_text(path)), sep="\t", dtype=text, **missing)
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ValueError(f"{path} is no table with tabs between its columns: {error}") from error
    if stimulus in events:
        for row, value in enumerate(events[stimulus]):
            if isinstance(value, str) and "\t" in value and "\n" in value:
                raise ValueError(
                    f"Row {row} of {path} goes over several lines: {value[:60]!r}. A quotation mark before it has no "
                    "partner."
                )
    return events


def _names(values):
    """The name of each stimulus, None where there is none: 73.0 is 73, which a missing value beside it made a float."""
    names = []
    for value in values.astype(object):
        if pd.isna(value) or (isinstance(value, str) and value.strip() in ("", "n/a")):
            names.append(None)
        elif isinstance(value, (float, np.floating)) and float(value).is_integer():
            names.append(str(int(value)))
        else:
            names.append(str(value))
    given = [name for name in names if name is not None]
    if all(_WHOLE.fullmatch(name) for name in given):  # floats that went through a file
        return [name and name.removesuffix(".0") for name in names]
    return names


def trial_betas(glm):
    """Take the responses to single trials out of a fitted GLM.

    Parameters
    ----------
    glm : nilearn.glm.first_level.FirstLevelModel
        Fitted to one or more runs, with events of :func:`events_by_trial`. Derivatives of the haemodynamic response
        may be modelled; the betas are those of the response itself.

    Returns
    -------
    trials : TrialBetas
        ``betas`` of shape `(n_trials, n_voxels)`, the voxels being those of ``glm.masker_``, and the table ``trials``.
        Trials outside the scans have no row.

    Raises
    ------
    ValueError
        If the GLM isn't fitted, no regressor belongs to a trial, or all trials of a run lie outside its scans, as
        onsets in milliseconds do.

    Warns
    -----
    UserWarning
        If a run's regressors are linearly dependent, so that the data don't tell their betas apart; if trials lie
        outside the scans, which are left out; if a run ends before the response to a trial has reached its peak, whose
        beta is then little more than noise.

    Notes
    -----
    Scaling and cleaning are the GLM's and happen within runs. Don't standardize betas over runs or stimuli here:
    the encoder does so on training samples.
    """
    if getattr(glm, "results_", None) is None:
        raise ValueError(f"The {type(glm).__name__} is not fitted. Fit it to the runs, with events by trial, first.")
    found = [
        (run, column, _TRIAL.fullmatch(str(name)))
        for run, design in enumerate(glm.design_matrices_)
        for column, name in enumerate(design.columns)
    ]
    # nilearn orders regressors by name; here they follow time.
    found = sorted((run, int(match["trial"]), column, match["stimulus"]) for run, column, match in found if match)
    if not found:
        raise ValueError(
            "No regressor of the GLM belongs to a trial. Fit it with events=[events_by_trial(run, stimulus) for run in "
            f"events]; its regressors are {', '.join(map(str, glm.design_matrices_[0].columns[:5]))}, ..."
        )
    found = _within_scans(found, glm.design_matrices_)
    betas = np.empty((len(found), len(glm.labels_[0])), dtype=np.float32)
    for run, design in enumerate(glm.design_matrices_):
        rows = [row for row, trial in enumerate(found) if trial[0] == run]
        columns = [found[row][2] for row in rows]
        _warn_of_dependence(run, design)
        for label, result in glm.results_[run].items():  # voxels of one autocorrelation were fitted together
            betas[np.ix_(rows, glm.labels_[run] == label)] = result.theta[columns]
    table = [(stimulus, run, trial) for run, trial, _, stimulus in found]
    return TrialBetas(betas, pd.DataFrame(table, columns=["stimulus", "run", "trial"]))


def _within_scans(found, designs):
    """Leave out trials that no scan saw, and warn of these and of those that the scans saw only begin."""
    regressors = [np.abs(designs[run].to_numpy(dtype=np.float64)[:, column]) for run, _, column, _ in found]
    peaks = np.array([regressor.max() for regressor in regressors])
    outside = peaks <= max(_OUTSIDE * peaks.max(), _NOTHING)
    runs = np.array([trial[0] for trial in found])
    for run in np.unique(runs):
        if outside[runs == run].all():
            times = designs[run].index
            raise ValueError(
                f"All {np.sum(runs == run)} trials of run {run} lie outside its scans, which go from {times[0]:g} to "
                f"{times[-1]:g} s. Are the onsets in seconds, and counted from the first scan of this run?"
            )
    cut = np.array([regressor[-1] >= peak for regressor, peak in zip(regressors, peaks, strict=True)]) & ~outside
    for which, says in (
        (outside, "lie outside the scans and are left out"),
        (cut, "have their response's peak after the last scan, so that their betas are little more than noise"),
    ):
        if which.any():
            named = ", ".join(
                f"{found[i][3]!r} (run {found[i][0]}, trial {found[i][1]})" for i in np.flatnonzero(which)[:3]
            )
            warnings.warn(f"{which.sum()} of {len(found)} trials {says}: {named}.", stacklevel=3)
    return [trial for trial, out in zip(found, outside, strict=True) if not out]


def average_repeats(betas, stimuli, order=None):
    """Average repeats of a stimulus, and keep how reliable they are.

    Parameters
    ----------
    betas : array-like of shape (n_trials, n_voxels)
        Responses to single trials, such as ``trial_betas(glm).betas``.

    stimuli : array-like of length n_trials
        What was presented, such as ``trial_betas(glm).trials["stimulus"]``.

    order : sequence, default=None
        The stimuli in the order in which rows are wanted, such as the texts of the model. None is the order in which
        they first occur. Stimuli that are not in it are left out.

    Returns
    -------
    responses : StimulusBetas
        ``betas`` are the `Y` of an encoding model, with a row a stimulus; ``noise_ceiling`` is what
        :func:`~sklearn_sae_encoding.metrics.cross_val_voxel_scores` takes. A voxel that is NaN or infinite in a trial
        is ``missing``: NaN in all of these, which
        :class:`~sklearn_sae_encoding.masking.MaskedTargetRegressor` leaves out.

    Raises
    ------
    ValueError
        If trials and stimuli differ in number, a stimulus of `order` was never presented, or no voxel is finite in
        all trials.

    Warns
    -----
    UserWarning
        Says how many voxels are missing.

    See Also
    --------
    sklearn_sae_encoding.metrics.ncsnr_from_repeats : How the signal-to-noise ratio is estimated.

    Examples
    --------
    >>> from sklearn_sae_encoding.betas import average_repeats
    >>> responses = average_repeats([[1.0], [5.0], [3.0], [6.0]], ["dog", "cat", "dog", "cat"], order=["cat", "dog"])
    >>> responses.betas.ravel(), responses.n_repeats
    (array([5.5, 2. ], dtype=float32), array([2, 2]))
    """
    if isinstance(stimuli, pd.DataFrame):
        raise TypeError(
            "stimuli is a DataFrame; expected what was presented in each trial, one column: "
            f"stimuli={'trials' if 'stimulus' in stimuli else 'table'}["
            f"{'stimulus' if 'stimulus' in stimuli else str(stimuli.columns[0])!r}]."
        )
    betas, stimuli = np.asarray(betas), np.asarray(stimuli, dtype=object)
    if len(unnamed := np.flatnonzero(pd.isna(stimuli))):
        raise ValueError(f"Trial {unnamed[0]} has no stimulus: it is {stimuli[unnamed[0]]!r}.")
    if betas.ndim != 2 or len(betas) != len(stimuli):
        raise ValueError(f"Expected one row of betas a trial, got betas of shape {betas.shape}, {len(stimuli)} trials.")
    order = list(dict.fromkeys(stimuli)) if order is None else list(order)
    trials = [np.flatnonzero(stimuli == name) for name in order]
    for name, rows in zip(order, trials, strict=True):
        if len(rows) == 0:
            raise ValueError(f"The stimulus {name!r} was presented in none of the {len(stimuli)} trials.")
    n_repeats = np.array([len(rows) for rows in trials])
    missing = _missing(betas, trials)
    means = np.empty((len(order), betas.shape[1]), dtype=np.float32)
    for mean, rows in zip(means, trials, strict=True):
        with np.errstate(invalid="ignore", over="ignore"):  # in missing voxels, which don't stay
            mean[:] = betas[rows].mean(axis=0, dtype=np.float64)
    means[:, missing] = np.nan
    ncsnr = _ncsnr(betas, trials, n_repeats, missing)
    harmonic_mean = 1 / np.mean(1 / n_repeats)
    return StimulusBetas(means, order, n_repeats, ncsnr, noise_ceiling(ncsnr, harmonic_mean), missing)


def _missing(betas, trials):
    used = np.concatenate(trials)
    missing, lost = np.zeros(betas.shape[1], dtype=bool), []
    for row in used:
        bad = ~np.isfinite(betas[row])
        missing |= bad
        if bad.all():
            lost.append(int(row))
    if missing.all():
        where = f"trial(s) {', '.join(map(str, sorted(lost)[:5]))} hold no finite value" if lost else "each has a gap"
        raise ValueError(f"No voxel is finite in all {len(used)} trials: {where}.")
    if missing.any():
        warnings.warn(
            f"{missing.sum()} of {len(missing)} voxels are NaN or infinite in at least one trial, the first of them "
            f"voxel {np.flatnonzero(missing)[0]}. They are left out: NaN in the averages.",
            stacklevel=3,
        )
    return missing


def _ncsnr(betas, trials, n_repeats, missing):
    ncsnr = np.full(betas.shape[1], np.nan)
    if n_repeats.max() < 2:
        return ncsnr
    kept = np.flatnonzero(~missing)
    for start in range(0, len(kept), _BLOCK):
        voxels = kept[start : start + _BLOCK]
        repeats = np.full((n_repeats.max(), len(trials), len(voxels)), np.nan, dtype=np.float32)
        for stimulus, rows in enumerate(trials):
            repeats[: len(rows), stimulus] = betas[np.ix_(rows, voxels)]
        ncsnr[voxels] = ncsnr_from_repeats(repeats)
    return ncsnr


def _warn_of_dependence(run, design):
    # Columns differ in size; dependence doesn't depend on it.
    columns = design.to_numpy(dtype=np.float64)
    columns = columns / np.maximum(np.linalg.norm(columns, axis=0), np.finfo(np.float64).tiny)
    rank = np.linalg.matrix_rank(columns)
    if rank < columns.shape[1]:
        warnings.warn(
            f"The {columns.shape[1]} regressors of run {run} are linearly dependent (rank {rank}): the data don't tell "
            "some trials apart. Trials may overlap too much, or a trial may lie outside the scans.",
            stacklevel=3,
        )
