"""Responses and predictions to one number a voxel."""

from collections.abc import Mapping

import numpy as np

# Voxels handled at once: 200 texts of them take 3 MB, so that 100,000 voxels need no second copy of the responses.
BLOCK = 2048

# Rounding may put a correlation this far outside [-1, 1]; further out, something else is wrong.
_ROUNDING = 1e-6


def voxelwise_pearson(Y_true, Y_pred):
    """Compute Pearson's r of every voxel.

    Parameters
    ----------
    Y_true : array-like of shape (n_samples, n_voxels) or (n_samples,)
        Measured responses. One dimension is one voxel.

    Y_pred : array-like of the same shape
        Predicted responses.

    Returns
    -------
    r : ndarray of shape (n_voxels,)
        In [-1, 1]. It is 0 where the prediction is constant, because such a model tells the texts apart no better
        than chance; NaN where the measured response is constant, or where either holds a NaN, because no
        correlation is defined there.

    Raises
    ------
    ValueError
        If the shapes differ, or with fewer than two samples.

    Examples
    --------
    >>> from sklearn_sae_encoding.metrics import voxelwise_pearson
    >>> Y_true = [[1.0, 1.0], [2.0, 4.0], [3.0, 2.0]]
    >>> Y_pred = [[2.0, 0.5], [4.0, 0.5], [6.0, 0.5]]
    >>> voxelwise_pearson(Y_true, Y_pred)
    array([1., 0.])
    """
    Y_true, Y_pred = _check_pair(Y_true, Y_pred)
    return _in_blocks(_pearson_block, Y_true, Y_pred)


def voxelwise_r2(Y_true, Y_pred):
    """Compute the coefficient of determination of every voxel.

    ``1 - Σ (y - ŷ)² / Σ (y - ȳ)²``, with ȳ the mean of the measured responses that are given.

    Parameters
    ----------
    Y_true : array-like of shape (n_samples, n_voxels) or (n_samples,)
        Measured responses. One dimension is one voxel.

    Y_pred : array-like of the same shape
        Predicted responses.

    Returns
    -------
    r2 : ndarray of shape (n_voxels,)
        At most 1, negative where the prediction is worse than the mean, NaN where the measured response is constant
        or either holds a NaN.

    Raises
    ------
    ValueError
        If the shapes differ, or with fewer than two samples.

    Examples
    --------
    >>> from sklearn_sae_encoding.metrics import voxelwise_r2
    >>> voxelwise_r2([[1.0, 1.0], [2.0, 4.0], [3.0, 1.0]], [[1.0, 2.0], [2.0, 2.0], [3.0, 2.0]])
    array([1., 0.])
    """
    Y_true, Y_pred = _check_pair(Y_true, Y_pred)
    return _in_blocks(_r2_block, Y_true, Y_pred)


def fisher_mean(r, axis=0):
    """Average correlations on Fisher's z scale: ``tanh(mean(arctanh(r)))``.

    Parameters
    ----------
    r : array-like
        Correlations, for example of shape (n_folds, n_voxels). Exactly 1 and -1, whose z is infinite, count as the
        nearest number inside (z = ±18.7). A NaN makes its mean NaN.

    axis : int, tuple of int or None, default=0
        What to average over. None is everything.

    Returns
    -------
    mean : ndarray or float

    Raises
    ------
    ValueError
        If a value lies outside [-1, 1] by more than rounding.

    Examples
    --------
    >>> from sklearn_sae_encoding.metrics import fisher_mean
    >>> fisher_mean([[0.1, 0.9], [0.3, 0.5]]).round(3)
    array([0.202, 0.766])
    """
    return np.tanh(np.mean(_fisher_z(r), axis=axis))


def fisher_sem(r, axis=0):
    """Compute the standard error of a Fisher mean, upwards: ``tanh(mean(z) + sem(z)) - tanh(mean(z))``.

    Folds share training samples, so that their scores are not independent: it describes how much folds differ, and is
    no basis of a test.

    Parameters
    ----------
    r : array-like
        Correlations, for example ``VoxelScores.fold_scores`` of shape (n_folds, n_voxels), as for :func:`fisher_mean`.

    axis : int, default=0
        What the mean is over, at least two of them.

    Returns
    -------
    sem : ndarray or float
        In units of r.

    Raises
    ------
    ValueError
        If a value lies outside [-1, 1] by more than rounding, there is no such axis, or fewer than two values along it.

    References
    ----------
    Lepori, Kay and Tuckute, arXiv:2606.06857, over outer folds.

    Examples
    --------
    >>> from sklearn_sae_encoding.metrics import fisher_sem
    >>> fisher_sem([[0.1, 0.9], [0.3, 0.9]]).round(3)
    array([0.098, 0.   ])
    """
    z = _fisher_z(r)
    if z.ndim > 0 and axis not in range(-z.ndim, z.ndim):
        raise ValueError(f"axis must be one of {list(range(z.ndim))} for r of shape {z.shape}, got {axis!r}.")
    if z.ndim == 0 or z.shape[axis] < 2:
        raise ValueError(f"A standard error needs at least two values along axis {axis}, got shape {z.shape}.")
    mean, sem = z.mean(axis=axis), z.std(axis=axis, ddof=1) / np.sqrt(z.shape[axis])
    return np.tanh(mean + sem) - np.tanh(mean)


def _fisher_z(r):
    r = np.asarray(r, dtype=np.float64)
    if np.any(np.abs(r) > 1 + _ROUNDING):
        raise ValueError(f"Correlations lie in [-1, 1], got {r[np.abs(r) > 1 + _ROUNDING].flat[0]}.")
    inside = np.nextafter(1.0, 0.0)
    return np.arctanh(np.clip(r, -inside, inside))


def normalize_scores(scores, noise_ceiling):
    """Divide scores by their noise ceilings.

    Parameters
    ----------
    scores : array-like of shape (..., n_voxels)
        Scores in the units of the ceilings: r for ceilings in units of r; R² for squared ceilings.

    noise_ceiling : array-like of shape (n_voxels,) or float
        The best score a perfect model could reach.

    Returns
    -------
    normalized : ndarray of shape (..., n_voxels)
        1 is as good as the noise allows; sampling can carry it above. NaN where the ceiling is 0 or NaN: without
        reliable signal there is nothing to explain.

    Examples
    --------
    >>> from sklearn_sae_encoding.metrics import normalize_scores
    >>> normalize_scores([0.3, 0.2], [0.6, 0.0])
    array([0.5, nan])
    """
    scores, ceiling = np.asarray(scores, dtype=np.float64), _as_ceilings(noise_ceiling)
    if ceiling.ndim > 0 and ceiling.shape != scores.shape[-1:]:
        raise ValueError(
            f"Got {scores.shape[-1] if scores.ndim else 1} voxel(s) with scores but noise ceilings of shape "
            f"{ceiling.shape}; expected one noise ceiling a voxel."
        )
    return scores / np.where(ceiling > 0, ceiling, np.nan)


def ceiling_of(metric, noise_ceiling):
    """Ceilings in units of r as those of a metric: themselves, or their squares, in which a sign would be lost."""
    ceiling = _as_ceilings(noise_ceiling)
    return ceiling**2 if metric == "r2" else ceiling


def _as_ceilings(noise_ceiling):
    """Give ceilings as an array; raise unless they are correlations, as percentages and ratios to noise are not."""
    if isinstance(noise_ceiling, Mapping):
        names = list(noise_ceiling)
        raise ValueError(
            f"noise_ceiling holds the ceilings of {len(names)} targets ({', '.join(map(str, names[:3]))}, ...): give "
            f"those of the one that is scored, such as noise_ceiling[{names[0]!r}]."
        )
    ceiling = np.asarray(noise_ceiling, dtype=np.float64)
    if np.any(ceiling < 0):
        voxel = int(np.flatnonzero(ceiling < 0)[0])
        raise ValueError(f"Noise ceilings cannot be negative, got {ceiling.flat[voxel]} for voxel {voxel}.")
    if np.any(ceiling > 1 + 1e-6):
        voxel = int(np.flatnonzero(ceiling > 1 + 1e-6)[0])
        raise ValueError(
            f"Noise ceilings are correlations, at most 1, but voxel {voxel} has {ceiling.flat[voxel]:g}. A percentage "
            "of explainable variance v is the correlation sqrt(v / 100); noise_ceiling(ncsnr, n_repeats) makes one of "
            "ncsnr."
        )
    return ceiling


def _check_pair(Y_true, Y_pred):
    Y_true, Y_pred = np.asarray(Y_true), np.asarray(Y_pred)
    if Y_true.shape != Y_pred.shape or Y_true.ndim not in (1, 2):
        raise ValueError(
            "Measured and predicted responses must have the same shape (n_samples, n_voxels), got "
            f"{Y_true.shape} and {Y_pred.shape}."
        )
    if len(Y_true) < 2:
        raise ValueError(f"A voxel's score needs at least 2 samples, got {len(Y_true)}. Use fewer or larger folds.")
    return (Y_true[:, None], Y_pred[:, None]) if Y_true.ndim == 1 else (Y_true, Y_pred)


def _in_blocks(score, Y_true, Y_pred):
    scores = np.empty(Y_true.shape[1])
    for start in range(0, len(scores), BLOCK):
        block = slice(start, start + BLOCK)
        scores[block] = score(Y_true[:, block], Y_pred[:, block])
    return scores


def _pearson_block(Y_true, Y_pred):
    true, _, constant_true = _standardized(Y_true)
    pred, _, constant_pred = _standardized(Y_pred)
    with np.errstate(invalid="ignore", divide="ignore"):
        norms = np.sqrt(np.einsum("ij,ij->j", true, true) * np.einsum("ij,ij->j", pred, pred))
        r = np.clip(np.einsum("ij,ij->j", true, pred) / norms, -1, 1)
    r[constant_pred & ~np.isnan(true).any(axis=0)] = 0.0
    r[constant_true] = np.nan
    return r


def _r2_block(Y_true, Y_pred):
    true, scale, constant = _standardized(Y_true)
    residual = (np.asarray(Y_true, dtype=np.float64) - Y_pred) / scale
    with np.errstate(invalid="ignore", divide="ignore"):
        r2 = 1 - np.einsum("ij,ij->j", residual, residual) / np.einsum("ij,ij->j", true, true)
    r2[constant] = np.nan
    return r2


def _standardized(Y):
    """Centre columns, divide by their largest deviation (squares can't underflow), say which are constant."""
    eps = np.finfo(Y.dtype).eps if Y.dtype.kind == "f" else np.finfo(np.float64).eps
    Y = np.asarray(Y, dtype=np.float64)
    centred = Y - Y.mean(axis=0)
    scale = np.abs(centred).max(axis=0)
    constant = scale <= 8 * eps * np.abs(Y).max(axis=0)  # up to rounding
    scale = np.where(constant, 1.0, scale)
    centred /= scale
    return centred, scale, constant


def voxel_metric(metric):
    """Look a metric of voxels up by its name; a function of true and predicted responses is taken as it is."""
    metrics = {"pearson": voxelwise_pearson, "r2": voxelwise_r2}
    if not callable(metric) and metric not in metrics:
        raise ValueError(f"metric must be a callable or one of {sorted(metrics)}, got {metric!r}.")
    return metric if callable(metric) else metrics[metric]
