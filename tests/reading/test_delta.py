"""Gains in log likelihood: conditional densities, a true effect, noise, and what is refused."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sklearn_sae_encoding.reading import ReadingTimeModel, WordFeatures, delta_log_likelihood

BASE = ReadingTimeModel("log(rt) ~ 1")
LENGTH = ReadingTimeModel("log(rt) ~ length")


def simulated(seed=0, n_readers=10, n_texts=8, n_words=12, *, length=0.05, feature=0.0):
    rng = np.random.default_rng(seed)
    n_items = n_texts * n_words
    words = pd.DataFrame({"item": np.arange(n_items), "text": np.arange(n_items) // n_words})
    words["length"] = rng.integers(2, 12, n_items)
    values = rng.exponential(size=(n_items, 30)) * (rng.random((n_items, 30)) < 0.4)
    table = words.loc[np.tile(np.arange(n_items), n_readers)].reset_index(drop=True)
    table["participant"] = np.repeat([f"r{i}" for i in range(n_readers)], n_items)
    logs = 5 + length * table["length"] + feature * values[table["item"], 0]
    logs += np.repeat(rng.normal(0, 0.2, n_readers), n_items) + np.tile(rng.normal(0, 0.1, n_items), n_readers)
    table["rt"] = np.exp(logs + rng.normal(0, 0.3, len(table)))
    return table, WordFeatures(values, words["item"], texts=words["text"])


@pytest.mark.parametrize("by", ["text", "participant"])
def test_the_held_out_gain_is_the_difference_of_dense_conditional_densities(by):
    table, _ = simulated(n_readers=4, n_texts=3, n_words=5)
    result = delta_log_likelihood(BASE, LENGTH, table, by=by, n_folds=3, random_state=0)
    rng = np.random.RandomState(0)
    units, names = pd.factorize(table[by], sort=True)
    folds = rng.permutation(np.arange(len(names)) % 3)
    gains = np.zeros(len(names))
    for sign, model in ((-1, BASE), (1, LENGTH)):
        for unit in range(len(names)):
            train, test = folds[units] != folds[unit], units == unit
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # three readers may well have no variance
                fitted = model.fit(table[train])
            covariance = fitted.variances_["residual"] * np.eye(len(table))
            for name in ("participant", "item"):
                same = table[name].to_numpy()[:, None] == table[name].to_numpy()
                covariance += fitted.variances_[name] * same
            residuals = np.log(table["rt"]) - fitted.predict(table, random_effects=False)
            both = stats.multivariate_normal(
                np.zeros((train | test).sum()), covariance[np.ix_(train | test, train | test)]
            )
            known = stats.multivariate_normal(np.zeros(train.sum()), covariance[np.ix_(train, train)])
            gains[unit] += sign * (both.logpdf(residuals[train | test]) - known.logpdf(residuals[train]))
    np.testing.assert_allclose(result.by_unit["held_out"], gains, atol=1e-7)
    assert result.table.loc["full", "held_out"] == pytest.approx(gains.sum())


def test_a_true_effect_gains_in_sample_and_held_out_and_its_interval_excludes_zero():
    table, _ = simulated()
    row = delta_log_likelihood(BASE, LENGTH, table, n_folds=4, random_state=0).table.loc["full"]
    assert row["df"] == 1
    assert row["p"] < 1e-6
    assert row["chi2"] == pytest.approx(2 * row["in_sample"])
    assert row["low"] > 0
    assert row["low"] < row["held_out"] < row["high"]
    assert row["held_out_per_observation"] == pytest.approx(row["held_out"] / len(table))


def test_predictors_of_noise_gain_in_sample_and_lose_held_out():
    table, features = simulated()
    noise = ReadingTimeModel("log(rt) ~ length", reduce=12)
    result = delta_log_likelihood(
        LENGTH,
        noise,
        table,
        features=features,
        comparisons=("shuffled", "random"),
        n_draws=2,
        n_folds=4,
        random_state=0,
    )
    assert result.table.index.tolist() == ["full", "full, shuffled", "full, random"]
    assert (result.table["in_sample"] > 0).all()
    assert (result.table["held_out"] < 0).all()
    assert "is the one to believe" in result.summary()


def test_features_that_matter_beat_their_shuffled_selves_held_out():
    table, features = simulated(feature=0.3)
    full = ReadingTimeModel("log(rt) ~ length", reduce=25)
    result = delta_log_likelihood(
        LENGTH,
        full,
        table,
        features=features,
        comparisons=("shuffled", "dense"),
        dense=features,
        n_folds=4,
        random_state=0,
    )
    held = result.table["held_out"]
    assert held["full"] > held["full, shuffled"] + 5
    assert held["full, dense"] == pytest.approx(held["full"])


def test_components_come_from_training_texts_alone():
    table, features = simulated()
    seen = []

    class Spy(type(ReadingTimeModel("y ~ 1", reduce=1))):
        def _learn_reduction(self, table, response, features):
            seen.append(set(table["text"]))
            return super()._learn_reduction(table, response, features)

    delta_log_likelihood(BASE, Spy("log(rt) ~ 1", reduce=2), table, features=features, n_folds=4, random_state=0)
    assert [len(texts) for texts in seen] == [8, 6, 6, 6, 6]


def test_models_are_compared_on_the_rows_that_are_complete_for_all():
    table, _ = simulated()
    holes = table.assign(length=table["length"].where(table["item"] % 5 > 0))
    result = delta_log_likelihood(BASE, LENGTH, holes, n_folds=4, random_state=0)
    assert result.base.n_observations_ == result.models["full"].n_observations_ == holes["length"].notna().sum()


def test_models_that_are_not_nested_have_no_likelihood_ratio_test():
    table, _ = simulated()
    other = table.assign(other=np.random.default_rng(0).normal(size=len(table)))
    result = delta_log_likelihood(LENGTH, ReadingTimeModel("log(rt) ~ other"), other, n_folds=4, random_state=0)
    assert np.isnan(result.table.loc["full", "p"])
    assert result.table.loc["full", "in_sample"] < 0


@pytest.mark.parametrize(
    ("full", "options", "match"),
    [
        (ReadingTimeModel("rt ~ length"), {}, "has another response than the base"),
        (ReadingTimeModel("log(rt) ~ 1", random_intercepts=("item",)), {}, "has other random intercepts than the base"),
        (LENGTH, {"n_folds": 9}, "n_folds must be from 2 to 8, the number of levels of 'text', got 9"),
        (LENGTH, {"by": "chapter"}, r"Column\(s\) \['chapter'\] not in the table"),
        (LENGTH, {"comparisons": ("scrambled",)}, "Unknown comparison"),
        (LENGTH, {"comparisons": ("dense",)}, "given together or not at all"),
        (ReadingTimeModel("log(rt) ~ 1", reduce=2), {}, r"give features=WordFeatures"),
        ({}, {}, "full holds no model"),
    ],
)
def test_bad_comparisons_are_named(full, options, match):
    with pytest.raises(ValueError, match=match):
        delta_log_likelihood(BASE, full, simulated()[0], **({"n_folds": 4} | options))
