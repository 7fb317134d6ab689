"""Batched transfer against scikit-learn pair by pair, and planted populations found again."""

import sys

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import nnls
from scipy.stats import pearsonr
from sklearn.base import clone
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.linear_model import Ridge
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, ShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from sklearn_sae_encoding.analysis import cluster_voxels, transfer_scores
from sklearn_sae_encoding.datasets import make_voxel_responses
from sklearn_sae_encoding.encoder import SparseVoxelEncoder
from sklearn_sae_encoding.metrics import (
    cross_val_voxel_scores,
    fisher_mean,
    normalize_scores,
    permutation_p_values,
    shuffle_responses,
)

PUBLISHED = KFold(5, shuffle=True, random_state=19)


def published(*args, **options):
    return transfer_scores(*args, selection="published", **options)


def _data(n_samples=100, n_features=30, n_voxels=8, seed=0):
    """Sparse non-negative features with a dense last one, and voxels that use a few of them."""
    rng = np.random.default_rng(seed)
    X = rng.exponential(2.0, size=(n_samples, n_features)) * (rng.random((n_samples, n_features)) < 0.3)
    X[:, -1] = 5 + 0.2 * rng.normal(size=n_samples)
    coef = rng.normal(size=(n_voxels, n_features)) * (rng.random((n_voxels, n_features)) < 0.3)
    Y = X @ coef.T + 3 * rng.normal(size=(n_samples, n_voxels)) + 7
    coef[:, -1] = rng.choice([-1.0, 1.0], size=n_voxels)
    return X, Y, coef, 10.0 ** rng.integers(-1, 3, size=n_voxels)


def _multiply(X, signs):
    return X * signs


def _pair_by_pair(X, Y, coef, ridge_of_source, cv):
    """The protocol in scikit-learn's words: a cross-validated pipeline for every pair."""
    scores = np.empty((len(coef), Y.shape[1]))
    for s, weights in enumerate(coef):
        selected = np.roll(np.flatnonzero(weights), 1)  # surprisal, the last column, is scaled and comes out first
        scale = ColumnTransformer([("surprisal", StandardScaler(), [0])], remainder="passthrough")
        sign = FunctionTransformer(_multiply, kw_args={"signs": np.sign(weights[selected])})
        model = TransformedTargetRegressor(
            make_pipeline(scale, sign, ridge_of_source(s)), transformer=StandardScaler(), check_inverse=False
        )
        for t in range(Y.shape[1]):
            scores[s, t] = cross_val_voxel_scores(model, X[:, selected], Y[:, t], cv=cv).scores[0]
    return scores


def test_scores_equal_positive_ridge_of_scikit_learn_pair_by_pair():
    X, Y, coef, alpha = _data(n_voxels=6)
    expected = _pair_by_pair(X, Y, coef, lambda s: Ridge(alpha[s], positive=True, tol=1e-10), PUBLISHED)
    ceiling = np.linspace(0.5, 0.9, 6)
    result = published(X, Y, coef, alpha=alpha, cv=PUBLISHED, scaled_features=[-1], noise_ceiling=ceiling)
    off = ~np.eye(6, dtype=bool)
    np.testing.assert_allclose(result.scores[off], expected[off], atol=1e-5)  # L-BFGS stops about there
    np.testing.assert_allclose(result.self_scores, np.diag(expected), atol=1e-5)
    assert np.all(np.isnan(np.diag(result.scores)))
    np.testing.assert_allclose(result.normalized_scores, normalize_scores(result.scores, ceiling))
    np.testing.assert_allclose(result.normalized_self_scores, result.self_scores / ceiling)
    assert result.violation < 1e-12


def test_tuned_scores_equal_a_grid_search_in_every_pair_and_fold():
    X, Y, coef, _ = _data(n_voxels=3)
    alphas = np.logspace(-1, 3, 5)
    search = GridSearchCV(
        Ridge(positive=True, tol=1e-10),
        {"alpha": alphas},
        cv=ShuffleSplit(1, test_size=0.2, random_state=0),
        scoring="neg_mean_squared_error",
    )
    expected = _pair_by_pair(X, Y, coef, lambda s: search, PUBLISHED)
    result = published(X, Y, coef, cv=PUBLISHED, scaled_features=[-1], tuning_alphas=alphas)
    off = ~np.eye(3, dtype=bool)
    np.testing.assert_allclose(result.scores[off], expected[off], atol=1e-5)
    np.testing.assert_allclose(result.self_scores, np.diag(expected), atol=1e-5)


def test_scores_equal_exact_nonnegative_least_squares_to_rounding():
    X, Y, coef, alpha = _data(seed=1)
    result = published(X, Y, coef, alpha=alpha, cv=3)
    selected = np.flatnonzero(coef[2])
    signed, folds = X[:, selected] * np.sign(coef[2, selected]), []
    for train, test in KFold(3).split(X):
        mean, y = signed[train].mean(axis=0), Y[train, 5] - Y[train, 5].mean()
        augmented = np.vstack([signed[train] - mean, np.sqrt(alpha[2]) * np.eye(len(selected))])
        weights = nnls(augmented, np.r_[y, np.zeros(len(selected))])[0]
        folds.append(pearsonr(signed[test] @ weights, Y[test, 5]).statistic)
    assert result.scores[2, 5] == pytest.approx(fisher_mean(folds), abs=1e-12)


def test_scores_do_not_depend_on_storage_blocks_or_threads(monkeypatch):
    X, Y, coef, alpha = _data(n_voxels=40, seed=2)
    expected = published(X, Y, coef, alpha=alpha).scores
    for stored in (sparse.csr_array, sparse.csc_matrix, np.asfortranarray):
        scores = published(stored(X), Y, sparse.csr_array(coef), alpha=alpha, n_jobs=2).scores
        np.testing.assert_allclose(scores, expected, atol=1e-13)
    monkeypatch.setattr(sys.modules[transfer_scores.__module__], "_BYTES", 8 * 2 * 30 * 5 * 7)
    np.testing.assert_allclose(published(X, Y, coef, alpha=alpha).scores, expected, atol=1e-13)


def test_scores_do_not_change_with_the_scale_of_weights_responses_and_scaled_features():
    X, Y, coef, alpha = _data(seed=3)
    expected = published(X, Y, coef, alpha=alpha, scaled_features=[-1]).scores
    X[:, -1] = 40 * X[:, -1] - 3
    scores = published(X, 1e-4 * Y + 50, 1e-3 * coef, alpha=alpha, scaled_features=[-1]).scores
    np.testing.assert_allclose(scores, expected, atol=1e-8)


def test_each_fold_has_the_features_and_signs_of_its_own_fit():
    X, Y, coef, alpha = _data(seed=4)
    rng = np.random.default_rng(0)
    fits = [coef * (rng.random(coef.shape) < 0.7) * rng.choice([-1, 1], coef.shape) for _ in range(3)]
    penalties = np.array([alpha, 2 * alpha, alpha / 2])
    ours = transfer_scores(X, Y, fits, alpha=penalties, cv=3, scaled_features=-1)
    folds = list(KFold(3).split(X))
    alone = [
        np.arctanh(published(X, Y, fit, alpha=ridge, cv=[fold], scaled_features=-1).scores)
        for fit, ridge, fold in zip(fits, penalties, folds, strict=True)
    ]
    np.testing.assert_allclose(ours.scores, np.tanh(np.mean(alone, axis=0)), atol=1e-12)
    same = transfer_scores(X, Y, [coef] * 5, alpha=alpha)
    np.testing.assert_array_equal(same.scores, published(X, Y, coef, alpha=alpha).scores)


def test_an_estimator_is_fitted_to_training_texts_and_sources_alone():
    X, Y, *_ = _data(seed=5)
    encoder = SparseVoxelEncoder(alphas=[0.2], refit="ridge")
    scored = cross_val_voxel_scores(encoder, X, Y, cv=3, return_estimators=True)
    expected = transfer_scores(X, Y, scored.estimators, cv=scored.splits)
    np.testing.assert_array_equal(transfer_scores(X, Y, encoder, cv=3).scores, expected.scores)
    some = transfer_scores(X, Y, encoder, cv=3, sources=[4, 1])
    np.testing.assert_allclose(some.scores[0, [0, 2]], expected.scores[4, [0, 2]], atol=1e-12)
    changed = Y.copy()
    test = scored.splits[0][1]
    changed[test] = np.random.default_rng(0).normal(size=changed[test].shape)
    refitted = clone(encoder).fit(X[scored.splits[0][0]], changed[scored.splits[0][0]])
    np.testing.assert_array_equal(refitted.coef_.toarray(), scored.estimators[0].coef_.toarray())


def test_the_features_of_a_pipeline_are_those_it_makes_in_the_fold():
    X, Y, *_ = _data(seed=6)
    model = make_pipeline(StandardScaler(), SparseVoxelEncoder(alphas=[0.2], refit="ridge"))
    piped = transfer_scores(X, Y, model, cv=3)
    by_hand = []
    for train, test in KFold(3).split(X):
        scaler = StandardScaler().fit(X[train])
        fit = clone(model[-1]).fit(scaler.transform(X[train]), Y[train])
        fold = published(scaler.transform(X), Y, fit, cv=[(train, test)])
        by_hand.append(np.arctanh(fold.scores))
    np.testing.assert_allclose(piped.scores, np.tanh(np.mean(by_hand, axis=0)), atol=1e-8)


def test_noise_that_voxels_share_transfers_only_where_test_texts_selected_the_features():
    """Voxels of one participant share the noise of every text; nothing in the features drives them."""
    rng = np.random.default_rng(0)
    X = rng.exponential(size=(120, 300)) * (rng.random((120, 300)) < 0.2)
    common = rng.normal(size=(120, 1))
    Y = common + 0.5 * rng.normal(size=(120, 20))
    encoder = SparseVoxelEncoder(alphas=[0.15], refit="ridge")
    fair = np.nanmean(transfer_scores(X, Y, encoder, cv=PUBLISHED).scores)
    leaky = np.nanmean(published(X, Y, clone(encoder).fit(X, Y), cv=PUBLISHED).scores)
    print(f"published {leaky:.2f}, training texts alone {fair:.2f}")
    assert leaky > 0.2
    assert abs(fair) < 0.12


def test_tuning_splits_as_the_authors_do_unless_told_otherwise():
    X, Y, coef, _ = _data(n_voxels=3, seed=1)
    options = {"cv": PUBLISHED, "tuning_alphas": [1.0, 100.0, 1e4]}
    theirs = ShuffleSplit(1, test_size=0.2, random_state=0)
    np.testing.assert_array_equal(
        published(X, Y, coef, **options).scores, published(X, Y, coef, tuning_cv=theirs, **options).scores
    )


def test_opposite_signs_do_not_transfer():
    rng = np.random.default_rng(0)
    X = rng.random((100, 5))
    coef = np.vstack([np.ones(5), -np.ones(5)])
    scores = published(X, X @ coef.T, coef, alpha=1.0).scores
    assert scores[0, 1] == scores[1, 0] == 0  # no weight is left: constant predictions


def test_sources_need_not_be_targets():
    X, Y, coef, alpha = _data(seed=4)
    expected = published(X, Y, coef, alpha=alpha)
    some = published(X, Y[:, [4, 0, 7]], coef[:2], alpha=alpha[:2], sources=[1, -1])
    np.testing.assert_array_equal(some.scores, np.where([[0, 1, 0], [0, 0, 0]], np.nan, some.scores))
    np.testing.assert_allclose(some.scores[:, [0, 2]], expected.scores[:2][:, [4, 7]])
    assert np.isnan(some.self_scores[1])
    others = published(X, Y, coef[[6]], alpha=alpha[6], sources=[6])
    np.testing.assert_allclose(others.self_scores[0], expected.self_scores[6])
    np.testing.assert_allclose(others.scores[0], expected.scores[6])


def test_a_source_without_features_scores_zero_and_a_constant_target_has_no_score():
    X, Y, coef, alpha = _data(seed=5)
    coef[3], alpha[3], Y[:, 6] = 0, np.nan, 2.5
    result = published(X, Y, coef, alpha=alpha)
    assert np.all(result.scores[3, [0, 1, 2, 4, 5, 7]] == 0)
    assert np.all(np.isnan(result.scores[:, 6]))
    assert np.isnan(result.self_scores[6])


def test_features_silent_in_the_test_texts_predict_nothing_there():
    X = np.zeros((40, 2))
    X[:20, 0], X[:, 1] = np.arange(20), np.random.default_rng(0).random(40)
    Y = np.c_[X[:, 0] + X[:, 1], X[:, 0] + X[:, 1] + 0.1 * np.random.default_rng(1).random(40)]
    folds = [(np.arange(0, 30), np.arange(30, 40))]
    assert published(X, Y, [[1.0, 0.0], [1.0, 0.0]], alpha=0.1, cv=folds).scores[0, 1] == 0


def test_weights_that_are_stored_zeros_are_no_features_and_stay_stored():
    X, Y, coef, alpha = _data(seed=8)
    stored = sparse.csr_array(coef)
    stored.data[::3] = 0
    expected = published(X, Y, stored.toarray(), alpha=alpha).scores
    n_stored = stored.nnz
    np.testing.assert_array_equal(published(X, Y, stored, alpha=alpha).scores, expected)
    assert stored.nnz == n_stored


def test_groups_reach_the_splitter():
    X, Y, coef, alpha = _data(seed=6)
    groups = np.random.default_rng(0).integers(4, size=100)
    by_group = published(X, Y, coef, alpha=alpha, cv=GroupKFold(4), groups=groups).scores
    explicit = published(X, Y, coef, alpha=alpha, cv=list(GroupKFold(4).split(X, groups=groups))).scores
    np.testing.assert_array_equal(by_group, explicit)


def test_inputs_that_cannot_be_are_refused_with_what_was_expected():
    X, Y, coef, alpha = _data()
    with pytest.raises(ValueError, match="100 and 99 rows"):
        published(X, Y[1:], coef, alpha=alpha)
    with pytest.raises(ValueError, match="30, but has 29"):
        published(X, Y, coef[:, 1:], alpha=alpha)
    with pytest.raises(ValueError, match=r"2 rows of coef \(sources\) can't be the 8 columns"):
        published(X, Y, coef[:2], alpha=alpha[:2])
    with pytest.raises(ValueError, match="2 columns of Y, 0 to 7, or -1"):
        published(X, Y, coef[:2], alpha=alpha[:2], sources=[0, 8])
    with pytest.raises(ValueError, match="Pass alpha"):
        published(X, Y, coef)
    with pytest.raises(ValueError, match="has selected its features on the test texts, too"):
        transfer_scores(X, Y, coef, alpha=alpha)
    with pytest.raises(ValueError, match=r"a fit for each of 5 folds, got 3. Pass cv=result.splits"):
        transfer_scores(X, Y, [coef] * 3, alpha=alpha)
    with pytest.raises(ValueError, match="takes one fit to all texts, got several"):
        published(X, Y, [coef] * 5, alpha=alpha)
    with pytest.raises(ValueError, match=r"the same sources, but have \[2, 8\]"):
        transfer_scores(X, Y, [coef, coef[:2], coef, coef, coef], alpha=1.0)
    with pytest.raises(ValueError, match="'training' or 'published', got 'all'"):
        transfer_scores(X, Y, coef, alpha=alpha, selection="all")
    with pytest.raises(ValueError, match=r"got alpha=nan for source 2"):
        published(X, Y, coef, alpha=np.where(np.arange(8) == 2, np.nan, alpha))
    with pytest.raises(ValueError, match=r"one a source, \(8,\), got shape \(3,\)"):
        published(X, Y, coef, alpha=alpha[:3])
    with pytest.raises(ValueError, match="tuning_alphas must be positive"):
        published(X, Y, coef, tuning_alphas=[1.0, 0.0])
    with pytest.raises(ValueError, match="a column from -30 to 29, got 30"):
        published(X, Y, coef, alpha=alpha, scaled_features=[30])
    with pytest.raises(ValueError, match="Fold 0 has 99 training and 1 test texts"):
        published(X, Y, coef, alpha=alpha, cv=100)
    Y[3, 4] = np.nan
    with pytest.raises(ValueError, match="Input Y contains NaN"):
        published(X, Y, coef, alpha=alpha)


@pytest.fixture(scope="module")
def planted():
    """Four participants with voxels of two populations, each with five features of its own and a few private ones."""
    rng = np.random.default_rng(0)
    X = rng.exponential(1.0, size=(300, 300)) * (rng.random((300, 300)) < 0.15)
    X = np.c_[X, rng.normal(size=300)]  # surprisal
    parts, labels = [], []
    for seed, (features, n_private) in enumerate([(range(5), 2), (range(5, 10), 2), ([], 7)]):
        parts.append(
            make_voxel_responses(
                X,
                n_voxels=24,
                n_informative=n_private,
                forced_features=[*features, -1],
                forced_effect=[*((-1.0) ** j for j in features), 0.5],
                noise_ceiling=0.9,
                random_state=seed,
            )
        )
        labels += [seed] * 24
    betas = np.hstack([part.betas for part in parts])
    ceiling = np.concatenate([part.noise_ceiling for part in parts])
    encoder = SparseVoxelEncoder(np.logspace(-2, 0, 10), forced_features=[-1], refit="ridge").fit(X, betas)
    transfer = published(X, betas, encoder, cv=PUBLISHED, scaled_features=[-1], noise_ceiling=ceiling)
    return np.array(labels), transfer


def test_transfer_is_high_within_planted_populations_and_low_across(planted):
    labels, transfer = planted
    same = labels[:, None] == labels
    shared = np.outer(labels < 2, labels < 2)
    assert np.nanmean(transfer.normalized_scores[same & shared]) > 0.7
    assert np.nanmean(transfer.normalized_scores[~same]) < 0.35
    assert np.nanmean(transfer.normalized_scores[np.outer(labels == 2, labels == 2)]) < 0.35


def test_planted_populations_are_the_clusters_and_private_voxels_are_in_none(planted):
    labels, transfer = planted
    clusters = cluster_voxels(transfer.normalized_scores, cut="silhouette", min_size=5)
    assert adjusted_rand_score(labels, np.where(clusters.labels < 0, 2, clusters.labels)) > 0.95
    assert clusters.silhouette > 0.2


def test_unrelated_voxels_are_significant_at_the_nominal_rate_against_shuffled_targets():
    X, _, _, _ = _data(n_samples=200, seed=7)
    rng = np.random.default_rng(8)
    Y = rng.normal(size=(200, 1000)) ** 3  # heavy tails
    coef = rng.normal(size=(40, 30)) * (rng.random((40, 30)) < 0.3)
    sources = np.full(40, -1)
    scores = published(X, Y, coef, alpha=1.0, sources=sources, cv=PUBLISHED).scores
    null = published(X, shuffle_responses(Y, 0), coef, alpha=1.0, sources=sources, cv=PUBLISHED).scores
    p = [permutation_p_values(*pair, pool=True) for pair in zip(scores, null[:, None], strict=True)]
    assert abs(scores.mean()) < 0.03
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=0.01)
    assert np.mean(np.array(p) < 0.01) == pytest.approx(0.01, abs=0.005)


def test_transfer_over_no_folds_is_an_error():
    X, Y, _, _ = _data(n_samples=20)
    with pytest.raises(ValueError, match="cv gave no folds"):
        published(X, Y, np.ones((Y.shape[1], X.shape[1])), alpha=1.0, cv=iter(()))
