"""Features to voxels: sparse linear encoding models for very many targets."""

from __future__ import annotations

import os
from types import SimpleNamespace

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.model_selection import check_cv
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted, validate_data

from ._encoder.marking import data_mark
from ._encoder.results import fitted_attributes, warn_of_edges, warn_of_gaps, warn_of_unfitted
from ._encoder.task import make_task
from ._solvers.lasso.cross_validation import as_problem
from ._solvers.running import solve_blocks
from ._solvers.targets import make_targets
from ._validation import (
    array_like,
    boolean,
    check_parameters,
    check_torch_device,
    having,
    integer,
    one_of,
    real,
    splitter,
    verbosity,
)
from ._voxelwise import VoxelwiseRegressorMixin
from .metrics._leaks import note_repeats

__all__ = ["SparseVoxelEncoder"]


class SparseVoxelEncoder(VoxelwiseRegressorMixin, BaseEstimator):
    r"""Lasso or elastic net from shared features to very many voxels, each with its own cross-validated penalty.

    For each voxel, with targets :math:`y` and ``n`` samples, it minimises

    .. math::

        \frac{1}{2n} \|y - Xw - b\|^2
        + \alpha \Big(\rho \sum_j f_j |w_j| + \frac{1-\rho}{2} \sum_j f_j w_j^2\Big)

    where :math:`\rho` is `l1_ratio` and :math:`f_j` is the penalty factor of feature `j`. A homotopy method moves along
    the exact piecewise linear path on few features, coordinate descent goes on where they are too many for that, and no
    solution is accepted before all features have been checked. The :ref:`user guide <encoder>` has the mathematics.

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
        How to split the samples to choose each voxel's penalty. An integer is that many contiguous folds. Rows may be
        indices or boolean masks. The errors of all folds count alike in the mean, however many samples each has
        (glmnet weights them by size).
    selection : {"min", "1se"}, default="min"
        Take the penalty of least mean held-out error, or the largest one within a standard error of it.
    penalty_factor : array-like of shape (n_features,), default=None
        Relative penalty of each feature (glmnet's term); 0 leaves a feature unpenalised, so that it is always in the
        model.
    forced_features : array-like of int, str or bool, default=None
        Features that every voxel's model contains, as indices (negative ones count from the end), names or a mask. With
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
        Fit an unpenalised intercept. Without it, targets are not centred either, and a constant one is fitted like any
        other, in its own units.
    early_stopping : bool or "auto", default="auto"
        End a voxel's cross-validated path four penalties past the least mean held-out error, if the error is by then
        more than a standard error higher. That saves the part of the path that costs most and where hardly any voxel
        ends, but a later and lower minimum is missed; `cv_mse_path_` is NaN from there on. False keeps the whole grid.
        "auto" is True for a number of penalties, and False for penalties that are given, such as the published ones.
        The :ref:`user guide <early-stopping>` says how often the penalty chosen is another one.
    tol : float, default=1e-4
        A duality gap above ``tol`` times the mean square of the (standardised) target is reported as not converged.
        Coordinate descent (see `max_iter`) stops at this gap; other solutions are exact to rounding.
    max_iter : int, default=10_000
        How often features may enter or leave between two penalties. Beyond that, and beyond 512 active features,
        coordinate descent goes on: then it is how many passes each penalty may take.
    device : str or torch.device, default="cpu"
        Where the products of all features with the residuals are computed: ``"cpu"`` by compiled code, anything else
        by torch on that device, such as ``"cuda"``. All else runs on the processor in double precision, and the
        solutions are the same to rounding.
    block_size : int or "auto", default="auto"
        Voxels in a block, the unit of work that `n_jobs` distributes. Memory grows with it.
    n_jobs : int, default=None
        Blocks solved at a time, through joblib.
    memory : str or joblib.Memory, default=None
        Keep finished blocks here, so that an interrupted fit resumes where it was. Set `block_size` if `n_jobs` may
        differ then.
    verbose : int, default=0
        Above 0, a status line says how many voxels are done and how much time is left.

    Attributes
    ----------
    coef_ : scipy.sparse.csr_array of shape (n_targets, n_features)
        Weights, in original units of the targets. Of the dtype of `X`, but double precision where a feature lies so
        far from zero, such as a year or a time stamp, that single precision can't hold its products.
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
        How often features entered or left on the way to the solutions on all samples (and the
        passes of coordinate descent, if any), plus one.
    data_mark_ : ndarray of shape (n_targets,)
        Covariances with a fixed mixture of the features, by which a report tells data that are not those of the fit.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)

    Notes
    -----
    A voxel that is NaN in every sample (outside a mask) gets zero weights and NaN predictions; a constant voxel gets
    zero weights and its constant as prediction; both are counted in one warning. A voxel that is NaN in some samples
    is a data error and raises. Voxels whose best penalty is an end of the grid, beyond which a better one may lie, are
    counted in another warning.

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
        early_stopping="auto",
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
            exist; if `alphas` is the integer 1; if `cv` gives no folds, as an iterator does that was used before; if
            torch cannot compute on `device`.

        Warns
        -----
        UserWarning
            Counts voxels that were constant or absent, whose penalty is at an end of its grid, or did not converge;
            and samples that are held out while an equal row is trained on, if there are as many features as different
            rows, so that repeats can be remembered.
        """
        check_parameters(self, _ALLOWED)
        X, Y = self._validate(X, y)
        split_params = self._split_params(params)
        targets = make_targets(Y, self.standardize_targets, self.fit_intercept)
        warn_of_unfitted(targets, stacklevel=2)
        names = list(getattr(self, "feature_names_in_", ()))
        given = SimpleNamespace(**self.get_params(deep=False))
        task = make_task(X, names, lambda: self._splits(X, Y, split_params), given)
        solution = solve_blocks(
            as_problem(task),
            targets.values,
            block_size=self.block_size,
            n_jobs=self.n_jobs,
            memory=self.memory,
            verbose=self.verbose,
        )
        for name in _LEFT_BY_FIT:  # nothing of an earlier fit stays that this one doesn't make
            vars(self).pop(name, None)
        vars(self).update(fitted_attributes(solution, task, targets, X.dtype), data_mark_=data_mark(X, Y))
        note_repeats(X, zip(task.folds.train > 0, task.folds.test > 0, strict=True), stacklevel=2)
        warn_of_edges(solution, task, stacklevel=2)
        warn_of_gaps(solution, targets, task, self.max_iter, stacklevel=2)
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

    def _validate(self, X, y):
        if y is None:
            raise ValueError("This SparseVoxelEncoder estimator requires y to be passed, but the target y is None.")
        check_torch_device(self.device, multiplies_sparse=True)
        X = validate_data(self, X, accept_sparse="csc", dtype=(np.float64, np.float32), ensure_min_samples=2)
        if sparse.issparse(X) and not X.has_canonical_format:
            X = X.copy()
            X.sum_duplicates()
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

    def _splits(self, X, Y, split_params):
        return list(check_cv(self.cv).split(X, Y[:, 0] if self._one_target else Y, **split_params))


_ALLOWED = {
    "alphas": (integer(1), real(0, closed="neither"), array_like),
    "eps": (real(0, 1, closed="neither"),),
    "l1_ratio": (real(0, 1, closed="right"),),
    "cv": (splitter,),
    "selection": (one_of("min", "1se"),),
    "penalty_factor": (array_like, None),
    "forced_features": (array_like, None),
    "screening": (integer(1), None),
    "positive": (boolean,),
    "refit": (one_of("ridge"), None),
    "refit_alphas": (array_like,),
    "standardize_targets": (boolean,),
    "fit_intercept": (boolean,),
    "early_stopping": (boolean, one_of("auto")),
    "tol": (real(0, closed="neither"),),
    "max_iter": (integer(1),),
    "block_size": (integer(1), one_of("auto")),
    "n_jobs": (integer(), None),
    "memory": (str, os.PathLike, having("cache"), None),
    "verbose": (verbosity,),
}
_LEFT_BY_FIT = (
    "coef_",
    "data_mark_",
    "intercept_",
    "alpha_",
    "alphas_",
    "refit_alpha_",
    "cv_mse_path_",
    "dual_gap_",
    "n_iter_",
)
