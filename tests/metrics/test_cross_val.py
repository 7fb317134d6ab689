"""Cross-validated voxel scores against scikit-learn's own parts."""

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy import sparse, stats
from sklearn.dummy import DummyRegressor
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.feature_selection import SelectFromModel
from sklearn.linear_model import LassoCV, Ridge, RidgeCV
from sklearn.metrics import r2_score
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    LeaveOneGroupOut,
    LeaveOneOut,
    RepeatedKFold,
    ShuffleSplit,
    cross_val_predict,
)
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_sae_encoding.metrics import cross_val_voxel_scores
from sklearn_sae_encoding.tokens import TokenTable

CV = KFold(5, shuffle=True, random_state=19)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 8))
    Y = 4 + X @ rng.normal(size=(8, 5)) + 2 * rng.normal(size=(60, 5))
    return X, Y


def test_pearson_is_the_fisher_mean_over_folds(data):
    X, Y = data
    result = cross_val_voxel_scores(Ridge(), X, Y, cv=CV)
    expected = np.empty((5, 5))
    for fold, (train, test) in enumerate(CV.split(X)):
        predicted = Ridge().fit(X[train], Y[train]).predict(X[test])
        expected[fold] = [stats.pearsonr(t, p).statistic for t, p in zip(Y[test].T, predicted.T, strict=True)]
    np.testing.assert_allclose(result.fold_scores, expected)
    np.testing.assert_allclose(result.scores, np.tanh(np.arctanh(expected).mean(axis=0)))
    assert result.normalized_scores is None
    assert result.predictions is None
    assert result.estimators is None


def test_r2_is_the_plain_mean_over_folds_and_its_ceiling_is_squared(data):
    X, Y = data
    ceiling = np.array([0.5, 0.6, 0.7, 0.8, 0.0])
    result = cross_val_voxel_scores(Ridge(), X, Y, cv=CV, metric="r2", noise_ceiling=ceiling)
    expected = [
        r2_score(Y[test], Ridge().fit(X[train], Y[train]).predict(X[test]), multioutput="raw_values")
        for train, test in CV.split(X)
    ]
    np.testing.assert_allclose(result.fold_scores, expected)
    np.testing.assert_allclose(result.scores, np.mean(expected, axis=0))
    np.testing.assert_allclose(result.normalized_scores[:4], result.scores[:4] / ceiling[:4] ** 2)
    assert np.isnan(result.normalized_scores[4])


@pytest.mark.parametrize("metric", ["pearson", "r2"])
@pytest.mark.parametrize("ceiling", [-0.3, [0.5, 0.6, -0.3, 0.8, 0.9]])
def test_a_negative_ceiling_is_refused_before_anything_is_fitted_and_never_squared(data, metric, ceiling):
    with pytest.raises(ValueError, match=r"cannot be negative, got -0\.3 for voxel [02]"):
        cross_val_voxel_scores(None, *data, metric=metric, noise_ceiling=ceiling)


@pytest.mark.parametrize("metric", ["pearson", "r2"])
def test_a_percentage_is_no_ceiling(data, metric):
    with pytest.raises(ValueError, match=r"correlations, at most 1, but voxel 1 has 60.*sqrt\(v / 100\)"):
        cross_val_voxel_scores(Ridge(), *data, metric=metric, noise_ceiling=[1.0, 60.0, 0.5, 0.5, 0.5])


def test_normalized_scores_are_scores_over_ceilings(data):
    X, Y = data
    ceiling = np.linspace(0.5, 0.9, 5)
    result = cross_val_voxel_scores(Ridge(), X, Y, cv=CV, noise_ceiling=ceiling)
    np.testing.assert_allclose(result.normalized_scores, result.scores / ceiling)


def test_predictions_are_those_of_cross_val_predict(data):
    X, Y = data
    result = cross_val_voxel_scores(Ridge(), X, Y, cv=CV, return_predictions=True)
    np.testing.assert_allclose(result.predictions, cross_val_predict(Ridge(), X, Y, cv=CV))


def test_rows_that_no_fold_leaves_out_have_no_prediction(data):
    X, Y = data
    cv = ShuffleSplit(1, test_size=10, random_state=0)
    result = cross_val_voxel_scores(Ridge(), X, Y, cv=cv, return_predictions=True)
    assert np.isnan(result.predictions).all(axis=1).sum() == 50


@pytest.mark.parametrize("cv", [ShuffleSplit(4, test_size=0.5, random_state=0), RepeatedKFold(n_splits=3, n_repeats=2)])
def test_a_row_that_several_folds_leave_out_has_no_single_prediction(data, cv):
    X, Y = data
    with pytest.raises(ValueError, match=r"don't overlap, but \d+ sample\(s\) are left out more than once"):
        cross_val_voxel_scores(Ridge(), X, Y, cv=cv, return_predictions=True)
    assert np.isfinite(cross_val_voxel_scores(Ridge(), X, Y, cv=cv).scores).all()


def test_models_in_a_dictionary_are_scored_on_identical_folds(data):
    X, Y = data
    cv = ShuffleSplit(3, random_state=np.random.RandomState(0))  # would draw other folds each time it is asked
    results = cross_val_voxel_scores({"a": Ridge(), "b": Ridge(), "mean": DummyRegressor()}, X, Y, cv=cv)
    assert list(results) == ["a", "b", "mean"]
    np.testing.assert_array_equal(results["a"].fold_scores, results["b"].fold_scores)
    np.testing.assert_array_equal(results["mean"].scores, 0)
    for (_, of_a), (_, of_mean) in zip(results["a"].splits, results["mean"].splits, strict=True):
        np.testing.assert_array_equal(of_a, of_mean)


def test_the_published_protocol_spelled_out_in_scikit_learn_parts(data):
    X, Y = data

    def predict(train, test, y):  # lasso selects, ridge by leave-one-out refits
        support = np.abs(LassoCV(alphas=np.logspace(-2, 0, 5), cv=5).fit(X[train], y[train]).coef_) > 1e-5
        return RidgeCV(np.logspace(-2, 5, 8)).fit(X[train][:, support], y[train]).predict(X[test][:, support])

    lasso = LassoCV(alphas=np.logspace(-2, 0, 5), cv=5)
    one_voxel = make_pipeline(SelectFromModel(lasso, threshold=1e-5), RidgeCV(np.logspace(-2, 5, 8)))
    result = cross_val_voxel_scores(MultiOutputRegressor(one_voxel), X, Y, cv=CV)
    for voxel, y in enumerate(Y.T):
        r = [np.corrcoef(predict(train, test, y), y[test])[0, 1] for train, test in CV.split(X)]
        assert result.scores[voxel] == pytest.approx(np.tanh(np.mean(np.arctanh(r))))


@pytest.mark.parametrize("metric", ["pearson", "r2"])
def test_parallel_jobs_change_nothing(data, metric):
    X, Y = data
    models = {"ridge": Ridge(), "mean": DummyRegressor()}
    alone = cross_val_voxel_scores(models, X, Y, metric=metric)
    with joblib.parallel_config(backend="threading"):
        together = cross_val_voxel_scores(models, X, Y, metric=metric, n_jobs=2)
    for name in models:
        np.testing.assert_array_equal(alone[name].fold_scores, together[name].fold_scores)


def test_the_estimator_is_cloned_and_fitted_clones_can_be_kept(data):
    X, Y = data
    ridge = Ridge()
    result = cross_val_voxel_scores(ridge, X, Y, cv=CV, return_estimators=True)
    assert not hasattr(ridge, "coef_")
    train, _ = result.splits[2]
    np.testing.assert_allclose(result.estimators[2].coef_, Ridge().fit(X[train], Y[train]).coef_)


# What X and Y may be


@pytest.mark.parametrize("kind", [np.asarray, pd.DataFrame, sparse.csr_array, sparse.coo_array, np.ndarray.tolist])
def test_features_may_be_of_any_kind_that_scikit_learn_indexes(data, kind):
    X, Y = data
    expected = cross_val_voxel_scores(Ridge(solver="lsqr", tol=1e-10), X, Y).scores
    result = cross_val_voxel_scores(Ridge(solver="lsqr", tol=1e-10), kind(X), pd.DataFrame(Y)).scores
    np.testing.assert_allclose(result, expected, atol=1e-4)


@pytest.mark.parametrize("kind", [list, np.array, pd.Series])
def test_texts_go_through_a_pipeline(kind):
    rng = np.random.default_rng(0)
    music = rng.integers(0, 5, size=60)
    texts = ["a day of " + "music " * m for m in music]
    Y = music[:, None] + rng.normal(scale=0.1, size=(60, 3))
    result = cross_val_voxel_scores(make_pipeline(CountVectorizer(), Ridge()), kind(texts), Y)
    assert (result.scores > 0.95).all()


def test_token_activations_reach_the_estimator_as_such():
    rng = np.random.default_rng(0)
    acts = TokenTable([rng.normal(size=(n, 4)) for n in rng.integers(1, 6, size=40)], model="toy")
    pooled = np.array([a.mean(axis=0) for a in acts])

    def pool(acts):
        assert acts.model == "toy"
        return np.array([a.mean(axis=0) for a in acts])

    Y = pooled @ rng.normal(size=(4, 2))
    result = cross_val_voxel_scores(make_pipeline(FunctionTransformer(pool), Ridge(alpha=1e-6)), acts, Y)
    assert (result.scores > 0.999).all()


@pytest.mark.parametrize("estimator", [Ridge(), MultiOutputRegressor(Ridge())])
def test_one_voxel_scores_as_it_does_among_others(data, estimator):
    X, Y = data
    among = cross_val_voxel_scores(estimator, X, Y)
    alone = cross_val_voxel_scores(estimator, X, Y[:, [3]])
    np.testing.assert_allclose(alone.scores, among.scores[[3]])


def test_one_dimension_is_one_voxel(data):
    X, Y = data
    flat = cross_val_voxel_scores(Ridge(), X, Y[:, 3], noise_ceiling=0.5, return_predictions=True)
    column = cross_val_voxel_scores(Ridge(), X, Y[:, [3]], noise_ceiling=[0.5], return_predictions=True)
    np.testing.assert_allclose(flat.normalized_scores, column.normalized_scores)
    np.testing.assert_allclose(flat.predictions, column.predictions[:, 0])


def test_a_constant_voxel_has_no_score_and_harms_no_other(data):
    X, Y = data
    constant = Y.copy()
    constant[:, 1] = 0.1
    scores = cross_val_voxel_scores(Ridge(), X, constant).scores
    assert np.isnan(scores[1])
    np.testing.assert_allclose(np.delete(scores, 1), np.delete(cross_val_voxel_scores(Ridge(), X, Y).scores, 1))


# Groups and routed parameters


def test_groups_reach_the_splitter(data):
    X, Y = data
    groups = np.repeat(np.arange(4), 15)
    result = cross_val_voxel_scores(Ridge(), X, Y, cv=LeaveOneGroupOut(), groups=groups)
    assert [set(groups[test]) for _, test in result.splits] == [{0}, {1}, {2}, {3}]


def test_fit_parameters_are_split_with_the_samples(data):
    X, Y = data
    weight = np.random.default_rng(0).random(60)
    result = cross_val_voxel_scores(Ridge(), X, Y, cv=CV, params={"sample_weight": weight}, return_estimators=True)
    train, _ = result.splits[0]
    expected = Ridge().fit(X[train], Y[train], sample_weight=weight[train]).coef_
    np.testing.assert_allclose(result.estimators[0].coef_, expected)


def test_with_routing_groups_reach_the_splitter_and_every_model_that_asks(data):
    X, Y = data
    groups = np.repeat(np.arange(6), 10)
    weight = np.random.default_rng(0).random(60)
    with sklearn.config_context(enable_metadata_routing=True):
        grouped = GridSearchCV(Ridge(), {"alpha": [0.1, 10.0]}, cv=GroupKFold(3))
        weighted = Ridge().set_fit_request(sample_weight=True)
        results = cross_val_voxel_scores(
            {"weighted": weighted},
            X,
            Y,
            cv=GroupKFold(3),
            groups=groups,
            params={"sample_weight": weight},
            return_estimators=True,
        )
        searched = cross_val_voxel_scores(grouped, X, Y, cv=GroupKFold(3), groups=groups, return_estimators=True)
    train, test = results["weighted"].splits[0]
    assert not set(groups[train]) & set(groups[test])
    expected = Ridge().fit(X[train], Y[train], sample_weight=weight[train]).coef_
    np.testing.assert_allclose(results["weighted"].estimators[0].coef_, expected)
    inner = GridSearchCV(Ridge(), {"alpha": [0.1, 10.0]}, cv=GroupKFold(3)).fit(
        X[train], Y[train], groups=groups[train]
    )
    found = searched.estimators[0].cv_results_["mean_test_score"]
    np.testing.assert_allclose(found, inner.cv_results_["mean_test_score"])


# Bad input


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"X": np.zeros((59, 8))}, r"X has 59 \(texts or rows\) and Y has 60 rows"),
        ({"X": ["text"] * 61}, r"X has 61 \(texts or rows\) and Y has 60 rows"),
        ({"X": "a single text"}, "got a single string: 'a single text'. Put it in a list"),
        ({"metric": "spearman"}, r"metric must be one of \['pearson', 'r2'\], got 'spearman'"),
        ({"cv": LeaveOneOut()}, "at least 2 test samples, but fold 0 of 60 has 1"),
        ({"noise_ceiling": [0.5, 0.5]}, r"one value a voxel, \(5,\), got shape \(2,\)"),
        ({"estimator": {}}, "the dictionary of estimators is empty"),
        ({"Y": [["a"]] * 60}, r"Y must be numbers of shape \(n_samples, n_voxels\), got shape \(60, 1\)"),
        ({"Y": np.zeros((60, 2, 2))}, r"got shape \(60, 2, 2\)"),
    ],
)
def test_bad_input_is_explained(data, arguments, message):
    X, Y = data
    with pytest.raises(ValueError, match=message):
        cross_val_voxel_scores(**{"estimator": Ridge(), "X": X, "Y": Y} | arguments)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_named(data, bad):
    X, Y = data
    Y = Y.copy()
    Y[[7, 9], [3, 1]] = bad
    with pytest.raises(ValueError, match=r"Y holds 2 value\(s\).* the first at sample 7, voxel 3"):
        cross_val_voxel_scores(Ridge(), X, Y)
    with pytest.raises(ValueError, match=r"the first at sample 7\. "):
        cross_val_voxel_scores(Ridge(), X, Y[:, 3])


def test_folds_that_are_used_up_are_an_error(data):
    X, Y = data
    spent = CV.split(X)
    cross_val_voxel_scores(Ridge(), X, Y, cv=spent)
    for cv in (spent, [], iter(())):
        for x, y in ((X, Y), ([X[:30], X[30:]], [Y[:30], Y[30:]])):
            with pytest.raises(ValueError, match=r"cv gave no folds.*serves one call only"):
                cross_val_voxel_scores(Ridge(), x, y, cv=cv)
