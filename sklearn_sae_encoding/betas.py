"""Runs of scans to one response a stimulus: a beta a trial from nilearn's GLM, repeats averaged."""

from __future__ import annotations

import os
import re
import warnings
from typing import NamedTuple

import numpy as np
import pandas as pd

from sklearn_sae_encoding.metrics import ncsnr_from_repeats, noise_ceiling

__all__ = ["StimulusBetas", "TrialBetas", "average_repeats", "events_by_trial", "trial_betas"]

# Name of a trial's regressor: what was presented, and the how manyeth trial of the run it is.
_TRIAL = re.compile(r"(?P<stimulus>.+) @trial(?P<trial>\d+)", flags=re.DOTALL)

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
        (a row whose stimulus is empty or ``n/a``) keep their `trial_type`.

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
        If a column is missing, an onset or duration is not a number, or no row has a stimulus.

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
        # pandas would also take words such as "null", "None" and "NA" for missing, and "007" for a number.
        text = {stimulus: str, "trial_type": str}
        events = pd.read_csv(events, sep="\t", na_values=["n/a", ""], keep_default_na=False, dtype=text)
    missing = [column for column in ("onset", "duration", stimulus) if column not in events]
    if missing:
        raise ValueError(f"The events have no column {missing[0]!r}; they have {', '.join(map(str, events.columns))}.")
    for column in ("onset", "duration"):
        bad = np.flatnonzero(~np.isfinite(pd.to_numeric(events[column], errors="coerce")))
        if len(bad):
            raise ValueError(f"Row {bad[0]} of the events has the {column} {events[column].iloc[bad[0]]!r}: no number.")
    named = (events[stimulus].notna() & (events[stimulus].astype(str).str.strip() != "")).to_numpy()
    if not named.any():
        raise ValueError(f"No row of the events has a {stimulus}: there is no trial to estimate.")
    types = events["trial_type"] if "trial_type" in events else pd.Series("other", index=events.index)
    types = types.astype(object).to_numpy(copy=True)
    numbers = np.cumsum(named) - 1
    types[named] = [
        f"{name} @trial{i}" for name, i in zip(events[stimulus][named].astype(str), numbers[named], strict=True)
    ]
    return pd.DataFrame(
        {"onset": events["onset"].to_numpy(), "duration": events["duration"].to_numpy(), "trial_type": types}
    )


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

    Raises
    ------
    ValueError
        If the GLM isn't fitted, or no regressor belongs to a trial.

    Warns
    -----
    UserWarning
        If a run's regressors are linearly dependent, so that the data don't tell their betas apart.

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
    betas = np.empty((len(found), len(glm.labels_[0])), dtype=np.float32)
    for run, design in enumerate(glm.design_matrices_):
        _warn_of_dependence(run, design)
        rows = [row for row, trial in enumerate(found) if trial[0] == run]
        columns = [found[row][2] for row in rows]
        for label, result in glm.results_[run].items():  # voxels of one autocorrelation were fitted together
            betas[np.ix_(rows, glm.labels_[run] == label)] = result.theta[columns]
    table = [(stimulus, run, trial) for run, trial, _, stimulus in found]
    return TrialBetas(betas, pd.DataFrame(table, columns=["stimulus", "run", "trial"]))


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
    betas, stimuli = np.asarray(betas), np.asarray(stimuli, dtype=object)
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
