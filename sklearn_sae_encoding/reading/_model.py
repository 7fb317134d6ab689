"""Words to reading times: a linear mixed model with crossed random intercepts."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import r2_score
from sklearn.utils.validation import check_is_fitted

from sklearn_sae_encoding._solvers.mixed import fit_mixed, level_effects
from sklearn_sae_encoding.reading._features import FeatureComponents, WordFeatures, word_targets
from sklearn_sae_encoding.reading._formula import make_design, needed_columns, repeat_design
from sklearn_sae_encoding.reading._rows import checked_levels, checked_table, complete_rows

_STEP_TOLERANCE = 1e-4  # in units of the ratio of an effect's sd to the residual one
_SINGULAR = 1e-4  # as isSingular() of lme4


class ReadingTimeModel(RegressorMixin, BaseEstimator):
    """Linear mixed model of reading times with crossed random intercepts, fitted by exact maximum likelihood.

    The time of reader p on word i is

    .. math::

        y_{pi} = x_{pi}^\\top \\beta + a_p + b_i + e_{pi}, \\quad
        a_p \\sim N(0, \\sigma_a^2), \\; b_i \\sim N(0, \\sigma_b^2), \\; e_{pi} \\sim N(0, \\sigma^2) .

    It is what ``lmer(..., REML = FALSE)`` of R's lme4 fits, and gives the same numbers. See :ref:`reading`.

    Parameters
    ----------
    formula : str
        Response and fixed effects in the notation of R and formulaic, such as ``"log(gaze) ~ length * log_frequency +
        surprisal"``. An intercept is added unless ``0 +`` is in it. The formula may call functions, and is code: don't
        take it from people you don't trust.

    random_intercepts : sequence of str, default=("participant", "item")
        Columns whose levels have a random intercept each. One, two or more.

    reduce : int or transformer, default=None
        How the features of words, given to ``fit`` as :class:`WordFeatures`, become predictors beside those of the
        formula: so many principal components (:class:`FeatureComponents`), or a transformer such as
        :class:`CategorySums` or :class:`ChosenFeatures`. It learns from the words of the rows given to ``fit`` and
        from nothing else. None takes no features.

    item : str, default="item"
        Column that names the word, by which features are found.

    feature_targets : str or list of str, default=None
        What a transformer that looks at times is shown, one column a target: None is the response; a list names
        columns of times (their logarithms are taken); a single string names a column whose levels are the targets,
        such as ``"participant"``.

    missing : {"drop", "raise"}, default="drop"
        Rows without a value in a column that is used: left out and counted (``n_dropped_``), as lme4 does, or refused.

    Attributes
    ----------
    coef_ : DataFrame
        A row a predictor with ``estimate``, ``standard_error`` and ``z``, their ratio.

    variances_ : Series
        By random intercept, and ``residual``.

    log_likelihood_ : float
        The maximum, in nats.

    n_observations_, n_parameters_, n_dropped_ : int
        Rows used; fixed effects and variances estimated; rows left out for missing values.

    random_effects_ : dict of Series
        Posterior mean of each level's intercept (lme4's ``ranef``), by random intercept.

    dropped_ : list of str
        Predictors that are constant or that earlier ones determine. They are left out with a warning, as in lme4.

    converged_, singular_ : bool
        Whether the optimum was reached; whether a variance is estimated as zero.

    reduce_ : transformer
        The fitted transformer, None without features.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sae_encoding.datasets import load_provo
    >>> from sklearn_sae_encoding.reading import ReadingTimeModel, exclude_times, join_words
    >>> data = load_provo()
    >>> times = exclude_times(data.times, "gaze", minimum=80, maximum=1500, first_words=1).table
    >>> words = data.words.assign(length=data.words["word"].str.len())
    >>> model = ReadingTimeModel("log(gaze) ~ length").fit(join_words(times, words))
    >>> model.coef_.round(4)
               estimate  standard_error         z
    Intercept    5.1641          0.0149  347.3726
    length       0.0434          0.0011   41.1844
    >>> model.variances_.round(4).to_dict()
    {'participant': 0.0155, 'item': 0.0167, 'residual': 0.1606}
    """

    def __init__(
        self,
        formula,
        *,
        random_intercepts=("participant", "item"),
        reduce=None,
        item="item",
        feature_targets=None,
        missing="drop",
    ):
        self.formula = formula
        self.random_intercepts = random_intercepts
        self.reduce = reduce
        self.item = item
        self.feature_targets = feature_targets
        self.missing = missing

    def fit(self, X, y=None, *, features=None):
        """Fit the model to a table of reading times.

        Parameters
        ----------
        X : DataFrame of shape (n_times, n_columns)
            A row a time: the columns of the formula, of ``random_intercepts`` and, with features, ``item``.

        y : None
            The response is named by the formula.

        features : WordFeatures, default=None
            Needed where ``reduce`` is given.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If columns are missing, participants are floats, a response is not finite (the logarithm of a time of
            zero), a grouping has one level or as many as rows, or a word has no features.
        """
        rows = self.complete_rows(X)
        if y is not None:
            raise ValueError("ReadingTimeModel takes the response from the table, by its formula: leave y=None.")
        table = X[rows]
        design = make_design(self.formula, table)
        groups = self._learn_levels(table)
        self.reduce_ = self._learn_reduction(table, design.response, features)
        predictors, names = self._with_features(table, design, features)
        if len(table) <= predictors.shape[1]:
            raise ValueError(f"{predictors.shape[1]} predictors can't be told apart in {len(table)} rows.")
        sizes = [len(levels) for levels in self.levels_]
        self._check_spread(design.response)
        fitted = fit_mixed(predictors, design.response, groups, sizes)
        self.spec_, self.n_dropped_ = design.spec, int((~rows).sum())
        return self._store(fitted, names, predictors, design.response, groups)

    def complete_rows(self, X):
        """Which rows of a table (booleans) have all that the model needs.

        Parameters
        ----------
        X : DataFrame

        Returns
        -------
        complete : array of bool, shape (n_times,)

        Raises
        ------
        ValueError
            If a column is missing, or rows lack values and ``missing="raise"``.
        """
        if self.missing not in ("drop", "raise"):
            raise ValueError(f"missing must be 'drop' or 'raise', got {self.missing!r}.")
        if isinstance(self.random_intercepts, str):
            raise ValueError(
                f"random_intercepts must be a sequence of columns, got the string {self.random_intercepts!r}."
            )
        item = [self.item] if self.reduce is not None else []
        columns = list(dict.fromkeys([*needed_columns(self.formula), *self.random_intercepts, *item]))
        return complete_rows(checked_table(X, columns), columns, self.missing)

    def _learn_levels(self, table):
        self.levels_, groups = [], []
        for name in self.random_intercepts:
            codes, levels = pd.factorize(checked_levels(table, name), sort=True)
            if len(levels) < 2 or len(levels) >= len(table):
                raise ValueError(
                    f"{name!r} has {len(levels)} level(s) in {len(table)} rows: a random intercept needs at least two "
                    "levels, and fewer than there are rows."
                )
            self.levels_.append(pd.Index(levels))
            groups.append(codes)
        return groups

    def _learn_reduction(self, table, response, features):
        if self.reduce is None:
            if features is not None:
                raise ValueError(
                    "features are given, but reduce=None says not to use them. Set reduce=20, for example."
                )
            return None
        if not isinstance(features, WordFeatures):
            raise ValueError(f"reduce={self.reduce!r} needs features=WordFeatures(...), got {type(features).__name__}.")
        words, names = pd.factorize(table[self.item])
        participant = self.random_intercepts[0] if len(self.random_intercepts) else self.item
        targets = word_targets(table, response, self.feature_targets, participant, words)
        number = isinstance(self.reduce, int | np.integer)
        transformer = FeatureComponents(int(self.reduce)) if number else clone(self.reduce)
        return transformer.fit(features.rows_of(names), targets)

    def _with_features(self, table, design, features):
        if self.reduce_ is None:
            return design.predictors, design.names
        words, names = pd.factorize(table[self.item])
        reduced = np.asarray(self.reduce_.transform(features.rows_of(names)))
        columns = list(self.reduce_.get_feature_names_out())
        return np.column_stack([design.predictors, reduced[words]]), [*design.names, *columns]

    def _check_spread(self, response):
        if np.ptp(response) == 0:
            raise ValueError(f"The response is {response[0]:.6g} in every row.")

    def _store(self, fitted, names, predictors, response, groups):
        kept = ~np.isnan(fitted.coefficients)
        self.dropped_ = [name for name, there in zip(names, kept, strict=True) if not there]
        if self.dropped_:
            constant = [
                n for n, c in zip(names, np.ptp(predictors, axis=0), strict=True) if n in self.dropped_ and c == 0
            ]
            warnings.warn(
                f"fixed-effect model matrix is rank deficient so dropping {len(self.dropped_)} column(s): "
                f"{self.dropped_}" + (f"; constant: {constant}." if constant else "."),
                stacklevel=3,
            )
        estimate = fitted.coefficients[kept]
        errors = np.sqrt(np.diag(fitted.covariance)[kept])
        index = [name for name, there in zip(names, kept, strict=True) if there]
        columns = {"estimate": estimate, "standard_error": errors, "z": estimate / errors}
        self.coef_ = pd.DataFrame(columns, index=index)
        self.covariance_ = pd.DataFrame(fitted.covariance[np.ix_(kept, kept)], index=index, columns=index)
        self.parameters_ = fitted.parameters
        self._all_names = names
        variance = fitted.parameters.residual_variance
        effects = fitted.parameters.sd_ratios**2 * variance
        self.variances_ = pd.Series([*effects, variance], index=[*self.random_intercepts, "residual"], name="variance")
        self.log_likelihood_ = float(fitted.log_likelihood)
        self.n_observations_ = len(response)
        self.n_parameters_ = int(kept.sum()) + len(self.variances_)
        self._warn(fitted)
        residuals = response - predictors[:, kept] @ estimate
        modes = level_effects(residuals, groups, [len(levels) for levels in self.levels_], fitted.parameters)
        self.random_effects_ = {
            name: pd.Series(mode, index=levels, name=name)
            for name, mode, levels in zip(self.random_intercepts, modes, self.levels_, strict=True)
        }
        return self

    def _warn(self, fitted):
        zero = [n for n, r in zip(self.random_intercepts, fitted.parameters.sd_ratios, strict=True) if r < _SINGULAR]
        self.singular_ = bool(zero)
        self.converged_ = bool(fitted.scaled_gradient < _STEP_TOLERANCE)
        if zero:
            warnings.warn(
                f"boundary (singular) fit: the variance of {zero} is estimated as zero, so that random intercept "
                "explains nothing beyond the rest of the model.",
                stacklevel=4,
            )
        if not self.converged_:
            warnings.warn(
                f"Model failed to converge: a Newton step would still move a ratio of standard deviations by "
                f"{fitted.scaled_gradient:.2g} (tolerance {_STEP_TOLERANCE:g}) after {fitted.n_evaluations} "
                "evaluations.",
                ConvergenceWarning,
                stacklevel=4,
            )

    def fixed_effects(self, X, *, features=None):
        """The part of the prediction that is no random effect, for rows without missing values.

        Parameters
        ----------
        X : DataFrame of shape (n_times, n_columns)

        features : WordFeatures, default=None

        Returns
        -------
        fixed : array of shape (n_times,)
        """
        check_is_fitted(self)
        design = repeat_design(self.spec_, self.formula, X, response=False)
        predictors, names = self._with_features(X, design, features)
        places = [names.index(name) for name in self.coef_.index]
        return predictors[:, places] @ self.coef_["estimate"].to_numpy()

    def response(self, X):
        """The response that the formula names, such as the logarithm of a time, for rows without missing values.

        Parameters
        ----------
        X : DataFrame of shape (n_times, n_columns)

        Returns
        -------
        response : array of shape (n_times,)
        """
        check_is_fitted(self)
        return repeat_design(self.spec_, self.formula, X).response

    def predict(self, X, *, features=None, random_effects=True):
        """Predict the response, on the scale of the formula's left side.

        Parameters
        ----------
        X : DataFrame of shape (n_times, n_columns)
            The response's column is not needed.

        features : WordFeatures, default=None
            Needed where the model was fitted with features; it may hold new words.

        random_effects : bool, default=True
            Add the intercepts of levels that were seen; new readers and words have their mean, zero. A table without
            the columns of readers and words can be predicted with False.

        Returns
        -------
        predicted : array of shape (n_times,)
        """
        predicted = self.fixed_effects(X, features=features)
        if not random_effects:
            return predicted
        checked_table(X, self.random_intercepts)
        for name, effects in self.random_effects_.items():
            predicted = predicted + effects.reindex(checked_levels(X, name)).fillna(0.0).to_numpy()
        return predicted

    def score(self, X, y=None, *, features=None):
        """r² of the predictions with the response, both on the scale of the formula's left side.

        Parameters
        ----------
        X : DataFrame of shape (n_times, n_columns)

        y : None

        features : WordFeatures, default=None

        Returns
        -------
        r2 : float
        """
        rows = self.complete_rows(X)
        return float(r2_score(self.response(X[rows]), self.predict(X[rows], features=features)))
