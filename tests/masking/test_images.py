"""Images as targets, against nilearn's maskers and plain regressors on their arrays."""

import pickle
import tracemalloc

import joblib
import nibabel
import numpy as np
import pytest
from masking_cases import MASKERS, SHAPE, SURFACE_MASKERS, N, mask, numbers, surf_mask, surface, volume
from nilearn.image import index_img
from nilearn.maskers import (
    NiftiMasker,
    SurfaceMasker,
)
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score

from sklearn_sae_encoding._data_hash import hash_data
from sklearn_sae_encoding._images import rows as images
from sklearn_sae_encoding.masking import ImageRows, MaskedTargetRegressor
from sklearn_sae_encoding.metrics import cross_val_voxel_scores, voxelwise_pearson

pytestmark = pytest.mark.filterwarnings("ignore:boolean values for 'standardize':FutureWarning")


@pytest.mark.parametrize("name", MASKERS)
def test_images_are_fitted_like_the_array_that_the_masker_gives(name, X, imgs, surf_imgs):
    imgs = surf_imgs if name in SURFACE_MASKERS else imgs
    masker = MASKERS[name]()
    model = MaskedTargetRegressor(Ridge(), masker).fit(X, imgs)
    fitted = MASKERS[name]()
    Y = fitted.fit_transform(imgs)
    ridge = Ridge().fit(X, Y)
    assert model.n_elements_ == Y.shape[1]
    assert_allclose(model.predict(X), ridge.predict(X), rtol=1e-4, atol=1e-5)
    assert_allclose(
        numbers(model.predict(X, as_image=True)),
        numbers(fitted.inverse_transform(ridge.predict(X).astype(np.float32))),
        atol=1e-4,
    )
    weights = fitted.inverse_transform(ridge.coef_[:, 1].astype(np.float32))
    assert_allclose(numbers(model.coef_img(1)), numbers(weights), atol=1e-5)
    assert model.score(X, imgs) == pytest.approx(r2_score(Y, ridge.predict(X)), abs=1e-5)
    scores = voxelwise_pearson(Y, ridge.predict(X)).astype(np.float32)
    assert_allclose(numbers(model.voxel_scores_img(X, imgs)), numbers(fitted.inverse_transform(scores)), atol=1e-4)


@pytest.mark.parametrize("form", ["list", "runs", "file", "compressed", "files", "pathlib", "lazy", "rows", "array"])
def test_every_form_of_the_same_images_gives_the_same_predictions(form, X, imgs, tmp_path):
    nibabel.save(imgs, tmp_path / "all.nii")
    nibabel.save(imgs, tmp_path / "all.nii.gz")
    single = [index_img(imgs, i) for i in range(N)]
    for i, img in enumerate(single):
        nibabel.save(img, tmp_path / f"{i:02d}.nii.gz")
    forms = {
        "list": single,
        "runs": [index_img(imgs, slice(0, 10)), index_img(imgs, slice(10, N))],
        "file": str(tmp_path / "all.nii"),
        "compressed": tmp_path / "all.nii.gz",
        "files": [str(tmp_path / f"{i:02d}.nii.gz") for i in range(N)],
        "pathlib": [tmp_path / f"{i:02d}.nii.gz" for i in range(N)],
        "lazy": nibabel.load(tmp_path / "all.nii.gz"),
        "rows": ImageRows(imgs),
        "array": NiftiMasker(mask()).fit().transform(imgs),
    }
    model = MaskedTargetRegressor(Ridge(), NiftiMasker(mask()))
    expected = clone(model).fit(X, imgs).predict(X)
    assert_allclose(model.fit(X, forms[form]).predict(X), expected, rtol=1e-5)


def test_surface_images_may_come_one_by_one(X, surf_imgs):
    parts = surf_imgs.data.parts
    single = [surface(parts["left"][:, i], parts["right"][:, i]) for i in range(N)]
    model = MaskedTargetRegressor(Ridge(), SurfaceMasker(surf_mask()))
    assert_array_equal(model.mask_targets(single), model.mask_targets(surf_imgs))
    assert ImageRows(single)[3].data.parts["left"].shape == (10242,)


def test_rows_may_be_taken_in_any_order(imgs, tmp_path):
    nibabel.save(imgs, tmp_path / "all.nii.gz")
    rows = ImageRows([tmp_path / "all.nii.gz", imgs])
    chosen = np.array([30, 2, 2, 47, 0])
    data = np.concatenate([imgs.get_fdata()] * 2, axis=-1)
    model = MaskedTargetRegressor(Ridge(), NiftiMasker(mask()))
    expected = data[mask().get_fdata() > 0].T[chosen]
    assert_allclose(model.mask_targets(rows[chosen]), expected, rtol=1e-6)
    assert_allclose(model.mask_targets(rows[np.isin(np.arange(48), chosen)]), expected[[4, 1, 0, 3]], rtol=1e-6)
    assert_allclose(rows[-1].get_fdata(), data[..., -1])
    assert len(rows[3:7]) == 4
    with pytest.raises(IndexError, match="out of range"):
        rows[48]


def test_no_image_is_read_before_its_row_is_needed(X, imgs, tmp_path):
    paths = [tmp_path / f"{i}.nii.gz" for i in range(N)]
    for i, path in enumerate(paths):
        nibabel.save(index_img(imgs, i), path)
    rows = ImageRows(paths)
    whole = paths[3].read_bytes()
    paths[3].write_bytes(whole[: len(whole) // 2])
    model = MaskedTargetRegressor(Ridge(), NiftiMasker(mask()))
    others = np.delete(np.arange(N), 3)
    model.fit(X[others], rows[others])
    with pytest.raises((EOFError, OSError, nibabel.filebasedimages.ImageFileError), match=r"end|Expected"):
        model.mask_targets(rows[[3]])


def test_permuted_rows_read_each_image_once_and_forwards(imgs, tmp_path, monkeypatch):
    monkeypatch.setattr(images, "CHUNK_BYTES", 3 * 4 * np.prod(SHAPE))  # three images at a time
    nibabel.save(imgs, tmp_path / "all.nii.gz")
    stretches, read = [], images.Volume.read

    def recorded(volume, start, stop):
        stretches.append((start, stop))
        return read(volume, start, stop)

    monkeypatch.setattr(images.Volume, "read", recorded)
    order = np.random.default_rng(0).permutation(N)[:17]
    order = np.append(order, order[4])  # a sample may come twice
    model = MaskedTargetRegressor(Ridge(), NiftiMasker(mask()).fit())
    masked = model.mask_targets(ImageRows(tmp_path / "all.nii.gz")[order])
    assert_allclose(masked, imgs.get_fdata()[mask().get_fdata() > 0].T[order], rtol=1e-6)
    assert stretches == sorted(stretches)
    assert 17 <= sum(stop - start for start, stop in stretches) <= 18
    assert hash_data(ImageRows(imgs)[order]) != hash_data(ImageRows(imgs)[np.sort(order)])


def test_a_sparse_choice_of_rows_needs_no_memory_for_those_between(monkeypatch):
    monkeypatch.setattr(images, "CHUNK_BYTES", 2**20)
    data = np.random.default_rng(0).random((30, 30, 30, 200), dtype=np.float32)
    model = MaskedTargetRegressor(Ridge(), NiftiMasker(volume(np.ones(data.shape[:3], dtype=np.int8))))
    rows = ImageRows(volume(data))[np.arange(0, 200, 20)]
    tracemalloc.start()
    Y = model.mask_targets(rows)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert_array_equal(Y, data.reshape(-1, 200).T[::20])
    assert peak < Y.nbytes + 8 * 2**20


def test_masking_needs_no_second_copy_of_the_images(monkeypatch):
    monkeypatch.setattr(images, "CHUNK_BYTES", 2**20)
    data = np.random.default_rng(0).random((30, 30, 30, 200), dtype=np.float32)  # 21.6 MB
    inside = np.zeros(data.shape[:3], dtype=np.int8)
    inside[:10] = 1
    model = MaskedTargetRegressor(Ridge(), NiftiMasker(volume(inside)))
    tracemalloc.start()
    Y = model.mask_targets(volume(data))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert Y.dtype == np.float32
    assert_array_equal(Y, data[:10].reshape(-1, 200).T)
    assert peak < Y.nbytes + 8 * 2**20


@pytest.mark.parametrize("name", ["mask", "computed mask", "labels", "surface mask"])
def test_the_masker_and_the_images_are_left_as_they_were(name, X, imgs, surf_imgs):
    imgs = surf_imgs if name in SURFACE_MASKERS else imgs
    masker = MASKERS[name]()
    before, data = joblib.hash(masker.get_params()), joblib.hash(numbers(imgs))
    MaskedTargetRegressor(Ridge(), masker).fit(X, imgs)
    assert joblib.hash(masker.get_params()) == before
    assert joblib.hash(numbers(imgs)) == data
    with pytest.raises(NotFittedError, match="not fitted"):
        masker.transform(imgs)


def test_a_fitted_masker_keeps_its_mask_in_clones(X, imgs):
    bright = imgs.get_fdata().copy()
    bright[:2] = 0
    masker = NiftiMasker().fit(volume(bright))
    model = clone(MaskedTargetRegressor(Ridge(), masker)).fit(X, imgs)
    assert_array_equal(model.masker_.mask_img_.get_fdata(), masker.mask_img_.get_fdata())
    assert model.n_elements_ == masker.n_elements_ < np.prod(SHAPE)


def test_changing_a_clone_leaves_the_fitted_masker_alone(imgs):
    masker = NiftiMasker(mask()).fit()
    clone(MaskedTargetRegressor(Ridge(), masker)).set_params(masker__dtype="float64")
    assert masker.dtype is None


def test_fitting_twice_gives_the_same_and_pickles(X, imgs):
    model = MaskedTargetRegressor(Ridge(), NiftiMasker(mask())).fit(X, imgs)
    first = model.predict(X)
    assert_array_equal(model.fit(X, imgs).predict(X), first)
    loaded = pickle.loads(pickle.dumps(model))
    assert_array_equal(loaded.coef_img(0).get_fdata(), model.coef_img(0).get_fdata())


def test_without_a_mask_there_are_scores_but_no_maps(X, imgs):
    model = MaskedTargetRegressor(Ridge(), NiftiMasker())
    Y = NiftiMasker(mask()).fit().transform(imgs)
    assert model.fit(X, Y).voxel_scores(X, Y).shape == (60,)
    with pytest.raises(ValueError, match="no mask to make images with"):
        model.coef_img(0)
    with pytest.raises(ValueError, match="has no mask yet, so that folds"):
        cross_val_voxel_scores(clone(model), X, imgs)


def test_fit_parameters_reach_the_regressor(X, imgs):
    weights = np.arange(N) + 1.0
    Y = MaskedTargetRegressor(Ridge(), NiftiMasker(mask())).mask_targets(imgs)
    expected = Ridge().fit(X, Y, sample_weight=weights).predict(X)
    plain = MaskedTargetRegressor(Ridge(), NiftiMasker(mask())).fit(X, imgs, sample_weight=weights)
    assert_allclose(plain.predict(X), expected, rtol=1e-6)
    with config_context(enable_metadata_routing=True):
        ridge = Ridge().set_fit_request(sample_weight=True)
        routed = MaskedTargetRegressor(ridge, NiftiMasker(mask())).fit(X, imgs, sample_weight=weights)
    assert_allclose(routed.predict(X), expected, rtol=1e-6)
