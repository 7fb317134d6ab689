"""An SAE takes the activations it was trained on, prepared as in its training, and refuses others."""

import warnings

import numpy as np
import pytest
from tiny_saes import HOOK, activations, encoded, make_sae, save_sae

from sklearn_sae_encoding.language_model import LanguageModel
from sklearn_sae_encoding.sae import SAEProjector


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
        ({"bos_token": ""}, r"with a beginning-of-sequence token, .* without a.* token\. Set bos_token='auto'"),
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


def test_of_activations_of_another_model_and_width_the_model_is_named(texts, folder):
    wide = [np.hstack([text, text]) for text in texts]
    with pytest.raises(ValueError, match="trained on toy/LM-1, but the activations come from gpt2"):
        SAEProjector(folder).fit(activations(wide, model="gpt2"))
    with pytest.raises(ValueError, match=r"come from \('blocks.2.* Set layer='blocks.3.hook_resid_post'"):
        SAEProjector(folder).fit(activations(wide, hook=("blocks.2.hook_resid_post", HOOK)))


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
        acts = LMActivationTransformer(LanguageModel(model, tokenizer=tokenizer), hook).fit_transform(SENTENCES[:3])
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
