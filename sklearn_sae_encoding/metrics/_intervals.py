"""Means over few participants, and scores over few sentences, to intervals that keep their level."""

from typing import NamedTuple

import numpy as np
from scipy import stats
from sklearn.utils import check_random_state

from sklearn_sae_encoding.metrics._scores import BLOCK


class MeanInterval(NamedTuple):
    """A mean with two intervals."""

    mean: float
    sem: float  # standard error, NaN for a single value
    t_low: float  # of Student's t
    t_high: float
    low: float  # of the bootstrap
    high: float
    n: int  # values that are not NaN


class ScoreIntervals(NamedTuple):
    """An interval for the score of each voxel."""

    low: np.ndarray  # (n_voxels,)
    high: np.ndarray  # (n_voxels,)


def mean_interval(values, *, confidence=0.95, n_bootstraps=10_000, random_state=None):
    """Compute a mean and its intervals, by Student's t and by bootstrap, for few values such as participants.

    Parameters
    ----------
    values : array-like of shape (n_values,)
        One value a participant. NaN is left out.

    confidence : float, default=0.95
        Chance that an interval holds the mean of the population that the values come from.

    n_bootstraps : int, default=10_000
        Resamples of the values. The bootstrap's is the percentile interval, expanded for few values (Hesterberg 2015):
        plain percentiles are too narrow by ``sqrt((n - 1) / n)`` and by the normal in place of t. With fewer than six
        values it can't reach its level, as it ends at the smallest and the largest value; t can.

    random_state : int, RandomState instance or None, default=None
        Seed of the resamples.

    Returns
    -------
    interval : MeanInterval
        A named tuple with ``mean``, ``sem``, ``t_low`` and ``t_high``, ``low`` and ``high`` (bootstrap), and ``n``.
        With fewer than two values there is no interval (NaN).

    Raises
    ------
    ValueError
        If `confidence` is no share.

    References
    ----------
    Hesterberg (2015), "What teachers should know about the bootstrap", The American Statistician 69, 371-386.

    Examples
    --------
    >>> from sklearn_sae_encoding.metrics import mean_interval
    >>> interval = mean_interval([0.2, 0.3, 0.25, 0.4, 0.35, 0.3], random_state=0)
    >>> [round(float(value), 1) for value in interval]
    [0.3, 0.0, 0.2, 0.4, 0.2, 0.4, 6.0]
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}.")
    values = np.asarray(values, dtype=np.float64).ravel()
    values = values[~np.isnan(values)]
    n = len(values)
    if n < 2:
        return MeanInterval(values.mean() if n else np.nan, *[np.nan] * 5, n)
    mean, sem = values.mean(), values.std(ddof=1) / np.sqrt(n)
    half = stats.t.ppf((1 + confidence) / 2, n - 1) * sem
    tail = stats.norm.cdf(np.sqrt(n / (n - 1)) * stats.t.ppf((1 - confidence) / 2, n - 1))
    rng = check_random_state(random_state)
    means = values[rng.randint(n, size=(n_bootstraps, n))].mean(axis=1)
    low, high = np.quantile(means, [tail, 1 - tail])
    return MeanInterval(mean, sem, mean - half, mean + half, low, high, n)


def voxel_score_intervals(result, Y, *, confidence=0.95, n_bootstraps=1000, random_state=None):
    """Compute how far each voxel's score might move with other sentences of the same kind.

    The held-out samples of each fold are drawn again with replacement, all voxels with the same draw, and the score is
    computed as it was: r in each fold, its Fisher mean over folds. The models stay as they are, so that the interval
    holds the score of *these* models on new sentences; what other training sentences would have changed is not in it.

    Parameters
    ----------
    result : VoxelScores
        From ``cross_val_voxel_scores(..., metric="pearson", return_predictions=True)``.

    Y : array-like of shape (n_samples, n_voxels)
        The responses that were predicted.

    confidence : float, default=0.95
        Of the intervals, widened for few samples as in :func:`mean_interval`.

    n_bootstraps : int, default=1000
        Draws.

    random_state : int, RandomState instance or None, default=None
        Seed of the draws.

    Returns
    -------
    intervals : ScoreIntervals
        ``low`` and ``high``, of shape `(n_voxels,)`, in units of r; divide by the noise ceiling as the score. NaN where
        there is no score.

    Raises
    ------
    ValueError
        If there are no predictions, they are others than of `Y`, or the metric isn't r.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn_sae_encoding.metrics import cross_val_voxel_scores, voxel_score_intervals
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 3))
    >>> Y = X[:, :2] + rng.normal(size=(200, 2))
    >>> result = cross_val_voxel_scores(Ridge(), X, Y, return_predictions=True)
    >>> intervals = voxel_score_intervals(result, Y, random_state=0)
    >>> (intervals.low < result.scores) & (result.scores < intervals.high)
    array([ True,  True])
    """
    Y = np.asarray(Y)
    Y = Y[:, None] if Y.ndim == 1 else Y
    predictions = _checked_predictions(result, Y, confidence)
    rng = check_random_state(random_state)
    tests = [np.arange(len(Y))[test] for _, test in result.splits]
    # How often each sample of a fold is drawn: shapes (n_bootstraps, n_test).
    counts = [rng.multinomial(len(test), np.full(len(test), 1 / len(test)), size=n_bootstraps) for test in tests]
    n = min(len(test) for test in tests)
    tail = stats.norm.cdf(np.sqrt(n / (n - 1)) * stats.t.ppf((1 - confidence) / 2, n - 1))
    limits = np.empty((2, Y.shape[1]))
    for start in range(0, Y.shape[1], BLOCK):
        block = slice(start, start + BLOCK)
        z = [
            _drawn_z(drawn, Y[test, block].astype(np.float64), predictions[test, block])
            for drawn, test in zip(counts, tests, strict=True)
        ]
        limits[:, block] = np.tanh(np.quantile(np.mean(z, axis=0), [tail, 1 - tail], axis=0))
    limits[:, np.isnan(result.scores)] = np.nan
    return ScoreIntervals(*limits)


def _checked_predictions(result, Y, confidence):
    if result.metric != "pearson":
        raise ValueError(f"Intervals are those of r, but the scores are {result.metric!r}. Use metric='pearson'.")
    if result.predictions is None or np.shape(result.predictions)[0] != len(Y) or result.predictions.size != Y.size:
        raise ValueError(
            f"Intervals need predictions of the {Y.shape[0]} x {Y.shape[1]} responses: score the model on them with "
            "return_predictions=True."
        )
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}.")
    return np.asarray(result.predictions, dtype=np.float64).reshape(Y.shape)


def _drawn_z(counts, measured, predicted):
    """Fisher's z of each voxel in each draw, from the sums over samples weighted by how often they were drawn."""
    measured, predicted = measured - measured.mean(axis=0), predicted - predicted.mean(axis=0)
    n = counts.sum(axis=1, keepdims=True)
    mean_m, mean_p = counts @ measured / n, counts @ predicted / n
    product = counts @ (measured * predicted) / n - mean_m * mean_p
    variances = (counts @ measured**2 / n - mean_m**2) * (counts @ predicted**2 / n - mean_p**2)
    with np.errstate(invalid="ignore", divide="ignore"):
        r = np.where(variances > 0, product / np.sqrt(np.maximum(variances, 0)), 0.0)
    return np.arctanh(np.clip(r, np.nextafter(-1.0, 0.0), np.nextafter(1.0, 0.0)))
