"""Parameters and features to the task that all voxels of a fit share."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral
from types import SimpleNamespace

import numpy as np
from sklearn.utils import check_array

from .._solvers.columns import as_columns
from .._solvers.lasso.cross_validation import Task, make_folds
from .._solvers.lasso.ftest import Screen, centred_where_far, column_norms
from .._solvers.lasso.problems import make_penalty
from .._solvers.lasso.screening import make_screened
from .._solvers.ridge.refit import Refit
from .._validation import check_penalties

# A weight below this (for standardised targets) does not count as selected; scikit-learn's SelectFromModel uses the
# same. Weights are as small as features are large, so where those spread by more than 1 it is the weight of the
# standardised feature that counts.
SELECTED = 1e-5


def make_task(X, names: list[str], splits: Callable[[], list], given: SimpleNamespace) -> Task:
    """Gather what all voxels share: features, their names if they have any, and the parameters as they were given.

    `splits` is called if there are penalties to choose from.
    """
    alphas = _alphas(given.alphas)
    forced = _feature_indices(given.forced_features, names, X.shape[1])
    factors = _factors(given.penalty_factor, X.shape[1])
    if given.refit is None:
        factors[forced] = 0.0
    columns, shifts = as_columns(X), None
    norms = column_norms(columns, given.fit_intercept)
    if given.fit_intercept:
        columns, norms, shifts = centred_where_far(columns, norms)
    screen = None
    if given.screening is not None:
        screen = Screen(norms.centred, given.screening, np.flatnonzero(factors == 0), given.fit_intercept)
    refit = None
    if given.refit is not None:
        spreads = norms.centred / np.sqrt(X.shape[0])
        thresholds = SELECTED / np.maximum(spreads, 1.0)
        refit = Refit(check_penalties(given.refit_alphas, "refit_alphas"), forced, thresholds)
    one_alpha = not isinstance(alphas, int) and len(alphas) == 1
    penalty = make_penalty(
        factors,
        usable=norms.centred > 0,
        l1_ratio=given.l1_ratio,
        positive=given.positive,
        fit_intercept=given.fit_intercept,
        max_knots=given.max_iter,
        tol=given.tol,
    )
    # The elastic net spreads weight over multiples of a feature, and an F-test may leave out any of them.
    prune = given.l1_ratio == 1.0 and given.screening is None
    return Task(
        columns=columns,
        shifts=shifts,
        screened=make_screened(columns, penalty.inverse_factors, norms, prune),
        folds=make_folds(None if one_alpha else splits(), X.shape[0]),
        penalty=penalty,
        alphas=alphas,
        eps=given.eps,
        selection=given.selection,
        stop_early=isinstance(alphas, int) if given.early_stopping == "auto" else given.early_stopping,
        screen=screen,
        refit=refit,
        device=given.device,
    )


def _alphas(alphas):
    if isinstance(alphas, Integral):
        if alphas == 1:
            raise ValueError(
                "alphas=1 is a number of penalties, and the only one would be alpha_max, at which all weights are "
                "zero. Set alphas=1.0 or [1.0] for the penalty 1, or an integer of at least 2 for a grid."
            )
        return int(alphas)
    return np.sort(check_penalties(np.atleast_1d(alphas), "alphas"))[::-1].copy()


def _feature_indices(features, names, n_features):
    if features is None:
        return np.zeros(0, dtype=np.int64)
    features = list(features)
    masks = [isinstance(feature, bool | np.bool_) for feature in features]
    if any(masks):
        if not all(masks) or len(features) != n_features:
            raise ValueError(
                f"forced_features holds {sum(masks)} bools in {len(features)} values; a mask has a bool for each of "
                f"the {n_features} features and nothing else."
            )
        return np.flatnonzero(features)
    return np.unique([_feature_index(feature, names, n_features) for feature in features]).astype(np.int64)


def _factors(penalty_factor, n_features):
    if penalty_factor is None:
        return np.ones(n_features)
    factors = check_array(penalty_factor, ensure_2d=False, dtype=np.float64, input_name="penalty_factor")
    if factors.shape != (n_features,) or factors.min() < 0:
        raise ValueError(
            f"penalty_factor must hold a number of at least 0 for each of the {n_features} features, "
            f"got shape {factors.shape} with minimum {factors.min()}."
        )
    return factors.copy()


def _feature_index(feature, names, n_features):
    if isinstance(feature, str):
        if not len(names):
            raise ValueError(
                f"forced_features names {feature!r}, but X has no feature names. Give the number of its column (-1 is "
                "the last), or fit on a DataFrame."
            )
        if feature not in names:
            raise ValueError(
                f"forced_features names {feature!r}, which is not among the {len(names)} feature names of X."
            )
        return names.index(feature)
    if not isinstance(feature, Integral) or not -n_features <= feature < n_features:
        raise ValueError(f"forced_features must hold names, or indices of the {n_features} features, got {feature!r}.")
    return int(feature) % n_features
