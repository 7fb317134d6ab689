"""Voxels and regions that are missing or constant are left out, counted and reported."""

import warnings

import numpy as np
import pytest
from masking_cases import AFFINE, SHAPE, N, apart, halves, mask, surface, volume
from nibabel import Nifti1Image
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
from sklearn_sae_encoding.masking import ImageRows, MaskedTargetRegressor
from sklearn_sae_encoding.metrics import cross_val_voxel_scores

pytestmark = pytest.mark.filterwarnings("ignore:boolean values for 'standardize':FutureWarning")


def test_missing_voxels_are_left_out_counted_and_reported(X, imgs):
    data = imgs.get_fdata().astype(np.float32)
    data[2, 2, 2, 5] = np.nan
    data[3, 3, 3, :] = np.inf
    data[0, 0, 0, :] = np.nan  # outside the mask
    model = MaskedTargetRegressor(Ridge(), NiftiMasker(mask()))
    with pytest.warns(UserWarning, match="2 of 60 voxels are left out of the fit"):
        model.fit(X, volume(data))
    whole = MaskedTargetRegressor(Ridge(), NiftiMasker(mask())).fit(X, imgs)
    lost = np.zeros(SHAPE, dtype=bool)
    lost[2, 2, 2] = lost[3, 3, 3] = True
    for maps, full in [
        (model.coef_img(0), whole.coef_img(0)),
        (model.predict(X, as_image=True), whole.predict(X, as_image=True)),
        (model.voxel_scores_img(X, volume(data)), whole.voxel_scores_img(X, imgs)),
    ]:
        assert np.isnan(maps.get_fdata()[lost]).all()
        assert_allclose(maps.get_fdata()[~lost], full.get_fdata()[~lost], atol=1e-6)
    assert model.missing_.sum() == 2
    with pytest.warns(UserWarning, match="2 of 60 voxels"):
        scores = cross_val_voxel_scores(model, X, volume(data), cv=3).scores
    assert_array_equal(np.isnan(scores), model.missing_)


def test_constant_voxels_are_warned_of_once(X, imgs):
    data = imgs.get_fdata().copy()
    data[2, 2, 1:4] = 7.0
    for regressor in (Ridge(), SparseVoxelEncoder(0.5), make_pipeline(StandardScaler(), SparseVoxelEncoder(0.5))):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            MaskedTargetRegressor(regressor, NiftiMasker(mask())).fit(X, volume(data))
        assert sum("constant" in str(one.message) for one in caught) == 1


def test_constant_voxels_are_counted_and_score_nothing(X, imgs):
    data = imgs.get_fdata().astype(np.float32)
    data[2, 2, 1:4] = 7
    with pytest.warns(UserWarning, match="3 of 60 voxels are constant"):
        model = MaskedTargetRegressor(Ridge(), NiftiMasker(mask())).fit(X, volume(data))
    assert_array_equal(np.isnan(model.voxel_scores(X, volume(data))), model.constant_)
    assert_allclose(model.predict(X, as_image=True).get_fdata()[2, 2, 1:4], 7, rtol=1e-6)
    assert np.isfinite(model.score(X, volume(data)))


def with_a_gap(img, is_surface):
    """Put one NaN into one image, inside the first region alone (for maps: where only map 0 has weight)."""
    if is_surface:
        left = img.data.parts["left"].copy()
        left[1, 3] = np.nan  # of the label 1
        return surface(left, img.data.parts["right"])
    data = img.get_fdata().astype(np.float32)
    data[0, 0, 0, 3] = np.nan
    return volume(data)


REGIONS = {
    "labels": lambda **given: NiftiLabelsMasker(halves(), **given),
    "medians": lambda **given: NiftiLabelsMasker(halves(), strategy="median", **given),
    "maps": lambda **given: NiftiMapsMasker(apart(), **given),
    "spheres": lambda **given: NiftiSpheresMasker([(-10, 20, 3), (2, 36, 19)], radius=6, **given),
    "surface labels": lambda **given: SurfaceLabelsMasker(
        surface(np.arange(10242) % 3, np.arange(10242) % 3 + 3), **given
    ),
}


@pytest.mark.parametrize("name", REGIONS)
def test_a_region_with_a_missing_voxel_is_left_out_and_counted(name, X, imgs, surf_imgs):
    imgs = surf_imgs if "surface" in name else imgs
    n_regions = MaskedTargetRegressor(Ridge(), REGIONS[name]()).fit(X, imgs).n_elements_
    whole = REGIONS[name]().fit_transform(imgs)
    gaps = with_a_gap(imgs, "surface" in name)
    model = MaskedTargetRegressor(Ridge(), REGIONS[name]())
    with pytest.warns(UserWarning, match=f"1 of {n_regions} regions are left out of the fit.*finite_mask_img"):
        model.fit(X, gaps)
    assert_array_equal(model.missing_, np.arange(n_regions) == 0)
    masked = model.mask_targets(gaps)
    assert_array_equal(np.argwhere(np.isnan(masked)), [[3, 0]])
    assert_allclose(masked[:, 1:], whole[:, 1:], rtol=1e-5)


@pytest.mark.parametrize("name", REGIONS)
def test_regions_are_taken_over_finite_voxels_with_the_mask_of_these(name, X, imgs, surf_imgs):
    gaps = with_a_gap(surf_imgs if "surface" in name else imgs, "surface" in name)
    finite = ImageRows(gaps).finite_mask_img()
    model = MaskedTargetRegressor(Ridge(), REGIONS[name](mask_img=finite)).fit(X, gaps)
    assert not model.missing_.any()
    if name == "labels":
        data = gaps.get_fdata()[:3].reshape(-1, N)
        assert_allclose(model.mask_targets(gaps)[:, 0], np.nanmean(data[1:], axis=0), rtol=1e-5)
    if name == "surface labels":
        data = gaps.data.parts["left"][1::3]
        assert_allclose(model.mask_targets(gaps)[:, 0], np.mean(data[1:], axis=0), rtol=1e-5)


def test_a_gap_stays_where_it_is_when_images_are_resampled(X, imgs):
    data = imgs.get_fdata().astype(np.float32)
    data[2, 2, 2, 5] = np.nan
    model = MaskedTargetRegressor(Ridge(), NiftiMasker(mask(), target_affine=AFFINE))
    with pytest.warns(UserWarning, match="1 of 60 voxels are left out"):
        model.fit(X, volume(data))
    finer = AFFINE @ np.diag([0.5, 0.5, 0.5, 1])
    labels = Nifti1Image(np.repeat(np.arange(1, 11, dtype=np.int32), 12 * 14).reshape(10, 12, 14), finer)
    regions = MaskedTargetRegressor(Ridge(), NiftiLabelsMasker(labels, resampling_target="labels"))
    with pytest.warns(UserWarning, match="of 10 regions are left out"):
        regions.fit(X, volume(data))
    assert_array_equal(np.flatnonzero(regions.missing_), [3, 4, 5])  # slices within one voxel of the gap


def test_an_image_without_any_finite_voxel_is_named(X, imgs):
    data = imgs.get_fdata().astype(np.float32)
    data[..., 6] = np.nan
    with pytest.raises(ValueError, match=r"None of the 60 voxels is finite in all 24 samples: sample\(s\) 6 hold"):
        MaskedTargetRegressor(Ridge(), NiftiMasker(mask())).fit(X, volume(data))
