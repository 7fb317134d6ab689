"""Responses of a run to responses without drift and movement, each run alone."""

from __future__ import annotations

import warnings
from numbers import Real

import numpy as np

from sklearn_sae_encoding.timing._lists import is_list_of_runs
from sklearn_sae_encoding.timing._words import check_t_r


def clean_runs(
    responses,
    runs=None,
    *,
    confounds=None,
    t_r=None,
    detrend=True,
    high_pass=None,
    standardize=True,
    scans=None,
    kept=None,
):
    """Drop, detrend, filter and standardize responses, each run alone, with :func:`nilearn.signal.clean`.

    First the scans that are not used leave (`scans` of the run). Then drifts and confounds are regressed out of the
    rest, in one step, then censored scans leave, then each voxel is standardized.

    Parameters
    ----------
    responses : list of array-like of shape (n_scans_i, n_voxels)
        One array a run, with all scans of the run, or with those of its ``scans``. A voxel that is NaN in all of a run
        is absent and stays NaN.

    runs : list of StoryRun, default=None
        The runs: they say which scans leave, which are censored, and the repetition time. Of parts of a recording
        (:meth:`StoryRun.cut`) each takes its own scans of the whole and is cleaned alone.

    confounds : list of array-like of shape (n_scans_i, n_confounds) or of DataFrames, default=None
        Such as movement, with the rows of the responses.

    t_r : float, default=None
        Repetition time in seconds, if there are no runs.

    detrend : bool, default=True
        Whether to take out a linear trend.

    high_pass : float, default=None
        In Hz, by cosines up to that frequency. A run that lasts less than ``1 / high_pass`` seconds can't hold one
        period of it: it is not filtered, but detrended, with a warning.

    standardize : bool, default=True
        Whether to subtract each voxel's mean and divide by its (sample) standard deviation in the run.

    scans : slice, default=None
        The scans that stay, if there are no runs, such as ``slice(10, -5)``.

    kept : list of array-like of bool of shape (n_scans_i,), default=None
        Scans that are not censored, among all scans, if there are no runs.

    Returns
    -------
    cleaned : list of ndarray of shape (n_rows_i, n_voxels)
        float64.

    Raises
    ------
    ValueError
        If numbers of runs or scans differ, or a value is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sae_encoding.timing import clean_runs
    >>> drift = np.linspace(0, 100, 60)[:, None]
    >>> signal = np.sin(np.arange(60.0))[:, None]
    >>> (cleaned,) = clean_runs([drift + signal], t_r=2.0, scans=slice(10, None))
    >>> cleaned.shape, np.corrcoef(cleaned[:, 0], signal[10:, 0])[0, 1].round(1)
    ((50, 1), np.float64(1.0))
    """
    responses = _check_list(responses)
    if high_pass is not None and not (isinstance(high_pass, Real) and high_pass > 0):
        raise ValueError(f"high_pass must be a frequency in Hz, such as 1 / 128, got {high_pass!r}.")
    clocks = _clocks(responses, runs, t_r, scans, kept)
    confounds = [None] * len(responses) if confounds is None else list(confounds)
    if len(confounds) != len(responses):
        raise ValueError(f"Expected confounds of {len(responses)} runs, got those of {len(confounds)}.")
    options = {"detrend": detrend, "high_pass": high_pass, "standardize": standardize}
    return [_clean(i, *parts, **options) for i, parts in enumerate(zip(responses, confounds, clocks, strict=True))]


def _check_list(responses):
    is_list = isinstance(responses, (list, tuple))
    if is_list and is_list_of_runs(responses):
        raise ValueError("The responses are StoryRuns: clean_runs(responses, runs) takes the runs second.")
    if not is_list or any(np.ndim(run) == 0 for run in responses):
        came = type(responses).__name__ + (f" of shape {responses.shape}" if hasattr(responses, "shape") else "")
        raise ValueError(f"Expected a list with one array of responses a run, got {came}. Put a single run in a list.")
    responses = [np.asarray(run, dtype=np.float64) for run in responses]
    for i, run in enumerate(responses):
        if run.ndim not in (1, 2):
            raise ValueError(f"The responses to run {i} must have the shape (n_scans, n_voxels), got {run.shape}.")
    return responses


def _clocks(responses, runs, t_r, scans, kept):
    """Give (n_scans, t_r, used scans, kept mask over all scans) of each run."""
    if runs is not None:
        if not is_list_of_runs(runs) or len(runs) != len(responses):
            raise ValueError(f"runs must be a list of {len(responses)} StoryRuns, one an array of responses.")
        every = [np.arange(run.n_scans) for run in runs]
        used = [scan if run.scans is None else scan[run.scans] for run, scan in zip(runs, every, strict=True)]
        return [(run.n_scans, run.t_r, scan, run.kept) for run, scan in zip(runs, used, strict=True)]
    t_r = check_t_r(t_r)
    kept = [None] * len(responses) if kept is None else [np.asarray(mask, dtype=bool) for mask in kept]
    used = [np.arange(len(run)) if scans is None else np.arange(len(run))[scans] for run in responses]
    return [(len(run), t_r, scan, mask) for run, scan, mask in zip(responses, used, kept, strict=True)]


def _clean(i, response, confounds, clock, *, detrend, high_pass, standardize):
    from nilearn.signal import clean

    n_scans, t_r, used, kept = clock
    response = _take(response, f"The responses to run {i}", n_scans, used)
    if confounds is not None:
        confounds = _take(np.asarray(confounds, dtype=np.float64), f"The confounds of run {i}", n_scans, used)
        if not np.all(np.isfinite(confounds)):
            raise ValueError(f"The confounds of run {i} hold a NaN or infinity. fMRIPrep's first derivatives do.")
    absent = np.isnan(response).all(axis=0)
    bad = np.argwhere(~np.isfinite(response[:, ~absent]))
    if len(bad):
        raise ValueError(
            f"The responses to run {i} hold {len(bad)} NaN or infinite value(s), first in scan {bad[0][0]}."
        )
    if high_pass is not None and high_pass >= 0.5 / t_r:
        raise ValueError(
            f"high_pass={high_pass:g} Hz leaves nothing: scans of {t_r:g} s hold no faster course than {0.5 / t_r:g} "
            "Hz. Give a frequency, such as 1 / 128, not a period."
        )
    if high_pass is not None and len(used) * t_r < 1 / high_pass:
        warnings.warn(
            f"Run {i} lasts {len(used) * t_r:g} s and can't hold one period of high_pass={high_pass:g} Hz "
            f"({1 / high_pass:g} s): it is detrended instead.",
            stacklevel=3,
        )
        high_pass, detrend = None, True
    mask = None if kept is None else np.flatnonzero(kept[used])
    n_rows = len(used) if mask is None else len(mask)
    cleaned = np.full((n_rows, response.shape[1]), np.nan)
    if high_pass is not None:
        # nilearn's own cosines stay away where a confound looks like one, as movement that drifts does.
        drifts = cosines(len(used), high_pass * t_r)
        confounds = drifts if confounds is None else np.column_stack([confounds, drifts])
    cleaned[:, ~absent] = clean(
        response[:, ~absent],
        detrend=detrend,
        standardize="zscore_sample" if standardize else None,
        sample_mask=mask,
        confounds=confounds,
        standardize_confounds=True,
        filter=False,
        t_r=t_r,
    )
    return cleaned


def cosines(n_scans, high_pass):
    """Give the slow cosines of a run, up to a frequency in cycles a scan: shape (n_scans, n_cosines)."""
    order = min(n_scans - 1, int(np.floor(2 * n_scans * high_pass)))
    return np.cos(np.pi / n_scans * np.outer(np.arange(n_scans) + 0.5, np.arange(1, order + 1)))


def _take(values, what, n_scans, used):
    """Give the used scans of something that has all scans, or these alone."""
    values = values[:, None] if values.ndim == 1 else values
    if len(values) == n_scans:
        return values[used]
    if len(values) == len(used):
        return values
    raise ValueError(
        f"{what} have {len(values)} rows; expected all {n_scans} scans of the run, or the {len(used)} that are used."
    )
