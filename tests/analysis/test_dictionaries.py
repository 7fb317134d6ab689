"""Dictionaries put to the same question, and those that need no training."""

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import nnls
from sklearn.decomposition import PCA
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_sae_encoding.analysis import RandomDictionary, SemiNMF, compare_dictionaries
from sklearn_sae_encoding.tokens import TokenTable

N_TEXTS, WIDTH = 80, 12


@pytest.fixture
def tokens():
    rng = np.random.default_rng(0)
    return TokenTable([rng.normal(size=(rng.integers(3, 7), WIDTH)) for _ in range(N_TEXTS)])


class Rectified:
    """What an SAE does: non-linear, token by token."""

    def __init__(self, as_sparse=False):
        self.as_sparse = as_sparse

    def encode(self, rows):
        values = np.maximum(rows - 1.0, 0)
        return sparse.csr_array(values) if self.as_sparse else values


@parametrize_with_checks([SemiNMF(3), RandomDictionary(5)])
def test_the_estimators_keep_the_contract_of_scikit_learn(estimator, check):
    check(estimator)


def test_features_are_encoded_and_then_pooled(tokens):
    by_hand = np.array([np.maximum(text - 1.0, 0).mean(axis=0) for text in tokens])
    Y = by_hand[:, :3] + 0.01 * np.random.default_rng(1).normal(size=(N_TEXTS, 3))
    comparison = compare_dictionaries({"SAE": Rectified(), "dense": None}, tokens, Y)
    X = comparison.features["SAE"]
    np.testing.assert_allclose(X, by_hand / np.sqrt(by_hand.var(axis=0).mean()), rtol=1e-5)
    # The response is non-linear in the activations: pooled activations tell less of it.
    score = comparison.summary["score"]
    assert score["SAE"] > 0.99
    assert score["SAE"] > score["dense"] + 0.1


def test_sparse_features_and_features_of_tokens_that_are_there_already_give_the_same(tokens):
    Y = np.random.default_rng(1).normal(size=(N_TEXTS, 2))
    known = TokenTable([np.maximum(text - 1.0, 0) for text in tokens])
    comparison = compare_dictionaries(
        {"dense": Rectified(), "sparse": Rectified(as_sparse=True), "table": known}, tokens, Y
    )
    for name in ("sparse", "table"):
        np.testing.assert_allclose(comparison.results[name].scores, comparison.results["dense"].scores, atol=1e-4)
    assert comparison.summary["density"].nunique() == 1


def test_all_get_as_many_columns_those_that_vary_most_at_one_scale(tokens):
    scales = np.arange(1, WIDTH + 1)
    stretched = TokenTable([text * scales for text in tokens])
    Y = np.random.default_rng(1).normal(size=(N_TEXTS, 2))
    surprisal = np.random.default_rng(2).normal(size=N_TEXTS)
    comparison = compare_dictionaries(
        {"dense": None, "PCA": PCA(5), "huge": TokenTable([1000 * text for text in stretched])},
        stretched, Y, n_columns=4, surprisal=surprisal,
    )  # fmt: skip
    for X in comparison.features.values():
        assert X.shape == (N_TEXTS, 5)
        assert X[:, :-1].var(axis=0).mean() == pytest.approx(1, rel=1e-4)
        np.testing.assert_array_equal(X[:, -1], surprisal)
    np.testing.assert_allclose(comparison.features["huge"], comparison.features["dense"], rtol=1e-4)
    pooled = stretched.pool()
    top = np.sort(np.argsort(-pooled.var(axis=0))[:4])
    np.testing.assert_allclose(np.corrcoef(comparison.features["dense"][:, :4].T), np.corrcoef(pooled[:, top].T))


def test_two_hooks_stand_side_by_side_for_a_dictionary_of_both(tokens):
    other = TokenTable([text**2 for text in tokens])

    class Both:
        def transform(self, rows):
            return rows[:, :WIDTH] ** 2 - rows[:, WIDTH:]  # 0 if each token meets itself

    Y = np.random.default_rng(1).normal(size=(N_TEXTS, 1))
    with pytest.raises(ValueError, match=r"so many columns vary over the texts: \{'crosscoder': 0\}"):
        compare_dictionaries({"crosscoder": Both()}, [tokens, other], Y)
    assert compare_dictionaries({"dense": None}, [tokens, other], Y).summary.loc["dense", "n_features"] == 2 * WIDTH


def test_a_dictionary_learns_from_the_tokens_it_is_given_and_a_fitted_one_stays(tokens):
    elsewhere = TokenTable([text[:, ::-1] * np.arange(1, WIDTH + 1) for text in tokens])
    Y = np.random.default_rng(1).normal(size=(N_TEXTS, 1))
    fitted = PCA(2).fit(elsewhere.concatenated())
    one = compare_dictionaries({"PCA": fitted}, tokens, Y)
    other = compare_dictionaries({"PCA": PCA(2)}, tokens, Y, fit_on=elsewhere)
    np.testing.assert_allclose(one.features["PCA"], other.features["PCA"], atol=1e-5)


@pytest.mark.parametrize(
    ("dictionaries", "message"),
    [
        ({}, "must be a dict of name to dictionary"),
        ({"a": 3}, "'a' is no dictionary: 3 has neither encode nor transform"),
        ({"a": PCA(2).fit(np.eye(4)[:, :3]), "dense": None}, "3 features"),
        ({"a": TokenTable([np.ones((2, 3))])}, "'a' holds 1 texts, the activations 80"),
    ],
)
def test_what_is_no_dictionary_of_these_tokens_is_named(tokens, dictionaries, message):
    with pytest.raises(ValueError, match=message):
        compare_dictionaries(dictionaries, tokens, np.zeros((N_TEXTS, 1)))


def test_more_columns_than_a_dictionary_has_and_surprisal_of_other_texts_are_refused(tokens):
    Y = np.zeros((N_TEXTS, 1))
    with pytest.raises(ValueError, match=r"n_columns=5, but so many columns vary over the texts: \{'PCA': 2\}"):
        compare_dictionaries({"PCA": PCA(2)}, tokens, Y, n_columns=5)
    with pytest.raises(ValueError, match="surprisal must have a value a text, 80; got 3"):
        compare_dictionaries({"dense": None}, tokens, Y, surprisal=np.zeros(3))


def test_semi_nmf_finds_non_negative_sums_of_signed_components_and_its_weights_are_optimal():
    rng = np.random.default_rng(0)
    W, H = rng.exponential(size=(200, 3)) * (rng.random((200, 3)) < 0.5), rng.normal(size=(3, 8))
    X = W @ H
    model = SemiNMF(3, max_iter=2000, random_state=0).fit(X)
    assert model.reconstruction_err_ < 0.05 * np.linalg.norm(X)
    found = model.transform(X)
    assert found.min() >= 0
    exact = np.array([nnls(model.components_.T, row)[0] for row in X])
    error, least = (np.linalg.norm(X - weights @ model.components_) for weights in (found, exact))
    assert error <= least + 1e-3 * np.linalg.norm(X)


def test_no_update_of_semi_nmf_raises_the_error():
    X = np.random.default_rng(0).normal(size=(60, 10))
    errors = [SemiNMF(4, max_iter=n, random_state=0).fit(X).reconstruction_err_ for n in (1, 2, 5, 20, 100)]
    assert np.all(np.diff(errors) < 0)


def test_random_directions_are_active_on_the_share_of_rows_asked_for():
    X = np.random.default_rng(0).normal(size=(500, 6))
    features = RandomDictionary(3, density=[1.0, 0.2, 0.002], random_state=1).fit_transform(X)
    assert (features > 0).sum(axis=0).tolist() == [500, 100, 1]
    with pytest.raises(ValueError, match="shares above 0"):
        RandomDictionary(3, density=0).fit(X)


def test_hooks_of_other_tokens_are_named_and_shares_that_are_none(tokens):
    longer = TokenTable([np.vstack([values, values[:1]]) if i == 2 else values for i, values in enumerate(tokens)])
    with pytest.raises(ValueError, match=r"of text 2 hook 0 has \d+, hook 1"):
        compare_dictionaries({"dense": None}, [tokens, longer], np.zeros((len(tokens), 1)))
    with pytest.raises(ValueError, match=r"same texts: \d+ in hook 0, 3 in hook 1"):
        compare_dictionaries({"dense": None}, [tokens, tokens[:3]], np.zeros((len(tokens), 1)))
    with pytest.raises(ValueError, match=r"density must be shares .* got 1\.5"):
        RandomDictionary(2, density=[0.5, 1.5]).fit(np.eye(4))
