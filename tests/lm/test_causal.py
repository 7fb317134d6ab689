"""Surprisal comes from models that see no later token, whatever their class is called; activations from any."""

import numpy as np
import pytest
import torch
import transformers
from tiny_models import D_MODEL, FAMILIES, N_LAYERS, tiny_bert, tiny_model, tiny_tokenizer

from sklearn_sae_encoding._lm.causal import why_no_surprisal
from sklearn_sae_encoding.activations import LMActivationTransformer
from sklearn_sae_encoding.language_model import LanguageModel, release_models
from sklearn_sae_encoding.surprisal import SurprisalTransformer

BLOCKS = "bert.encoder.layer"


@pytest.fixture
def bert_dir(tmp_path):
    tiny_bert().save_pretrained(tmp_path / "tiny-bert")
    tiny_tokenizer().save_pretrained(tmp_path / "tiny-bert")
    yield tmp_path / "tiny-bert"
    release_models()


def given(model, blocks_path=BLOCKS):
    return LanguageModel(model, tokenizer=tiny_tokenizer(), blocks_path=blocks_path)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", FAMILIES)
def test_no_causal_family_is_taken_for_one_that_looks_ahead(family, dtype):
    assert why_no_surprisal(tiny_model(family).to(dtype), family) is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_bidirectional_model_is_told_in_any_precision(dtype):
    assert "tiny looks ahead" in why_no_surprisal(tiny_bert().to(dtype), "tiny")


def test_surprisal_of_a_bidirectional_model_is_refused_from_a_folder_and_as_an_object(bert_dir, texts):
    for model in (LanguageModel(bert_dir), given(tiny_bert().train())):
        with pytest.raises(
            ValueError, match=r"(tiny-bert|BertForMaskedLM) looks ahead, as BERT does: .* Take a causal"
        ):
            SurprisalTransformer(model).fit_transform(texts)


def test_surprisal_of_a_bert_made_causal_is_that_of_its_log_softmax(texts):
    model = tiny_bert("BertLMHeadModel", is_decoder=True)
    transformer = SurprisalTransformer(given(model), pooling="sum")
    for text, found in zip(texts, transformer.fit_transform(texts)[:, 0], strict=True):
        ids = torch.tensor([[0, *tiny_tokenizer()(text)["input_ids"]]])
        with torch.no_grad():
            log_p = model(ids).logits[0, :-1].log_softmax(-1)
        assert found == pytest.approx(-log_p.gather(1, ids[0, 1:, None]).sum().item(), rel=1e-5)


def test_activations_of_a_bidirectional_model_are_its_hidden_states_though_it_has_no_surprisal_to_keep(texts):
    model = tiny_bert()
    others = SurprisalTransformer(given(model)).fit(texts)
    acts = LMActivationTransformer(given(model), layer=1).fit_transform(texts)
    for text, found in zip(texts, acts, strict=True):
        ids = torch.tensor([[0, *tiny_tokenizer()(text)["input_ids"]]])
        with torch.no_grad():
            expected = model(ids, output_hidden_states=True).hidden_states[2][0, 1:]
        np.testing.assert_allclose(found, expected, atol=1e-5)
    with pytest.raises(ValueError, match="looks ahead"):
        others.transform(texts)


def test_the_trial_is_not_for_hooks_of_others_and_leaves_them_on():
    model, seen = tiny_bert(), []
    for module in (model, model.bert.encoder.layer[0]):
        module.register_forward_hook(lambda *_: seen.append("output"))
        module.register_forward_pre_hook(lambda *_, **__: seen.append("input"), with_kwargs=True)
    assert "looks ahead" in why_no_surprisal(model, "tiny")
    assert seen == []
    with torch.no_grad():
        model(torch.tensor([[0, 1]]))
    assert seen == ["input", "input", "output", "output"]


def test_a_model_without_a_head_has_activations_and_no_surprisal(texts):
    headless = given(tiny_bert("BertModel"), "encoder.layer")
    assert LMActivationTransformer(headless, layer=0, level="text").fit_transform(texts).shape == (10, D_MODEL)
    for model in (headless, given(tiny_model().model, "layers")):
        with pytest.raises(ValueError, match=r"gives no logits of the next token.*load it with AutoModelForCausalLM"):
            SurprisalTransformer(model).fit_transform(texts)


def test_logits_of_classes_are_not_taken_for_those_of_tokens(texts):
    for kind in ("BertForSequenceClassification", "BertForTokenClassification"):
        with pytest.raises(ValueError, match="gives no logits of the next token"):
            SurprisalTransformer(given(tiny_bert(kind))).fit_transform(texts)


def test_weights_stored_without_a_head_are_no_causal_model_and_say_what_to_do(bert_dir, texts):
    tiny_bert("BertModel").save_pretrained(bert_dir)
    with pytest.raises(ValueError, match=r"stored without its head, load it yourself with AutoModel"):
        LMActivationTransformer(LanguageModel(bert_dir, blocks_path=BLOCKS), 1).fit_transform(texts)


def test_an_architecture_that_is_never_causal_is_loaded_by_the_user(tmp_path, texts):
    sizes = {"d_model": D_MODEL, "d_kv": 8, "d_ff": 48, "num_layers": N_LAYERS, "num_heads": 4}
    model = transformers.T5ForConditionalGeneration(transformers.T5Config(vocab_size=400, **sizes)).eval()
    model.save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(
        ValueError, match=r"has no causal language model for .* \(T5Config\)\. For its activations, load"
    ):
        LMActivationTransformer(tmp_path, 1).fit_transform(texts)
    with pytest.raises(ValueError, match="T5ForConditionalGeneration is an encoder and a decoder"):
        SurprisalTransformer(given(model)).fit_transform(texts)
