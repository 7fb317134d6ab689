"""How many voxels are solved together."""

from types import SimpleNamespace

import numpy as np
import pytest

from sklearn_sae_encoding._solvers.lasso.active_sets import grown, new_active_sets
from sklearn_sae_encoding._solvers.lasso.cross_validation import CHUNK, voxels_of_a_chunk


@pytest.mark.parametrize("n_samples", [50, 200, 1000, 20_000])
@pytest.mark.parametrize("n_folds", [0, 5, 10, 64])
def test_inverses_of_active_sets_as_large_as_the_data_allow_stay_within_bounds(n_samples, n_folds):
    n_voxels = voxels_of_a_chunk(SimpleNamespace(folds=SimpleNamespace(train=np.ones((n_folds, 1)))))
    n_problems = n_voxels * max(1, n_folds)
    assert n_voxels >= 1
    assert n_problems <= CHUNK
    one = new_active_sets(np.zeros((1, 1)), min(n_samples, 256))
    largest = grown(one, n_samples).inverses.nbytes
    assert n_problems * largest <= 2**27
