"""Simulated voxels keep what they promise: weights, ceilings, repeats."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.linear_model import LassoCV, LinearRegression

from sklearn_sae_encoding.datasets import make_voxel_responses
from sklearn_sae_encoding.metrics import (
    ncsnr_from_repeats,
    noise_ceiling,
    support_recovery,
    voxelwise_pearson,
)


def _features(n_samples=200, n_features=60, density=0.3, seed=0):
    """Sparse, non-negative and of very different scale, as SAE features are."""
    rng = np.random.default_rng(seed)
    X = rng.random((n_samples, n_features)) * (rng.random((n_samples, n_features)) < density)
    return sparse.csr_array(X * np.geomspace(0.1, 10, n_features))


def test_betas_are_the_mean_over_repeats():
    data = make_voxel_responses(_features(), n_voxels=3, n_repeats=4, random_state=0)
    np.testing.assert_allclose(data.betas, data.repeats.mean(axis=0))
    assert data.repeats.shape == (4, 200, 3)


def test_weights_times_features_are_the_signal_of_standard_deviation_one():
    X = _features()
    data = make_voxel_responses(X, n_voxels=5, random_state=0)
    np.testing.assert_allclose(data.signal, X.toarray() @ data.weights.toarray().T, atol=1e-12)
    np.testing.assert_array_equal(data.signal, data.explained)
    np.testing.assert_allclose(data.signal.std(axis=0), 1)


def test_dense_and_sparse_features_give_the_same_voxels():
    X = _features()
    of_sparse = make_voxel_responses(X, n_voxels=3, unexplained=0.2, random_state=0)
    of_dense = make_voxel_responses(X.toarray(), n_voxels=3, unexplained=0.2, random_state=0)
    np.testing.assert_allclose(of_sparse.repeats, of_dense.repeats, atol=1e-12)
    np.testing.assert_allclose(of_sparse.weights.toarray(), of_dense.weights.toarray(), atol=1e-12)


def test_the_realised_ceiling_is_the_one_asked_for():
    asked = np.array([0.3, 0.5, 0.7, 0.95])
    data = make_voxel_responses(_features(20_000), n_voxels=4, noise_ceiling=asked, n_repeats=3, random_state=0)
    np.testing.assert_allclose(data.noise_ceiling, asked)
    np.testing.assert_allclose(voxelwise_pearson(data.betas, data.signal), asked, atol=0.01)
    np.testing.assert_allclose(noise_ceiling(ncsnr_from_repeats(data.repeats), 3), asked, atol=0.04)
    np.testing.assert_allclose(ncsnr_from_repeats(data.repeats), data.ncsnr, rtol=0.1)


@pytest.mark.parametrize("n_repeats", [1, 2, 10])
def test_the_ceiling_belongs_to_the_mean_whatever_the_number_of_repeats(n_repeats):
    data = make_voxel_responses(_features(20_000), n_voxels=2, noise_ceiling=0.6, n_repeats=n_repeats, random_state=0)
    np.testing.assert_allclose(voxelwise_pearson(data.betas, data.signal), 0.6, atol=0.015)


def test_ceiling_one_has_no_noise_and_ceiling_zero_no_signal():
    data = make_voxel_responses(_features(), n_voxels=2, noise_ceiling=[1.0, 0.0], random_state=0)
    np.testing.assert_allclose(data.repeats[:, :, 0], np.broadcast_to(data.signal[:, 0], (3, 200)))
    assert data.ncsnr.tolist() == [np.inf, 0.0]
    assert not data.signal[:, 1].any()
    assert data.weights[[1]].nnz == 0
    assert data.repeats[:, :, 1].std() == pytest.approx(1, abs=0.1)


def test_effects_not_weights_are_of_one_size():
    X = _features(2000)
    data = make_voxel_responses(X, n_voxels=1, n_informative=20, effect_range=(1, 1), random_state=0)
    effects = np.abs(data.weights.toarray()[0]) * X.toarray().std(axis=0)
    np.testing.assert_allclose(effects[effects > 0], effects.max())


@pytest.mark.parametrize(("signs", "expected"), [("both", {-1, 1}), ("positive", {1}), ("negative", {-1})])
def test_signs_are_those_asked_for(signs, expected):
    data = make_voxel_responses(_features(), n_voxels=20, signs=signs, random_state=0)
    assert set(np.sign(data.weights.data)) == expected


def test_a_forced_feature_drives_every_voxel_with_its_own_sign():
    data = make_voxel_responses(
        _features(), n_voxels=20, n_informative=5, forced_features=[-1, 3], forced_effect=[2.0, -0.5], random_state=0
    )
    weights = data.weights.toarray()
    assert (weights[:, -1] > 0).all()
    assert (weights[:, 3] < 0).all()
    assert ((weights != 0).sum(axis=1) == 7).all()
    assert not {3, 59} & set(data.candidates)


def test_only_features_that_vary_and_fire_enough_are_drawn_and_none_is_removed():
    X = _features().toarray()
    X[:, 10] = 5.0  # constant
    X[:, 11] = 0.0
    X[9:, 12] = 0.0  # at most 9 samples
    data = make_voxel_responses(X, n_voxels=50, random_state=0)
    assert not {10, 11, 12} & set(data.weights.indices)
    assert not {10, 11, 12} & set(data.candidates)
    assert data.weights.shape == (50, 60)


def test_a_feature_that_another_column_copies_is_drawn_only_where_copies_are_allowed():
    X = np.random.default_rng(0).random((200, 30))
    X[:, 20] = 2 * X[:, 3]
    X[:, 21] = -X[:, 4] + 0.05 * X[:, 5]
    correlation = np.abs(np.corrcoef(X.T)) - np.eye(30)
    expected = np.flatnonzero(correlation.max(axis=0) <= 0.5)
    assert set(range(30)) - set(expected) == {3, 4, 20, 21}
    for features in (X, sparse.csr_array(X)):
        data = make_voxel_responses(features, n_informative=2, max_correlation=0.5, random_state=0)
        np.testing.assert_array_equal(data.candidates, expected)
    assert len(make_voxel_responses(X, n_informative=2, random_state=0).candidates) == 30
    with pytest.raises(ValueError, match="max_correlation must lie in"):
        make_voxel_responses(X, max_correlation=0)


def test_the_unexplained_share_is_exact_reliable_and_unrelated():
    data = make_voxel_responses(_features(), n_voxels=2, unexplained=[0.25, 1.0], random_state=0)
    other = data.signal - data.explained
    np.testing.assert_allclose(other.var(axis=0), [0.25, 1.0])
    np.testing.assert_allclose(data.signal.var(axis=0), 1.0)
    assert np.corrcoef(other[:, 0], data.explained[:, 0])[0, 1] == pytest.approx(0, abs=1e-12)
    assert data.weights[[1]].nnz == 0


def test_a_voxel_without_features_is_reliable_and_unrelated_to_them():
    data = make_voxel_responses(_features(), n_voxels=2, n_informative=[0, 5], noise_ceiling=0.8, random_state=0)
    assert np.diff(data.weights.indptr).tolist() == [0, 5]
    assert not data.explained[:, 0].any()
    assert ncsnr_from_repeats(data.repeats)[0] == pytest.approx(data.ncsnr[0], rel=0.2)


def test_a_seed_repeats_itself_and_another_does_not():
    first, again, other = (make_voxel_responses(_features(), n_voxels=2, random_state=s) for s in (3, 3, 4))
    np.testing.assert_array_equal(first.repeats, again.repeats)
    assert not np.array_equal(first.repeats, other.repeats)


def test_least_squares_finds_the_weights_where_there_is_no_noise():
    X = _features()
    data = make_voxel_responses(X, n_voxels=3, noise_ceiling=1.0, random_state=0)
    fitted = LinearRegression().fit(X.toarray(), data.betas)
    np.testing.assert_allclose(fitted.coef_, data.weights.toarray(), atol=1e-8)


def test_a_lasso_finds_planted_features():
    X = np.random.default_rng(0).normal(size=(300, 40))
    data = make_voxel_responses(X, n_voxels=4, n_informative=4, noise_ceiling=0.95, random_state=0)
    coef = [LassoCV(cv=5).fit(X, y).coef_ for y in data.betas.T]
    recovery = support_recovery(data.weights, coef, tol=0.02)
    assert (recovery.recall == 1).all()
    assert (recovery.f1 > 0.6).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_informative": 61}, r"n_informative must lie in \[0, 60\]"),
        (
            {"n_informative": 60, "min_active": 100},
            r"n_informative=60, but only \d+ of 60 features vary.*min_active=100",
        ),
        ({"noise_ceiling": 1.2}, r"noise_ceiling must lie in \[0, 1\], got values from 1\.2"),
        ({"noise_ceiling": [0.5, 0.6]}, r"one number or one a voxel, \(100,\), got shape \(2,\)"),
        ({"unexplained": np.nan}, r"unexplained must lie in \[0, 1\]"),
        ({"n_repeats": 0}, "n_repeats must be at least 1, got 0"),
        ({"signs": "mixed"}, r"signs must be one of \['both', 'positive', 'negative'\], got 'mixed'"),
        ({"effect_range": (0, 1)}, r"0 < low <= high, got \(0, 1\)"),
        ({"forced_features": [60]}, r"columns of X, which has 60; got \[60\]"),
    ],
)
def test_impossible_requests_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_voxel_responses(_features(), **arguments)


def test_a_constant_forced_feature_is_refused():
    X = _features().toarray()
    X[:, 7] = 2.0
    with pytest.raises(ValueError, match="Forced feature 7 is constant"):
        make_voxel_responses(X, forced_features=[7])


@settings(deadline=None, max_examples=30)
@given(
    n_voxels=st.integers(1, 8),
    n_informative=st.integers(0, 8),
    ceiling=st.just(0.0) | st.floats(0.01, 1),
    unexplained=st.floats(0, 1),
    n_repeats=st.integers(1, 4),
    seed=st.integers(0, 1000),
)
def test_every_simulation_adds_up(n_voxels, n_informative, ceiling, unexplained, n_repeats, seed):
    X = _features(n_samples=60, density=0.5)
    data = make_voxel_responses(
        X,
        n_voxels=n_voxels,
        n_informative=n_informative,
        noise_ceiling=ceiling,
        unexplained=unexplained,
        n_repeats=n_repeats,
        random_state=seed,
    )
    np.testing.assert_allclose(data.explained, (X @ data.weights.T).toarray(), atol=1e-10)
    np.testing.assert_allclose(data.signal.std(axis=0), 0 if ceiling == 0 else 1, atol=1e-9)
    np.testing.assert_allclose(data.noise_ceiling, ceiling)
    assert np.isfinite(data.repeats).all()
    assert (np.diff(data.weights.indptr) <= n_informative).all()
