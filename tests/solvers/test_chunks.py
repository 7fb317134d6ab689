"""How many voxels are solved together."""

from types import SimpleNamespace

import numpy as np
import pytest

from sklearn_sae_encoding._solvers.cross_validation import CHUNK, LARGEST_CHUNK, voxels_of_a_chunk


@pytest.mark.parametrize("n_samples", [50, 200, 1000, 3000])
@pytest.mark.parametrize("n_folds", [0, 5, 10])
def test_inverses_of_active_sets_as_large_as_the_data_allow_stay_within_bounds(n_samples, n_folds):
    task = SimpleNamespace(
        folds=SimpleNamespace(train=np.ones((n_folds, n_samples))),
        screened=SimpleNamespace(dense=np.zeros((0, n_samples)), features=np.arange(100_000)),
        penalty=SimpleNamespace(free=np.arange(1)),
    )
    n_voxels = voxels_of_a_chunk(task)
    problems = n_voxels * max(1, n_folds)
    assert n_voxels == 1 or (problems <= CHUNK and problems * 8 * (n_samples + 1) ** 2 <= LARGEST_CHUNK)
    assert n_voxels > 1 or n_samples == 3000
