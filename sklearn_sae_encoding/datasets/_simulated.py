"""Features to simulated voxels whose weights, noise and ceilings are known."""

from typing import NamedTuple

import numpy as np
from scipy import sparse
from sklearn.utils import Bunch, check_array, check_random_state
from sklearn.utils.random import sample_without_replacement

from sklearn_sae_encoding.metrics import noise_ceiling as ceiling_of

_SIGNS = {"both": (-1.0, 1.0), "positive": (1.0,), "negative": (-1.0,)}


def make_voxel_responses(
    X,
    *,
    n_voxels=100,
    n_informative=10,
    noise_ceiling=0.7,
    n_repeats=3,
    effect_range=(0.5, 1.5),
    signs="both",
    forced_features=None,
    forced_effect=1.0,
    unexplained=0.0,
    min_active=10,
    max_correlation=1.0,
    random_state=None,
):
    """Simulate voxels that respond to given features, with known weights, noise ceiling and repeats.

    Voxel `v` has the signal ``s_v = X w_v + u_v`` and the repeats ``s_v + noise``, the noise independent and Gaussian.
    The weights `w` are sparse: `n_informative` features a voxel, drawn from those that vary enough over the samples.
    A weight is an effect over the standard deviation of its feature, so that rare and frequent features matter alike.
    Every signal has standard deviation 1, and the noise is as large as the noise ceiling asks::

        ncsnr² = noise_ceiling² / (n_repeats (1 - noise_ceiling²)),    sd of the noise = 1 / ncsnr

    Parameters
    ----------
    X : array-like or sparse matrix of shape (n_samples, n_features)
        Features, such as the output of :class:`~sklearn_sae_encoding.sae.SAEProjector`. Sparse ones stay sparse.

    n_voxels : int, default=100
        Number of voxels.

    n_informative : int or array-like of int of shape (n_voxels,), default=10
        Features that drive each voxel, besides the forced ones. A voxel with none at all has a signal that is
        unrelated to ``X``: it is reliable, but there is nothing to find.

    noise_ceiling : float or array-like of shape (n_voxels,), default=0.7
        Expected correlation between the signal and the mean over repeats, in [0, 1]. 1 is no noise; 0 is noise alone
        (no signal, weights zero).

    n_repeats : int, default=3
        Repeats that are averaged.

    effect_range : tuple of two float, default=(0.5, 1.5)
        Magnitudes of the effects, drawn uniformly. They are relative to each other: the signal is scaled afterwards.

    signs : {"both", "positive", "negative"}, default="both"
        Signs of the effects; both are equally likely.

    forced_features : array-like of int, default=None
        Columns that drive every voxel, such as ``[-1]`` for surprisal. They are not drawn in addition.

    forced_effect : float or array-like of shape (n_forced,), default=1.0
        Effect of each of them, with its sign, on the scale of ``effect_range``.

    unexplained : float or array-like of shape (n_voxels,), default=0.0
        Share of the signal's variance, in [0, 1], that is the same in all repeats but unrelated to ``X``.

    min_active : int, default=10
        A feature is a candidate if it is not constant and not zero in at least this many samples. No column of ``X``
        is removed; the rest merely have no weight. Forced features are exempt.

    max_correlation : float, default=1.0
        A feature is no candidate if its absolute correlation with any other column of ``X`` is larger than this.
        Pooled over short texts, many SAE features copy each other, and which of two copies drives a voxel can't be
        found. 1 allows all.

    random_state : int, RandomState instance or None, default=None
        Seed.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        With

        - ``betas``, an array of shape `(n_samples, n_voxels)`, the mean over repeats;
        - ``repeats``, an array of shape `(n_repeats, n_samples, n_voxels)`;
        - ``signal``, an array of shape `(n_samples, n_voxels)`, what a perfect model of the brain would predict;
        - ``explained``, an array of that shape, ``X @ weights.T``, what a perfect model of ``X`` would predict, up to
          a constant a voxel;
        - ``weights``, a CSR array of shape `(n_voxels, n_features)`;
        - ``ncsnr`` and ``noise_ceiling``, arrays of shape `(n_voxels,)`, true values;
        - ``candidates``, the columns that could be drawn.

    Raises
    ------
    ValueError
        If there are fewer candidates than ``n_informative``, or a forced feature is constant.

    See Also
    --------
    sklearn_sae_encoding.metrics.support_recovery : How well the planted features were found.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sae_encoding.datasets import make_voxel_responses
    >>> X = np.random.default_rng(0).random((200, 50))
    >>> data = make_voxel_responses(X, n_voxels=4, n_informative=3, random_state=0)
    >>> data.betas.shape, data.repeats.shape, data.weights.shape
    ((200, 4), (3, 200, 4), (4, 50))
    >>> np.diff(data.weights.indptr).tolist()  # features that drive each voxel
    [3, 3, 3, 3]
    """
    X = check_array(X, accept_sparse="csr", dtype=np.float64, ensure_min_samples=3)
    rng = check_random_state(random_state)
    if n_repeats < 1:
        raise ValueError(f"n_repeats must be at least 1, got {n_repeats}.")
    ceiling = _per_voxel("noise_ceiling", noise_ceiling, n_voxels, 0, 1)
    unexplained = _per_voxel("unexplained", unexplained, n_voxels, 0, 1)
    counts = _per_voxel("n_informative", n_informative, n_voxels, 0, X.shape[1]).astype(np.intp)

    stats = _feature_stats(X)
    forced = _forced(forced_features, forced_effect, stats, X.shape)
    candidates = _distinct(X, _candidates(stats, min_active), stats, max_correlation)
    candidates = np.setdiff1d(candidates, forced.features)
    if counts.max() > len(candidates):
        raise ValueError(
            f"n_informative={counts.max()}, but only {len(candidates)} of {X.shape[1]} features vary, are not zero "
            f"in at least min_active={min_active} samples and correlate by at most max_correlation={max_correlation} "
            "with every other one. Lower min_active or n_informative, or raise max_correlation."
        )
    effects = _draw_effects(candidates, counts, _check_range(effect_range), _check_signs(signs), forced, rng)
    truth = _signal(X, _weights(effects, stats, (n_voxels, X.shape[1])), np.where(ceiling > 0, unexplained, 0), rng)
    truth = _silenced(truth, ceiling == 0)

    with np.errstate(divide="ignore", over="ignore"):
        ncsnr = ceiling / np.sqrt(n_repeats * (1 - ceiling**2))
        noise_sd = np.where(ncsnr > 0, 1 / ncsnr, 1.0)
    repeats = rng.standard_normal((n_repeats, *truth.signal.shape))
    repeats *= noise_sd
    repeats += truth.signal
    return Bunch(
        betas=repeats.mean(axis=0),
        repeats=repeats,
        signal=truth.signal,
        explained=truth.explained,
        weights=truth.weights,
        ncsnr=ncsnr,
        noise_ceiling=ceiling_of(ncsnr, n_repeats),
        candidates=candidates,
    )


class _Truth(NamedTuple):
    weights: sparse.csr_array  # (n_voxels, n_features)
    explained: np.ndarray  # (n_samples, n_voxels), X @ weights.T
    signal: np.ndarray  # (n_samples, n_voxels)


class _Effects(NamedTuple):
    voxels: np.ndarray
    features: np.ndarray
    values: np.ndarray


class _FeatureStats(NamedTuple):
    sd: np.ndarray  # (n_features,), 0 for a constant feature
    n_active: np.ndarray  # (n_features,), samples where it is not zero


class _Forced(NamedTuple):
    features: np.ndarray
    effects: np.ndarray


def _per_voxel(name, value, n_voxels, low, high):
    value = np.asarray(value, dtype=np.float64)
    if value.ndim > 0 and value.shape != (n_voxels,):
        raise ValueError(f"{name} must be one number or one a voxel, ({n_voxels},), got shape {value.shape}.")
    if not np.all((value >= low) & (value <= high)):
        raise ValueError(f"{name} must lie in [{low}, {high}], got values from {value.min()} to {value.max()}.")
    return np.broadcast_to(value, (n_voxels,))


def _feature_stats(X):
    squares = X.multiply(X) if sparse.issparse(X) else X**2
    mean, mean_square = (np.asarray(values.mean(axis=0)).ravel() for values in (X, squares))
    variance = mean_square - mean**2
    sd = np.sqrt(np.where(variance > 1e-12 * mean_square, variance, 0.0))  # up to rounding, that is constant
    return _FeatureStats(sd, np.asarray((X != 0).sum(axis=0)).ravel())


def _candidates(stats, min_active):
    return np.flatnonzero((stats.sd > 0) & (stats.n_active >= min_active))


def _distinct(X, candidates, stats, max_correlation, chunk_size=1024):
    """Keep the candidates that no other column of X copies, a chunk of correlations at a time."""
    if not 0 < max_correlation <= 1:
        raise ValueError(f"max_correlation must lie in (0, 1], got {max_correlation}.")
    if max_correlation == 1:
        return candidates
    varying = np.flatnonzero(stats.sd > 0)
    closest = np.zeros(len(candidates))
    for start in range(0, len(varying), chunk_size):
        chunk = varying[start : start + chunk_size]
        correlation = np.abs(_standardised(X, candidates, stats).T @ _standardised(X, chunk, stats)) / X.shape[0]
        correlation[candidates[:, None] == chunk] = 0
        closest = np.maximum(closest, correlation.max(axis=1))
    return candidates[closest <= max_correlation]


def _standardised(X, columns, stats):
    values = X[:, columns]
    values = values.toarray() if sparse.issparse(values) else values
    return (values - values.mean(axis=0)) / stats.sd[columns]


def _forced(features, effect, stats, shape):
    features = np.asarray([] if features is None else features, dtype=np.intp)
    if features.ndim != 1 or np.any((features < -shape[1]) | (features >= shape[1])):
        raise ValueError(f"forced_features must be columns of X, which has {shape[1]}; got {features.tolist()}.")
    features = features % shape[1]
    if np.any(stats.sd[features] == 0):
        column = int(features[stats.sd[features] == 0][0])
        raise ValueError(f"Forced feature {column} is constant in X and cannot drive a voxel.")
    return _Forced(features, np.broadcast_to(np.asarray(effect, dtype=np.float64), features.shape))


def _check_range(effect_range):
    low, high = effect_range
    if not 0 < low <= high:
        raise ValueError(f"effect_range must be two magnitudes, 0 < low <= high, got {effect_range}.")
    return low, high


def _check_signs(signs):
    if signs not in _SIGNS:
        raise ValueError(f"signs must be one of {list(_SIGNS)}, got {signs!r}.")
    return _SIGNS[signs]


def _draw_effects(candidates, counts, effect_range, signs, forced, rng):
    """Draw the features of every voxel and their effects, entry by entry."""
    drawn = [candidates[sample_without_replacement(len(candidates), n, random_state=rng)] for n in counts]
    values = rng.uniform(*effect_range, size=counts.sum()) * rng.choice(signs, size=counts.sum())
    n_voxels, n_forced = len(counts), len(forced.features)
    return _Effects(
        voxels=np.r_[np.repeat(np.arange(n_voxels), counts), np.repeat(np.arange(n_voxels), n_forced)],
        features=np.r_[np.concatenate(drawn).astype(np.intp), np.tile(forced.features, n_voxels)],
        values=np.r_[values, np.tile(forced.effects, n_voxels)],
    )


def _weights(effects, stats, shape):
    values = effects.values / stats.sd[effects.features]
    return sparse.csr_array((values, (effects.voxels, effects.features)), shape=shape)


def _signal(X, weights, unexplained, rng):
    """Scale the weights and add what X does not explain, so that each signal has standard deviation 1."""
    explained = _predict(X, weights)
    sd = explained.std(axis=0)
    nothing = sd <= 1e-12 * np.abs(explained).max(axis=0)
    share = np.where(nothing, 1.0, unexplained)
    scale = np.sqrt(1 - share) / np.where(nothing, 1.0, sd)
    weights = _scaled(weights, scale)
    explained *= scale

    other = rng.standard_normal(explained.shape) if share.any() else np.zeros(explained.shape)
    # Orthogonal to the mean and to what is explained, so that the share is exact in this sample.
    centred = explained - explained.mean(axis=0)
    other -= other.mean(axis=0)
    squares = np.einsum("ij,ij->j", centred, centred)
    other -= centred * (np.einsum("ij,ij->j", centred, other) / np.where(squares > 0, squares, 1.0))
    other_sd = other.std(axis=0)
    other *= np.sqrt(share) / np.where(other_sd > 0, other_sd, 1.0)
    return _Truth(weights, explained, explained + other)


def _predict(X, weights):
    product = weights @ X.T
    return np.asarray(product.toarray() if sparse.issparse(product) else product).T.copy()


def _scaled(weights, scale):
    weights = sparse.csr_array(weights.multiply(scale[:, None]))
    weights.eliminate_zeros()
    weights.sort_indices()
    return weights


def _silenced(truth, silent):
    """Take the signal from voxels that are to be noise alone."""
    loud = np.where(silent, 0.0, 1.0)
    return _Truth(_scaled(truth.weights, loud), truth.explained * loud, truth.signal * loud)
