"""What predictors add to a model of reading times, in-sample and on texts that it has not seen."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.base import clone
from sklearn.utils import check_random_state

from sklearn_sae_encoding._solvers.mixed import crossed_sums, density_of_sums
from sklearn_sae_encoding.reading._features import WordFeatures
from sklearn_sae_encoding.reading._rows import checked_levels, checked_table

_COMPARISONS = ("shuffled", "random", "dense")


class DeltaLogLikelihood(NamedTuple):
    """Gains in log likelihood over a base model, in nats."""

    #: DataFrame with a row a set of predictors: ``df``, ``in_sample`` (gain of the maximum), ``chi2`` and ``p`` of the
    #: likelihood-ratio test, ``held_out`` (gain on held-out units, summed), ``low`` and ``high`` (its bootstrap
    #: interval over units), both gains per observation, ``n_observations``, ``n_units``, and ``fits_warned`` (of all
    #: fits on training rows, how many were singular or did not converge).
    table: pd.DataFrame
    #: DataFrame with a row a set and held-out unit: ``predictors``, ``unit``, ``n_observations``, ``held_out``.
    by_unit: pd.DataFrame
    #: Column whose levels were held out.
    by: str
    #: The base model, fitted to all rows.
    base: object
    #: The other models, fitted to all rows, by name.
    models: dict

    def summary(self):
        """The gains as text, in-sample and held out side by side.

        Returns
        -------
        text : str
        """
        lines = [f"Gain over {self.base.formula!r} in nats, {self.table['n_observations'].iloc[0]} observations"]
        columns = ["df", "in_sample", "p", "held_out", "low", "high"]
        lines.append(self.table[columns].to_string(float_format=lambda value: f"{value:.4g}"))
        lines.append(
            f"in_sample grows with every predictor, also with noise. held_out, on each {self.by} under parameters from "
            "others, is the one to believe; low and high are its bootstrap interval."
        )
        return "\n".join(lines)


class _Set(NamedTuple):
    name: str
    model: object
    features: list  # of WordFeatures or None, one a draw


def delta_log_likelihood(
    base,
    full,
    table,
    *,
    features=None,
    comparisons=(),
    dense=None,
    n_draws=1,
    by="text",
    n_folds=10,
    n_bootstrap=2000,
    confidence=0.95,
    random_state=None,
):
    """Gain in log likelihood of a model of reading times over a base model, in-sample and held out.

    In-sample, the maximised log likelihoods are compared, with the likelihood-ratio test; more predictors always gain
    there. Held out, texts (or readers) are left out in folds. A model's parameters - coefficients, variances, the
    scaling and knots in its formula, components and choice of features - come from the training rows alone, and the
    gain is the difference of the log densities of a unit's rows, jointly, given the training rows: intercepts of
    readers that were seen have their posterior, new words are integrated out. See :ref:`reading`.

    Parameters
    ----------
    base : ReadingTimeModel

    full : ReadingTimeModel or dict from str to ReadingTimeModel
        One or several sets of predictors, over the same response and random intercepts.

    table : DataFrame
        Reading times. All models use the rows that are complete for every one of them.

    features : WordFeatures, default=None
        For models that have ``reduce``.

    comparisons : sequence of {"shuffled", "random", "dense"}, default=()
        What else to put in the place of the features, in each model that has ``reduce``: the features of other words
        of the same text; as many features, each with its own values at random words; the dense states ``dense``.

    dense : WordFeatures, default=None
        Hidden states of the words, for ``"dense"``.

    n_draws : int, default=1
        How often to draw shuffled and random features; gains are means over draws.

    by : str, default="text"
        Column whose levels are held out, such as ``"text"`` or ``"participant"``. Where versions of a text share
        words, name what they share.

    n_folds : int, default=10
        Units are dealt to so many folds at random.

    n_bootstrap : int, default=2000
        Draws of units with replacement for the interval.

    confidence : float, default=0.95
        Of the interval.

    random_state : int, RandomState or None, default=None
        Of folds, draws and bootstrap.

    Returns
    -------
    result : :class:`DeltaLogLikelihood`

    Raises
    ------
    ValueError
        If models differ in response or random intercepts, there are fewer units than folds, or input is as refused by
        :class:`ReadingTimeModel`.

    Notes
    -----
    The likelihood-ratio test counts its degrees of freedom as if the predictors had been fixed beforehand. It has
    none (NaN) where the base model's predictors are not among the full one's, and it does not hold for features that
    were chosen by looking at the same times.
    """
    rng = check_random_state(random_state)
    named = full if isinstance(full, dict) else {"full": full}
    _check_models(base, named)
    checked_table(table, [by])
    rows = np.logical_and.reduce([model.complete_rows(table) for model in (base, *named.values())])
    table = table[rows & table[by].notna().to_numpy()].reset_index(drop=True)
    folds, units = _folds(checked_levels(table, by), by, n_folds, rng)
    sets = _sets(named, features, comparisons, dense, n_draws, rng)
    base_fit = clone(base).fit(table, features=features if base.reduce is not None else None)
    base_gains = _held_out(base, features if base.reduce is not None else None, table, folds, units)
    records, per_unit, models = [], [], {}
    counts = np.bincount(units)
    for one in sets:
        fits = [clone(one.model).fit(table, features=draw) for draw in one.features]
        held = [_held_out(one.model, draw, table, folds, units) for draw in one.features]
        models[one.name] = fits[0]
        gains = np.mean([draw.densities for draw in held], axis=0) - base_gains.densities
        warned = sum(draw.n_warned for draw in held)
        records.append(_record(one.name, base_fit, fits, gains, warned, len(table)))
        low, high = _interval(gains, n_bootstrap, confidence, rng)
        records[-1] |= {"low": low, "high": high}
        unit_names = pd.factorize(table[by], sort=True)[1]
        per_unit.append(
            pd.DataFrame({"predictors": one.name, "unit": unit_names, "n_observations": counts, "held_out": gains})
        )
    columns = ["df", "in_sample", "chi2", "p", "held_out", "low", "high", "in_sample_per_observation"]
    columns += ["held_out_per_observation", "n_observations", "n_units", "fits_warned"]
    result = pd.DataFrame(records).set_index("predictors")[columns]
    return DeltaLogLikelihood(result, pd.concat(per_unit, ignore_index=True), by, base_fit, models)


def _check_models(base, named):
    if not named:
        raise ValueError("full holds no model.")
    for name, model in named.items():
        if model.formula.partition("~")[0].strip() != base.formula.partition("~")[0].strip():
            raise ValueError(f"Model {name!r} has another response than the base: {model.formula!r}, {base.formula!r}.")
        if tuple(model.random_intercepts) != tuple(base.random_intercepts):
            raise ValueError(
                f"Model {name!r} has other random intercepts than the base: {tuple(model.random_intercepts)}, "
                f"{tuple(base.random_intercepts)}."
            )


def _folds(values, by, n_folds, rng):
    """Fold of each unit, and unit of each row."""
    units, names = pd.factorize(values, sort=True)
    if not 2 <= n_folds <= len(names):
        raise ValueError(f"n_folds must be from 2 to {len(names)}, the number of levels of {by!r}, got {n_folds}.")
    return rng.permutation(np.arange(len(names)) % n_folds), units


def _sets(named, features, comparisons, dense, n_draws, rng):
    unknown = [name for name in comparisons if name not in _COMPARISONS]
    if unknown:
        raise ValueError(f"Unknown comparison(s) {unknown}; choose among {list(_COMPARISONS)}.")
    if ("dense" in comparisons) != (dense is not None):
        raise ValueError("comparisons=('dense',) and dense=WordFeatures(...) are given together or not at all.")
    sets = []
    for name, model in named.items():
        if model.reduce is None:
            sets.append(_Set(name, model, [None]))
            continue
        if not isinstance(features, WordFeatures):
            raise ValueError(f"Model {name!r} has reduce={model.reduce!r}: give features=WordFeatures(...).")
        sets.append(_Set(name, model, [features]))
        for comparison in comparisons:
            if comparison == "dense":
                sets.append(_Set(f"{name}, dense", model, [dense]))
                continue
            draws = [getattr(features, comparison)(rng) for _ in range(n_draws)]
            sets.append(_Set(f"{name}, {comparison}", model, draws))
    return sets


class _HeldOut(NamedTuple):
    densities: np.ndarray  # (n_units,), log density of each unit's rows given the training rows
    n_warned: int  # fits that were singular or did not converge


def _held_out(model, features, table, folds, units):
    groups = [pd.factorize(table[name]) for name in model.random_intercepts]
    codes, sizes = [codes for codes, _ in groups], [len(names) for _, names in groups]
    densities, n_warned = np.zeros(len(folds)), 0
    for fold in range(folds.max() + 1):
        train = folds[units] != fold
        with warnings.catch_warnings():
            # Counted and reported once; the fit to all rows has said what is the matter.
            warnings.simplefilter("ignore")
            fitted = clone(model).fit(table[train], features=features)
        n_warned += fitted.singular_ or not fitted.converged_
        residuals = (fitted.response(table) - fitted.fixed_effects(table, features=features))[:, None]

        def sums(rows, residuals=residuals):
            return crossed_sums(residuals[rows], [one[rows] for one in codes], sizes)

        known = sums(train)
        density_of_known = density_of_sums(known, fitted.parameters_)
        for unit in np.flatnonzero(folds == fold):
            both = known.plus(sums(units == unit))
            densities[unit] = density_of_sums(both, fitted.parameters_) - density_of_known
    return _HeldOut(densities, n_warned)


def _record(name, base, fits, gains, warned, n_rows):
    nested = set(base.coef_.index) <= set(fits[0].coef_.index)
    in_sample = float(np.mean([fit.log_likelihood_ for fit in fits])) - base.log_likelihood_
    df = fits[0].n_parameters_ - base.n_parameters_
    tested = nested and df > 0
    return {
        "predictors": name,
        "df": df,
        "in_sample": in_sample,
        "chi2": 2 * in_sample if tested else np.nan,
        "p": float(stats.chi2.sf(2 * in_sample, df)) if tested else np.nan,
        "held_out": float(gains.sum()),
        "in_sample_per_observation": in_sample / n_rows,
        "held_out_per_observation": float(gains.sum()) / n_rows,
        "n_observations": n_rows,
        "n_units": len(gains),
        "fits_warned": warned,
    }


def _interval(gains, n_bootstrap, confidence, rng):
    drawn = rng.randint(len(gains), size=(n_bootstrap, len(gains)))
    tail = (1 - confidence) / 2
    return np.quantile(gains[drawn].sum(axis=1), [tail, 1 - tail])
