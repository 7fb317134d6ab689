"""Images with a run each: a sample is a run."""

import numpy as np
import pytest
from nibabel import Nifti1Image
from nilearn.maskers import NiftiMasker
from sklearn.linear_model import Ridge
from sklearn.model_selection import LeaveOneOut
from story_cases import noisy_runs

from sklearn_sae_encoding.masking import MaskedTargetRegressor
from sklearn_sae_encoding.metrics import cross_val_voxel_scores
from sklearn_sae_encoding.timing import RunwiseRegressor

SHAPE = (3, 2, 2)
MASK = Nifti1Image((np.arange(12).reshape(SHAPE) % 4 < 3).astype(np.int8), np.eye(4))  # 9 voxels
N_VOXELS = 9


@pytest.fixture
def runs():
    X, _ = noisy_runs(n_runs=3, n_scans=40)
    rng = np.random.default_rng(1)
    weights = rng.normal(size=(3, N_VOXELS))
    return X, [np.roll(run @ weights, 2, axis=0) + rng.normal(size=(len(run), N_VOXELS)) for run in X]


@pytest.fixture
def imgs(runs):
    masker = NiftiMasker(MASK, standardize=None).fit()
    return [masker.inverse_transform(run.astype(np.float32)) for run in runs[1]]


@pytest.fixture
def model():
    return MaskedTargetRegressor(RunwiseRegressor(None, Ridge(), delays=(1, 2)), NiftiMasker(MASK, standardize=None))


def test_images_of_runs_give_what_their_arrays_give(runs, imgs, model):
    X, y = runs
    expected = RunwiseRegressor(None, Ridge(), delays=(1, 2)).fit(X, y)
    fitted = model.fit(X, imgs)
    for found, run, img in zip(fitted.predict(X), expected.predict(X), fitted.predict(X, as_image=True), strict=True):
        np.testing.assert_allclose(found, run, rtol=1e-4, atol=1e-4)
        assert img.shape == (*SHAPE, 40)
    np.testing.assert_allclose(fitted.score(X, imgs), expected.score(X, y), rtol=1e-4)
    np.testing.assert_allclose(fitted.voxel_scores(X, y), expected.voxel_scores(X, y), rtol=1e-4)
    assert fitted.coef_img(0).shape == SHAPE


def test_cross_validation_holds_out_images_of_whole_runs(runs, imgs, model):
    X, y = runs
    found = cross_val_voxel_scores(model, X, imgs, cv=LeaveOneOut(), return_predictions=True)
    expected = cross_val_voxel_scores(model.regressor, X, y, cv=LeaveOneOut())
    np.testing.assert_allclose(found.fold_scores, expected.fold_scores, rtol=1e-4)
    assert [run.shape for run in found.predictions] == [(40, N_VOXELS)] * 3


def test_a_voxel_missing_in_a_run_is_left_out_of_all_and_its_map_is_missing(runs, model):
    X, y = runs
    y[1][3, 4] = np.nan
    with pytest.warns(UserWarning, match="1 of 9 voxels are left out"):
        fitted = model.fit(X, y)
    assert np.isnan(fitted.predict(X)[2][:, 4]).all()
    assert np.isfinite(np.delete(fitted.predict(X)[2], 4, axis=1)).all()


def test_other_numbers_of_images_or_scans_are_named(runs, imgs, model):
    X, _ = runs
    with pytest.raises(ValueError, match="3 in X, but 2 runs in y"):
        model.fit(X, imgs[:2])
    short = [*imgs[:2], Nifti1Image(imgs[2].get_fdata()[..., :30].astype(np.float32), np.eye(4))]
    with pytest.raises(ValueError, match="responses to run 2 have 30 rows, but the run has 40"):
        model.fit(X, short)
