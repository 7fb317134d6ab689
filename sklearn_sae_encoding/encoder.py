"""Features to voxels: sparse linear encoding models for very many targets."""

from __future__ import annotations

import os
import warnings
from numbers import Integral, Real
from typing import ClassVar

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import check_cv
from sklearn.utils import check_array
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    _raise_for_params,
    _routing_enabled,
    process_routing,
)
from sklearn.utils.validation import check_is_fitted, validate_data

from ._solvers.blocks import solve_in_blocks
from ._solvers.columns import as_columns
from ._solvers.cross_validation import Task, make_folds
from ._solvers.ftest import Screen, column_norms
from ._solvers.path import make_penalty
from ._solvers.ridge import Refit
from ._solvers.screening import make_screened
from ._solvers.targets import make_targets
from .metrics import voxelwise_pearson, voxelwise_r2

__all__ = ["SparseVoxelEncoder"]

# A weight below this (for standardised targets) does not count as selected; scikit-learn's SelectFromModel uses the
# same.
SELECTED = 1e-5


class SparseVoxelEncoder(MultiOutputMixin, RegressorMixin, BaseEstimator):
    r"""Lasso or elastic net from shared features to very many voxels, each with its own cross-validated penalty.

    For each voxel, with targets :math:`y` and ``n`` samples, it minimises

    .. math::

        \frac{1}{2n} \|y - Xw - b\|^2
        + \alpha \Big(\rho \sum_j f_j |w_j| + \frac{1-\rho}{2} \sum_j f_j w_j^2\Big)

    where :math:`\rho` is `l1_ratio` and :math:`f_j` is the penalty factor of feature `j`. Solutions are exact: a
    homotopy method moves along the piecewise linear path on few features, and no solution is accepted before all
    features have been checked. The :ref:`user guide <encoder>` has the mathematics.

    Parameters
    ----------
    alphas : int, float or array-like of shape (n_alphas,), default=30
        An integer (at least 2) is a number of log-spaced penalties from each voxel's own ``alpha_max``, above which
        all its weights are zero, down to ``eps * alpha_max``. Other values are the penalties themselves, in units of
        the targets (standardised ones, if `standardize_targets`). A single penalty needs no cross-validation. Larger
        values select fewer features.
    eps : float, default=1e-2
        Smallest penalty of the grid over the largest, if `alphas` is an integer.
    l1_ratio : float in (0, 1], default=1.0
        1 is the lasso; lower values share weight among correlated features.
    cv : int, splitter or iterable of (train, test) rows, default=5
        How to split the samples to choose each voxel's penalty. An integer is that many contiguous folds.
    selection : {"min", "1se"}, default="min"
        Take the penalty of least mean held-out error, or the largest one within a standard error of it.
    penalty_factor : array-like of shape (n_features,), default=None
        Relative penalty of each feature (glmnet's term); 0 leaves a feature unpenalised, so that it is always in the
        model.
    forced_features : array-like of int or str, default=None
        Features that every voxel's model contains, as indices (negative ones count from the end) or names. With
        ``refit="ridge"`` they join the selected features in the refit and are penalised in the lasso like any other;
        without a refit they are not penalised.
    screening : int, default=None
        Use for each voxel only the features that a univariate F-test over all training rows ranks first.
    positive : bool, default=False
        Allow only weights of at least zero (unpenalised features are free).
    refit : {"ridge"} or None, default=None
        Replace the weights of the selected features by those of a ridge regression on them. A feature is selected if
        the absolute value of its weight is at least 1e-5.
    refit_alphas : array-like, default=(1e-2, 1e-1, ..., 1e5)
        Penalties of the refit, as in :class:`~sklearn.linear_model.RidgeCV`; each voxel takes the one of least exact
        leave-one-out error.
    standardize_targets : bool, default=True
        Subtract each voxel's mean and divide by its population standard deviation over the training rows. Predictions
        come back in the original units.
    fit_intercept : bool, default=True
        Fit an unpenalised intercept. Without it, targets are not centred either.
    early_stopping : bool, default=False
        End a voxel's cross-validated path four penalties past the least mean held-out error, if the error is by then
        more than a standard error higher. Faster, but a later minimum is missed; `cv_mse_path_` is NaN from there on.
    tol : float, default=1e-4
        A duality gap above ``tol`` times the mean square of the (standardised) target is reported as not converged.
    max_iter : int, default=10_000
        How often features may enter or leave between two penalties.
    device : str, default="cpu"
        Where the products of all features with the residuals are computed.
    block_size : int or "auto", default="auto"
        Voxels in a block, the unit of work that `n_jobs` distributes. Memory grows with it.
    n_jobs : int, default=None
        Blocks solved at a time, through joblib.
    memory : str or joblib.Memory, default=None
        Keep finished blocks here, so that an interrupted fit resumes where it was. Set `block_size` if `n_jobs` may
        differ then.
    verbose : int, default=0
        Above 0, print after each block how many voxels are done and how much time is left.

    Attributes
    ----------
    coef_ : scipy.sparse.csr_array of shape (n_targets, n_features)
        Weights, in original units of the targets.
    intercept_ : ndarray of shape (n_targets,)
    alpha_ : ndarray of shape (n_targets,)
        Chosen penalties; NaN for voxels that were not fitted.
    refit_alpha_ : ndarray of shape (n_targets,)
        Chosen penalties of the refit; NaN where nothing was selected. Only with a refit.
    alphas_ : ndarray of shape (n_alphas,) or (n_targets, n_alphas)
        The grid, descending; one a voxel if `alphas` is an integer.
    cv_mse_path_ : ndarray of shape (n_targets, n_alphas, n_folds)
        Mean squared held-out errors, in squared units of the targets. Only with more than one penalty.
    dual_gap_ : ndarray of shape (n_targets,)
        Duality gaps of the sparse solutions on all samples, in squared units of the targets.
    n_iter_ : ndarray of shape (n_targets,)
        How often features entered or left on the way to the solutions on all samples, plus one.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)

    Notes
    -----
    A voxel that is NaN in every sample (outside a mask) gets zero weights and NaN predictions; a constant voxel gets
    zero weights and its constant as prediction; both are counted in one warning. A voxel that is NaN in some samples
    is a data error and raises.

    References
    ----------
    .. [1] Lepori, Kay and Tuckute, arXiv 2606.06857.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sae_encoding.encoder import SparseVoxelEncoder
    >>> rng = np.random.default_rng(0)
    >>> X = rng.random((80, 500)) * (rng.random((80, 500)) < 0.1)
    >>> Y = 3 * X[:, :2] + 0.1 * rng.standard_normal((80, 2))
    >>> encoder = SparseVoxelEncoder(selection="1se", refit="ridge").fit(X, Y)
    >>> encoder.coef_[:, [0, 1]].toarray().round(1)
    array([[3., 0.],
           [0., 3.]])
    """

    _parameter_constraints: ClassVar = {
        "alphas": [Interval(Integral, 1, None, closed="left"), Interval(Real, 0, None, closed="neither"), "array-like"],
        "eps": [Interval(Real, 0, 1, closed="neither")],
        "l1_ratio": [Interval(Real, 0, 1, closed="right")],
        "cv": ["cv_object"],
        "selection": [StrOptions({"min", "1se"})],
        "penalty_factor": ["array-like", None],
        "forced_features": ["array-like", None],
        "screening": [Interval(Integral, 1, None, closed="left"), None],
        "positive": ["boolean"],
        "refit": [StrOptions({"ridge"}), None],
        "refit_alphas": ["array-like"],
        "standardize_targets": ["boolean"],
        "fit_intercept": ["boolean"],
        "early_stopping": ["boolean"],
        "tol": [Interval(Real, 0, None, closed="neither")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "device": [str],
        "block_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "n_jobs": [Integral, None],
        "memory": [str, os.PathLike, HasMethods(["cache"]), None],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        alphas=30,
        *,
        eps=1e-2,
        l1_ratio=1.0,
        cv=5,
        selection="min",
        penalty_factor=None,
        forced_features=None,
        screening=None,
        positive=False,
        refit=None,
        refit_alphas=(1e-2, 1e-1, 1e0, 1e1, 1e2, 1e3, 1e4, 1e5),
        standardize_targets=True,
        fit_intercept=True,
        early_stopping=False,
        tol=1e-4,
        max_iter=10_000,
        device="cpu",
        block_size="auto",
        n_jobs=None,
        memory=None,
        verbose=0,
    ):
        self.alphas = alphas
        self.eps = eps
        self.l1_ratio = l1_ratio
        self.cv = cv
        self.selection = selection
        self.penalty_factor = penalty_factor
        self.forced_features = forced_features
        self.screening = screening
        self.positive = positive
        self.refit = refit
        self.refit_alphas = refit_alphas
        self.standardize_targets = standardize_targets
        self.fit_intercept = fit_intercept
        self.early_stopping = early_stopping
        self.tol = tol
        self.max_iter = max_iter
        self.device = device
        self.block_size = block_size
        self.n_jobs = n_jobs
        self.memory = memory
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, **params):
        """Choose each voxel's penalty by cross-validation and solve it on all samples.

        Parameters
        ----------
        X : {array-like, sparse array} of shape (n_samples, n_features)
            Features; sparse ones are never made dense.
        y : array-like of shape (n_samples, n_targets) or (n_samples,)
            Responses.
        **params : dict
            Passed to the splitter, for example ``groups``; with metadata routing enabled, as requested.

        Returns
        -------
        self : SparseVoxelEncoder

        Raises
        ------
        ValueError
            If a voxel is NaN in some samples but not in all, or all voxels are; if a feature that is named does not
            exist; if `alphas` is the integer 1.
        """
        X, Y = self._validate(X, y)
        targets = self._targets(Y)
        task = self._task(X, Y, params)
        solution = solve_in_blocks(
            task,
            targets.values,
            block_size=self.block_size,
            n_jobs=self.n_jobs,
            memory=self.memory,
            verbose=self.verbose,
        )
        self._store(solution, task, targets, X.dtype)
        self._warn_of_gaps(solution, targets)
        return self

    def predict(self, X):
        """Predict responses.

        Parameters
        ----------
        X : {array-like, sparse array} of shape (n_samples, n_features)

        Returns
        -------
        Y : ndarray of shape (n_samples, n_targets) or (n_samples,)
            In original units; NaN for voxels that were NaN in `fit`. One dimension if `fit` was given one.
        """
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse=("csr", "csc"), dtype=(np.float64, np.float32), reset=False)
        product = self.coef_ @ X.T
        if sparse.issparse(product):
            product = product.toarray()
        Y = product.T + self.intercept_
        return Y[:, 0] if self._one_target else Y

    def score(self, X, y, sample_weight=None):
        """Return the coefficient of determination, averaged over the voxels for which it is defined.

        Parameters
        ----------
        X : {array-like, sparse array} of shape (n_samples, n_features)
        y : array-like of shape (n_samples, n_targets) or (n_samples,)
        sample_weight : None
            Only for compatibility; weights are not supported.

        Returns
        -------
        score : float
            NaN if it is defined for no voxel.
        """
        if sample_weight is not None:
            raise ValueError("SparseVoxelEncoder.score does not support sample_weight; pass None.")
        r2 = self.voxel_scores(X, y, metric="r2")
        return float(np.mean(r2[~np.isnan(r2)])) if np.any(~np.isnan(r2)) else float("nan")

    def voxel_scores(self, X, Y, metric="pearson"):
        """Score each voxel.

        Parameters
        ----------
        X : {array-like, sparse array} of shape (n_samples, n_features)
        Y : array-like of shape (n_samples, n_targets) or (n_samples,)
        metric : {"pearson", "r2"} or callable, default="pearson"
            A callable takes the true and the predicted responses and returns an array.

        Returns
        -------
        scores : ndarray of shape (n_targets,)
            NaN where the score is not defined; see :mod:`sklearn_sae_encoding.metrics`.
        """
        metrics = {"pearson": voxelwise_pearson, "r2": voxelwise_r2}
        if not callable(metric) and metric not in metrics:
            raise ValueError(f"metric must be a callable or one of {sorted(metrics)}, got {metric!r}.")
        metric = metrics.get(metric, metric) if isinstance(metric, str) else metric
        return metric(np.asarray(Y), self.predict(X))

    def get_metadata_routing(self):
        """Return how metadata such as ``groups`` are routed to the splitter.

        Returns
        -------
        routing : sklearn.utils.metadata_routing.MetadataRouter
        """
        return (
            MetadataRouter(owner=self)
            .add_self_request(self)
            .add(splitter=check_cv(self.cv), method_mapping=MethodMapping().add(caller="fit", callee="split"))
        )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.target_tags.multi_output = True
        return tags

    def _validate(self, X, y):
        if y is None:
            raise ValueError("This SparseVoxelEncoder estimator requires y to be passed, but the target y is None.")
        if self.device != "cpu":
            raise NotImplementedError(f"device={self.device!r} is not supported yet. Set device='cpu'.")
        X = validate_data(self, X, accept_sparse="csc", dtype=(np.float64, np.float32), ensure_min_samples=2)
        Y = check_array(
            y,
            ensure_2d=False,
            ensure_all_finite="allow-nan",
            dtype=(np.float64, np.float32),
            input_name="y",
            estimator=self,
        )
        if Y.ndim > 2:
            raise ValueError(f"y must have the shape (n_samples, n_targets), got {Y.shape}.")
        if len(Y) != X.shape[0]:
            raise ValueError(f"X has {X.shape[0]} samples (texts) but y has {len(Y)} rows. They must be as many.")
        self._one_target = Y.ndim == 1
        return X, Y.reshape(len(Y), -1)

    def _targets(self, Y):
        targets = make_targets(Y, self.standardize_targets, self.fit_intercept)
        n_constant, n_absent = targets.constant.sum(), targets.absent.sum()
        if n_constant or n_absent:
            warnings.warn(
                f"Of {Y.shape[1]} voxels, {n_constant} are constant and {n_absent} are NaN in every sample. They get "
                "zero weights, and predictions of that constant or NaN.",
                UserWarning,
                stacklevel=4,
            )
        return targets

    def _task(self, X, Y, params):
        """Gather what all voxels share."""
        alphas = self._alphas()
        forced = self._feature_indices(self.forced_features)
        factors = self._factors(forced)
        columns = as_columns(X)
        norms = column_norms(columns, self.fit_intercept)
        screen = None
        if self.screening is not None:
            screen = Screen(norms.centred, self.screening, np.flatnonzero(factors == 0), self.fit_intercept)
        refit = None
        if self.refit is not None:
            refit = Refit(_penalties(self.refit_alphas, "refit_alphas"), forced, SELECTED)
        one_alpha = not isinstance(alphas, int) and len(alphas) == 1
        penalty = make_penalty(
            factors,
            usable=norms.centred > 0,
            l1_ratio=self.l1_ratio,
            positive=self.positive,
            fit_intercept=self.fit_intercept,
            max_knots=self.max_iter,
        )
        # The elastic net spreads weight over multiples of a feature, and an F-test may leave out any of them.
        prune = self.l1_ratio == 1.0 and self.screening is None
        return Task(
            columns=columns,
            screened=make_screened(columns, penalty.inverse_factors, norms, prune),
            folds=make_folds([] if one_alpha else self._splits(X, Y, params), X.shape[0]),
            penalty=penalty,
            alphas=alphas,
            eps=self.eps,
            selection=self.selection,
            stop_early=self.early_stopping,
            screen=screen,
            refit=refit,
        )

    def _alphas(self):
        if isinstance(self.alphas, Integral):
            if self.alphas == 1:
                raise ValueError(
                    "alphas=1 is a number of penalties, and the only one would be alpha_max, at which all weights are "
                    "zero. Set alphas=1.0 or [1.0] for the penalty 1, or an integer of at least 2 for a grid."
                )
            return int(self.alphas)
        return np.sort(_penalties(np.atleast_1d(self.alphas), "alphas"))[::-1].copy()

    def _feature_indices(self, features):
        if features is None:
            return np.zeros(0, dtype=np.int64)
        names = list(getattr(self, "feature_names_in_", ()))
        return np.unique([_feature_index(feature, names, self.n_features_in_) for feature in features]).astype(np.int64)

    def _factors(self, forced):
        factors = np.ones(self.n_features_in_)
        if self.penalty_factor is not None:
            factors = check_array(self.penalty_factor, ensure_2d=False, dtype=np.float64, input_name="penalty_factor")
            if factors.shape != (self.n_features_in_,) or factors.min() < 0:
                raise ValueError(
                    f"penalty_factor must hold a number of at least 0 for each of the {self.n_features_in_} features, "
                    f"got shape {factors.shape} with minimum {factors.min()}."
                )
            factors = factors.copy()
        if self.refit is None:
            factors[forced] = 0.0
        return factors

    def _splits(self, X, Y, params):
        cv = check_cv(self.cv)
        if _routing_enabled():
            _raise_for_params(params, self, "fit")
            split_params = process_routing(self, "fit", **params).splitter.split
        else:
            _raise_for_params(params, self, "fit", allow=["groups"])
            split_params = params
        return list(cv.split(X, Y[:, 0] if self._one_target else Y, **split_params))

    def _store(self, solution, task, targets, dtype):
        voxels, n_voxels = targets.voxels, len(targets.centres)
        scale, missing = targets.scales[voxels], np.full(n_voxels, np.nan)
        weights = solution.weights
        weights.data *= np.repeat(scale, np.diff(weights.indptr))
        self.coef_ = _rows_at(weights, voxels, n_voxels).astype(dtype)
        intercepts = targets.centres[voxels] + scale * solution.intercepts
        self.intercept_ = _at(intercepts, voxels, targets.centres).astype(dtype)
        chosen = np.take_along_axis(solution.alphas, solution.chosen[:, None], axis=1)[:, 0]
        self.alpha_ = _at(chosen, voxels, missing)
        self.alphas_ = task.alphas
        if isinstance(task.alphas, int):
            self.alphas_ = _at(solution.alphas, voxels, np.full((n_voxels, task.alphas), np.nan))
        if task.refit is not None:
            self.refit_alpha_ = _at(solution.refit_alphas, voxels, missing)
        if len(task.folds.train):
            errors = solution.errors * scale[:, None, None] ** 2
            self.cv_mse_path_ = _at(errors, voxels, np.full((n_voxels, *errors.shape[1:]), np.nan))
        self.dual_gap_ = _at(solution.gaps * scale**2, voxels, missing)
        self.n_iter_ = _at(solution.knots + 1, voxels, np.ones(n_voxels, dtype=np.int64))

    def _warn_of_gaps(self, solution, targets):
        relative = solution.worst_gaps / np.mean(targets.values**2, axis=1)
        late = ~(relative <= self.tol)
        if late.any():
            worst = int(np.argmax(np.where(late, np.nan_to_num(relative, nan=np.inf), -np.inf)))
            warnings.warn(
                f"{late.sum()} of {len(late)} voxels did not converge: the largest duality gap is "
                f"{relative[worst]:.2g} times the mean square of the target (voxel {targets.voxels[worst]}), above "
                f"tol={self.tol}. Increase max_iter={self.max_iter}, or use larger alphas.",
                ConvergenceWarning,
                stacklevel=4,
            )


def _penalties(values, name):
    values = check_array(values, ensure_2d=False, dtype=np.float64, input_name=name)
    if values.ndim != 1 or values.min() <= 0:
        raise ValueError(f"{name} must be positive numbers in one dimension, got {values!r}.")
    return values


def _feature_index(feature, names, n_features):
    if isinstance(feature, str):
        if feature not in names:
            raise ValueError(
                f"forced_features names {feature!r}, which is not among the {len(names)} feature names of X."
            )
        return names.index(feature)
    if not isinstance(feature, Integral) or not -n_features <= feature < n_features:
        raise ValueError(f"forced_features must hold names, or indices of the {n_features} features, got {feature!r}.")
    return int(feature) % n_features


def _at(values, place, default):
    out = default.astype(np.result_type(values, default))
    out[place] = values
    return out


def _rows_at(matrix, place, n_rows):
    """Put the rows of a CSR array in the given places among empty rows."""
    counts = np.zeros(n_rows, dtype=matrix.indptr.dtype)
    counts[place] = np.diff(matrix.indptr)
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(matrix.indptr.dtype)
    return sparse.csr_array((matrix.data, matrix.indices, indptr), shape=(n_rows, matrix.shape[1]))
