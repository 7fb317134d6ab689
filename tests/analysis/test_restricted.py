"""Encoders of some columns, against scikit-learn parts."""

import pickle

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model import Ridge

from sklearn_sae_encoding.analysis import restrict_encoder
from sklearn_sae_encoding.encoder import SparseVoxelEncoder


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
    with pytest.raises(ValueError, match="not among the 8 before surprisal"):
        restrict_encoder(content, encoder=Ridge()).fit(X, Y)


def test_asking_for_nothing_is_an_error():
    with pytest.raises(ValueError, match="leave no features"):
        restrict_encoder([], surprisal=False)
