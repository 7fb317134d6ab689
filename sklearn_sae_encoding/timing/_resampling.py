"""Values with times to scans, as a linear operator of shape (n_scans, n_values)."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from sklearn_sae_encoding.timing._run import SCAN_TIMES
from sklearn_sae_encoding.timing._words import check_t_r

METHODS = ("lanczos", "sum", "mean", "hrf")
_OVERSAMPLING = 50
_MIN_ONSET = -24.0  # seconds before the first scan from which events still count, as in nilearn


def words_to_scans(
    values,
    times,
    n_scans,
    *,
    t_r,
    method="lanczos",
    window=3,
    cutoff=None,
    scan_time="middle",
    durations=None,
    hrf_model="spm",
):
    r"""Resample values that stand at any times, such as one row a word, to scans.

    With ``method="lanczos"``, scan `k` with the reference time :math:`\tau_k` gets

    .. math:: \sum_w x_w \, L(f (\tau_k - t_w)), \quad L(u) = \operatorname{sinc}(u) \operatorname{sinc}(u / a)

    for :math:`|u| \le a`, else 0; `f` is the cutoff and `a` the window. The weights don't sum to one: many words give
    larger values than few, as responses do.

    Parameters
    ----------
    values : {array-like, sparse array} of shape (n_values, width) or (n_values,)
        One row a word, frame or event.

    times : array-like of shape (n_values,)
        Their moments, in seconds after the beginning of the first scan.

    n_scans : int
        Number of scans.

    t_r : float
        Repetition time in seconds.

    method : {"lanczos", "sum", "mean", "hrf"}, default="lanczos"
        Low-pass filter and resample; sum or average the values that are nearest to a scan's reference time (0 where
        there are none); or convolve them with a haemodynamic response.

    window : int, default=3
        Lobes of the Lanczos filter on each side. More are closer to the ideal filter and reach further in time.

    cutoff : float, default=None
        `f`, in Hz. None is ``1 / t_r``, as in the common implementations: the filter's first zero lies one repetition
        time from its centre, half of the response is left at ``1 / (2 t_r)``.

    scan_time : {"middle", "start", "end"} or float, default="middle"
        The moment of the repetition time that a scan stands for: scan `k` at ``(k + scan_time) * t_r``.

    durations : array-like of shape (n_values,), default=None
        How long each value lasts, in seconds, with ``method="hrf"``. None is an impulse.

    hrf_model : {"spm", "glover"} or callable, default="spm"
        nilearn's response, or a function of ``(t_r, oversampling)`` that gives its samples.

    Returns
    -------
    scans : {ndarray, csr_array} of shape (n_scans, width) or (n_scans,)
        Sparse for sparse values.

    Raises
    ------
    ValueError
        If values and times differ in number, times or values are not finite, or an option is unknown.

    References
    ----------
    Duchon (1979), "Lanczos filtering in one and two dimensions"; Huth et al. (2016), Nature 532, for stories.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sae_encoding.timing import words_to_scans
    >>> times = np.array([0.5, 1.0, 3.2, 3.4, 3.9])
    >>> words_to_scans(np.ones(5), times, 3, t_r=2.0, method="sum")
    array([2., 3., 0.])
    >>> words_to_scans(np.ones(5), times, 3, t_r=2.0).round(2)
    array([1.56, 2.45, 0.87])
    """
    times = np.asarray(times, dtype=np.float64)
    values = sparse.csr_array(values) if sparse.issparse(values) else np.asarray(values)
    if times.ndim != 1 or values.ndim not in (1, 2) or values.shape[0] != len(times):
        raise ValueError(f"Expected one time a row of values, got {times.shape} times and values of {values.shape}.")
    data = values.data if sparse.issparse(values) else values
    if not np.all(np.isfinite(times)) or not np.all(np.isfinite(data)):
        raise ValueError("Values and times must be finite, got NaN or infinity.")
    scan_time = SCAN_TIMES.get(scan_time, scan_time) if isinstance(scan_time, str) else scan_time
    if isinstance(scan_time, str):
        raise ValueError(f"scan_time must be one of {list(SCAN_TIMES)} or a number, got {scan_time!r}.")
    moments = times / check_t_r(t_r) - scan_time  # in scans, 0 at the reference time of the first
    if method == "lanczos":
        weights = lanczos_weights(moments, n_scans, window, (1 / t_r if cutoff is None else cutoff) * t_r)
    elif method in ("sum", "mean"):
        weights = box_weights(moments, n_scans, method == "mean")
    elif method == "hrf":
        durations = np.zeros(len(times)) if durations is None else np.asarray(durations, dtype=np.float64)
        weights = hrf_weights(moments * t_r, durations, n_scans, t_r, hrf_model)
    else:
        raise ValueError(f"method must be one of {METHODS}, got {method!r}.")
    return weights @ values


def lanczos_weights(moments, n_scans, window, cutoff):
    """Give Lanczos weights; moments in scans, cutoff in units of 1 / t_r."""
    if window <= 0 or cutoff <= 0:
        raise ValueError(f"window and cutoff must be positive, got {window} and {cutoff}.")
    rows, columns = _near(moments, n_scans, window / cutoff)
    u = (rows - moments[columns]) * cutoff
    inside = np.abs(u) <= window
    weights = np.sinc(u) * np.sinc(u / window) * inside
    return sparse.csr_array((weights, (rows, columns)), shape=(n_scans, len(moments)))


def _near(moments, n_scans, reach):
    """Give all pairs of a scan and a value that lie within `reach` scans of each other."""
    low = np.clip(np.floor(moments - reach).astype(np.intp), 0, n_scans)
    high = np.clip(np.ceil(moments + reach).astype(np.intp) + 1, 0, n_scans)
    counts = np.maximum(high - low, 0)
    columns = np.repeat(np.arange(len(moments)), counts)
    rows = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(low, counts)
    return rows, columns


def box_weights(moments, n_scans, mean):
    """Give each value to the scan whose reference time is nearest; a value half way belongs to the later one."""
    scans = np.floor(moments + 0.5).astype(np.intp)
    inside = np.flatnonzero((scans >= 0) & (scans < n_scans))
    scans = scans[inside]
    weights = np.ones(len(inside))
    if mean:
        weights /= np.bincount(scans, minlength=n_scans)[scans]
    return sparse.csr_array((weights, (scans, inside)), shape=(n_scans, len(moments)))


def hrf_weights(times, durations, n_scans, t_r, hrf_model):
    """Give the response to each event at each scan, on nilearn's fine grid; times in s after the first scan's moment.

    The response to an event of some length is a difference of two cumulative responses, so that no event is convolved.
    """
    kernel = _hrf(hrf_model, t_r)
    step = t_r / _OVERSAMPLING
    n_fine = round((n_scans * t_r - _MIN_ONSET) / t_r * _OVERSAMPLING) + 1
    grid = np.linspace(_MIN_ONSET, n_scans * t_r, n_fine)
    begin = np.minimum(np.searchsorted(grid, times), n_fine - 1)
    end = np.minimum(np.searchsorted(grid, times + durations), n_fine - 1)
    end[(end == begin) & (end < n_fine - 1)] += 1
    begin[times < _MIN_ONSET] = end[times < _MIN_ONSET] = n_fine - 1  # no scan sees them
    rise = np.concatenate([[0.0], np.cumsum(kernel)])
    # Scans lie on the fine grid up to rounding; nilearn interpolates between its neighbours.
    position = (np.arange(n_scans) * t_r - _MIN_ONSET) / (grid[1] - grid[0])
    low = np.floor(position + 1e-9).astype(np.intp)
    share = np.clip(position - low, 0, 1)
    n_taps = len(kernel)
    reach = (n_taps * step) / t_r + np.max(durations, initial=0) / t_r + 2
    rows, columns = _near(times / t_r + reach / 2, n_scans, reach / 2 + 1)

    def at(fine):
        since = [np.clip(fine - moment[columns] + 1, 0, n_taps) for moment in (begin, end)]
        return rise[since[0]] - rise[since[1]]

    weights = (1 - share[rows]) * at(low[rows]) + share[rows] * at(np.minimum(low[rows] + 1, n_fine - 1))
    found = weights != 0
    return sparse.csr_array((weights[found], (rows[found], columns[found])), shape=(n_scans, len(times)))


def _hrf(hrf_model, t_r):
    from nilearn.glm.first_level import glover_hrf, spm_hrf

    models = {"spm": spm_hrf, "glover": glover_hrf}
    if not callable(hrf_model) and hrf_model not in models:
        raise ValueError(f"hrf_model must be a function or one of {list(models)}, got {hrf_model!r}.")
    model = hrf_model if callable(hrf_model) else models[hrf_model]
    return np.asarray(model(t_r, _OVERSAMPLING), dtype=np.float64)
