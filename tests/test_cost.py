"""What a fit will cost is told from a few voxels."""

import tracemalloc
import warnings

import numpy as np
import pytest
from scipy import sparse

from sklearn_sae_encoding import cost
from sklearn_sae_encoding.cost import CostEstimate, estimate_cost
from sklearn_sae_encoding.encoder import SparseVoxelEncoder


def example(n_samples=150, n_features=600, n_voxels=300):
    rng = np.random.default_rng(0)
    X = sparse.csc_array(rng.random((n_samples, n_features)) * (rng.random((n_samples, n_features)) < 0.05))
    signal = X[:, :30] @ rng.normal(size=(30, n_voxels))
    return X, signal * (np.arange(n_voxels) % 2) + rng.normal(size=(n_samples, n_voxels))


def peak_of(encoder, X, Y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        encoder.fit(X, Y)
        tracemalloc.start()
        encoder.fit(X, Y)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak


@pytest.fixture
def clock(monkeypatch):
    """A clock by which what all voxels share takes 5 s, and a voxel as many as the largest of its responses."""

    def seconds(_encoder, _X, Y):
        return 5.0 + np.abs(Y).max(axis=0).sum()

    monkeypatch.setattr(cost, "_seconds", seconds)


def test_what_voxels_share_counts_once_and_each_voxel_what_the_measured_ones_took(clock):
    X, Y = example()
    seconds = np.abs(Y).max(axis=0)
    alike = Y / seconds * 2.0
    foretold = estimate_cost(X, 1000, y=alike)
    assert foretold.seconds == pytest.approx(5.0 + 1000 * 2.0)
    assert foretold.low == pytest.approx(foretold.high)  # voxels that cost the same leave no doubt
    varied = estimate_cost(X, 1000, y=Y)
    assert varied.low < 5.0 + 1000 * seconds.mean() < varied.high


@pytest.mark.parametrize("settings", [{}, {"cv": 3, "alphas": 8}, {"alphas": 0.05}, {"l1_ratio": 0.5}], ids=str)
def test_a_fit_of_many_voxels_takes_about_the_memory_that_a_few_foretold(clock, settings):
    X, Y = example()
    foretold = estimate_cost(X, 300, y=Y, encoder=SparseVoxelEncoder(**settings))
    peak = peak_of(SparseVoxelEncoder(**settings), X, Y)
    assert peak / 3 < foretold.memory < 3 * peak
    assert estimate_cost(X, 3000, y=Y, encoder=SparseVoxelEncoder(**settings)).memory > foretold.memory


def test_voxels_are_simulated_where_there_are_none(clock):
    X, _ = example()
    few, many = estimate_cost(X, 100), estimate_cost(X, 10_000)
    assert (many.seconds - 5.0) / (few.seconds - 5.0) == pytest.approx(100)


def test_the_encoder_is_left_as_it_was_and_the_same_voxels_are_drawn():
    X, Y = example(n_voxels=6)
    encoder = SparseVoxelEncoder(5, cv=2, n_jobs=2, verbose=1)
    before = encoder.get_params()
    estimate_cost(X, 10, y=Y, encoder=encoder)
    assert encoder.get_params() == before
    assert not hasattr(encoder, "coef_")


def test_an_estimate_reads_as_a_sentence():
    assert str(CostEstimate(9000.0, 7200.0, 10800.0, 2e9)) == "2.5 hours of one core (2 to 3), 2 GB beside X and y"
    assert str(CostEstimate(600.0, 300.0, 900.0, 1e8)) == "10 minutes of one core (5 to 15), 0.1 GB beside X and y"
    assert str(CostEstimate(2.0, 1.0, 3.0, 1e7)) == "2 s of one core (1 to 3), 0.01 GB beside X and y"


@pytest.mark.parametrize(
    ("y", "message"),
    [(np.ones((3, 2)), "X has 150 samples .* y has 3 rows"), (np.ones((150, 1)), "at least 2 voxels .* got 1")],
)
def test_responses_that_tell_nothing_are_refused(y, message):
    with pytest.raises(ValueError, match=message):
        estimate_cost(example()[0], 10, y=y)
