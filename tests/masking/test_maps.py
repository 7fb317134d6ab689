"""What a fitted regressor says of each voxel, back in the brain."""

import numpy as np
import pytest
from masking_cases import SHAPE, mask, volume
from nilearn.maskers import (
    NiftiMasker,
)
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_sae_encoding.encoder import SparseVoxelEncoder
from sklearn_sae_encoding.masking import MaskedTargetRegressor

pytestmark = pytest.mark.filterwarnings("ignore:boolean values for 'standardize':FutureWarning")


def test_maps_show_the_planted_region_and_nothing_else():
    rng = np.random.default_rng(0)
    X = rng.random((120, 30)) * (rng.random((120, 30)) < 0.3)
    data = 100 + 0.1 * rng.standard_normal((*SHAPE, 120))
    data[1:3, 1:3, 1:4] += 2 * X[:, 7]
    model = MaskedTargetRegressor(SparseVoxelEncoder(alphas=[0.15]), NiftiMasker(volume(np.ones(SHAPE, "int8"))))
    model.fit(X, volume(data.astype(np.float32)))
    planted = np.zeros(SHAPE, dtype=bool)
    planted[1:3, 1:3, 1:4] = True
    weights = model.coef_img(7).get_fdata()
    assert_array_equal(weights > 0.5, planted)
    assert_array_equal(model.support_size_img().get_fdata()[planted], 1)
    assert_allclose(model.alpha_img().get_fdata(), 0.15, rtol=1e-6)


def test_features_are_found_by_their_names(X, imgs):
    named = make_pipeline(StandardScaler(), Ridge()).set_output(transform="pandas")
    model = MaskedTargetRegressor(named, NiftiMasker(mask())).fit(X, imgs)
    assert_array_equal(model.coef_img("x2").get_fdata(), model.coef_img(2).get_fdata())
    assert_array_equal(model.coef_img(-1).get_fdata(), model.coef_img(3).get_fdata())
    with pytest.raises(ValueError, match="no feature named 'x9' among 4, such as 'x0'"):
        model.coef_img("x9")
    with pytest.raises(ValueError, match="a column from -4 to 3, got 4"):
        model.coef_img(4)


def test_surprisal_and_content_are_the_parts_that_add_up_to_the_prediction(X, imgs):
    model = MaskedTargetRegressor(make_pipeline(StandardScaler(), Ridge()), NiftiMasker(mask())).fit(X, imgs)
    scaler, ridge = model.regressor_
    Z = scaler.transform(X)
    with pytest.raises(ValueError, match="Nobody says which features are of the kind 'surprisal'"):
        model.contributions(X)
    surprisal, content = model.contributions(X, -1)
    assert_allclose(surprisal, np.abs(ridge.coef_[:, 3]))  # standardized: its sd is 1
    assert_allclose(content, (Z[:, :3] @ ridge.coef_[:, :3].T).std(axis=0))
    assert_allclose(model.masker_.transform(model.surprisal_img(X, -1)), surprisal, rtol=1e-5)
    assert_allclose(model.masker_.transform(model.content_img(X, surprisal="x3")), content, rtol=1e-5)
