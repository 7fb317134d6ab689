"""Images as targets, against nilearn's maskers and plain regressors on their arrays."""

import importlib
import pickle
import sys
import tracemalloc
import types

import joblib
import nibabel
import numpy as np
import pytest
from nibabel import Nifti1Image
from nilearn.datasets import load_fsaverage
from nilearn.image import index_img
from nilearn.maskers import (
    MultiNiftiMasker,
    NiftiLabelsMasker,
    NiftiMapsMasker,
    NiftiMasker,
    NiftiSpheresMasker,
    SurfaceLabelsMasker,
    SurfaceMasker,
)
from nilearn.surface import SurfaceImage
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

from sklearn_sae_encoding._data_hash import hash_data
from sklearn_sae_encoding._images import rows as images
from sklearn_sae_encoding._images.masks import fit_masker
from sklearn_sae_encoding.encoder import SparseVoxelEncoder
from sklearn_sae_encoding.masking import ImageRows, MaskedTargetRegressor
from sklearn_sae_encoding.metrics import cross_val_voxel_scores, voxelwise_pearson

pytestmark = pytest.mark.filterwarnings("ignore:boolean values for 'standardize':FutureWarning")

SHAPE, N = (5, 6, 7), 24
AFFINE = np.array([[4.0, 0, 0, -10], [0, 4, 0, 20], [0, 0, 4, 3], [0, 0, 0, 1]])
MESH = load_fsaverage("fsaverage5")["pial"]


def volume(data):
    return Nifti1Image(np.asarray(data), AFFINE)


def surface(left, right):
    return SurfaceImage(mesh=MESH, data={"left": left, "right": right})


@pytest.fixture(scope="module")
def X():
    return np.random.default_rng(0).normal(size=(N, 4))


@pytest.fixture(scope="module")
def imgs(X):
    rng = np.random.default_rng(1)
    return volume((5 + rng.normal(size=(*SHAPE, N)) + X[:, 0]).astype(np.float32))


@pytest.fixture(scope="module")
def surf_imgs(X):
    rng = np.random.default_rng(2)
    return surface(*(5 + rng.normal(size=(2, 10242, N)) + X[:, 0]).astype(np.float32))


def mask():
    inside = np.zeros(SHAPE, dtype=np.int8)
    inside[1:4, 1:5, 1:6] = 1
    return volume(inside)


def halves():
    labels = np.ones(SHAPE, dtype=np.int32)
    labels[3:] = 2
    return volume(labels)


def surf_mask(n_vertices=40):
    inside = np.arange(10242) < n_vertices
    return surface(inside, inside)


VOLUME_MASKERS = {
    "mask": lambda: NiftiMasker(mask()),
    "computed mask": lambda: NiftiMasker(),
    "multi": lambda: MultiNiftiMasker(mask()),
    "labels": lambda: NiftiLabelsMasker(halves()),
    "maps": lambda: NiftiMapsMasker(volume(np.random.default_rng(3).random((*SHAPE, 3)))),
    "spheres": lambda: NiftiSpheresMasker([(-6, 28, 11), (2, 36, 19)], radius=6, mask_img=mask()),
}
SURFACE_MASKERS = {
    "surface mask": lambda: SurfaceMasker(surf_mask()),
    "computed surface mask": lambda: SurfaceMasker(),
    "surface labels": lambda: SurfaceLabelsMasker(surface(np.arange(10242) % 3, np.arange(10242) % 3 + 3)),
}
MASKERS = VOLUME_MASKERS | SURFACE_MASKERS


def numbers(img):
    return np.concatenate([np.asarray(part) for part in images.data_parts(img)])


def one_voxel():
    """A mask, and a region, of one voxel: the masker that knows its mask must agree with the arrays of the checks."""
    inside = np.zeros(SHAPE, dtype=np.int32)
    inside[2, 3, 3] = 1
    return volume(inside)


def one_vertex():
    left = np.arange(10242) == 7
    return surface(left, np.zeros_like(left))


CHECKED = {
    "computed mask": (Ridge(), NiftiMasker()),
    "computed surface mask": (Ridge(), SurfaceMasker()),
    "pipeline": (make_pipeline(StandardScaler(), Ridge()), NiftiMasker()),
    "one voxel": (Ridge(), NiftiMasker(one_voxel())),
    "one region": (Ridge(), NiftiLabelsMasker(one_voxel())),
    "one vertex": (Ridge(), SurfaceMasker(one_vertex())),
}
FIVE_TARGETS = pytest.mark.xfail(reason="gives five targets to a masker of one voxel, which is refused")


def checks_of_scikit_learn():
    """As `parametrize_with_checks` gives them, under names that don't hold the addresses of images."""
    for name, (regressor, masker) in CHECKED.items():
        for estimator, check in estimator_checks_generator(MaskedTargetRegressor(regressor, masker)):
            which = check.func.__name__
            refused = which == "check_regressor_multioutput" and fit_masker(masker) is not None
            yield pytest.param(estimator, check, id=f"{name}-{which}", marks=[FIVE_TARGETS] if refused else [])


@pytest.mark.parametrize(("estimator", "check"), checks_of_scikit_learn())
def test_it_passes_the_checks_of_scikit_learn(estimator, check):
    check(estimator)


NILEARN_CHECKS = [
    "check_fit_returns_self",
    "check_img_estimator_dict_unchanged",
    "check_img_estimator_dont_overwrite_parameters",
    "check_img_estimator_fit_check_is_fitted",
    "check_img_estimator_fit_idempotent",
    "check_img_estimator_fit_score_takes_y",
    "check_img_estimator_overwrite_params",
    "check_img_estimator_pickle",
    "check_img_estimator_pipeline_consistency",
    "check_img_estimator_requires_y_none",
    "check_img_regressor_no_decision_function",
]


@pytest.fixture(scope="module")
def nilearn_checks(pytestconfig):
    """nilearn's own checks of estimators."""
    pytest.importorskip("numpydoc", reason="nilearn's checks import it")
    for marker in ("ai_generated", "flaky", "mpl_image_compare", "single_process", "slow", "thread_unsafe"):
        pytestconfig.addinivalue_line("markers", f"{marker}: of nilearn's own tests, which its checks import")
    with pytest.MonkeyPatch.context() as patch:
        if importlib.util.find_spec("polars") is None:  # its checks import it, those below don't use it
            patch.setitem(sys.modules, "polars", types.ModuleType("polars"))
        checks = importlib.import_module("nilearn._utils.estimator_checks")
    if not hasattr(checks, "generate_data_to_fit"):
        pytest.skip("the checks of this nilearn make their own data, with images as X")
    return checks


@pytest.mark.parametrize("name", ["mask", "labels", "maps", "surface mask"])
@pytest.mark.parametrize("check", NILEARN_CHECKS)
def test_it_passes_the_checks_of_nilearn_with_images_as_targets(
    check, name, X, imgs, surf_imgs, nilearn_checks, monkeypatch
):
    data = X, (surf_imgs if name in SURFACE_MASKERS else imgs)
    monkeypatch.setattr(nilearn_checks, "generate_data_to_fit", lambda estimator: data)
    getattr(nilearn_checks, check)(MaskedTargetRegressor(Ridge(), MASKERS[name]()))


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
    surprisal, content = model.contributions(X)
    assert_allclose(surprisal, np.abs(ridge.coef_[:, 3]))  # standardized: its sd is 1
    assert_allclose(content, (Z[:, :3] @ ridge.coef_[:, :3].T).std(axis=0))
    assert_allclose(model.masker_.transform(model.surprisal_img(X)), surprisal, rtol=1e-5)
    assert_allclose(model.masker_.transform(model.content_img(X, surprisal="x3")), content, rtol=1e-5)


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


def apart():
    """Three maps that share no voxel."""
    weights = np.random.default_rng(3).random((*SHAPE, 3))
    weights[:2, ..., 1:] = weights[2:4, ..., ::2] = weights[4:, ..., :2] = 0
    return volume(weights)


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
    with pytest.raises(ValueError, match=r"metric must be one of \['pearson', 'r2'\]"):
        model.fit(X, imgs).voxel_scores(X, imgs, metric="mse")
    with pytest.raises(AttributeError, match="Ridge chose no penalties"):
        model.alpha_img()
    with pytest.raises(TypeError, match="become numbers only through a masker"):
        np.asarray(ImageRows(imgs))


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
