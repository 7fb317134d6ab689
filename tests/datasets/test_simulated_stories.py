"""What is planted in simulated stories is found, and nothing is found in noise."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import LeaveOneOut

from sklearn_sae_encoding.banded import BandedRidgeEncoder
from sklearn_sae_encoding.datasets import make_story_responses
from sklearn_sae_encoding.encoder import SparseVoxelEncoder
from sklearn_sae_encoding.metrics import cross_val_voxel_scores
from sklearn_sae_encoding.timing import RunwiseRegressor

BANDS = {"content": slice(0, 12), "form": slice(12, 18)}


@pytest.fixture(scope="module")
def features():
    rng = np.random.default_rng(0)
    return [rng.normal(size=(120, 18)) * (rng.random((120, 18)) < 0.5) for _ in range(4)]


def test_the_signal_has_the_ceiling_that_was_asked_for_and_noise_follows_itself(features):
    data = make_story_responses(
        features * 8, n_voxels=3, noise_ceiling=[0.3, 0.6, 0.9], autocorrelation=0.7, random_state=0
    )
    signal, responses = np.concatenate(data.signal), np.concatenate(data.responses)
    reached = [np.corrcoef(signal[:, voxel], responses[:, voxel])[0, 1] for voxel in range(3)]
    np.testing.assert_allclose(reached, [0.3, 0.6, 0.9], atol=0.05)
    noise = data.responses[0] - data.signal[0]
    assert np.corrcoef(noise[:-1, 0], noise[1:, 0])[0, 1] == pytest.approx(0.7, abs=0.15)


def test_planted_lags_bands_and_features_are_found(features):
    data = make_story_responses(features, n_voxels=8, bands=BANDS, lags=(1, 3), noise_ceiling=0.8, random_state=1)
    model = RunwiseRegressor(None, SparseVoxelEncoder(), delays=(1, 2, 3), bands=BANDS).fit(features, data.responses)
    weights = np.abs(model.regressor_.coef_.toarray())
    for voxel in range(8):
        strongest = model.design_.iloc[np.argsort(weights[voxel])[-3:]]
        assert set(strongest["column"]) == set(data.weights[[voxel]].indices)
        assert set(strongest["delay"]) == {data.lags[voxel]}
        assert set(strongest["band"]) == {data.bands[voxel]}
    banded = RunwiseRegressor(None, BandedRidgeEncoder(candidates=6, alphas=6), delays=(1, 2, 3), bands=BANDS)
    banded.fit(features, data.responses)
    assert list(banded.regressor_.bands_) == ["content", "form"]
    follows_form = np.array([band == "form" for band in data.bands])
    content, form = banded.regressor_.band_alphas_.T
    np.testing.assert_array_equal(form < content, follows_form)


def test_a_response_through_the_hrf_is_best_at_lags_of_four_to_six_seconds(features):
    data = make_story_responses(features, n_voxels=4, hrf="spm", noise_ceiling=0.9, random_state=2)
    scores = {
        lag: cross_val_voxel_scores(RunwiseRegressor(None, RidgeCV(), delays=(lag,)), features, data.responses, cv=2)
        for lag in range(6)
    }
    assert max(scores, key=lambda lag: scores[lag].scores.mean()) in (2, 3)
    assert data.lags.tolist() == [-1] * 4


def test_a_ceiling_of_zero_is_noise_and_scores_zero(features):
    data = make_story_responses(features, n_voxels=60, noise_ceiling=0.0, autocorrelation=0.8, random_state=3)
    assert data.weights.nnz == 0
    model = RunwiseRegressor(None, BandedRidgeEncoder(candidates=2, alphas=5), delays=(1, 2, 3), bands=BANDS)
    scores = cross_val_voxel_scores(model, features, data.responses, cv=LeaveOneOut()).scores
    assert abs(np.mean(scores)) < 0.03


def test_sparse_features_give_the_same_and_bad_numbers_are_named(features):
    dense = make_story_responses(features, random_state=0).responses[0]
    np.testing.assert_allclose(
        make_story_responses(list(map(sparse.csr_array, features)), random_state=0).responses[0], dense
    )
    with pytest.raises(ValueError, match="only 6 features of the band 'form' vary"):
        make_story_responses(features, n_informative=7, bands=BANDS)
    with pytest.raises(ValueError, match=r"noise_ceiling must lie in \[0, 1\]"):
        make_story_responses(features, noise_ceiling=60)
