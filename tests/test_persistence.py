"""Saved encoders: the same after loading, and no silence about what was changed."""

import json
import subprocess
import sys

import numpy as np
import pytest
from nibabel import Nifti1Image
from nilearn.datasets import load_fsaverage
from nilearn.maskers import NiftiLabelsMasker, NiftiMasker, SurfaceMasker
from nilearn.surface import SurfaceImage
from numpy.testing import assert_array_equal
from safetensors.numpy import load_file, save_file
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from tiny_saes import make_sae, save_sae

from sklearn_sae_encoding.activations import LMActivationTransformer
from sklearn_sae_encoding.encoder import SparseVoxelEncoder
from sklearn_sae_encoding.masking import ImageRows, MaskedTargetRegressor
from sklearn_sae_encoding.persistence import load_encoder, read_manifest, save_encoder
from sklearn_sae_encoding.pipeline import make_augmented_encoder
from sklearn_sae_encoding.sae import SAEProjector

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


def test_loading_needs_no_pickle_and_no_torch(saved):
    code = (
        "import pickle, sys; pickle.loads = pickle.load = None\n"
        "from sklearn_sae_encoding.persistence import load_encoder\n"
        f"print(type(load_encoder({str(saved)!r})).__name__, 'torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["SparseVoxelEncoder", "False"]
    assert {path.name for path in saved.iterdir()} == {"manifest.json", "arrays.safetensors"}


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
    with pytest.raises(ValueError, match=r"The SAE '.*' is not the one .* with: sae_weights.safetensors differ"):
        load_encoder(tmp_path / "m")
    assert load_encoder(tmp_path / "m", check_models=False).steps[-1][0] == "encoder"


def test_an_sae_that_is_gone_is_warned_of(text_model, tmp_path):
    save_encoder(text_model, tmp_path / "m")
    (tmp_path / "sae").rename(tmp_path / "elsewhere")
    with pytest.warns(UserWarning, match=r"The SAE '.*' is not found here"):
        load_encoder(tmp_path / "m")


@pytest.mark.parametrize("sae", [None, "object"])
def test_an_sae_that_has_no_name_is_saved_with_the_encoder(sae, tmp_path):
    acts = np.random.default_rng(0).standard_normal((30, 8)).astype(np.float32)
    projector = SAEProjector(make_sae() if sae else None, n_features=16, n_steps=5, random_state=0)
    model = make_pipeline(projector, Ridge()).fit(acts, acts[:, 0])
    save_encoder(model, tmp_path / "m")
    assert_array_equal(load_encoder(tmp_path / "m").predict(acts), model.predict(acts))


def test_changed_arrays_are_refused(saved):
    path = saved / "arrays.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"arrays.safetensors is damaged or was changed"):
        load_encoder(saved)
    path.unlink()
    with pytest.raises(ValueError, match=r"arrays.safetensors is missing"):
        load_encoder(saved)


def test_a_changed_manifest_is_refused(saved):
    edit(saved, lambda manifest: manifest["notes"].update(participant="p2"))
    with pytest.raises(ValueError, match="was changed after it was saved"):
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
    with pytest.raises(ValueError, match=f"expected {fingerprint[:16]}"):
        load_encoder(tmp_path / "m", fingerprint=fingerprint)


def test_a_damaged_manifest_is_refused(saved, tmp_path):
    (saved / "manifest.json").write_text('{"format": 1,')
    with pytest.raises(ValueError, match=r"manifest.json is damaged: JSONDecodeError"):
        load_encoder(saved)
    (saved / "manifest.json").write_text("{}")
    with pytest.raises(ValueError, match=r"manifest.json is damaged: KeyError"):
        load_encoder(saved)
    with pytest.raises(FileNotFoundError, match="no saved encoder in"):
        load_encoder(tmp_path / "nowhere")


def test_a_newer_format_is_refused_and_other_versions_are_warned_of(saved, monkeypatch):
    from sklearn_sae_encoding import persistence

    with monkeypatch.context() as patch:
        patch.setattr("sklearn_sae_encoding.__version__", "99.0")
        with pytest.warns(UserWarning, match=r"saved with sklearn-sae-encoding \S+ \(now 99.0\)"):
            load_encoder(saved)
    monkeypatch.setattr(persistence, "_FORMAT", 0)
    with pytest.raises(ValueError, match=r"is in format 1, saved by .* reads format 0"):
        load_encoder(saved)


@pytest.mark.parametrize(
    "name", ["subprocess.Popen", "sklearn.utils.Bunch", "sklearn_sae_encoding.no_such", "os.system"]
)
def test_other_classes_are_not_made_from_a_file(name, saved):
    from sklearn_sae_encoding import _codec

    with pytest.raises((ValueError, ModuleNotFoundError), match=r"is not made from a file"):
        _codec.decode({"$object": name, "state": []}, {})
    with pytest.raises(ValueError, match=r"of an unknown kind, '\$eval'"):
        _codec.decode({"$eval": "1"}, {})


def test_other_data_are_told_from_those_of_the_fit(encoder, X, Y, texts, tmp_path):
    imgs = volume()
    save_encoder(encoder, tmp_path / "m", X=X, Y=imgs)
    load_encoder(tmp_path / "m", X=X.tolist(), Y=[imgs.slicer[..., i] for i in range(N)])
    with pytest.raises(ValueError, match="This X is not what the encoder was fitted to: it has 19 samples"):
        load_encoder(tmp_path / "m", X=X[1:])
    with pytest.raises(ValueError, match="This Y is not what the encoder was fitted to: it has 20 samples"):
        load_encoder(tmp_path / "m", Y=ImageRows(imgs)[np.arange(N)[::-1]])
    save_encoder(encoder, tmp_path / "t", X=texts)
    with pytest.raises(ValueError, match="This X is not"):
        load_encoder(tmp_path / "t", X=[texts[0] + texts[1][:1], texts[1][1:], *texts[2:]])
    with pytest.raises(ValueError, match="saved without Y"):
        load_encoder(tmp_path / "t", Y=Y)


def test_what_cannot_be_saved_is_named(X, Y, tiny_lm_dir, tmp_path):
    from transformers import AutoModelForCausalLM

    model = make_pipeline(FunctionTransformer(np.log1p), Ridge()).fit(X, Y)
    with pytest.raises(TypeError, match=r"Cannot save .*func: it is a numpy.ufunc"):
        save_encoder(model, tmp_path / "m")
    with pytest.raises(TypeError, match=r"it is a GridSearchCV. Save what it found, its best_estimator_"):
        save_encoder(GridSearchCV(Ridge(), {"alpha": [1.0]}).fit(X, Y), tmp_path / "m")
    loaded = AutoModelForCausalLM.from_pretrained(tiny_lm_dir)
    with pytest.raises(TypeError, match=r"Cannot save .*model: it is a transformers.*give model= that"):
        save_encoder(LMActivationTransformer(loaded, 1, tokenizer=str(tiny_lm_dir)), tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_only_saved_encoders_are_replaced(encoder, saved, tmp_path):
    with pytest.raises(FileExistsError, match="Set overwrite=True"):
        save_encoder(encoder, saved)
    save_encoder(encoder, saved, overwrite=True)
    (saved / "thesis.tex").write_text("")
    with pytest.raises(FileExistsError, match="It holds something else"):
        save_encoder(encoder, saved, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["encoder"]
