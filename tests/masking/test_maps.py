"""What a fitted regressor says of each voxel, back in the brain."""

import numpy as np
import pytest
from masking_cases import AFFINE, SHAPE, N, apart, halves, mask, numbers, surface, volume
from nilearn.maskers import (
    NiftiLabelsMasker,
    NiftiMapsMasker,
    NiftiMasker,
    NiftiSpheresMasker,
    SurfaceLabelsMasker,
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


REGIONS = {
    "labels": lambda: NiftiLabelsMasker(halves()),
    "maps": lambda: NiftiMapsMasker(volume(np.random.default_rng(3).random((*SHAPE, 3)) * (np.arange(3) != 1))),
    "apart": lambda: NiftiMapsMasker(apart()),
    "spheres": lambda: NiftiSpheresMasker([(-6, 28, 11), (2, 36, 19)], radius=6, mask_img=mask()),
    "surface": lambda: SurfaceLabelsMasker(surface(np.arange(10242) % 3, np.arange(10242) % 3 + 3)),
}


@pytest.mark.parametrize("name", REGIONS)
def test_maps_are_nan_where_a_missing_region_reaches_and_right_elsewhere(name, X, imgs, surf_imgs):
    masker = REGIONS[name]()
    Y = masker.fit_transform(surf_imgs if name == "surface" else imgs)
    whole = MaskedTargetRegressor(Ridge(), masker).fit(X, Y)
    Y = Y.copy()
    Y[3, 0] = np.nan
    with pytest.warns(UserWarning, match="1 of . regions are left out"):
        model = MaskedTargetRegressor(Ridge(), masker).fit(X, Y)
    reached = numbers(masker.inverse_transform(np.eye(Y.shape[1], dtype=np.float32)[0])) != 0
    assert reached.any()
    for found, expected in [
        (model.coef_img(0), whole.coef_img(0)),
        (model.support_size_img(), whole.support_size_img()),
        (model.predict(X, as_image=True), whole.predict(X, as_image=True)),
    ]:
        found, expected = numbers(found), numbers(expected)
        assert np.isnan(found[reached]).all()
        assert_allclose(found[~reached], expected[~reached], rtol=1e-4, atol=1e-6)


def test_spheres_without_a_mask_have_maps_on_the_grid_of_the_images(X, imgs):
    spheres = NiftiSpheresMasker([(-6, 28, 11), (2, 36, 19)], radius=6)
    model = MaskedTargetRegressor(Ridge(), spheres).fit(X, imgs)
    assert spheres.mask_img is None
    assert_allclose(model.mask_targets(imgs), spheres.fit_transform(imgs), rtol=1e-5)
    img = model.coef_img(1)
    assert img.shape == SHAPE
    assert_allclose(model.masker_.transform(img).ravel(), model.regressor_.coef_[:, 1], rtol=1e-5)
    array_only = MaskedTargetRegressor(Ridge(), spheres).fit(X, model.mask_targets(imgs))
    with pytest.raises(ValueError, match="Spheres alone don't tell the grid of a map: give the Nifti"):
        array_only.coef_img(1)


def test_masking_leaves_the_filters_of_warnings_to_others(X, imgs, monkeypatch):
    import sys
    import warnings

    data = imgs.get_fdata().astype(np.float32)
    data[2, 2, 2, 5] = np.nan
    users, enter = [], warnings.catch_warnings.__enter__

    def spy(self):
        users.append(sys._getframe(1).f_globals["__name__"])
        return enter(self)

    monkeypatch.setattr(warnings.catch_warnings, "__enter__", spy)
    for masker in (NiftiMasker(mask()), NiftiMasker(mask(), target_affine=AFFINE), NiftiLabelsMasker(halves())):
        with pytest.warns(UserWarning, match="left out"):  # one of those who enter
            model = MaskedTargetRegressor(Ridge(), masker).fit(X, volume(data))
        model.predict(X, as_image=True)
    assert not [name for name in users if name.startswith("sklearn_sae_encoding")]


def test_nilearn_is_not_asked_for_what_it_warns_of(X, imgs):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for masker in (NiftiMasker(mask()), NiftiMasker(), NiftiLabelsMasker(halves())):
            model = MaskedTargetRegressor(Ridge(), masker).fit(X, imgs)
            model.voxel_scores(X, imgs)


def test_confounds_and_images_in_the_place_of_features_are_answered_with_where_they_belong(X, imgs):
    model = MaskedTargetRegressor(Ridge(), NiftiMasker(mask()))
    with pytest.raises(TypeError, match=r"no confounds: clean each run .*FirstLevelModel"):
        model.fit(X, imgs, confounds=np.zeros((N, 2)))
    model.fit(X, imgs)
    with pytest.raises(TypeError, match="X is an image; expected features or texts, one a sample"):
        model.predict(imgs)
    with pytest.raises(TypeError, match="X is an image"):
        model.fit(imgs, imgs)
