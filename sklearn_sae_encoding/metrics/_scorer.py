"""Voxel scores as a scorer, so that scikit-learn's searches choose by what voxels are scored by."""

import warnings

import numpy as np

from sklearn_sae_encoding.metrics._scores import ceiling_of, normalize_scores, voxel_metric

_AVERAGES = {"mean": np.mean, "median": np.median}


def make_voxel_scorer(metric="pearson", average="mean", *, noise_ceiling=None):
    """Make a scorer for ``GridSearchCV`` and ``cross_val_score``: the average score of the voxels.

    It asks the estimator's own ``voxel_scores`` (of a pipeline its last step's, of a search its best estimator's), so
    that lists of runs and images work, where scikit-learn's string scorers fail; of other regressors it compares
    ``predict`` with the responses. Voxels without a score (absent ones, or constant in these samples) are left out of
    the average, and counted in a warning.

    Parameters
    ----------
    metric : {"pearson", "r2"} or callable, default="pearson"
        Score of a voxel: :func:`voxelwise_pearson`, :func:`voxelwise_r2`, or a function of true and predicted
        responses that gives one number a voxel.

    average : {"mean", "median"} or callable, default="mean"
        How scores of voxels become one number. A callable takes an array of scores without NaN.

    noise_ceiling : array-like of shape (n_voxels,) or float, default=None
        Ceilings in units of r, by which scores are divided; squared for ``metric="r2"``. Not for a callable metric,
        whose ceiling is not known. None divides by nothing.

    Returns
    -------
    scorer : VoxelScorer
        ``scorer(estimator, X, y)`` is a float, greater is better; NaN if no voxel has a score.

    Raises
    ------
    ValueError
        For an unknown metric or average, and a ceiling with a callable metric; when it scores, for negative ceilings
        and for another number of them than of voxels.

    See Also
    --------
    cross_val_voxel_scores : Every voxel's score, by cross-validation.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn_sae_encoding.metrics import make_voxel_scorer
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(60, 4))
    >>> Y = X @ rng.normal(size=(4, 3)) + rng.normal(size=(60, 3))
    >>> search = GridSearchCV(Ridge(), {"alpha": [1.0, 1e6]}, scoring=make_voxel_scorer()).fit(X, Y)
    >>> search.best_params_
    {'alpha': 1.0}
    """
    voxel_metric(metric)
    if not callable(average) and average not in _AVERAGES:
        raise ValueError(f"average must be a callable or one of {sorted(_AVERAGES)}, got {average!r}.")
    if noise_ceiling is not None and callable(metric):
        raise ValueError("noise_ceiling bounds 'pearson' and 'r2'; for a callable metric divide in the callable.")
    return VoxelScorer(metric, average, noise_ceiling)


class VoxelScorer:
    """What :func:`make_voxel_scorer` makes: a picklable function of estimator, samples and responses."""

    def __init__(self, metric, average, noise_ceiling):
        self.metric = metric
        self.average = average
        self.noise_ceiling = noise_ceiling

    def __call__(self, estimator, X, y, **params):
        """Score a fitted estimator.

        Parameters
        ----------
        estimator : fitted estimator
        X : whatever the estimator takes, of length n_samples
        y : array-like of shape (n_samples, n_voxels) or (n_samples,), list of arrays or images
        **params : dict
            Passed to the estimator's ``voxel_scores``.

        Returns
        -------
        score : float
        """
        scores = np.atleast_1d(_voxel_scores(estimator, X, y, self.metric, params))
        if self.noise_ceiling is not None:
            scores = normalize_scores(scores, ceiling_of(self.metric, self.noise_ceiling))
        defined = ~np.isnan(scores)
        if not defined.all():
            warnings.warn(
                f"{(~defined).sum()} of {len(scores)} voxels have no score here (absent, constant, or without a noise "
                "ceiling) and are left out of the average.",
                UserWarning,
                stacklevel=2,
            )
        if not defined.any():
            return float("nan")
        average = self.average if callable(self.average) else _AVERAGES[self.average]
        return float(average(scores[defined]))

    def __repr__(self):
        ceiling = "" if self.noise_ceiling is None else ", noise_ceiling=..."
        return f"make_voxel_scorer({self.metric!r}, {self.average!r}{ceiling})"


def _voxel_scores(estimator, X, y, metric, params):
    if hasattr(estimator, "voxel_scores"):
        return estimator.voxel_scores(X, y, metric=metric, **params)
    if hasattr(estimator, "best_estimator_"):
        return _voxel_scores(estimator.best_estimator_, X, y, metric, params)
    if hasattr(estimator, "steps"):
        X = estimator[:-1].transform(X) if len(estimator.steps) > 1 else X
        return _voxel_scores(estimator[-1], X, y, metric, params)
    return voxel_metric(metric)(np.asarray(y), estimator.predict(X))
