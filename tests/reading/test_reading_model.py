"""The mixed model of reading times: Provo's reference fit, predictions, and what it refuses."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import r2_score

from sklearn_sae_encoding.datasets import load_provo
from sklearn_sae_encoding.reading import (
    CategorySums,
    ChosenFeatures,
    FeatureComponents,
    ReadingTimeModel,
    WordFeatures,
    exclude_times,
    join_words,
)


def simulated(seed=0, n_readers=12, n_words=60, *, effect=0.05):
    """Log times with a known effect of length and of a hidden feature."""
    rng = np.random.default_rng(seed)
    words = pd.DataFrame({"item": [f"w{i:03d}" for i in range(n_words)], "text": np.arange(n_words) // 10})
    words["length"] = rng.integers(2, 12, n_words)
    words["feature"] = rng.exponential(size=n_words) * (rng.random(n_words) < 0.4)
    readers = np.repeat(np.arange(n_readers), n_words)
    table = words.iloc[np.tile(np.arange(n_words), n_readers)].reset_index(drop=True)
    logs = 5 + 0.04 * table["length"] + effect * table["feature"]
    logs += rng.normal(0, 0.15, n_readers)[readers] + np.tile(rng.normal(0, 0.1, n_words), n_readers)
    table["participant"] = [f"r{reader:02d}" for reader in readers]
    table["rt"] = np.exp(logs + rng.normal(0, 0.3, len(table)))
    return table, words


@pytest.fixture(scope="module")
def table():
    return simulated()[0]


def test_provos_log_gaze_has_the_reference_likelihood_and_variances():
    times = exclude_times(load_provo().times, "gaze", minimum=80, maximum=1500, first_words=1).table
    model = ReadingTimeModel("log(gaze) ~ 1").fit(times)
    assert model.n_observations_ == 125_636
    assert model.log_likelihood_ == pytest.approx(-66535.9141, abs=1e-4)
    np.testing.assert_allclose(model.variances_, [0.015395, 0.029605, 0.160633], atol=5e-7)
    assert [len(effects) for effects in model.random_effects_.values()] == [84, 2688]


def test_the_fit_answers_in_the_names_of_the_formula(table):
    model = ReadingTimeModel("log(rt) ~ scale(length) + C(text, contr.treatment)").fit(table)
    assert model.coef_.index[:2].tolist() == ["Intercept", "scale(length)"]
    assert len(model.coef_) == 7
    assert model.n_parameters_ == 7 + 3
    np.testing.assert_allclose(model.coef_["z"], model.coef_["estimate"] / model.coef_["standard_error"])
    np.testing.assert_allclose(np.sqrt(np.diag(model.covariance_)), model.coef_["standard_error"])


def test_predictions_of_known_levels_add_their_effects_and_new_levels_have_none(table):
    model = ReadingTimeModel("log(rt) ~ length").fit(table)
    fixed = model.coef_.loc["Intercept", "estimate"] + model.coef_.loc["length", "estimate"] * table["length"]
    np.testing.assert_allclose(model.predict(table, random_effects=False), fixed)
    known = model.random_effects_["participant"][table["participant"]].to_numpy()
    item = model.random_effects_["item"][table["item"]].to_numpy()
    np.testing.assert_allclose(model.predict(table), fixed + known + item)
    new = table.drop(columns="rt").assign(item="unseen")
    np.testing.assert_allclose(model.predict(new), fixed + known)
    assert model.score(table) == pytest.approx(r2_score(np.log(table["rt"]), model.predict(table)))


def test_new_texts_are_scaled_and_coded_as_the_training_texts_were(table):
    train, new = table[table["text"] < 4], table[table["text"] >= 4]
    model = ReadingTimeModel("log(rt) ~ scale(length)").fit(train)
    scaled = (new["length"] - train["length"].mean()) / train["length"].std()
    expected = model.coef_.loc["Intercept", "estimate"] + model.coef_.loc["scale(length)", "estimate"] * scaled
    np.testing.assert_allclose(model.predict(new, random_effects=False), expected)
    coded = ReadingTimeModel("log(rt) ~ C(text)").fit(train)
    with pytest.raises(ValueError, match="categories outside of the nominated levels"):
        coded.predict(new)


def test_a_clone_is_unfitted_and_fits_the_same(table):
    model = ReadingTimeModel("log(rt) ~ length", reduce=FeatureComponents(2)).set_params(reduce=None)
    again = clone(model.fit(table))
    assert not hasattr(again, "coef_")
    pd.testing.assert_frame_equal(again.fit(table).coef_, model.coef_)


def test_rows_without_a_value_are_dropped_and_counted_or_refused(table):
    holes = table.assign(length=table["length"].where(np.arange(len(table)) != 7))
    model = ReadingTimeModel("log(rt) ~ length").fit(holes)
    assert (model.n_dropped_, model.n_observations_) == (1, len(table) - 1)
    with pytest.raises(
        ValueError, match=r"1 of 720 rows lack a value, first row 7; missing by column: \{'length': 1\}"
    ):
        ReadingTimeModel("log(rt) ~ length", missing="raise").fit(holes)


@pytest.mark.parametrize(
    "term", ["poly(length, 2)", "bs(length, df=4)", "length:C(text)", "np.log(length)", "`length`"]
)
def test_a_value_that_is_missing_inside_a_call_is_missing_too(table, term):
    holes = table.assign(length=table["length"].where(np.arange(len(table)) % 60 != 7))
    assert ReadingTimeModel(f"log(rt) ~ {term}").complete_rows(holes).sum() == 708
    assert ReadingTimeModel(f"log(rt) ~ {term}").fit(holes).n_dropped_ == 12


def test_constant_and_dependent_columns_are_dropped_with_a_warning(table):
    more = table.assign(one=1.0, none=0.0, twice=2 * table["length"])
    with pytest.warns(
        UserWarning,
        match=r"rank deficient so dropping 3 column\(s\): \['none', 'one', 'twice'\]; constant: \['none', 'one'\]",
    ):
        model = ReadingTimeModel("log(rt) ~ none + length + one + twice").fit(more)
    assert model.dropped_ == ["none", "one", "twice"]
    plain = ReadingTimeModel("log(rt) ~ length").fit(table)
    pd.testing.assert_frame_equal(model.coef_, plain.coef_)
    np.testing.assert_allclose(model.predict(more), plain.predict(table))


def test_a_random_intercept_that_explains_nothing_is_a_singular_fit(table):
    rng = np.random.default_rng(0)
    shuffled = table.assign(rt=np.exp(rng.permutation(table["rt"].groupby(table["participant"]).rank() / 60)))
    with pytest.warns(UserWarning, match=r"boundary \(singular\) fit: the variance of \['participant'\]"):
        model = ReadingTimeModel("log(rt) ~ 1", random_intercepts=("participant",)).fit(
            shuffled.assign(rt=shuffled.groupby("participant")["rt"].transform(lambda x: x / np.exp(np.log(x).mean())))
        )
    assert model.singular_
    assert model.variances_["participant"] == 0


def test_a_fit_that_stopped_early_says_so(table, monkeypatch):
    from sklearn_sae_encoding.reading import _model

    fit = _model.fit_mixed
    monkeypatch.setattr(_model, "fit_mixed", lambda *args: fit(*args)._replace(scaled_gradient=0.5))
    with pytest.warns(ConvergenceWarning, match="Newton step would still move a ratio of standard deviations by 0.5"):
        assert not ReadingTimeModel("log(rt) ~ 1").fit(table).converged_


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (
            lambda t: t.assign(rt=t["rt"].where(t.index != 3, 0.0)),
            r"log\(rt\) is not a finite number in 1 of 720 rows, first row 3",
        ),
        (lambda t: t.assign(participant=np.arange(len(t)) // 60 + 0.0), "'participant' groups rows, but holds floats"),
        (
            lambda t: t.assign(participant=pd.Series([1.0, "b"] * 360, dtype=object)),
            "'participant' groups rows, but holds floats",
        ),
        (lambda t: t.drop(columns="length"), r"Column\(s\) \['length'\] not in the table"),
        (lambda t: t.assign(participant="same"), r"'participant' has 1 level\(s\) in 720 rows"),
        (lambda t: t.assign(item=[str(i) for i in range(len(t))]), r"'item' has 720 level\(s\) in 720 rows"),
        (lambda t: t.assign(rt=300.0), "The response is 5.70378 in every row"),
        (lambda t: t.assign(length=np.nan), "No row has a value in all of"),
        (lambda t: t[:0], "Expected at least one row"),
        (lambda t: t.to_numpy(), "as a pandas DataFrame"),
    ],
)
def test_bad_tables_are_named(table, change, match):
    with pytest.raises((ValueError, TypeError), match=match):
        ReadingTimeModel("log(rt) ~ length").fit(change(table))


@pytest.mark.parametrize("times", [["301.5", "288.0", "310.2", "295.1", "290.4"], ["300", "300", "250", "250", "300"]])
def test_a_response_stored_as_text_is_refused_without_listing_every_value(times):
    table = pd.DataFrame({"participant": [1, 1, 2, 2, 3], "item": [1, 2, 1, 2, 1], "length": [3, 4, 5, 6, 7]})
    with pytest.raises(
        ValueError, match=r"one numeric response, got the columns .{,80} stored as text .*pd.to_numeric"
    ):
        ReadingTimeModel("rt ~ length").fit(table.assign(rt=times))
    with pytest.raises(ValueError, match=r"got the columns \['length', 'item'\]\.$"):
        ReadingTimeModel("length + item ~ 1").fit(table)


@pytest.mark.parametrize(
    ("parameters", "match"),
    [
        ({"formula": "length + rt"}, "must be a string such as"),
        ({"formula": "log(rt) ~ length + (1|item)"}, "Random intercepts are given by random_intercepts"),
        ({"formula": "log(rt) ~ length +* 3"}, r"can't be read: [^\x1b]*$"),
        ({"formula": "log(rt) ~ scale(item)"}, "can't be evaluated"),
        ({"formula": "rt + length ~ 1"}, "must have one numeric response"),
        ({"random_intercepts": "participant"}, "must be a sequence of columns"),
        ({"missing": "impute"}, "missing must be 'drop' or 'raise'"),
        ({"reduce": 3}, r"reduce=3 needs features=WordFeatures"),
    ],
)
def test_bad_parameters_are_named(table, parameters, match):
    with pytest.raises(ValueError, match=match):
        ReadingTimeModel(**({"formula": "log(rt) ~ length"} | parameters)).fit(table)


def test_components_of_features_find_a_hidden_effect_and_say_which_words_they_lack():
    table, words = simulated(effect=0.2)
    rng = np.random.default_rng(0)
    features = WordFeatures(
        np.column_stack([words["feature"] * (1 + 0.05 * rng.normal(size=(60, 3)).T[i]) for i in range(3)]),
        words["item"],
    )
    base = ReadingTimeModel("log(rt) ~ length").fit(table)
    full = ReadingTimeModel("log(rt) ~ length", reduce=1).fit(table, features=features)
    assert full.log_likelihood_ - base.log_likelihood_ > 10
    assert full.coef_.index.tolist() == ["Intercept", "length", "component_1"]
    few = WordFeatures(features.values[1:], words["item"][1:])
    with pytest.raises(ValueError, match=r"1 word\(s\) of the table have no entry in the features, first \['w000'\]"):
        ReadingTimeModel("log(rt) ~ length", reduce=1).fit(table, features=few)
    with pytest.raises(ValueError, match="reduce=None says not to use them"):
        ReadingTimeModel("log(rt) ~ length").fit(table, features=features)


def test_components_are_principal_components_whether_features_are_sparse_or_dense():
    rng = np.random.default_rng(0)
    values = rng.exponential(size=(50, 12)) * (rng.random((50, 12)) < 0.5)
    dense, stored = (FeatureComponents(3).fit(x).transform(x) for x in (values, sparse.csr_array(values)))
    scaled = (values - values.mean(axis=0)) / values.std(axis=0)
    left, *_ = np.linalg.svd(scaled, full_matrices=False)
    np.testing.assert_allclose(abs(np.corrcoef(left[:, :3].T, dense.T)[:3, 3:]), np.eye(3), atol=1e-6)
    np.testing.assert_allclose(abs(dense), abs(stored), atol=1e-6)
    with pytest.raises(ValueError, match="n_components must be from 1 to 12"):
        FeatureComponents(13).fit(values)


def test_sums_by_category_add_the_features_of_each_category():
    values = np.arange(12.0).reshape(4, 3) ** 1.5
    sums = CategorySums(["b", None, "b"]).fit(values)
    assert sums.get_feature_names_out().tolist() == ["b"]
    together = values[:, 0] + values[:, 2]
    np.testing.assert_allclose(sums.transform(sparse.csr_array(values))[:, 0], together / together.std())
    with pytest.raises(ValueError, match="categories has 2 entries, but there are 3 features"):
        CategorySums(["a", "b"]).fit(values)
    with pytest.raises(ValueError, match="No feature has a category"):
        CategorySums([None] * 3).fit(values)


@pytest.mark.parametrize("targets", [None, ["rt"], "participant"])
def test_the_sparse_encoder_chooses_the_feature_that_drives_the_times(targets):
    table, words = simulated(n_readers=20, n_words=100, effect=0.4)
    rng = np.random.default_rng(1)
    values = rng.exponential(size=(100, 8)) * (rng.random((100, 8)) < 0.4)
    values[:, 5] = words["feature"]
    model = ReadingTimeModel("log(rt) ~ length", reduce=ChosenFeatures(2), feature_targets=targets)
    model.fit(table, features=WordFeatures(values, words["item"]))
    assert model.coef_.index[2] == "feature_5"
    assert model.coef_.loc["feature_5", "z"] > 5


def test_word_features_check_their_names_and_shuffle_within_texts():
    values = sparse.csr_array(np.diag(np.arange(1.0, 7)))
    features = WordFeatures(values, list("abcdef"), texts=[1, 1, 1, 2, 2, 2])
    shuffled = features.shuffled(0).values.toarray()
    assert sorted(map(tuple, shuffled[:3])) == sorted(map(tuple, values.toarray()[:3]))
    assert (shuffled != values.toarray()).any()
    for made in (features, WordFeatures(values.toarray(), list("abcdef"))):
        drawn = made.random(0).values
        drawn = drawn.toarray() if sparse.issparse(drawn) else drawn
        np.testing.assert_allclose(np.sort(drawn, axis=0), np.sort(values.toarray(), axis=0))
    with pytest.raises(ValueError, match="Each word needs a name of its own, but 1 repeat, first 'a'"):
        WordFeatures(values, list("abcdea"))
    with pytest.raises(ValueError, match=r"values has shape \(6, 6\), but there are 5 words"):
        WordFeatures(values, list("abcde"))
    with pytest.raises(ValueError, match="give WordFeatures"):
        WordFeatures(values, list("abcdef")).shuffled(0)


def test_joined_times_keep_their_rows_and_words_of_another_text_are_named():
    table, words = simulated(n_readers=3, n_words=20)
    joined = join_words(table[["participant", "item", "rt"]].set_index(table.index + 5), words)
    assert joined.index[0] == 5
    assert joined["length"].tolist() == table["length"].tolist()
    with pytest.raises(ValueError, match="Are these the words of another text"):
        join_words(table, words.assign(item=words["item"] + "x"))
    with pytest.raises(ValueError, match=r"Each word must have one row, but 2 rows .* item 'w000' in rows 0 and 20"):
        join_words(table, pd.concat([words, words[:1]]))


def test_nothing_warns_in_a_plain_fit(table):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ReadingTimeModel("log(rt) ~ length").fit(table)
