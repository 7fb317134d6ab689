"""Saved encoders: the same after loading, and no silence about what was changed."""

import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
from nibabel import Nifti1Image
from nilearn.datasets import load_fsaverage
from nilearn.maskers import NiftiLabelsMasker, NiftiMasker, SurfaceMasker
from nilearn.surface import SurfaceImage
from numpy.testing import assert_allclose, assert_array_equal
from safetensors.numpy import load_file, save_file
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from story_cases import make_run, noisy_runs
from tiny_saes import make_sae, save_sae

from sklearn_sae_encoding.activations import LMActivationTransformer
from sklearn_sae_encoding.banded import BandedRidgeEncoder
from sklearn_sae_encoding.encoder import SparseVoxelEncoder
from sklearn_sae_encoding.language_model import LanguageModel
from sklearn_sae_encoding.masking import ImageRows, MaskedTargetRegressor
from sklearn_sae_encoding.persistence import SavedEncoderError, load_encoder, read_manifest, save_encoder
from sklearn_sae_encoding.persistence._decoding import decode
from sklearn_sae_encoding.persistence._manifest import fingerprint_of
from sklearn_sae_encoding.pipeline import make_augmented_encoder, make_story_features
from sklearn_sae_encoding.sae import SAEProjector
from sklearn_sae_encoding.timing import RunwiseRegressor

pytestmark = pytest.mark.filterwarnings("ignore:boolean values for 'standardize':FutureWarning")

N = 20


@pytest.fixture(scope="module")
def X():
    return np.random.default_rng(0).random((N, 6))


@pytest.fixture(scope="module")
def Y():
    return np.random.default_rng(1).random((N, 3))


@pytest.fixture(scope="module")
def encoder(X, Y):
    return SparseVoxelEncoder(alphas=[0.1, 0.01], cv=KFold(3, shuffle=True, random_state=1), refit="ridge").fit(X, Y)


@pytest.fixture
def saved(encoder, X, Y, tmp_path):
    folder = tmp_path / "encoder"
    save_encoder(encoder, folder, X=X, Y=Y, notes={"participant": "p1"})
    return folder


def edit(folder, change):
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def assert_same(first, second):
    """Compare fitted attributes and parameters of two estimators, whatever they are made of."""
    assert type(first) is type(second)
    if isinstance(first, BaseEstimator):
        first, second = vars(first), vars(second)
    if isinstance(first, dict):
        assert list(first) == list(second)
        for key in first:
            assert_same(first[key], second[key])
    elif isinstance(first, (list, tuple)):
        assert len(first) == len(second)
        for a, b in zip(first, second, strict=True):
            assert_same(a, b)
    elif sparse.issparse(first):
        assert first.dtype == second.dtype
        assert_array_equal(first.toarray(), second.toarray())
    elif isinstance(first, np.ndarray):
        assert first.dtype == second.dtype
        assert_array_equal(first, second)
    elif hasattr(first, "__dict__"):
        assert_same(vars(first), vars(second))
    else:
        assert first == second


def test_a_loaded_encoder_equals_the_saved_one_in_everything(encoder, saved, X):
    loaded = load_encoder(saved)
    assert_same(loaded, encoder)
    assert_array_equal(loaded.predict(X), encoder.predict(X))


@pytest.mark.parametrize(
    "model",
    [
        make_pipeline(StandardScaler(), Ridge()),
        make_pipeline(ColumnTransformer([("a", StandardScaler(), [0, 1])], remainder="passthrough"), Ridge()),
        make_pipeline(FeatureUnion([("a", StandardScaler()), ("b", "passthrough")]), Ridge()),
    ],
    ids=["pipeline", "columns", "union"],
)
def test_what_scikit_learn_is_made_of_comes_back(model, X, Y, tmp_path):
    model.fit(X, Y)
    save_encoder(model, tmp_path / "m")
    loaded = load_encoder(tmp_path / "m")
    assert_array_equal(loaded.predict(X), model.predict(X))
    assert repr(loaded) == repr(model)


def test_names_of_features_stay_text(X, Y, tmp_path):
    import pandas as pd

    model = Ridge().fit(pd.DataFrame(X, columns=[f"sae_{i}" for i in range(6)]), Y)
    save_encoder(model, tmp_path / "m")
    assert_same(load_encoder(tmp_path / "m").feature_names_in_, model.feature_names_in_)


def test_a_device_of_torch_comes_back(X, Y, tmp_path):
    import torch

    encoder = SparseVoxelEncoder(alphas=[0.1], device=torch.device("cpu")).fit(X, Y)
    save_encoder(encoder, tmp_path / "encoder")
    assert load_encoder(tmp_path / "encoder").device == torch.device("cpu")
    assert_same(load_encoder(tmp_path / "encoder").coef_, encoder.coef_)


def test_loading_needs_no_pickle_and_no_torch(saved):
    code = (
        "import pickle, sys; pickle.loads = pickle.load = None\n"
        "from sklearn_sae_encoding.persistence import load_encoder\n"
        f"print(type(load_encoder({str(saved)!r})).__name__, 'torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["SparseVoxelEncoder", "False"]
    assert sorted(path.suffix for path in saved.iterdir()) == [".json", ".safetensors"]


def volume(n_samples=N, seed=0):
    data = np.random.default_rng(seed).random((4, 5, 6, n_samples)).astype(np.float32)
    return Nifti1Image(data, np.diag([4.0, 4, 4, 1]))


def surface_parts():
    mesh = load_fsaverage("fsaverage5")["pial"]
    rng = np.random.default_rng(0)
    imgs = SurfaceImage(mesh, {side: rng.random((10242, N)).astype(np.float32) for side in ("left", "right")})
    return imgs, SurfaceImage(mesh, {side: np.arange(10242) < 30 for side in ("left", "right")})


@pytest.mark.parametrize("kind", ["mask", "computed", "fitted", "labels", "surface"])
def test_a_masked_encoder_still_makes_the_same_images(kind, X, tmp_path):
    imgs, surf_mask = surface_parts() if kind == "surface" else (volume(), None)
    inside = np.zeros((4, 5, 6), dtype=np.int8)
    inside[1:3, 1:4, 1:4] = 1
    labels = np.arange(120, dtype=np.int32).reshape(4, 5, 6) // 40
    masker = {
        "mask": NiftiMasker(Nifti1Image(inside, np.diag([4.0, 4, 4, 1]))),
        "computed": NiftiMasker(),
        "fitted": NiftiMasker().fit(volume(3, seed=1)),
        "labels": NiftiLabelsMasker(Nifti1Image(labels, np.diag([4.0, 4, 4, 1]))),
        "surface": SurfaceMasker(surf_mask),
    }[kind]
    model = MaskedTargetRegressor(SparseVoxelEncoder(alphas=[0.01]), masker).fit(X, imgs)
    save_encoder(model, tmp_path / "m", X=X, Y=imgs)
    loaded = load_encoder(tmp_path / "m", X=X, Y=imgs)
    numbers = model.masker_.transform(model.coef_img(2))
    assert_array_equal(loaded.masker_.transform(loaded.coef_img(2)), numbers)
    assert_array_equal(loaded.voxel_scores(X, imgs), model.voxel_scores(X, imgs))
    assert type(loaded.predict(X, as_image=True)) is type(model.predict(X, as_image=True))


@pytest.fixture
def text_model(texts, tiny_lm_dir, tmp_path):
    sae = make_sae_for(32)
    folder = save_sae(sae, tmp_path / "sae")
    encoder = SparseVoxelEncoder(alphas=[0.1])
    model = make_augmented_encoder(str(tiny_lm_dir), layer=2, sae=folder, encoder=encoder)
    return model.fit(texts, np.random.default_rng(0).random((len(texts), 3)))


def make_sae_for(d_model):
    import torch
    from sae_lens.registry import get_sae_class

    sae_class, config_class = get_sae_class("standard")
    sae = sae_class(config_class(d_in=d_model, d_sae=40))
    with torch.no_grad():
        for i, parameter in enumerate(sae.parameters()):
            parameter.copy_(torch.linspace(-1, 1 + i, parameter.numel()).reshape(parameter.shape).sin())
    return sae


def test_a_text_model_finds_its_language_model_and_sae_again(text_model, texts, tmp_path):
    save_encoder(text_model, tmp_path / "m", X=texts)
    loaded = load_encoder(tmp_path / "m", X=tuple(texts))
    assert_array_equal(loaded.predict(texts), text_model.predict(texts))
    models = read_manifest(tmp_path / "m")["models"]
    assert sorted(model["kind"] for model in models) == ["SAE", "language model"]
    assert "model.safetensors" in next(model for model in models if model["kind"] == "language model")["files"]
    size = sum(path.stat().st_size for path in (tmp_path / "m").iterdir())
    assert size < 60_000, "the language model's weights must not be copied"


def test_another_sae_under_the_same_name_is_refused(text_model, tmp_path):
    save_encoder(text_model, tmp_path / "m")
    weights = load_file(tmp_path / "sae" / "sae_weights.safetensors")
    save_file({name: value + 1 for name, value in weights.items()}, tmp_path / "sae" / "sae_weights.safetensors")
    with pytest.raises(SavedEncoderError, match=r"The SAE '.*' is not the one .* with: sae_weights.safetensors differ"):
        load_encoder(tmp_path / "m", check_models=True)
    assert load_encoder(tmp_path / "m").steps[-1][0] == "encoder"


def test_an_sae_that_is_gone_is_warned_of(text_model, tmp_path):
    save_encoder(text_model, tmp_path / "m")
    (tmp_path / "sae").rename(tmp_path / "elsewhere")
    with pytest.warns(UserWarning, match=r"The SAE '.*' is not found here"):
        load_encoder(tmp_path / "m", check_models=True)


@pytest.mark.parametrize("sae", [None, "object"])
def test_an_sae_that_has_no_name_is_saved_with_the_encoder(sae, tmp_path):
    acts = np.random.default_rng(0).standard_normal((30, 8)).astype(np.float32)
    projector = SAEProjector(make_sae() if sae else None, n_features=16, n_steps=5, random_state=0)
    model = make_pipeline(projector, Ridge()).fit(acts, acts[:, 0])
    save_encoder(model, tmp_path / "m")
    assert_array_equal(load_encoder(tmp_path / "m").predict(acts), model.predict(acts))


def test_changed_arrays_are_refused(saved):
    (path,) = saved.glob("*.safetensors")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(SavedEncoderError, match=r"safetensors is damaged or was changed"):
        load_encoder(saved)
    path.unlink()
    with pytest.raises(SavedEncoderError, match=r"safetensors is missing"):
        load_encoder(saved)


def test_a_changed_manifest_is_refused(saved):
    edit(saved, lambda manifest: manifest["notes"].update(participant="p2"))
    with pytest.raises(SavedEncoderError, match="was changed after it was saved"):
        load_encoder(saved)


def test_laying_out_the_manifest_anew_is_no_change(saved):
    path = saved / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()), indent=7, sort_keys=True))
    assert read_manifest(saved)["notes"] == {"participant": "p1"}


def test_a_forged_folder_is_found_by_the_fingerprint(encoder, X, Y, tmp_path):
    fingerprint = save_encoder(encoder, tmp_path / "m")
    forged = SparseVoxelEncoder(alphas=[0.1]).fit(X, Y[::-1])
    save_encoder(forged, tmp_path / "m", overwrite=True)
    load_encoder(tmp_path / "m")
    with pytest.raises(SavedEncoderError, match=f"expected {fingerprint[:16]}"):
        load_encoder(tmp_path / "m", fingerprint=fingerprint)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"format": 1,', "is damaged: JSONDecodeError"),
        ("{}", "is damaged: it has no fingerprint"),
        ("[]", "is damaged: it has no fingerprint"),
        ('{"fingerprint": "0"}', "is damaged: it has no format"),
        ('{"fingerprint": "0", "format": NaN}', "is damaged: ValueError: NaN is no JSON"),
        ("[" * 100_000, "is damaged: RecursionError"),
        (
            '{"fingerprint": "0", "format": 1, "versions": {"sklearn-sae-encoding": "0.0"}}',
            "format 1, saved by .* 0.0;",
        ),
        ('{"fingerprint": "0", "format": 99, "versions": 1}', "is in format 99, saved by .* None; .* reads format 2"),
    ],
)
def test_a_damaged_manifest_or_one_of_another_format_is_refused(saved, text, says):
    (saved / "manifest.json").write_text(text)
    with pytest.raises(SavedEncoderError, match=says):
        load_encoder(saved)


def test_a_folder_that_is_not_there_or_holds_no_manifest_is_said(saved, tmp_path):
    with pytest.raises(FileNotFoundError, match="no saved encoder in"):
        load_encoder(tmp_path / "nowhere")
    (saved / "manifest.json").unlink()
    with pytest.raises(SavedEncoderError, match=r"has no manifest\.json"):
        load_encoder(saved)


def test_another_version_is_warned_of(saved, monkeypatch):
    monkeypatch.setattr("sklearn_sae_encoding.__version__", "99.0")
    with pytest.warns(UserWarning, match=r"saved with sklearn-sae-encoding \S+ \(now 99.0\)"):
        load_encoder(saved)


@pytest.mark.parametrize(
    "name",
    [
        "subprocess.Popen",
        "os.system",
        "sklearn.utils.Bunch",
        "sklearn.linear_model._ridge.Ridge",  # it is saved as sklearn.linear_model.Ridge
        "sklearn.tree.DecisionTreeRegressor",
        "sklearn.model_selection.GridSearchCV",
        1,
        "sklearn_sae_encoding.no_such",
        "sklearn_sae_encoding.no_such.Thing",
        "sklearn_sae_encoding.persistence.Path",  # only imported there
        "sklearn_sae_encoding.encoder.BaseEstimator",
        "sklearn_sae_encoding._images.rows.Volume",  # ours, but no estimator
        "nilearn.maskers.NiftiMasker",  # a masker is made by its own way
    ],
)
def test_other_classes_are_not_made_from_a_file(name):
    with pytest.raises(SavedEncoderError, match=r"is not made from a file"):
        decode({"$object": name, "state": []}, {})


def test_only_nilearns_maskers_are_fitted_while_loading():
    for name in ("sklearn.linear_model.Ridge", "nilearn.maskers.nifti_masker.Path"):
        with pytest.raises(SavedEncoderError, match=r"is not made from a file"):
            decode({"$masker": name, "params": [], "fitted": True}, {})


class Payload:
    """What a pickle of it does when it is read: make a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def forge(folder, change):
    """Change a manifest, and its fingerprint with it."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest.pop("fingerprint")
    change(manifest)
    manifest["fingerprint"] = fingerprint_of(manifest)
    path.write_text(json.dumps(manifest))


def set_memories(tree, location):
    """Write a cache into every estimator and masker of a manifest; give how many there are."""
    if isinstance(tree, list):
        return sum(set_memories(item, location) for item in tree)
    if not isinstance(tree, dict):
        return 0
    found = sum(set_memories(item, location) for item in tree.values())
    for key in ("params", "state"):
        if key in tree:
            tree[key] = [pair for pair in tree[key] if pair[0] != "memory"] + [["memory", location]]
            found += 1
    return found


@pytest.fixture
def masked(X):
    inside = np.zeros((4, 5, 6), dtype=np.int8)
    inside[1:3, 1:4, 1:4] = 1
    masker = NiftiMasker(Nifti1Image(inside, np.diag([4.0, 4, 4, 1])))
    return MaskedTargetRegressor(SparseVoxelEncoder(alphas=[0.01]), masker).fit(X, volume())


def test_a_forged_cache_beside_the_encoder_is_never_read(masked, X, tmp_path):
    cache, mark = tmp_path / "cache", tmp_path / "mark"
    folder = tmp_path / "m"
    save_encoder(masked, folder)
    n_forged = []
    forge(folder, lambda manifest: n_forged.append(set_memories(manifest["estimator"], str(cache))))
    assert n_forged[0] >= 4  # the regressor, the encoder, the masker, its fitted copy

    # The same masker fills the cache, whose entries then become pickles that make a file.
    params = masked.masker_.get_params()
    NiftiMasker(**{**params, "mask_img": masked.masker_.mask_img_, "memory": str(cache)}).fit().transform(volume())
    entries = list(cache.rglob("output.pkl"))
    assert entries
    for path in entries:
        path.write_bytes(pickle.dumps(Payload(mark)))
    files = sorted(cache.rglob("*"))

    loaded = load_encoder(folder)
    assert loaded.masker.memory is None
    assert getattr(loaded.masker_.memory, "location", None) is None  # nilearn may have made one without a folder
    assert loaded.regressor_.memory is None
    assert_array_equal(loaded.voxel_scores(X, volume()), masked.voxel_scores(X, volume()))
    assert not mark.exists()
    assert sorted(cache.rglob("*")) == files, "the cache must not be written either"


def test_no_cache_is_opened_while_a_forged_encoder_loads(masked, tmp_path, monkeypatch):
    import joblib

    save_encoder(masked, tmp_path / "m")
    forge(tmp_path / "m", lambda manifest: set_memories(manifest["estimator"], str(tmp_path / "cache")))
    locations, make = [], joblib.Memory.__init__

    def spy(self, location=None, *args, **kwargs):
        locations.append(location)
        make(self, location, *args, **kwargs)

    monkeypatch.setattr(joblib.Memory, "__init__", spy)
    load_encoder(tmp_path / "m")
    assert set(locations) == {None}  # nilearn makes one without a folder
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("kind", ["path", "joblib"])
def test_caches_are_not_saved(kind, X, Y, tmp_path):
    import joblib

    place = tmp_path / "cache" if kind == "path" else joblib.Memory(tmp_path / "cache", verbose=0)
    masker = NiftiMasker(memory=place, mask_args={"memory": str(tmp_path / "cache"), "opening": 0})
    encoder = SparseVoxelEncoder(alphas=[0.1], memory=place)
    save_encoder(MaskedTargetRegressor(encoder, masker).fit(X, volume()), tmp_path / "m")
    assert "cache" not in (tmp_path / "m" / "manifest.json").read_text()
    loaded = load_encoder(tmp_path / "m")
    assert (loaded.regressor.memory, loaded.masker.memory) == (None, None)
    assert loaded.masker.mask_args == {"memory": None, "opening": 0}


def test_a_folder_with_other_entries_is_refused(saved):
    (saved / "joblib").mkdir()
    with pytest.raises(SavedEncoderError, match="holds more than a saved encoder: joblib"):
        load_encoder(saved)


def test_equal_numbers_are_the_same_data_however_they_are_stored(encoder, tmp_path):
    X = np.random.default_rng(0).integers(-2, 3, (N, 6)).astype(np.float64)
    X[2, 3] = np.nan
    unsorted = sparse.csr_array(X)
    for start, stop in zip(unsorted.indptr, unsorted.indptr[1:], strict=False):
        unsorted.indices[start:stop] = unsorted.indices[start:stop][::-1].copy()
        unsorted.data[start:stop] = unsorted.data[start:stop][::-1].copy()
    unsorted.has_sorted_indices = False
    explicit_zeros = sparse.coo_array((X.ravel(), np.indices(X.shape).reshape(2, -1)), shape=X.shape)
    same = [X.astype(np.float32), np.asfortranarray(X), np.where(X == 0, -0.0, X), X.tolist(), unsorted]
    same += [sparse.csc_matrix(X.astype(np.float32)), explicit_zeros, explicit_zeros.tocsr()]
    save_encoder(encoder, tmp_path / "m", X=X)
    for stored in same:
        load_encoder(tmp_path / "m", X=stored)
    assert_array_equal(unsorted.indices[: unsorted.indptr[1]], np.flatnonzero(X[0])[::-1])  # left as it came
    moved = X.copy()
    moved[0] = np.roll(X[0], 1)
    for other in (X.T.reshape(N, 6), moved, X.reshape(N, 3, 2), sparse.csr_array(moved)):
        with pytest.raises(SavedEncoderError, match="This X is not"):
            load_encoder(tmp_path / "m", X=other)


def test_images_elsewhere_in_space_are_other_data(encoder, tmp_path):
    imgs = volume()
    numbers = imgs.get_fdata(dtype=np.float32)
    save_encoder(encoder, tmp_path / "m", Y=imgs)
    imgs.to_filename(tmp_path / "imgs.nii.gz")
    for same in (str(tmp_path / "imgs.nii.gz"), Nifti1Image(numbers.astype(np.float64), imgs.affine)):
        load_encoder(tmp_path / "m", Y=same)
    shifted = imgs.affine.copy()
    shifted[0, 3] += 4
    for other in (Nifti1Image(numbers, shifted), Nifti1Image(numbers.reshape(5, 4, 6, N), imgs.affine)):
        with pytest.raises(SavedEncoderError, match="This Y is not"):
            load_encoder(tmp_path / "m", Y=other)


def test_surface_images_on_another_mesh_are_other_data(encoder, tmp_path, monkeypatch):
    imgs, _ = surface_parts()
    save_encoder(encoder, tmp_path / "m", Y=imgs)
    monkeypatch.setattr("sklearn_sae_encoding._images.rows.CHUNK_BYTES", 4 * 2 * 10242 * 3)
    load_encoder(tmp_path / "m", Y=imgs)
    other = SurfaceImage(load_fsaverage("fsaverage5")["white_matter"], imgs.data.parts)
    with pytest.raises(SavedEncoderError, match="This Y is not"):
        load_encoder(tmp_path / "m", Y=other)


def test_other_data_are_told_from_those_of_the_fit(encoder, X, Y, texts, tmp_path):
    imgs = volume()
    save_encoder(encoder, tmp_path / "m", X=X, Y=imgs)
    load_encoder(tmp_path / "m", X=X.tolist(), Y=[imgs.slicer[..., i] for i in range(N)])
    with pytest.raises(SavedEncoderError, match="This X is not what the encoder was fitted to: it has 19 samples"):
        load_encoder(tmp_path / "m", X=X[1:])
    with pytest.raises(SavedEncoderError, match="This Y is not what the encoder was fitted to: it has 20 samples"):
        load_encoder(tmp_path / "m", Y=ImageRows(imgs)[np.arange(N)[::-1]])
    save_encoder(encoder, tmp_path / "t", X=texts)
    with pytest.raises(SavedEncoderError, match="This X is not"):
        load_encoder(tmp_path / "t", X=[texts[0] + texts[1][:1], texts[1][1:], *texts[2:]])
    with pytest.raises(SavedEncoderError, match="saved without Y"):
        load_encoder(tmp_path / "t", Y=Y)


def test_what_cannot_be_saved_is_named(X, Y, tiny_lm_dir, tmp_path):
    from transformers import AutoModelForCausalLM

    model = make_pipeline(FunctionTransformer(np.log1p), Ridge()).fit(X, Y)
    with pytest.raises(TypeError, match=r"Cannot save .*func: it is a numpy.ufunc"):
        save_encoder(model, tmp_path / "m")
    with pytest.raises(TypeError, match=r"it is a GridSearchCV. Save what it found, its best_estimator_"):
        save_encoder(GridSearchCV(Ridge(), {"alpha": [1.0]}).fit(X, Y), tmp_path / "m")
    loaded = AutoModelForCausalLM.from_pretrained(tiny_lm_dir)
    by_object = LMActivationTransformer(LanguageModel(loaded, tokenizer=str(tiny_lm_dir)), 1).fit(["A text."])
    with pytest.raises(TypeError, match=r"Cannot save .*model: it is a transformers.*give model= that"):
        save_encoder(by_object, tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_only_saved_encoders_are_replaced(encoder, saved, tmp_path):
    with pytest.raises(FileExistsError, match="Set overwrite=True"):
        save_encoder(encoder, saved)
    save_encoder(encoder, saved, overwrite=True)
    (saved / "thesis.tex").write_text("")
    with pytest.raises(FileExistsError, match="It holds something else"):
        save_encoder(encoder, saved, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["encoder"]


def assert_same_or_refused(folder, model, X):
    try:
        loaded = load_encoder(folder)
    except SavedEncoderError:
        return "refused"
    assert_array_equal(loaded.predict(X), model.predict(X))
    return "same"


@pytest.mark.parametrize("name", ["manifest.json", "arrays-*.safetensors"])
def test_with_any_byte_changed_or_cut_off_it_predicts_the_same_or_is_refused(encoder, saved, X, name):
    (path,) = saved.glob(name)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    answers = set()
    for place in rng.integers(0, len(whole), 150):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ rng.integers(1, 256)]) + whole[place + 1 :])
        answers.add(assert_same_or_refused(saved, encoder, X))
    for length in rng.integers(0, len(whole), 30):
        path.write_bytes(whole[:length])
        answers.add(assert_same_or_refused(saved, encoder, X))
    assert "refused" in answers


def test_an_entry_of_the_wrong_shape_is_refused_though_its_hash_is_right(saved, encoder, X):
    original = (saved / "manifest.json").read_text()
    for name in json.loads(original):
        for value in (None, [], {}, "x", 1, {"X": 1}, {"X": {"sha256": 1, "n_samples": "x"}}, [1], [{"kind": "SAE"}]):
            (saved / "manifest.json").write_text(original)
            if name == "fingerprint":
                edit(saved, lambda manifest, value=value: manifest.update(fingerprint=value))
            else:
                forge(saved, lambda manifest, name=name, value=value: manifest.update({name: value}))
            try:
                loaded = load_encoder(saved, X=X)
            except SavedEncoderError:
                continue
            assert name in ("versions", "models", "notes")
            assert_array_equal(loaded.predict(X), encoder.predict(X))


def test_what_is_not_fitted_is_not_saved(masked, X, tmp_path):
    from sklearn.base import clone
    from sklearn.exceptions import NotFittedError

    for model in (clone(masked), SparseVoxelEncoder(), make_pipeline(StandardScaler(), Ridge())):
        with pytest.raises(NotFittedError, match="is not fitted yet"):
            save_encoder(model, tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_notes_that_json_cannot_hold_are_refused(encoder, tmp_path):
    for notes in ({"a": np.zeros(2)}, {"a": np.nan}, ["p1"]):
        with pytest.raises(TypeError, match="notes must be"):
            save_encoder(encoder, tmp_path / "m", notes=notes)


def test_loading_opens_and_looks_up_nothing_that_the_folder_names(text_model, tmp_path, monkeypatch):
    save_encoder(text_model, tmp_path / "m")

    def fail(*_args, **_kwargs):
        raise AssertionError("looked up")

    monkeypatch.setattr("sklearn_sae_encoding._provenance._find_again", fail)
    (tmp_path / "sae").rename(tmp_path / "elsewhere")
    load_encoder(tmp_path / "m")
    with pytest.raises(AssertionError, match="looked up"):
        load_encoder(tmp_path / "m", check_models=True)


def test_a_masker_that_knows_its_mask_by_a_path_is_saved_with_the_image(X, tmp_path):
    inside = np.zeros((4, 5, 6), dtype=np.int8)
    inside[1:3, 1:4, 1:4] = 1
    path = tmp_path / "mask.nii.gz"
    Nifti1Image(inside, np.diag([4.0, 4, 4, 1])).to_filename(path)
    model = MaskedTargetRegressor(Ridge(), NiftiMasker(str(path))).fit(X, volume())
    save_encoder(model, tmp_path / "m")
    path.unlink()
    loaded = load_encoder(tmp_path / "m")
    assert "mask.nii" not in (tmp_path / "m" / "manifest.json").read_text()
    assert_array_equal(loaded.voxel_scores(X, volume()), model.voxel_scores(X, volume()))
    assert_array_equal(loaded.fit(X, volume()).predict(X), model.predict(X))


@pytest.mark.parametrize("form", ["kernel", "primal"])
def test_a_banded_encoder_comes_back_with_its_missing_voxels(form, X, Y, tmp_path):
    Y = Y.copy()
    Y[:, 1] = np.nan
    with pytest.warns(UserWarning, match="Of 3 voxels, 0 are constant and 1 are NaN"):
        model = BandedRidgeEncoder({"a": slice(0, 2), "b": slice(2, 6)}, form=form, candidates=3).fit(X, Y)
    save_encoder(model, tmp_path / "m")
    found = load_encoder(tmp_path / "m").predict(X)
    assert np.isnan(found[:, 1]).all()
    assert_array_equal(found, model.predict(X))


def test_an_encoder_of_runs_comes_back_and_knows_its_runs(tmp_path):
    runs, responses = noisy_runs()
    model = RunwiseRegressor(None, Ridge(), delays=(1, 2, 3)).fit(runs, responses)
    save_encoder(model, tmp_path / "m", X=runs, Y=responses)
    loaded = load_encoder(tmp_path / "m", X=[run.copy() for run in runs], Y=responses)
    for found, expected in zip(loaded.predict(runs), model.predict(runs), strict=True):
        assert_array_equal(found, expected)
    for other in (runs[::-1], runs[:-1], [runs[0] + 1, *runs[1:]]):
        with pytest.raises(SavedEncoderError, match="This X is not what the encoder was fitted to"):
            load_encoder(tmp_path / "m", X=other)


def test_stories_are_told_apart_by_their_words_and_times(encoder, tmp_path):
    stories = [make_run(), make_run(onset=1.0)]
    save_encoder(encoder, tmp_path / "m", X=stories)
    load_encoder(tmp_path / "m", X=[make_run(), make_run(onset=1.0)])
    later = make_run()
    later.words.loc[3, "onset"] += 0.01
    for other in (
        stories[::-1],
        [later, stories[1]],
        [make_run(n_scans=21), stories[1]],
        [make_run(t_r=2.1), stories[1]],
    ):
        with pytest.raises(SavedEncoderError, match="This X is not what the encoder was fitted to"):
            load_encoder(tmp_path / "m", X=other)


def test_a_whole_story_model_comes_back_with_its_bands_and_delays(tiny_lm_dir, tmp_path):
    features = make_story_features(tiny_lm_dir, layer=1, content="activations")
    model = RunwiseRegressor(features, Ridge(), delays={"activations": (1, 2), "surprisal": (2,), "rate": (0,)})
    runs = [make_run(n_scans=20), make_run(n_scans=24, scans=slice(2, None))]
    responses = [np.random.default_rng(i).normal(size=(run.n_rows, 2)) for i, run in enumerate(runs)]
    save_encoder(model.fit(runs, responses), tmp_path / "m", X=runs, Y=responses)
    loaded = load_encoder(tmp_path / "m", X=runs, Y=responses)
    for found, expected in zip(loaded.predict(runs), model.predict(runs), strict=True):
        assert_allclose(found, expected)
    assert loaded.design_["band"].tolist() == model.design_["band"].tolist()
