"""SAEs by name: once per process, whole or not at all, and never from a pickle."""

import pickle
import threading

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import Lasso
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from tiny_saes import ARCHITECTURES, activations, encoded, make_sae, make_training_sae, pooled, save_sae

from sklearn_sae_encoding._sae import loading
from sklearn_sae_encoding._sae.arrays import SAEArrays
from sklearn_sae_encoding.sae import SAEProjector


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_folder_gives_the_features_of_the_sae_that_was_saved_there(architecture, texts, tmp_path):
    sae = make_sae(architecture, seed=3)
    from_object = SAEProjector(sae).fit_transform(texts)
    from_folder = SAEProjector(save_sae(sae, tmp_path)).fit_transform(texts)
    np.testing.assert_allclose(from_folder.toarray(), from_object.toarray(), rtol=1e-6)


def test_weights_are_loaded_once_for_clones_and_threads(texts, folder, monkeypatch):
    from sae_lens import SAE

    loads = []
    load = SAE.load_from_disk
    monkeypatch.setattr(SAE, "load_from_disk", lambda *args, **kwargs: loads.append(1) or load(*args, **kwargs))
    projector = SAEProjector(folder)
    threads = [threading.Thread(target=clone(projector).fit_transform, args=(texts,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    search = GridSearchCV(
        make_pipeline(projector, Lasso(0.01)), {"saeprojector__features": [4, 12, None]}, cv=3, refit=True
    )
    search.fit(activations(texts), np.arange(len(texts), dtype=float))
    assert len(loads) == 1


def test_a_search_in_threads_loads_an_sae_once(texts, folder, monkeypatch):
    from sae_lens import SAE

    loads = []
    load = SAE.load_from_disk
    monkeypatch.setattr(SAE, "load_from_disk", lambda *args, **kwargs: loads.append(1) or load(*args, **kwargs))
    search = GridSearchCV(
        make_pipeline(SAEProjector(folder), Lasso(0.01)), {"saeprojector__features": [4, 12, None]}, cv=3, n_jobs=3
    )
    with joblib.parallel_backend("threading"):
        search.fit(activations(texts), np.arange(len(texts), dtype=float))
    assert loads == [1]


def test_a_search_copies_no_weights_of_an_sae_object(texts, monkeypatch):
    import torch

    def refuse(*_):
        raise AssertionError("weights were copied")

    sae, others = make_sae(), [SAEArrays.of(make_sae(seed=seed)) for seed in (0, 1)]
    monkeypatch.setattr(torch.nn.Parameter, "__deepcopy__", refuse)
    monkeypatch.setattr(torch.Tensor, "__deepcopy__", refuse)
    y = np.arange(len(texts), dtype=float)
    with joblib.parallel_backend("threading"):
        pipeline = make_pipeline(SAEProjector(sae), Lasso(0.01))
        search = GridSearchCV(pipeline, {"saeprojector__features": [4, None]}, cv=3, n_jobs=2, error_score="raise")
        search.fit(activations(texts), y)
        assert search.best_estimator_[0].sae is sae
        search = GridSearchCV(pipeline, {"saeprojector__sae": others}, cv=3, n_jobs=2, error_score="raise")
        search.fit(activations(texts), y)
        assert any(search.best_estimator_[0].sae is one for one in others)


@pytest.mark.parametrize("device", ["cuda:99", "nowhere"])
def test_a_device_that_is_not_here_is_named(texts, folder, device):
    with pytest.raises(ValueError, match=f"device='{device}' cannot be used: .*Expected \"cpu\""):
        SAEProjector(folder, device=device).fit(texts)


def test_a_folder_that_was_written_again_is_loaded_again(texts, folder):
    projector = SAEProjector(folder).fit(texts)
    before = projector.transform(texts).toarray()
    sae = make_sae(seed=5)
    save_sae(sae, folder)
    after = projector.transform(texts).toarray()
    np.testing.assert_allclose(after, pooled([encoded(sae, text) for text in texts], "mean"), rtol=1e-5)
    assert np.abs(before - after).max() > 0.1


def test_a_pickle_holds_no_weights_that_can_be_found_again(texts, folder):
    projector = SAEProjector(folder, features=4).fit(texts)
    stored = pickle.dumps(projector)
    assert make_sae().b_enc.numpy().tobytes() not in stored
    loading.forget_saes()
    np.testing.assert_array_equal(pickle.loads(stored).transform(texts).toarray(), projector.transform(texts).toarray())


def test_a_given_object_is_shared_by_clones_and_survives_pickling(texts):
    sae = make_sae()
    projector = SAEProjector(sae).fit(texts)
    assert clone(projector).sae is sae
    assert clone(make_pipeline(projector))[0].sae is sae
    again = pickle.loads(pickle.dumps(projector))
    np.testing.assert_allclose(again.transform(texts).toarray(), projector.transform(texts).toarray(), rtol=1e-6)
    assert clone(again).sae is again.sae


@pytest.mark.parametrize("damage", ["truncated", "noise", "no_config", "wrong_shape", "bad_json"])
def test_a_damaged_folder_is_a_clear_error(damage, texts, folder, tmp_path):
    weights, config = tmp_path / "sae" / "sae_weights.safetensors", tmp_path / "sae" / "cfg.json"
    message = r"(?s)sae' could not be read: .*truncated, corrupt or not sae-lens'"
    if damage == "truncated":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif damage == "noise":
        weights.write_bytes(np.random.default_rng(0).bytes(5000))
    elif damage == "no_config":
        config.unlink()
        message = r"holds no cfg\.json\. An SAE's folder holds"
    elif damage == "wrong_shape":
        config.write_text(config.read_text().replace('"d_sae": 24', '"d_sae": 23'))
    else:
        config.write_text(config.read_text()[:-9])
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        SAEProjector(folder).fit(texts)


def test_what_is_no_sae_is_a_clear_error(texts, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"There is no folder 'nowhere'.*give its sae_id"):
        SAEProjector("nowhere").fit(texts)
    with pytest.raises(TypeError, match=r"takes a sae-lens SAE.*got OneThatEncodes"):
        SAEProjector(type("OneThatEncodes", (), {"encode": None.__eq__})()).fit(texts)
    with pytest.raises(ValueError, match="Release gemma-9-99b not found"):
        SAEProjector("gemma-9-99b", "layer_1").fit(texts)


def test_a_release_stored_as_a_pickle_is_refused_before_anything_is_fetched(texts):
    with pytest.raises(ValueError, match=r"weights as a pickle, or .* \(connor_rob_hook_z\).*convert_sae"):
        SAEProjector("gpt2-small-hook-z-kk", "blocks.0.hook_z").fit(texts)


@pytest.fixture
def hub_cache(tmp_path, monkeypatch):
    """A hub cache with two revisions of one repository, of which main is the second."""
    from huggingface_hub import constants

    repository = tmp_path / "hub" / "models--toy--saes"
    for seed, commit in enumerate(["a" * 40, "b" * 40]):
        save_sae(make_sae(seed=seed), repository / "snapshots" / commit / "blocks.3")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("b" * 40)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.mark.usefixtures("hub_cache")
def test_a_release_comes_from_the_hubs_cache_at_the_revision_asked_for(texts):
    for revision, seed in ((None, 1), ("main", 1), ("a" * 40, 0)):
        features = SAEProjector("toy/saes", "blocks.3", revision=revision).fit_transform(texts)
        expected = pooled([encoded(make_sae(seed=seed), text) for text in texts], "mean")
        np.testing.assert_allclose(features.toarray(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.usefixtures("hub_cache")
def test_a_release_that_is_not_in_the_hubs_cache_is_named_with_where_it_was_looked_for(texts, tmp_path):
    for release, sae_id, revision in (
        ("toy/saes", "blocks.4", None),
        ("toy/saes", "blocks.4", "a" * 40),
        ("nobody/saes", "blocks.3", None),
    ):
        message = f"Could not find the SAE '{sae_id}' of '{release}'.*{tmp_path / 'hub'}, and the hub was switched off"
        with pytest.raises(FileNotFoundError, match=message):
            SAEProjector(release, sae_id, revision=revision).fit(texts)


def test_a_revision_that_cannot_be_pinned_is_an_error(texts):
    with pytest.raises(ValueError, match="revision='abc' can be pinned only for SAEs in sae-lens' own format"):
        SAEProjector("gemma-scope-2b-pt-res-canonical", "layer_12/width_16k/canonical", revision="abc").fit(texts)


def test_a_temporal_sae_is_refused(tmp_path):
    from sae_lens.registry import get_sae_class

    sae_class, config_class = get_sae_class("temporal")
    sae = sae_class(config_class(d_in=16, d_sae=32, n_heads=2, bottleneck_factor=2))
    with pytest.raises(ValueError, match="A temporal SAE encodes a token by the tokens before it"):
        SAEProjector(sae).fit(np.zeros((3, 16)))
    with pytest.raises(ValueError, match=r"^A temporal SAE encodes a token by the tokens before it"):  # not "truncated"
        SAEProjector(save_sae(sae, tmp_path)).fit(np.zeros((3, 16)))
    with pytest.raises(ValueError, match="A temporal SAE encodes a token by the tokens before it"):
        SAEProjector("temporal-sae-gemma-2-2b", "blocks.12.hook_resid_post").fit(np.zeros((3, 16)))


def test_importing_it_is_light():
    import subprocess
    import sys

    code = (
        "import sys, sklearn_sae_encoding.sae, sklearn_sae_encoding.datasets;"
        "print([m for m in ('torch', 'transformers', 'sae_lens', 'nilearn') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def count_in(sae, texts):
    return SAEProjector(sae, level="token").fit_transform(texts)


def test_a_scale_of_training_is_put_into_the_weights_or_the_sae_is_refused(texts, tmp_path):
    plain = make_sae("standard", seed=4)
    scaled = make_sae("standard", seed=4)
    scaled.cfg.normalize_activations = "expected_average_only_in"
    message = r"normalize_activations='expected_average_only_in'\).*of another size"
    for sae in (scaled, save_sae(scaled, tmp_path / "sae"), SAEArrays.of(scaled)):
        with pytest.raises(ValueError, match=message):
            SAEProjector(sae).fit(texts)
    factor = 0.02
    (tmp_path / "sae" / "activation_scaler.json").write_text(f'{{"scaling_factor": {factor}, "has_whitening": false}}')
    found = count_in(str(tmp_path / "sae"), texts)
    plain.fold_activation_norm_scaling_factor(factor)
    for one, text in zip(found, texts, strict=True):
        np.testing.assert_allclose(one.toarray(), encoded(plain, text), rtol=1e-5, atol=1e-6)
    (tmp_path / "sae" / "activation_scaler.json").write_text('{"scaling_factor": null}')
    with pytest.raises(ValueError, match=message):
        SAEProjector(str(tmp_path / "sae")).fit(texts)


@pytest.mark.parametrize("architecture", ["batchtopk", "matryoshka_batchtopk"])
def test_a_checkpoint_of_training_is_named_as_what_it_is(architecture, texts, tmp_path):
    sae = make_training_sae(architecture)
    with pytest.raises(ValueError, match=rf"a checkpoint of training a {architecture} SAE.*save_inference_model"):
        SAEProjector(save_sae(sae, tmp_path / "checkpoint")).fit(texts)
    sae.save_inference_model(tmp_path / "finished")
    SAEProjector(str(tmp_path / "finished")).fit(texts)


def test_a_folder_of_sparsify_is_read(texts, tmp_path):
    from safetensors.torch import save_file

    sae = make_sae("topk", seed=2)
    weights = {"encoder.weight": sae.W_enc.T, "encoder.bias": sae.b_enc, "W_dec": sae.W_dec, "b_dec": sae.b_dec}
    folder = tmp_path / "run" / "layers.3"
    folder.mkdir(parents=True)
    save_file({name: tensor.detach().contiguous() for name, tensor in weights.items()}, folder / "sae.safetensors")
    (folder / "cfg.json").write_text('{"d_in": 8, "num_latents": 24, "k": 5, "normalize_decoder": false}')
    for one, text in zip(count_in(str(folder), texts), texts, strict=True):
        np.testing.assert_allclose(one.toarray(), encoded(sae, text), rtol=1e-5)


def test_a_format_that_nobody_has_looked_at_is_refused(texts, monkeypatch):
    from sae_lens.loading import pretrained_sae_loaders

    monkeypatch.setattr(pretrained_sae_loaders, "get_conversion_loader_name", lambda release: "of_tomorrow")
    with pytest.raises(ValueError, match=r"not known to be safe \(of_tomorrow\).*convert_sae"):
        SAEProjector("a-release", "an_id").fit(texts)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_copies_and_pickles_of_an_sae_leave_it_as_it_was_and_give_its_bits(texts, dtype):
    import copy

    import torch

    sae = make_sae().to(getattr(torch, dtype))
    projector = SAEProjector(sae).fit(texts)
    before, attributes = projector.transform(texts).toarray(), dict(vars(projector))
    again = [pickle.loads(pickle.dumps(projector)), copy.copy(projector), clone(projector).fit(texts)]
    joblib.hash(projector)
    assert vars(projector) == attributes
    assert projector.sae is sae
    assert sae.dtype == getattr(torch, dtype)
    for one in (projector, *again):
        np.testing.assert_array_equal(one.transform(texts).toarray(), before)


def test_heads_of_attention_stand_side_by_side_as_they_are_read(texts):
    sae = make_sae("standard", hook_name="blocks.3.attn.hook_z")
    expected = [encoded(sae, text) for text in texts]
    sae.cfg.reshape_activations = "hook_z"
    sae.turn_on_forward_pass_hook_z_reshaping()
    for one, text in zip(count_in(sae, texts), expected, strict=True):
        np.testing.assert_allclose(one.toarray(), text, rtol=1e-6)
    assert sae.hook_z_reshaping_mode  # the user's own


@pytest.mark.parametrize("architecture", ["transcoder", "skip_transcoder", "jumprelu_transcoder"])
def test_a_transcoder_gives_features_and_reconstructs_nothing_whatever_its_widths(architecture, texts):
    from sae_lens.registry import get_sae_class

    sae_class, config_class = get_sae_class(architecture)
    sae = sae_class(config_class(d_in=8, d_sae=24, d_out=8, apply_b_dec_to_input=False))
    projector = SAEProjector(sae).fit(texts)
    features = projector.transform(texts)
    assert features.shape == (len(texts), 24)
    with pytest.raises(ValueError, match="A transcoder does not reconstruct its input"):
        SAEProjector(sae, reconstruction=["error"]).fit(texts)
    with pytest.raises(ValueError, match=r"A transcoder does not give back .* no inverse_transform"):
        projector.inverse_transform(features)
