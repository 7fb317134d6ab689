"""How long a text is changes nothing for the others, and no more is asked of a model than it can read."""

import numpy as np
import pytest
import torch
import transformers as t
from tiny_models import SENTENCES, tiny_bert, tiny_model, tiny_tokenizer

from sklearn_sae_encoding._lm.lengths import longest_context, rope_switch
from sklearn_sae_encoding.activations import LMActivationTransformer
from sklearn_sae_encoding.language_model import LanguageModel, forget_texts

LONG = " ".join(SENTENCES * 2)
SIZES = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
IDS = {"vocab_size": 400, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}


def long_rope():
    """A tiny Phi-3 that rotates positions by other factors once a batch is longer than 24 tokens."""
    factors = {"short_factor": [1.0] * 4, "long_factor": [4.0] * 4}
    rope = {"rope_type": "longrope", "rope_theta": 100.0, "original_max_position_embeddings": 24, **factors}
    sizes = {"num_key_value_heads": 2, "max_position_embeddings": 256, "original_max_position_embeddings": 24}
    config = t.Phi3Config(**SIZES, **sizes, **IDS, rope_parameters=rope)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = t.AutoModelForCausalLM.from_config(config)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.2 * torch.randn_like(parameter))
    return model.eval()


def test_a_row_does_not_depend_on_its_batch_where_long_texts_are_read_otherwise():
    model = long_rope()
    assert rope_switch(model) == 24
    texts = [SENTENCES[0], LONG, SENTENCES[2], SENTENCES[3], LONG + " more"]

    def run(some, **params):
        forget_texts()
        language_model = LanguageModel(model, tokenizer=tiny_tokenizer(), **params)
        return LMActivationTransformer(language_model, 1).fit_transform(some)

    alone = [run([text])[0] for text in texts]
    for batch_tokens in (1, 100, 10_000):
        for one, other in zip(run(texts, batch_tokens=batch_tokens), alone, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5 * np.abs(other).max())
    ids = torch.tensor([[0, *tiny_tokenizer()(SENTENCES[0], add_special_tokens=False)["input_ids"]]])
    padded = torch.cat([ids, torch.zeros(1, 80, dtype=torch.long)], dim=1)
    with torch.no_grad():  # what would come out beside a long text
        states = model(padded, output_hidden_states=True).hidden_states[1][0, 1 : ids.shape[1]].numpy()
    first = LMActivationTransformer(LanguageModel(model, tokenizer=tiny_tokenizer()), 0).fit_transform(texts[:1])[0]
    assert np.abs(states - first).max() > 1e-3


def roberta():
    return t.RobertaModel(t.RobertaConfig(**SIZES, **IDS, max_position_embeddings=34)).eval()


def xlnet():
    sizes = {"d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 48}
    return t.XLNetModel(t.XLNetConfig(vocab_size=400, **sizes)).eval()


def gpt1():
    sizes = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 40}
    return t.OpenAIGPTLMHeadModel(t.OpenAIGPTConfig(vocab_size=400, **sizes)).eval()


def mpt():
    return t.MptForCausalLM(t.MptConfig(d_model=32, n_heads=4, n_layers=2, max_seq_len=48, vocab_size=400)).eval()


@pytest.mark.parametrize(
    ("make", "longest", "blocks_path"),
    [(roberta, 32, "encoder.layer"), (gpt1, 40, None), (mpt, 48, "transformer.blocks")],
)
def test_texts_longer_than_a_model_reads_at_once_run_in_windows_in_every_family(make, longest, blocks_path):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = make()
    assert longest_context(model) == longest
    language_model = LanguageModel(model, tokenizer=tiny_tokenizer(), blocks_path=blocks_path, keep=())
    acts = LMActivationTransformer(language_model, 1).fit_transform([LONG, SENTENCES[0]])
    assert acts.n_tokens[0] > longest
    assert np.isfinite(acts.concatenated()).all()
    language_model.set_params(window=longest + 1)
    with pytest.raises(ValueError, match=rf"window={longest + 1} is longer than the context .* which is {longest} tok"):
        LMActivationTransformer(language_model, 1).fit_transform([LONG])


def test_a_model_whose_blocks_take_the_tokens_first_is_refused():
    model = xlnet()
    assert longest_context(model) is None
    language_model = LanguageModel(model, tokenizer=tiny_tokenizer(), blocks_path="layer", keep=())
    with pytest.raises(ValueError, match="XLNetModel is not read: its blocks take the tokens first"):
        LMActivationTransformer(language_model, 1).fit_transform(SENTENCES)


def test_the_usual_limits_are_those_of_the_configuration():
    assert longest_context(tiny_model("llama")) == 64
    assert longest_context(tiny_model("gpt2")) == 64
    assert longest_context(tiny_bert()) == 64
    assert rope_switch(tiny_model("llama")) is None
