"""Surprisal of long texts under large vocabularies: the model's own logits, some positions at a time."""

import numpy as np
import pytest
import torch
from tiny_models import FAMILIES, N_LAYERS, SENTENCES, tiny_model, tiny_tokenizer

from sklearn_sae_encoding._lm import head
from sklearn_sae_encoding.activations import LMActivationTransformer
from sklearn_sae_encoding.language_model import LanguageModel, forget_texts
from sklearn_sae_encoding.surprisal import SurprisalTransformer

LONG = " ".join(SENTENCES[i] for i in (0, 1, 2, 4, 6))  # fits in the context of the tiny models
VOCABULARY = 400


def hold_logits_of(n_positions, monkeypatch):
    monkeypatch.setattr(head, "_LOGIT_BYTES", 4 * VOCABULARY * n_positions)


def positions_given(model):
    """Number of positions whose logits the head gives, call after call."""
    seen = []

    def see(_module, _args, out):
        seen.append(out.shape[:-1].numel())

    see.__module__ = "transformers.test"  # those of others keep a model from being run in parts
    model.get_output_embeddings().register_forward_hook(see)
    return seen


def log_p(model, tokenizer, text):
    ids = torch.tensor([[0, *tokenizer(text, add_special_tokens=False)["input_ids"]]])
    with torch.no_grad():
        logits = model(ids).logits[0].double().log_softmax(-1)
    return logits[:-1].gather(1, ids[0, 1:, None])[:, 0].numpy()


@pytest.mark.parametrize("name", FAMILIES)
def test_a_long_text_whose_logits_come_in_parts_has_the_surprisal_of_all_logits_at_once(name, monkeypatch):
    model, tokenizer = tiny_model(name), tiny_tokenizer()
    transformer = SurprisalTransformer(LanguageModel(model, tokenizer=tokenizer)).fit([LONG])
    words = transformer.by_word([LONG])[0]
    forget_texts()
    hold_logits_of(7, monkeypatch)
    given = positions_given(model)
    tokens = transformer.by_token([LONG])[0]
    assert len(tokens) > 30
    assert max(given) == 7
    assert sum(given) == len(tokens) + 1  # each position once, BOS included
    np.testing.assert_allclose(tokens["surprisal"], -log_p(model, tokenizer, LONG), atol=1e-5)
    np.testing.assert_allclose(transformer.by_word([LONG])[0]["surprisal"], words["surprisal"], atol=1e-5)


def scaled(name):
    """Models that multiply, divide or bend their logits, by enough to see."""
    import transformers as t

    sizes = {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": N_LAYERS,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 128,
        "pad_token_id": 1,
        "bos_token_id": 0,
        "eos_token_id": 1,
    }
    config = {
        "multiplied": lambda: t.CohereConfig(**sizes, logit_scale=4.0),
        "divided": lambda: t.GraniteConfig(**sizes, logits_scaling=0.25),
        "capped": lambda: t.Gemma2Config(**sizes, head_dim=8, query_pre_attn_scalar=8, final_logit_softcapping=0.5),
        "with a bias": lambda: t.PhiConfig(**sizes),
    }[name]()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = t.AutoModelForCausalLM.from_config(config).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.15 * torch.randn_like(parameter))
    return model


@pytest.mark.parametrize("name", ["multiplied", "divided", "capped", "with a bias"])
def test_what_a_model_does_to_its_logits_is_done_to_every_part(name, monkeypatch):
    model, tokenizer = scaled(name), tiny_tokenizer()
    hold_logits_of(10, monkeypatch)
    given = positions_given(model)
    tokens = SurprisalTransformer(LanguageModel(model, tokenizer=tokenizer)).fit([LONG]).by_token([LONG])[0]
    assert max(given) == 10
    expected = -log_p(model, tokenizer, LONG)
    np.testing.assert_allclose(tokens["surprisal"], expected, atol=1e-5)
    # Witness that the test would see it missing: the head's own output gives other values.
    plain = []
    handle = model.get_output_embeddings().register_forward_hook(lambda _m, _args, out: plain.append(out))
    log_p(model, tokenizer, LONG)
    handle.remove()
    ids = torch.tensor(tokenizer(LONG, add_special_tokens=False)["input_ids"])
    if name != "with a bias":
        without = -plain[0][0, :-1].log_softmax(-1).gather(1, ids[:, None])[:, 0].numpy()
        assert np.abs(without - expected).max() > 0.1


def test_activations_of_a_long_text_come_from_the_pass_over_all_of_it(tiny_lm_dir, monkeypatch):
    alone = LMActivationTransformer(LanguageModel(tiny_lm_dir, keep=()), [1, 3]).fit_transform([LONG])[0]
    forget_texts()
    hold_logits_of(7, monkeypatch)
    in_parts = LMActivationTransformer(LanguageModel(tiny_lm_dir, keep=("surprisal",)), [1, 3])
    np.testing.assert_allclose(in_parts.fit_transform([LONG])[0], alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("window", "stride"), [(40, 13), (40, 39), (None, None)])
def test_windows_and_texts_without_a_beginning_of_sequence_token_come_in_parts_too(
    tiny_lm_dir, window, stride, monkeypatch
):
    text = " ".join(SENTENCES)
    for options in ({}, {"bos_token": None}, {"context": SENTENCES[3]}):
        model = LanguageModel(tiny_lm_dir, window=window, stride=stride, **options)
        transformer = SurprisalTransformer(model).fit([text])
        with monkeypatch.context() as patched:
            whole = transformer.by_token([text])[0], transformer.by_word([text])[0]
            forget_texts()
            hold_logits_of(9, patched)
            parts = transformer.by_token([text])[0], transformer.by_word([text])[0]
            forget_texts()
        for one, other in zip(whole, parts, strict=True):
            np.testing.assert_allclose(other["surprisal"], one["surprisal"], atol=1e-5)


def test_a_model_with_hooks_of_its_own_sees_the_text_alone(monkeypatch):
    model, tokenizer = tiny_model(), tiny_tokenizer()
    lengths = []
    model.model.layers[0].register_forward_hook(lambda _m, _args, out: lengths.append(out.shape[1]))
    hold_logits_of(7, monkeypatch)
    tokens = SurprisalTransformer(LanguageModel(model, tokenizer=tokenizer)).fit([LONG]).by_token([LONG])[0]
    assert lengths == [len(tokens) + 1]
