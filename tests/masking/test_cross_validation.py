"""Images split into folds, against the same folds of their array."""

import numpy as np
import pytest
from masking_cases import SHAPE, N, mask, volume
from nilearn.maskers import (
    NiftiMasker,
)
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_sae_encoding.encoder import SparseVoxelEncoder
from sklearn_sae_encoding.masking import ImageRows, MaskedTargetRegressor
from sklearn_sae_encoding.metrics import cross_val_voxel_scores

pytestmark = pytest.mark.filterwarnings("ignore:boolean values for 'standardize':FutureWarning")


def test_grid_search_splits_images_as_it_splits_their_array(X, imgs):
    model = MaskedTargetRegressor(Ridge(), NiftiMasker(mask()))
    search = GridSearchCV(model, {"regressor__alpha": [0.1, 10.0, 1000.0]}, cv=KFold(3, shuffle=True, random_state=0))
    on_images = clone(search).fit(X, ImageRows(imgs))
    on_array = clone(search).fit(X, model.mask_targets(imgs))
    assert_allclose(on_images.cv_results_["mean_test_score"], on_array.cv_results_["mean_test_score"], rtol=1e-5)
    assert on_images.best_params_ == on_array.best_params_
    assert on_images.best_estimator_.coef_img(0).shape == SHAPE


def test_cross_validated_predictions_take_image_rows(X, imgs):
    model = MaskedTargetRegressor(Ridge(), NiftiMasker(mask()))
    Y = model.mask_targets(imgs)
    assert_allclose(cross_val_predict(model, X, ImageRows(imgs)), cross_val_predict(Ridge(), X, Y), rtol=1e-5)


def test_cross_validated_scores_of_images_are_those_of_their_array(X, imgs):
    model = MaskedTargetRegressor(Ridge(), NiftiMasker(mask()))
    on_images = cross_val_voxel_scores({"masked": model}, X, imgs, cv=3, return_estimators=True)["masked"]
    on_array = cross_val_voxel_scores(Ridge(), X, model.mask_targets(imgs), cv=3)
    assert_allclose(on_images.fold_scores, on_array.fold_scores, rtol=1e-6)
    assert on_images.estimators[0].to_img(on_images.scores).shape == SHAPE


NESTED = {
    "pipeline": lambda model: make_pipeline(StandardScaler(), model),
    "search": lambda model: GridSearchCV(model, {"regressor__alpha": [1.0, 100.0]}, cv=2),
    "search over a pipeline": lambda model: GridSearchCV(
        make_pipeline(StandardScaler(), model), {"maskedtargetregressor__regressor__alpha": [1.0, 100.0]}, cv=2
    ),
    "transformed target": lambda model: TransformedTargetRegressor(model, func=np.negative, inverse_func=np.negative),
}


@pytest.mark.parametrize("name", NESTED)
def test_images_are_masked_by_the_masker_inside_a_model(name, X, imgs):
    masked = MaskedTargetRegressor(Ridge(), NiftiMasker(mask()))
    on_images = cross_val_voxel_scores(NESTED[name](masked), X, imgs, cv=3)
    on_array = cross_val_voxel_scores(NESTED[name](masked), X, masked.mask_targets(imgs), cv=3)
    assert on_images.scores.shape == (60,)
    assert_array_equal(on_images.fold_scores, on_array.fold_scores)


def test_models_with_different_maskers_are_not_compared(X, imgs):
    smaller = np.asarray(mask().dataobj).copy()
    smaller[1] = 0
    models = {
        "all": MaskedTargetRegressor(Ridge(), NiftiMasker(mask())),
        "again": make_pipeline(StandardScaler(), MaskedTargetRegressor(Ridge(), NiftiMasker(mask()))),
    }
    results = cross_val_voxel_scores(models, X, imgs, cv=3)
    assert_allclose(results["all"].scores, results["again"].scores, atol=0.05)
    models["part"] = MaskedTargetRegressor(Ridge(), NiftiMasker(volume(smaller)))
    with pytest.raises(ValueError, match="maskers of 'all' and 'part' make different responses"):
        cross_val_voxel_scores(models, X, imgs, cv=3)


def test_images_without_a_masker_are_refused(X, imgs):
    with pytest.raises(ValueError, match="no model says how to mask them"):
        cross_val_voxel_scores(Ridge(), X, imgs, cv=3)


def test_targets_are_standardised_on_training_samples_alone(X, imgs):
    scaled = imgs.get_fdata().copy()
    scaled[..., N // 2 :] *= 100  # the test half must not touch the scale of the training half
    encoder = SparseVoxelEncoder(alphas=[0.1])
    model = MaskedTargetRegressor(encoder, NiftiMasker(mask()))
    splits = [(np.arange(N // 2), np.arange(N // 2, N))]
    results = [
        cross_val_voxel_scores(model, X, y, cv=splits, return_estimators=True).estimators[0].regressor_
        for y in (imgs, volume(scaled.astype(np.float32)))
    ]
    assert_array_equal(results[0].coef_.toarray(), results[1].coef_.toarray())
