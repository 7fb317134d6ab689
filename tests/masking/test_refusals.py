"""Bad images and maskers are refused with a reason, before anything is computed."""

import nibabel
import numpy as np
import pytest
from masking_cases import AFFINE, SHAPE, N, apart, halves, mask, surf_mask, volume
from nibabel import Nifti1Image
from nilearn.image import index_img
from nilearn.maskers import (
    MultiNiftiMasker,
    NiftiLabelsMasker,
    NiftiMapsMasker,
    NiftiMasker,
    NiftiSpheresMasker,
    SurfaceMasker,
)
from numpy.testing import assert_allclose
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from sklearn_sae_encoding._images import rows as images
from sklearn_sae_encoding.activations import LMActivationTransformer
from sklearn_sae_encoding.masking import ImageRows, MaskedTargetRegressor

pytestmark = pytest.mark.filterwarnings("ignore:boolean values for 'standardize':FutureWarning")


def test_differing_counts_of_images_and_samples_are_both_named(X, imgs):
    model = MaskedTargetRegressor(Ridge(), NiftiMasker(mask()))
    with pytest.raises(ValueError, match="20 in X, but 24 images in y"):
        model.fit(X[:20], imgs)
    with pytest.raises(ValueError, match="5 in X, but 24 images in y"):
        model.fit(X, imgs).voxel_scores(X[:5], imgs)


def test_images_off_the_grid_of_the_mask_are_refused_unless_resampling_is_asked_for(X, imgs):
    moved = Nifti1Image(imgs.get_fdata(), AFFINE + np.diag([0, 0, 0.5, 0]))
    with pytest.raises(ValueError, match=r"must lie on the same grid(.|\n)*4\.5(.|\n)*target_affine"):
        MaskedTargetRegressor(Ridge(), NiftiMasker(mask())).fit(X, moved)
    resampled = MaskedTargetRegressor(Ridge(), NiftiMasker(mask(), target_affine=AFFINE)).fit(X, moved)
    assert_allclose(resampled.masker_.affine_, AFFINE)


@pytest.mark.parametrize(
    ("masker", "what"),
    [
        (lambda: NiftiLabelsMasker(halves()), "labels"),
        (lambda: NiftiLabelsMasker(halves()).fit(), "labels"),
        (lambda: NiftiMapsMasker(apart()), "maps"),
        (lambda: NiftiSpheresMasker([(-6, 28, 11)], radius=6, mask_img=mask()), "mask"),
        (lambda: MultiNiftiMasker(mask()), "mask"),
    ],
)
def test_images_off_the_grid_of_labels_maps_and_masks_are_refused(masker, what, X, imgs):
    moved = Nifti1Image(imgs.get_fdata(), AFFINE + np.diag([0, 0, 0.5, 0]))
    with pytest.raises(ValueError, match=rf"The images and the {what} must lie on the same grid(.|\n)*4\.5"):
        MaskedTargetRegressor(Ridge(), masker()).fit(X, moved)
    smaller = Nifti1Image(imgs.get_fdata()[1:], AFFINE)
    with pytest.raises(ValueError, match=r"have shape \(4, 6, 7\) and the \w+ has shape \(5, 6, 7\)"):
        MaskedTargetRegressor(Ridge(), masker()).fit(X, smaller)


@pytest.mark.parametrize(
    "masker",
    [NiftiLabelsMasker(halves(), resampling_target="labels"), NiftiMapsMasker(apart(), resampling_target="maps")],
    ids=["labels", "maps"],
)
def test_images_are_resampled_to_regions_if_that_is_asked_for(masker, X, imgs):
    moved = Nifti1Image(imgs.get_fdata(), AFFINE + np.diag([0, 0, 0.5, 0]))
    model = MaskedTargetRegressor(Ridge(), masker).fit(X, moved)
    assert_allclose(model.coef_img(0).affine, AFFINE)


def test_images_that_differ_among_themselves_are_named(X, imgs):
    single = [index_img(imgs, i) for i in range(N)]
    single[4] = Nifti1Image(single[4].get_fdata(), np.eye(4))
    with pytest.raises(ValueError, match="image 4 has affine"):
        MaskedTargetRegressor(Ridge(), NiftiMasker(mask())).fit(X, single)
    single[4] = volume(np.zeros((2, 2, 2)))
    with pytest.raises(ValueError, match=r"image 4 has shape \(2, 2, 2\) and image 0 has shape \(5, 6, 7\)"):
        ImageRows(single)
    with pytest.raises(ValueError, match="Volumes and surfaces cannot be mixed, but image 1"):
        ImageRows([imgs, surf_mask()])
    with pytest.raises(ValueError, match="kind volume, but the SurfaceMasker masks the kind surface"):
        MaskedTargetRegressor(Ridge(), SurfaceMasker(surf_mask()).fit()).fit(X, imgs)
    with pytest.raises(TypeError, match="number 1 of the list is a int"):
        ImageRows([imgs, 3])


def test_a_single_3d_image_is_refused(X, imgs):
    with pytest.raises(ValueError, match=r"single 3-D image \(shape \(5, 6, 7\)\). Give a 4-D image"):
        MaskedTargetRegressor(Ridge(), NiftiMasker(mask())).fit(X, index_img(imgs, 0))
    with pytest.raises(ValueError, match="single 3-D image"):
        ImageRows(surf_mask())
    with pytest.raises(ValueError, match="got one of shape"):
        ImageRows(volume(np.zeros((2, 2, 2, 3, 4))))
    with pytest.raises(ValueError, match="empty list"):
        ImageRows([])


@pytest.mark.parametrize(
    "masker",
    [
        NiftiMasker(volume(np.zeros(SHAPE, dtype=np.int8))),
        SurfaceMasker(surf_mask(0)),
    ],
    ids=["volume", "surface"],
)
def test_an_empty_mask_is_refused(masker, X, imgs, surf_imgs):
    with pytest.raises(ValueError, match="empty"):
        MaskedTargetRegressor(Ridge(), masker).fit(X, imgs if isinstance(masker, NiftiMasker) else surf_imgs)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"standardize": "zscore_sample"}, "standardizes each voxel over all samples, test samples included"),
        ({"standardize": True}, "standardizes each voxel over all samples"),
        ({"detrend": True}, "removes each voxel's trend over all samples"),
        ({"high_pass": 0.01, "t_r": 2}, "filters over all samples"),
        ({"high_variance_confounds": True}, "regresses out confounds over all samples"),
        ({"smoothing_fwhm": 6}, "carries values across the edge of its mask"),
    ],
)
def test_a_masker_that_mixes_samples_or_crosses_the_edge_of_its_mask_is_refused(setting, message, X, imgs):
    with pytest.raises(ValueError, match=message):
        MaskedTargetRegressor(Ridge(), NiftiMasker(mask(), **setting)).fit(X, imgs)


def test_a_masker_that_smooths_may_still_make_images_of_arrays(X, imgs):
    Y = NiftiMasker(mask()).fit().transform(imgs)
    smooths = NiftiMasker(mask(), smoothing_fwhm=6).fit()  # as a first-level GLM hands it on
    model = MaskedTargetRegressor(Ridge(), smooths).fit(X, Y)
    assert_allclose(model.coef_img(0).get_fdata()[mask().get_fdata() > 0], Ridge().fit(X, Y).coef_[:, 0], rtol=1e-5)


def test_other_bad_input_is_named(X, imgs):
    model = MaskedTargetRegressor(Ridge(), NiftiMasker(mask()))
    with pytest.raises(ValueError, match=r"3 column\(s\), but the NiftiMasker has 60 voxels"):
        model.fit(X, np.ones((N, 3)))
    with pytest.raises(TypeError, match=r"masker must be a nilearn masker.*got None"):
        MaskedTargetRegressor(Ridge(), None).fit(X, imgs)
    with pytest.raises(ValueError, match=r"metric must be a callable or one of \['pearson', 'r2'\]"):
        model.fit(X, imgs).voxel_scores(X, imgs, metric="mse")
    with pytest.raises(AttributeError, match="Ridge chose no penalties"):
        model.alpha_img()
    with pytest.raises(TypeError, match="become numbers only through a masker"):
        np.asarray(ImageRows(imgs))


def bad_images(imgs):
    """Images that cannot be fitted to N texts, with the masker, and what is said of them."""
    data = imgs.get_fdata().astype(np.float32)
    lost, moved = data.copy(), AFFINE + np.diag([0, 0, 0.5, 0])
    lost[..., 6] = np.nan
    whole, empty = NiftiMasker(mask()), NiftiMasker(volume(np.zeros(SHAPE, dtype=np.int8)))
    return {
        "fewer images than texts": (index_img(imgs, slice(0, 20)), whole, "24 in X, but 20 images in y"),
        "an image without a finite value": (volume(lost), whole, r"sample\(s\) 6 hold no finite value"),
        "another affine": (Nifti1Image(data, moved), whole, "must lie on the same grid"),
        "a single 3-D image": (index_img(imgs, 0), whole, "single 3-D image"),
        "an empty mask": (imgs, empty, "empty"),
        "a masker that smooths": (imgs, NiftiMasker(mask(), smoothing_fwhm=6), "edge of its mask"),
        "fewer masked rows than texts": (np.ones((20, 60)), whole, "24 in X, but 20 rows in y"),
        "masked rows of another mask": (np.ones((N, 3)), whole, "has 60 voxels"),
    }


BAD = [
    "fewer images than texts",
    "an image without a finite value",
    "another affine",
    "a single 3-D image",
    "an empty mask",
    "a masker that smooths",
    "fewer masked rows than texts",
    "masked rows of another mask",
]


@pytest.mark.parametrize("name", BAD)
def test_no_language_model_reads_a_text_for_bad_images(name, imgs, tiny_lm_dir, count_passes):
    texts = [f"text {i}" for i in range(N)]
    y, masker, message = bad_images(imgs)[name]
    passes = count_passes(tiny_lm_dir)
    regressor = make_pipeline(LMActivationTransformer(tiny_lm_dir, 2, level="text"), Ridge())
    model = MaskedTargetRegressor(regressor, masker)
    with pytest.raises(ValueError, match=message):
        model.fit(texts, y)
    assert not passes
    MaskedTargetRegressor(regressor, NiftiMasker(mask())).fit(texts, imgs)
    assert sum(passes.values()) == N  # the counter counts


def test_too_few_images_are_noticed_before_any_is_read(X, imgs, tmp_path, monkeypatch):
    nibabel.save(imgs, tmp_path / "all.nii")
    monkeypatch.setattr(images.Volume, "read", lambda *_: pytest.fail("an image was read"))
    model = MaskedTargetRegressor(Ridge(), NiftiMasker(mask()))
    with pytest.raises(ValueError, match="20 in X, but 24 images in y"):
        model.fit(X[:20], tmp_path / "all.nii")
