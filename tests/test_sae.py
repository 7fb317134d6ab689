import pickle
import threading
import warnings

import joblib
import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model import Lasso
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks
from tiny_saes import (
    ARCHITECTURES,
    D_MODEL,
    N_FEATURES,
    TRAINED,
    TRANSCODERS,
    make_sae,
    make_texts,
    make_training_sae,
    save_sae,
)

from sklearn_sae_encoding._lm.tokens import TokenActivations
from sklearn_sae_encoding._sae import loading
from sklearn_sae_encoding._sae.arrays import SAEArrays
from sklearn_sae_encoding.sae import SAEProjector

POOLINGS = ("mean", "max", "sum", "last", "fraction_active")
HOOK = "blocks.3.hook_resid_post"


@pytest.fixture
def texts():
    return make_texts()


@pytest.fixture
def folder(tmp_path):
    return save_sae(make_sae(model_name="toy/LM-1", hook_name=HOOK, prepend_bos=True), tmp_path / "sae")


@pytest.fixture(autouse=True)
def no_saes_loaded():
    loading.forget_saes()
    yield
    loading.forget_saes()


def activations(texts, model="LM-1", hook=HOOK, prepend_bos=True):
    return TokenActivations(texts, model=model, hook=hook, prepend_bos=prepend_bos)


def encoded(sae, text):
    import torch

    with torch.inference_mode():
        return sae.encode(torch.from_numpy(text)).numpy()


def pooled(tokens, pooling):
    pool = {
        "mean": lambda x: x.mean(0),
        "max": lambda x: x.max(0),
        "sum": lambda x: x.sum(0),
        "last": lambda x: x[-1],
        "fraction_active": lambda x: (x != 0).mean(0),
    }[pooling]
    return np.stack([pool(text) for text in tokens])


@parametrize_with_checks([SAEProjector()])
def test_it_is_a_scikit_learn_transformer(estimator, check):
    check(estimator)


@pytest.mark.parametrize("architecture", [*ARCHITECTURES, *TRANSCODERS])
def test_token_features_are_what_sae_lens_encodes(architecture, texts):
    sae = make_sae(architecture)
    features = SAEProjector(sae, pooling=None).fit_transform(texts)
    assert [one.shape for one in features] == [(len(text), N_FEATURES) for text in texts]
    for one, text in zip(features, texts, strict=True):
        expected = encoded(sae, text)
        assert 0 < np.count_nonzero(expected) < expected.size
        np.testing.assert_allclose(one.toarray(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("architecture", TRAINED)
def test_a_training_sae_is_used_in_its_inference_form(architecture, texts, tmp_path):
    from sae_lens import SAE

    trained = make_training_sae(architecture)
    features = SAEProjector(trained, pooling="max", sparse_output=False).fit_transform(texts)
    trained.save_inference_model(tmp_path)
    inference = SAE.load_from_disk(tmp_path)
    np.testing.assert_allclose(features, pooled([encoded(inference, text) for text in texts], "max"), rtol=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_folder_gives_the_features_of_the_sae_that_was_saved_there(architecture, texts, tmp_path):
    sae = make_sae(architecture, seed=3)
    from_object = SAEProjector(sae).fit_transform(texts)
    from_folder = SAEProjector(save_sae(sae, tmp_path)).fit_transform(texts)
    np.testing.assert_allclose(from_folder.toarray(), from_object.toarray(), rtol=1e-6)


@pytest.mark.parametrize("chunk_size", [None, 1, 4, 5])
@pytest.mark.parametrize("architecture", ["jumprelu", "abstopk"])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_pooling_comes_after_encoding_whatever_the_chunks(pooling, architecture, chunk_size, texts):
    sae = make_sae(architecture)
    features = SAEProjector(sae, pooling=pooling, chunk_size=chunk_size).fit_transform(texts)
    assert isinstance(features, sparse.csr_array)
    assert features.dtype == np.float32
    assert np.all(features.data != 0)
    expected = pooled([encoded(sae, text) for text in texts], pooling)
    np.testing.assert_allclose(features.toarray(), expected, rtol=1e-5, atol=1e-6)


def test_averaging_before_encoding_gives_other_features(texts, folder):
    projector = SAEProjector(folder, sparse_output=False)
    averaged_first = projector.fit_transform(np.stack([text.mean(0) for text in texts]))
    assert np.abs(averaged_first - projector.transform(texts))[1:].max() > 0.1


def test_a_table_counts_as_one_token_a_sample(texts, folder):
    table = np.concatenate(texts)
    features = SAEProjector(folder).fit_transform(table)
    tokens = SAEProjector(folder, pooling=None).fit_transform(texts)
    np.testing.assert_allclose(features.toarray(), sparse.vstack(tokens).toarray(), rtol=1e-6)
    np.testing.assert_array_equal(SAEProjector(folder, pooling=None).fit_transform(table).toarray(), features.toarray())


def test_a_text_has_the_same_row_alone_and_among_others(texts, folder):
    projector = SAEProjector(folder).fit(texts)
    together = projector.transform(texts).toarray()
    for i, text in enumerate(texts):
        np.testing.assert_allclose(projector.transform([text]).toarray()[0], together[i], rtol=1e-5, atol=1e-6)


def test_a_text_that_is_read_only_and_longer_than_a_chunk_is_encoded_without_a_warning(texts, folder):
    expected = SAEProjector(folder).fit_transform(texts).toarray()
    for text in texts:
        text.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        features = SAEProjector(folder, chunk_size=2).fit_transform(texts)
    np.testing.assert_allclose(features.toarray(), expected, rtol=1e-6)


def test_half_precision_activations_are_encoded_in_single(texts, folder):
    halves = [text.astype(np.float16) for text in texts]
    features = SAEProjector(folder).fit_transform(halves)
    assert features.dtype == np.float32
    singles = SAEProjector(folder).fit_transform([half.astype(np.float32) for half in halves])
    np.testing.assert_array_equal(features.toarray(), singles.toarray())


@pytest.mark.parametrize(
    ("features", "indices"),
    [
        (5, [0, 1, 2, 3, 4]),
        ((4, 12), list(range(4, 12))),
        ([3, 7, 23], [3, 7, 23]),
        (np.arange(N_FEATURES) % 9 == 1, [1, 10, 19]),
    ],
    ids=["prefix", "bin", "indices", "mask"],
)
def test_taken_features_are_columns_of_the_whole(features, indices, texts):
    # TopK would choose others if it were cut before encoding.
    sae = make_sae("topk")
    whole = SAEProjector(sae).fit_transform(texts).toarray()
    projector = SAEProjector(sae, features=features)
    np.testing.assert_array_equal(projector.fit_transform(texts).toarray(), whole[:, indices])
    assert projector.get_feature_names_out().tolist() == [f"sae_{i:05d}" for i in indices]
    np.testing.assert_array_equal(projector.feature_indices_, indices)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (N_FEATURES + 1, "the features from 0 up to 25, but the SAE has 24"),
        ((12, 4), "0 <= lo < hi <= 24"),
        ([3, 24], "holds the index 24, but the SAE has features 0 to 23"),
        ([7, 3], "must increase"),
        ([True, False], "has 2 entries, but the SAE has 24"),
        ([[1, 2]], "a list of indices or a mask"),
    ],
)
def test_features_that_the_sae_lacks_are_an_error(features, message, texts, folder):
    with pytest.raises(ValueError, match=message):
        SAEProjector(folder, features=features).fit(texts)


def test_matryoshka_bins_come_from_the_metadata_or_from_the_user(texts, folder):
    trained = SAEProjector(make_training_sae("matryoshka_batchtopk")).fit(texts)
    assert trained.widths_ == (4, 12, 24)
    assert trained.bins_ == [(0, 4), (4, 12), (12, 24)]
    assert SAEProjector(folder).fit(texts).bins_ is None
    assert SAEProjector(folder, widths=(8, 24)).fit(texts).bins_ == [(0, 8), (8, 24)]
    with pytest.raises(ValueError, match=r"widths=\(8, 20\) must increase .* to the SAE's number of features, 24"):
        SAEProjector(folder, widths=(8, 20)).fit(texts)


def test_features_can_be_scaled_by_decoder_norms(texts, folder):
    sae = make_sae()
    scaled = SAEProjector(folder, scale_by_decoder_norm=True).fit_transform(texts).toarray()
    plain = SAEProjector(folder).fit_transform(texts).toarray()
    np.testing.assert_allclose(scaled, plain * sae.W_dec.norm(dim=1).numpy(), rtol=1e-5)


@pytest.mark.parametrize("scale_by_decoder_norm", [False, True])
def test_inverse_transform_decodes(scale_by_decoder_norm, texts, folder):
    import torch

    sae = make_sae()
    projector = SAEProjector(folder, scale_by_decoder_norm=scale_by_decoder_norm, reconstruction=["error"]).fit(texts)
    decoded = projector.inverse_transform(projector.transform(texts))
    expected = np.stack([sae.decode(torch.from_numpy(encoded(sae, text))).numpy().mean(0) for text in texts])
    np.testing.assert_allclose(decoded, expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match=r"X has 3 columns, but the fitted SAEProjector gives 25"):
        projector.inverse_transform(np.zeros((2, 3)))


def test_inverse_transform_of_some_features_counts_the_others_as_0(texts, folder):
    sae = make_sae()
    projector = SAEProjector(folder, features=(4, 12), pooling="last").fit(texts)
    decoded = projector.inverse_transform(projector.transform(texts))
    last = np.concatenate([encoded(sae, text[-1:]) for text in texts])
    expected = last[:, 4:12] @ sae.W_dec[4:12].numpy() + sae.b_dec.numpy()
    np.testing.assert_allclose(decoded, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("chunk_size", [None, 2])
def test_reconstruction_is_measured_by_text(chunk_size, texts, folder):
    import torch

    sae = make_sae()
    projector = SAEProjector(folder, reconstruction=("explained_variance", "error"), chunk_size=chunk_size)
    columns = projector.fit_transform(texts)[:, -2:].toarray()
    assert projector.get_feature_names_out()[-2:].tolist() == ["sae_explained_variance", "sae_reconstruction_error"]
    for text, (explained, error) in zip(texts, columns, strict=True):
        with torch.inference_mode():
            residual = text - sae(torch.from_numpy(text)).numpy()
        squares = (residual**2).sum(1)
        np.testing.assert_allclose(error, np.sqrt(squares.mean()), rtol=1e-5)
        total = ((text - sae.b_dec.numpy()) ** 2).sum()
        np.testing.assert_allclose(explained, 1 - squares.sum() / total, rtol=1e-4, atol=1e-5)


def test_an_sae_that_normalises_tokens_is_exact_in_threads_and_does_not_decode(texts):
    import torch

    sae = make_sae("standard")
    sae.cfg.normalize_activations = "layer_norm"
    sae._setup_activation_normalization()
    projector = SAEProjector(sae, reconstruction=["error"], chunk_size=2).fit(texts)
    with torch.inference_mode():
        residuals = [text - sae(torch.from_numpy(text)).numpy() for text in texts]
    expected = [np.sqrt((residual**2).sum(1).mean()) for residual in residuals]
    results = []
    threads = [threading.Thread(target=lambda: results.append(projector.transform(texts * 20))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    for result in results:
        np.testing.assert_allclose(result[:, [-1]].toarray().ravel(), np.tile(expected, 20), rtol=1e-4)
    with pytest.raises(ValueError, match=r"rescales every token .* there is no inverse_transform"):
        projector.inverse_transform(projector.transform(texts))


def test_reconstruction_needs_an_sae_that_reconstructs_its_input(texts, folder):
    with pytest.raises(ValueError, match="A transcoder does not reconstruct its input"):
        SAEProjector(make_sae("transcoder"), reconstruction=["error"]).fit(texts)
    with pytest.raises(ValueError, match=r"takes 'error' and 'explained_variance', got \['bias'\]"):
        SAEProjector(folder, reconstruction=["bias"]).fit(texts)


def test_activations_that_match_are_taken_under_any_name_of_the_model(texts, folder, tmp_path):
    for model in ("LM-1", "toy/LM-1", "/models/lm-1/", None):
        SAEProjector(folder).fit(activations(texts, model=model))
    for other in ("someone/LM-1", "toy/LM-1-chat", "toy/LM-10"):
        with pytest.raises(ValueError, match=f"trained on toy/LM-1, but the activations come from {other}"):
            SAEProjector(folder).fit(activations(texts, model=other))
    small = save_sae(make_sae(model_name="gpt2-small"), tmp_path / "small")
    SAEProjector(small).fit(activations(texts, model="openai-community/gpt2"))
    with pytest.raises(ValueError, match="trained on gpt2-small, but the activations come from gpt2-medium"):
        SAEProjector(small).fit(activations(texts, model="gpt2-medium"))


@pytest.mark.parametrize(
    ("origin", "message"),
    [
        ({"model": "toy/LM-2"}, r"trained on toy/LM-1, but the activations come from toy/LM-2\. Set model='toy/LM-1'"),
        ({"hook": "blocks.2.hook_resid_post"}, rf"trained on {HOOK} .* come from blocks.2.* Set layer='{HOOK}'"),
        ({"prepend_bos": False}, r"with a beginning-of-sequence token, .* without one\. Set prepend_bos=True"),
    ],
    ids=["model", "hook", "bos"],
)
def test_activations_from_elsewhere_are_an_error_unless_asked_for(origin, message, texts, folder):
    wrong = activations(texts, **origin)
    with pytest.raises(ValueError, match=message + ".*check_match=False"):
        SAEProjector(folder).fit(wrong)
    projector = SAEProjector(folder).fit(activations(texts))
    with pytest.raises(ValueError, match=message):
        projector.transform(wrong)
    unchecked = SAEProjector(folder, check_match=False).fit_transform(wrong)
    np.testing.assert_array_equal(unchecked.toarray(), projector.transform(texts).toarray())


@pytest.mark.parametrize(
    ("trained_on", "given"),
    [
        ("blocks.3.hook_resid_pre", "blocks.2.hook_resid_post"),
        ("blocks.3.hook_out", HOOK),
        ("blocks.3.hook_in", "blocks.2.hook_resid_post"),
        ("model.layers.3", HOOK),
        ("transformer.h.3", HOOK),
        ("blocks.0.hook_resid_pre", "blocks.0.hook_resid_pre"),
    ],
)
def test_one_place_in_the_model_may_have_several_names(trained_on, given, texts):
    sae = make_sae(hook_name=trained_on)
    SAEProjector(sae).fit(activations(texts, hook=given))
    with pytest.raises(ValueError, match=r"Set layer='blocks\.\d\.hook_resid_(pre|post)' in LMActivationTransformer"):
        SAEProjector(sae).fit(activations(texts, hook="blocks.5.hook_resid_post"))


@pytest.mark.parametrize("hook", ["blocks.3.attn.hook_z", "blocks.3.hook_resid_mid", "blocks.3.ln2.hook_normalized"])
def test_for_a_hook_that_cannot_be_read_no_layer_is_advised(hook, texts):
    sae = make_sae(hook_name=hook)
    with pytest.raises(
        ValueError, match=rf"LMActivationTransformer cannot read {hook}: it reads hook_resid_pre"
    ) as error:
        SAEProjector(sae).fit(activations(texts))
    assert "layer=" not in str(error.value)
    SAEProjector(sae).fit(texts)  # arrays say nothing of where they come from


@pytest.fixture
def ignore_sae_lens_advice():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"\s*This SAE has non-empty model_from_pretrained_kwargs")
        yield


CENTRED = {"center_writing_weights": True, "fold_ln": False}


@pytest.mark.filterwarnings("ignore:HookedTransformer is deprecated:DeprecationWarning")
def test_an_sae_of_centred_weights_gets_the_activations_of_centred_weights(tmp_path):
    """Witness: TransformerLens' own model with its weights centred."""
    import torch
    from sae_lens import StandardSAE, StandardSAEConfig
    from tiny_models import SENTENCES, tiny_model, tiny_tokenizer
    from transformer_lens import HookedTransformer, HookedTransformerConfig
    from transformer_lens.pretrained.weight_conversions import convert_gpt2_weights

    from sklearn_sae_encoding.activations import LMActivationTransformer

    model, tokenizer = tiny_model("gpt2"), tiny_tokenizer()
    sizes = {"n_layers": 4, "d_model": 32, "n_heads": 4, "d_head": 8, "d_mlp": 128, "n_ctx": 64, "d_vocab": 400}
    config = HookedTransformerConfig(**sizes, act_fn="gelu_new", normalization_type="LN")
    lens = HookedTransformer(config)
    options = {"fold_ln": False, "center_unembed": False, "fold_value_biases": False}
    lens.load_and_process_state_dict(convert_gpt2_weights(model, config), center_writing_weights=True, **options)
    for hook in ("blocks.2.hook_resid_post", "blocks.1.hook_resid_pre", "blocks.3.hook_mlp_out"):
        sae = StandardSAE(StandardSAEConfig(d_in=32, d_sae=24))
        metadata = {"model_name": "gpt2-small", "hook_name": hook, "model_from_pretrained_kwargs": CENTRED}
        for name, value in metadata.items():
            sae.cfg.metadata[name] = value
        folder = save_sae(sae, tmp_path / hook)
        acts = LMActivationTransformer(model, hook, tokenizer=tokenizer).fit_transform(SENTENCES[:3])
        acts.model = "openai-community/gpt2"
        features = SAEProjector(folder, pooling=None).fit_transform(acts)
        for text, one in zip(SENTENCES, features, strict=False):
            ids = torch.tensor([[0, *tokenizer(text)["input_ids"]]])
            with torch.inference_mode():
                centred = lens.run_with_cache(ids)[1][hook][0, 1:]
            np.testing.assert_allclose(one.toarray(), encoded(sae, centred.numpy()), rtol=1e-4, atol=1e-4)
        plain = encoded(sae, acts[0].copy())
        assert np.abs(features[0].toarray() - plain).max() > 1e-2


@pytest.mark.usefixtures("ignore_sae_lens_advice")
def test_activations_that_are_centred_already_stay_so(texts, tmp_path):
    names = {"model_name": "gpt2", "hook_name": HOOK}
    asks = save_sae(make_sae(**names, model_from_pretrained_kwargs=CENTRED), tmp_path / "asks")
    plain = save_sae(make_sae(**names), tmp_path / "plain")
    centred = [text - text.mean(axis=1, keepdims=True) for text in texts]
    expected = SAEProjector(plain).fit_transform(centred).toarray()
    for given in (texts, centred):
        np.testing.assert_allclose(SAEProjector(asks).fit_transform(given).toarray(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("model", "options", "named"),
    [
        ("LM-1", {"center_writing_weights": True}, "center_writing_weights=True"),
        ("gpt2", {"checkpoint_index": 3, **CENTRED}, "checkpoint_index=3"),
        ("gpt2", {"refactor": "x", "n_devices": 2}, "refactor='x'"),
    ],
)
def test_an_sae_of_a_model_that_was_changed_in_another_way_is_refused(model, options, named, texts, tmp_path):
    folder = save_sae(make_sae(model_name=model, hook_name=HOOK, model_from_pretrained_kwargs=options), tmp_path)
    with pytest.raises(
        ValueError, match=rf"trained on {model} as TransformerLens loads it with {named}, .*check_match="
    ):
        SAEProjector(folder).fit(activations(texts, model=model))
    SAEProjector(folder, check_match=False).fit(activations(texts, model=model))
    SAEProjector(folder).fit(texts)


@pytest.mark.parametrize("options", [{}, {"center_writing_weights": False}, {"fold_ln": True, "n_devices": 1}])
def test_options_that_leave_the_activations_as_they_are_are_no_mismatch(options, texts, tmp_path):
    names = {"model_name": "LM-1", "hook_name": HOOK}
    folder = save_sae(make_sae(**names, model_from_pretrained_kwargs=options), tmp_path / "asks")
    plain = save_sae(make_sae(**names), tmp_path / "plain")
    features, expected = (SAEProjector(one).fit_transform(activations(texts)).toarray() for one in (folder, plain))
    np.testing.assert_array_equal(features, expected)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("architecture", ["jumprelu", "topk"])
def test_an_sae_in_half_precision_encodes_as_sae_lens_does(architecture, dtype, texts):
    import torch

    sae = make_sae(architecture).to(getattr(torch, dtype))
    projector = SAEProjector(sae, pooling=None, reconstruction=["error"], scale_by_decoder_norm=True).fit(texts)
    for text, one in zip(texts, projector.transform(texts), strict=True):
        with torch.inference_mode():
            x = torch.from_numpy(text).to(sae.dtype)
            features = sae.encode(x)
            error = (x.float() - sae.decode(features)).square().sum(-1).sqrt()
            expected = (features * sae.W_dec.norm(dim=-1)).float().numpy()
        assert one.dtype == np.float32
        np.testing.assert_allclose(one[:, :-1].toarray(), expected, rtol=1e-6)
        np.testing.assert_allclose(one[:, [-1]].toarray()[:, 0], error.numpy(), rtol=1e-3)
    pooled_rows = SAEProjector(sae).fit_transform(texts)
    assert pooled_rows.dtype == np.float32
    exact = make_sae(architecture)
    decoded = SAEProjector(sae).fit(texts).inverse_transform(pooled_rows)
    np.testing.assert_allclose(decoded, SAEProjector(exact).fit(texts).inverse_transform(pooled_rows), atol=0.1)


def test_a_learnt_sae_knows_what_it_was_learnt_from(texts):
    projector = SAEProjector(n_steps=3, random_state=0).fit(activations(texts))
    with pytest.raises(ValueError, match=r"trained on LM-1, but the activations come from gpt2"):
        projector.transform(activations(texts, model="gpt2"))


def test_activations_of_another_width_are_an_error_that_names_both(texts, folder):
    narrow = [text[:, :5] for text in texts]
    for X in (narrow, np.concatenate(narrow)):
        with pytest.raises(ValueError, match="The SAE takes activations of width 8, but X has width 5"):
            SAEProjector(folder, check_match=False).fit(X)
    projector = SAEProjector(folder).fit(texts)
    with pytest.raises(ValueError, match="X has activations of width 5, but SAEProjector was fitted on width 8"):
        projector.transform(narrow)


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda texts: [*texts[:3], texts[3][:0]], "Text 3 has no tokens"),
        (lambda texts: [texts[0], texts[1] * np.nan], "activations of text 1 contain NaN or infinity, first in row 0"),
        (lambda texts: [texts[0], texts[1][:, :5]], "text 0 have width 8, but those of text 1 5"),
        (lambda texts: [texts[0], texts[1][0]], r"text 1 is an array of shape \(8,\)"),
        (lambda texts: TokenActivations([]), "at least one text, got none"),
        (lambda texts: ["It rains.", "It pours."], "got text. Put LMActivationTransformer before SAEProjector"),
        (lambda texts: "It rains.", "got text. Put LMActivationTransformer before SAEProjector"),
        (lambda texts: np.full((2, D_MODEL), np.inf), "The activations in X contain NaN or infinity, first in row 0"),
    ],
)
def test_broken_activations_are_an_error_that_names_the_text(break_it, message, texts, folder):
    projector = SAEProjector(folder).fit(texts)
    for use in (projector.transform, clone(projector).fit):
        with pytest.raises(ValueError, match=message):
            use(break_it(texts))


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


def test_clones_keep_settings_of_output_and_metadata(texts, folder):
    projector = SAEProjector(folder, sparse_output=False, features=3).set_output(transform="pandas")
    frame = clone(projector).fit_transform(texts)
    assert frame.columns.tolist() == ["sae_00000", "sae_00001", "sae_00002"]
    assert len(frame) == len(texts)


def sparse_mixture(n_tokens=3000, d_model=12, n_atoms=16, seed=0):
    """Activations that are few atoms each, around a mean that is not 0."""
    rng = np.random.default_rng(seed)
    atoms = rng.standard_normal((n_atoms, d_model))
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    codes = rng.uniform(2, 4, (n_tokens, n_atoms)) * (rng.random((n_tokens, n_atoms)) < 2 / n_atoms)
    return (codes @ atoms + 5).astype(np.float32), atoms


def explained_variance(values, decoded):
    return 1 - ((decoded - values) ** 2).sum() / ((values - values.mean(0)) ** 2).sum()


def test_learning_finds_planted_atoms_at_the_sparsity_asked_for():
    values, atoms = sparse_mixture()
    projector = SAEProjector(n_features=32, k=2, widths=(16, 32), n_steps=600, learning_rate=3e-3, random_state=0)
    features = projector.fit_transform(values)
    decoder = projector.learnt_.weights["W_dec"]
    np.testing.assert_allclose(np.linalg.norm(decoder, axis=1), 1, rtol=1e-4)
    best = np.abs(atoms @ decoder.T).max(axis=1)
    assert np.median(best) > 0.85
    assert 1.5 < features.nnz / len(values) < 2.5
    assert explained_variance(values, projector.inverse_transform(features)) > 0.6


def test_learning_is_deterministic_and_leaves_torchs_generator_alone(texts):
    import torch

    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    weights = [SAEProjector(n_steps=5, random_state=seed).fit(texts).learnt_.weights["W_enc"] for seed in (0, 0, 1)]
    assert torch.rand(1) == expected
    np.testing.assert_array_equal(weights[0], weights[1])
    assert np.abs(weights[0] - weights[2]).max() > 1e-3


def test_learning_follows_the_units_of_the_activations():
    values, _ = sparse_mixture(500)
    options = {"n_features": 16, "k": 2, "n_steps": 30, "random_state": 0}
    features = SAEProjector(**options).fit_transform(values).toarray()
    scaled = SAEProjector(**options).fit_transform(values * 64).toarray()
    np.testing.assert_allclose(scaled, features * 64, rtol=1e-2, atol=0.5)


def test_one_huge_token_does_not_take_over_what_is_learnt():
    values, _ = sparse_mixture()
    with_sink = values.copy()
    with_sink[17] *= 1000
    options = {"n_features": 32, "k": 2, "n_steps": 300, "random_state": 0, "learning_rate": 3e-3}

    def explained(projector):
        return explained_variance(values[18:], projector.inverse_transform(projector.transform(values[18:])))

    clean, disturbed = (explained(SAEProjector(**options).fit(X)) for X in (values, with_sink))
    assert clean > 0.6
    assert disturbed > clean - 0.05


def test_huge_tokens_are_encoded_at_the_norm_up_to_which_the_sae_was_trained():
    values, _ = sparse_mixture(500)
    projector = SAEProjector(n_features=16, n_steps=20, random_state=0).fit(values)
    max_norm = projector.learnt_.config["metadata"]["max_norm"]
    np.testing.assert_allclose(max_norm, 3 * np.median(np.linalg.norm(values, axis=1)), rtol=1e-5)
    direction = values[:1] / np.linalg.norm(values[:1])
    at_limit, beyond = (projector.transform(direction * norm).toarray() for norm in (max_norm, 1000 * max_norm))
    np.testing.assert_allclose(beyond, at_limit, rtol=1e-4)
    assert np.abs(projector.transform(direction * max_norm / 2).toarray() - at_limit).max() > 0.05


def test_a_learnt_sae_is_stored_as_plain_arrays_and_in_sae_lens_format(texts, tmp_path):
    projector = SAEProjector(n_features=16, n_steps=5, random_state=0).fit(texts)
    stored = pickle.dumps(projector)
    assert b"torch" not in stored
    features = projector.transform(texts).toarray()
    np.testing.assert_array_equal(pickle.loads(stored).transform(texts).toarray(), features)
    projector.learnt_.save(tmp_path)
    again = SAEProjector(tmp_path).fit(texts)
    np.testing.assert_allclose(again.transform(texts).toarray(), features, rtol=1e-6)
    assert again.widths_ == projector.widths_ == (2, 8, 16)


def test_progress_of_learning_is_printed_only_on_request(texts, capfd):
    SAEProjector(n_steps=3, random_state=0).fit(texts)
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""
    SAEProjector(n_steps=3, random_state=0, verbose=1).fit(texts)
    assert "step 3 of 3" in capfd.readouterr().out


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
    with pytest.raises(ValueError, match=r"stores its weights as a pickle \(connor_rob_hook_z\)"):
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


def test_a_revision_that_cannot_be_pinned_is_an_error(texts):
    with pytest.raises(ValueError, match="revision='abc' can be pinned only for SAEs in sae-lens' own format"):
        SAEProjector("gemma-scope-2b-pt-res-canonical", "layer_12/width_16k/canonical", revision="abc").fit(texts)


def test_a_temporal_sae_is_refused(texts):
    from sae_lens.registry import get_sae_class

    sae_class, config_class = get_sae_class("temporal")
    sae = sae_class(config_class(d_in=16, d_sae=32, n_heads=2, bottleneck_factor=2))
    with pytest.raises(ValueError, match="A temporal SAE encodes a token by the tokens before it"):
        SAEProjector(sae).fit(np.zeros((3, 16)))


def test_importing_it_is_light():
    import subprocess
    import sys

    code = (
        "import sys, sklearn_sae_encoding.sae, sklearn_sae_encoding.datasets;"
        "print([m for m in ('torch', 'transformers', 'sae_lens', 'nilearn') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_no_warning_is_given_on_the_way(texts, folder):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SAEProjector(folder, reconstruction=("error",)).fit(texts).transform(texts)
        SAEProjector(n_steps=5, random_state=0).fit(texts).transform(texts)


def test_widths_that_contradict_the_number_of_features_are_refused():
    X = np.random.default_rng(0).standard_normal((20, 4))
    with pytest.raises(ValueError, match=r"widths=\(16, 32\).*n_features=64"):
        SAEProjector(n_features=64, widths=(16, 32)).fit(X)
