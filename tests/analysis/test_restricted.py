"""Encoders of some columns, against scikit-learn parts."""

import pickle

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model import Ridge

from sklearn_sae_encoding.analysis import restrict_encoder
from sklearn_sae_encoding.encoder import SparseVoxelEncoder
from sklearn_sae_encoding.fitted import feature_table, fitted_view


@pytest.fixture
def X():
    rng = np.random.default_rng(0)
    X = rng.random((50, 9)) * (rng.random((50, 9)) < 0.5)
    X[:, -1] = rng.normal(12.0, 3.0, 50)  # surprisal
    return X


@pytest.fixture
def Y(X):
    return X @ np.random.default_rng(1).normal(size=(9, 3)) + 5.0


@pytest.mark.parametrize("as_type", [np.asarray, sparse.csr_array, sparse.csc_array])
@pytest.mark.parametrize(
    ("content", "columns"),
    [(None, range(8)), (3, range(3)), ((2, 5), range(2, 5)), ([0, 6], [0, 6]), ([], [])],
)
def test_it_equals_the_encoder_on_those_columns_and_standardised_surprisal(X, Y, as_type, content, columns):
    train = slice(0, 40)
    surprisal = (X[:, [-1]] - X[train, -1].mean()) / X[train, -1].std()
    seen = np.hstack([X[:, list(columns)], surprisal])
    model = restrict_encoder(content, encoder=Ridge(2.0)).fit(as_type(X)[train], Y[train])
    expected = Ridge(2.0).fit(seen[train], Y[train]).predict(seen)
    np.testing.assert_allclose(model.predict(as_type(X)), expected, rtol=1e-3, atol=1e-3)  # sparse Ridge iterates


def test_without_surprisal_its_scale_and_values_do_not_matter(X, Y):
    model = restrict_encoder(surprisal=False, encoder=Ridge()).fit(X, Y)
    other = X.copy()
    other[:, -1] = 0
    np.testing.assert_array_equal(model.predict(other), model.predict(X))


def test_surprisal_is_forced_where_it_is_used_and_only_there(X, Y):
    encoder = SparseVoxelEncoder(alphas=[1e3], refit="ridge", forced_features=[0])  # the lasso selects nothing
    with_surprisal = restrict_encoder(encoder=encoder).fit(X, Y)["encoder"]
    assert with_surprisal.coef_.indices.tolist() == [8, 8, 8]
    assert restrict_encoder(surprisal=False, encoder=encoder).fit(X, Y)["encoder"].coef_.nnz == 0
    assert encoder.forced_features == [0]


def test_the_published_encoder_is_the_default():
    published = restrict_encoder()["encoder"]
    assert published.get_params()["refit"] == "ridge"
    assert published.screening == 8000
    np.testing.assert_allclose(published.alphas, np.logspace(-2, 0, 10))


def test_sparse_features_stay_sparse_and_models_clone_and_pickle(X, Y):
    model = clone(restrict_encoder((2, 5), encoder=Ridge())).fit(sparse.csr_array(X), Y)
    assert sparse.issparse(model["columns"].transform(sparse.csr_array(X)))
    restored = pickle.loads(pickle.dumps(model))
    np.testing.assert_allclose(restored.predict(X), model.predict(sparse.csr_array(X)))  # dense is welcome, too
    assert model["columns"].columns_.tolist() == [2, 3, 4, 8]


@pytest.mark.parametrize("content", [(5, 9), 9, [8], [-1], (5, 5)])
def test_a_bin_never_reaches_surprisal(X, Y, content):
    with pytest.raises(ValueError, match="not among the 8 of content, which are all but surprisal"):
        restrict_encoder(content, encoder=Ridge()).fit(X, Y)


def test_asking_for_nothing_is_an_error():
    with pytest.raises(ValueError, match="leave no features"):
        restrict_encoder([], surprisal=False)


def test_surprisal_and_content_are_what_the_table_says_wherever_they_stand(X, Y):
    names = [*(f"sae_{j:05d}" for j in range(8)), "surprisal"]
    table = feature_table(names, kinds=["sae"] * 8 + ["surprisal"])
    order = np.random.default_rng(2).permutation(9)
    moved, shuffled = table.iloc[order], X[:, order]
    for content, surprisal in ((None, True), ((2, 5), True), (3, True), ([], True), (None, False)):
        options = {"surprisal": surprisal, "encoder": Ridge(2.0)}
        expected = restrict_encoder(content, **options).fit(X, Y)
        model = restrict_encoder(content, features=moved, **options).fit(shuffled, Y)
        np.testing.assert_allclose(model.predict(shuffled), expected.predict(X))
    by_name = restrict_encoder(["sae_00002", "sae_00006"], features=moved, encoder=Ridge(2.0)).fit(shuffled, Y)
    np.testing.assert_allclose(
        by_name.predict(shuffled), restrict_encoder([2, 6], encoder=Ridge(2.0)).fit(X, Y).predict(X)
    )
    view = fitted_view(by_name, features=moved)
    assert view.features[["feature", "kind"]].values.tolist() == [
        ["sae_00002", "sae"],
        ["sae_00006", "sae"],
        ["surprisal", "surprisal"],
    ]
    np.testing.assert_allclose(view.scale, [1, 1, X[:, 8].std()])
    np.testing.assert_allclose(view.centre, [0, 0, X[:, 8].mean()])


def test_several_columns_of_surprisal_are_all_kept_and_standardised(X, Y):
    table = feature_table(list("abcdefghi"), kinds={"c": "surprisal", "a": "surprisal"})
    encoder = SparseVoxelEncoder(alphas=[1e3], refit="ridge")  # the lasso selects nothing
    model = restrict_encoder(features=table, encoder=encoder).fit(X, Y)
    view = fitted_view(model, features=table)
    used = np.unique(view.weights.nonzero()[1])
    assert view.features["feature"].iloc[used].tolist() == ["a", "c"]
    np.testing.assert_allclose(model[:-1].transform(X)[:, -2:].std(axis=0), 1)


def test_what_is_not_among_the_features_is_refused_at_once():
    table = feature_table(["a", "b", "s"], kinds={"a": "sae", "b": "sae", "s": "surprisal"})
    for content, message in (
        (["c"], "no feature named 'c'"),
        (["a", "s"], "asks for surprisal"),
        ((2, 4), r"none has an index in \[2, 4\)"),
    ):
        with pytest.raises(ValueError, match=message):
            restrict_encoder(content, features=table)
    with pytest.raises(ValueError, match="none of the features is surprisal"):
        restrict_encoder(features=table.iloc[:2])
