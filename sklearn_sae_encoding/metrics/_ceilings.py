"""Repeated responses to what the best possible model could score."""

from itertools import combinations
from math import comb

import numpy as np
from sklearn.utils import check_random_state

from sklearn_sae_encoding.metrics._scores import BLOCK, fisher_mean, voxelwise_pearson


def noise_ceiling(ncsnr, n_repeats):
    """Compute the noise ceiling of responses averaged over repeats, in units of r.

    ``sqrt(ncsnr² / (ncsnr² + 1 / n_repeats))``: the correlation that a perfect prediction of the signal would have
    with the averaged responses. Its square is the ceiling of R².

    Parameters
    ----------
    ncsnr : array-like or float
        Noise-ceiling signal-to-noise ratio: standard deviation of the signal over that of the noise in a single
        repeat. ``inf`` (no noise) gives 1.

    n_repeats : float or array-like
        Repeats averaged. Where texts differ in their number, the harmonic mean of the numbers.

    Returns
    -------
    ceiling : ndarray or float
        In [0, 1].

    References
    ----------
    Allen et al. (2022), "A massive 7T fMRI dataset to bridge cognitive neuroscience and artificial intelligence",
    Nature Neuroscience 25. Their ceiling in percent is ``100 * ceiling ** 2``.

    Examples
    --------
    >>> from sklearn_sae_encoding.metrics import noise_ceiling
    >>> noise_ceiling([0.0, 0.5, 1.0], n_repeats=3).round(3)
    array([0.   , 0.655, 0.866])
    """
    ncsnr, n_repeats = np.asarray(ncsnr, dtype=np.float64), np.asarray(n_repeats, dtype=np.float64)
    if np.any(ncsnr < 0):
        raise ValueError(f"ncsnr is a ratio of standard deviations and cannot be negative, got {ncsnr.min()}.")
    if np.any(n_repeats <= 0):
        raise ValueError(f"n_repeats must be positive, got {n_repeats.min()}.")
    with np.errstate(divide="ignore", over="ignore"):
        return 1 / np.sqrt(1 + 1 / (n_repeats * ncsnr**2))


def ncsnr_from_repeats(repeats):
    """Estimate the signal-to-noise ratio of every voxel from repeated responses.

    The noise variance is that of repeats around their text's mean, pooled over texts (and unbiased); the signal
    variance is what is left of the variance of all single responses, at least 0. The ratio is that of the standard
    deviations.

    Parameters
    ----------
    repeats : array-like of shape (n_repeats, n_samples, n_voxels)
        Single responses. NaN stands for a repeat that was not measured: texts may have different numbers of
        repeats, and those with one still inform the total variance.

    Returns
    -------
    ncsnr : ndarray of shape (n_voxels,)
        0 where no signal shows, ``inf`` where the repeats are identical. A voxel that never changes has no signal: 0.

    Raises
    ------
    ValueError
        If no text of a voxel has two repeats: signal and noise cannot be told apart.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sae_encoding.metrics import ncsnr_from_repeats
    >>> rng = np.random.default_rng(0)
    >>> signal = rng.normal(size=(5000, 1))
    >>> repeats = signal + 2.0 * rng.normal(size=(3, 5000, 1))
    >>> ncsnr_from_repeats(repeats).round(1)
    array([0.5])
    """
    repeats = _check_repeats(repeats)
    return _over_blocks(_ncsnr_block, repeats)


def noise_ceiling_from_repeats(repeats):
    """Estimate the noise ceiling of the mean over repeats from the repeats, in units of r.

    :func:`noise_ceiling` of :func:`ncsnr_from_repeats`. Where texts differ in their number of repeats, ``1 / n`` is
    averaged over texts.

    Parameters
    ----------
    repeats : array-like of shape (n_repeats, n_samples, n_voxels)
        Single responses, NaN where there is none.

    Returns
    -------
    ceiling : ndarray of shape (n_voxels,)
        In [0, 1].

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sae_encoding.metrics import noise_ceiling_from_repeats
    >>> rng = np.random.default_rng(0)
    >>> signal = rng.normal(size=(5000, 1))
    >>> repeats = signal + 2.0 * rng.normal(size=(4, 5000, 1))  # ncsnr 0.5: sqrt(0.25 / (0.25 + 0.25))
    >>> noise_ceiling_from_repeats(repeats).round(1)
    array([0.7])
    """
    repeats = _check_repeats(repeats)
    return noise_ceiling(_over_blocks(_ncsnr_block, repeats), _over_blocks(_mean_n_repeats, repeats))


def split_half_noise_ceiling(repeats, *, max_splits=50, random_state=None):
    """Estimate the noise ceiling of the mean over repeats by correlating halves of the repeats, in units of r.

    The repeats are split in two in every possible way, or in ``max_splits`` random ways, and the two means correlated
    over texts. From the Fisher mean `r` of these correlations follows ``ρ = ncsnr²``, and from it the ceiling of the
    mean over all repeats. For halves of `a` and `b` repeats::

        r = ρ / sqrt((ρ + 1/a) (ρ + 1/b))

    With halves of one size this is the square root of Spearman and Brown's reliability. It agrees with
    :func:`noise_ceiling_from_repeats` up to sampling, and needs no variances.

    Parameters
    ----------
    repeats : array-like of shape (n_repeats, n_samples, n_voxels)
        Single responses, all measured.

    max_splits : int, default=50
        Number of splits at most.

    random_state : int, RandomState instance or None, default=None
        Seed, used where not all splits are taken.

    Returns
    -------
    ceiling : ndarray of shape (n_voxels,)
        In [0, 1]; 0 where the halves do not correlate, NaN where a half is constant.

    Raises
    ------
    ValueError
        If there is one repeat only, or a NaN: where numbers of repeats differ, use
        :func:`noise_ceiling_from_repeats`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sae_encoding.metrics import split_half_noise_ceiling
    >>> rng = np.random.default_rng(0)
    >>> signal = rng.normal(size=(5000, 1))
    >>> repeats = signal + 2.0 * rng.normal(size=(4, 5000, 1))  # ncsnr 0.5: sqrt(0.25 / (0.25 + 0.25))
    >>> split_half_noise_ceiling(repeats).round(1)
    array([0.7])
    """
    repeats = _check_repeats(repeats)
    if np.any(np.isnan(repeats)):
        raise ValueError("Halves need the same repeats of every text, got a NaN. Use noise_ceiling_from_repeats.")
    n = len(repeats)
    halves = _halves(n, max_splits, check_random_state(random_state))
    r = fisher_mean([voxelwise_pearson(*(_mean_of(repeats, half) for half in pair)) for pair in halves])
    return noise_ceiling(_ncsnr_from_halves(np.maximum(r, 0), n // 2, n - n // 2), n)


def _halves(n, max_splits, rng):
    """List ways to split n repeats in two, the first one at most as large."""
    everything = range(n)
    if comb(n, n // 2) <= 2 * max_splits:
        first = list(combinations(everything, n // 2))
        if n % 2 == 0:  # each split comes up twice, once from either side
            first = first[: len(first) // 2]
    else:
        first = [tuple(rng.permutation(n)[: n // 2]) for _ in range(max_splits)]
    return [(half, tuple(i for i in everything if i not in half)) for half in first]


def _mean_of(repeats, half):
    return sum(repeats[i] for i in half) / len(half)


def _ncsnr_from_halves(r, a, b):
    # r² (ρ + 1/a) (ρ + 1/b) = ρ², a quadratic equation in ρ with one root that is not negative.
    r2 = r**2
    linear = r2 * (1 / a + 1 / b)
    with np.errstate(divide="ignore", invalid="ignore"):
        rho = (linear + np.sqrt(linear**2 + 4 * (1 - r2) * r2 / (a * b))) / (2 * (1 - r2))
    return np.sqrt(rho)


def _over_blocks(function, repeats):
    """Apply a function of repeats to blocks of voxels, so that temporary arrays stay small."""
    starts = range(0, repeats.shape[2], BLOCK)
    return np.concatenate([np.empty(0), *(function(repeats[:, :, start : start + BLOCK]) for start in starts)])


def _ncsnr_block(repeats):
    rounding = _rounding_variance(repeats)
    noise, total = _noise_variance(repeats), _total_variance(repeats)
    noise = np.where(noise > rounding, noise, 0.0)
    signal = np.where(total > rounding, np.maximum(total - noise, 0.0), 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(signal > 0, np.sqrt(signal / noise), 0.0)


def _mean_n_repeats(repeats):
    """Harmonic mean over texts."""
    counts = _n_measured(repeats).astype(np.float64)
    counts[counts == 0] = np.nan
    return 1 / np.nanmean(1 / counts, axis=0)


def _check_repeats(repeats):
    repeats = np.asarray(repeats)
    if repeats.ndim != 3:
        raise ValueError(f"repeats must have the shape (n_repeats, n_samples, n_voxels), got {repeats.shape}.")
    most = _over_blocks(_most_repeats, repeats)
    if np.any(most < 2):
        voxel = int(np.flatnonzero(most < 2)[0])
        raise ValueError(
            f"Signal and noise can only be told apart with at least 2 repeats of some text, but voxel {voxel} has at "
            f"most {int(most[voxel])}."
        )
    return repeats


def _most_repeats(repeats):
    if np.any(np.isinf(repeats)):
        raise ValueError("repeats must be finite, or NaN where a repeat was not measured; got an infinity.")
    return _n_measured(repeats).max(axis=0, initial=0)


def _n_measured(repeats):
    return np.sum(~np.isnan(repeats), axis=0)


def _noise_variance(repeats):
    n = _n_measured(repeats)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = _sum(repeats) / n
    return _sum((single - means) ** 2 for single in repeats).sum(axis=0) / np.maximum(n - 1, 0).sum(axis=0)


def _total_variance(repeats):
    n = _n_measured(repeats).sum(axis=0)
    mean = _sum(repeats).sum(axis=0) / n
    return _sum((single - mean) ** 2 for single in repeats).sum(axis=0) / (n - 1)


def _sum(singles):
    # One repeat at a time: all of them at once would double the memory.
    return sum(np.nan_to_num(np.asarray(single, dtype=np.float64)) for single in singles)


def _rounding_variance(repeats):
    """Variances up to this size are no variances: they come from rounding in the means."""
    largest = np.nanmax(np.abs(repeats), axis=(0, 1)).astype(np.float64)
    return (8 * np.finfo(np.float64).eps * largest) ** 2
