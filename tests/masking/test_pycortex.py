"""Orders of voxels are never mixed: a value stays in its voxel."""

import numpy as np
import pytest
from nibabel import Nifti1Image
from nilearn.maskers import NiftiMasker
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import LeaveOneOut
from story_cases import noisy_runs

from sklearn_sae_encoding.masking import MaskedTargetRegressor, PycortexMasker, from_pycortex, to_pycortex
from sklearn_sae_encoding.metrics import cross_val_voxel_scores
from sklearn_sae_encoding.persistence import load_encoder, save_encoder
from sklearn_sae_encoding.timing import RunwiseRegressor


@pytest.fixture
def mask():
    return Nifti1Image((np.random.default_rng(0).random((4, 5, 3)) > 0.4).astype(np.int8), np.eye(4))


def test_a_value_stays_in_its_voxel_in_the_order_of_either_library(mask):
    volume = np.random.default_rng(1).normal(size=(4, 5, 3))
    masker = NiftiMasker(mask, standardize=None).fit()
    values = masker.transform(Nifti1Image(volume, np.eye(4))).ravel()
    cortex = to_pycortex(values, mask)
    # What pycortex does: its volumes are (z, y, x), and so are its masks.
    np.testing.assert_allclose(cortex, volume.T[mask.get_fdata().T > 0])
    assert not np.allclose(cortex, values)
    back = np.zeros((3, 5, 4))
    back[mask.get_fdata().T > 0] = cortex
    np.testing.assert_allclose(back.T, masker.inverse_transform(values).get_fdata())


def test_there_and_back_is_where_it_was_for_any_leading_dimensions(mask):
    n_voxels = int(mask.get_fdata().sum())
    runs = np.arange(2 * 3 * n_voxels).reshape(2, 3, n_voxels)
    assert np.array_equal(from_pycortex(to_pycortex(runs, mask), mask), runs)
    assert np.array_equal(to_pycortex(from_pycortex(runs, mask), mask), runs)
    assert not np.array_equal(to_pycortex(runs, mask), from_pycortex(runs, mask))


def test_values_of_another_mask_are_refused(mask):
    n_voxels = int(mask.get_fdata().sum())
    for function in (to_pycortex, from_pycortex):
        with pytest.raises(ValueError, match=rf"each of the {n_voxels} voxels of the mask, got values of shape \(7,\)"):
            function(np.zeros(7), mask)
    with pytest.raises(ValueError, match="three dimensions"):
        to_pycortex(np.zeros(8), Nifti1Image(np.ones((2, 2, 2, 1), dtype=np.int8), np.eye(4)))


def test_a_model_of_published_responses_gives_maps_and_takes_volumes_in_their_order(mask, tmp_path):
    X, _ = noisy_runs(n_runs=3, n_scans=40)
    rng = np.random.default_rng(2)
    n_voxels = int(mask.get_fdata().sum())
    weights = rng.normal(size=(3, n_voxels))
    published = [np.roll(run @ weights, 1, axis=0) + rng.normal(size=(40, n_voxels)) for run in X]  # pycortex' order
    imgs = [NiftiMasker(mask, standardize=None).fit().inverse_transform(from_pycortex(run, mask)) for run in published]
    model = MaskedTargetRegressor(RunwiseRegressor(None, Ridge(), delays=(1, 2)), PycortexMasker(mask))
    plain = RunwiseRegressor(None, Ridge(), delays=(1, 2)).fit(X, published)
    of_arrays, of_images = clone(model).fit(X, published), clone(model).fit(X, imgs)
    for fitted in (of_arrays, of_images):
        np.testing.assert_allclose(fitted.predict(X)[0], plain.predict(X)[0], rtol=1e-3, atol=1e-3)
        img = fitted.coef_img(0)
        values = plain.regressor_.coef_[:, 0]
        np.testing.assert_allclose(img.get_fdata(), volume_of(values, mask), rtol=1e-3, atol=1e-3)
    scores = cross_val_voxel_scores(model, X, imgs, cv=LeaveOneOut()).scores
    np.testing.assert_allclose(scores, cross_val_voxel_scores(plain, X, published, cv=LeaveOneOut()).scores, rtol=1e-3)
    save_encoder(of_arrays, tmp_path / "model")
    again = load_encoder(tmp_path / "model")
    np.testing.assert_array_equal(again.coef_img(0).get_fdata(), of_arrays.coef_img(0).get_fdata())


def volume_of(values, mask):
    """Put values into pycortex' arrays, (z, y, x), and turn these."""
    volume = np.zeros(mask.shape[::-1])
    volume[mask.get_fdata().T > 0] = values
    return volume.T
