"""Random stand-ins for Gemma-2-2b and its SAEs in a hub's cache, under the names of the real ones."""

from pathlib import Path

import numpy as np
from tiny_models import tiny_tokenizer

D_MODEL, N_LAYERS = 64, 15
MATRYOSHKA = "chanind/gemma-2-2b-batch-topk-matryoshka-saes-w-32k-l0-40", 32768
JUMPRELU = "google/gemma-scope-2b-pt-res", 16384
# Folders of the two SAEs in their repositories, by layer.
FOLDERS = {
    12: ("standard/blocks.12.hook_resid_post", "layer_12/width_16k/average_l0_82"),
    14: ("standard/blocks.14.hook_resid_post", "layer_14/width_16k/average_l0_84"),
}


def save_tiny_gemma(hub, texts, layer):
    """Fill a hub's cache with a model and two SAEs of one layer, whose features fire on some tokens of the texts."""
    from sklearn_sae_encoding.activations import LMActivationTransformer

    model = _snapshot(hub, "google/gemma-2-2b")
    _save_model(model)
    tokens = LMActivationTransformer(str(model), layer).fit_transform(texts).concatenated()
    folder, scope_folder = FOLDERS[layer]
    _save_sae(_snapshot(hub, MATRYOSHKA[0]) / folder, _weights(tokens, MATRYOSHKA[1], seed=layer), layer)
    scope = _snapshot(hub, JUMPRELU[0]) / scope_folder
    scope.mkdir(parents=True)
    np.savez(scope / "params.npz", **_weights(tokens, JUMPRELU[1], seed=100 + layer))


def _snapshot(hub, repository):
    """Give the folder of a repository's only commit, as the hub's client lays it out."""
    home = Path(hub) / f"models--{repository.replace('/', '--')}"
    (home / "refs").mkdir(parents=True, exist_ok=True)
    (home / "refs" / "main").write_text("a" * 40)
    snapshot = home / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True, exist_ok=True)
    return snapshot


def _save_model(folder):
    import torch
    from transformers import AutoModelForCausalLM, Gemma2Config

    sizes = {"vocab_size": 400, "hidden_size": D_MODEL, "intermediate_size": 96, "num_hidden_layers": N_LAYERS}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8, "query_pre_attn_scalar": 8}
    ids = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(Gemma2Config(**sizes, **heads, **ids, max_position_embeddings=64))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.15 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)


def _weights(tokens, n_features, seed):
    """Random directions, with thresholds that 30% (the coarsest) to 0.3% of the tokens exceed.

    Directions are random where the activations are as wide in all of them, or a few tokens would be all features'.
    """
    rng = np.random.default_rng(seed)
    centre = tokens.mean(axis=0)
    variances, axes = np.linalg.eigh(np.cov(tokens.T))
    directions = (axes / np.sqrt(variances)) @ rng.normal(size=(D_MODEL, n_features))
    directions = directions.astype(np.float32)
    bias = -centre @ directions
    strongest = np.sort(tokens @ directions + bias, axis=0)[::-1]
    rates = np.maximum(0.3 * np.arange(1, n_features + 1) ** -0.6, 0.003)
    ranks = (len(tokens) * rates).astype(int)
    threshold = np.maximum(strongest[ranks, np.arange(n_features)], 1e-3)
    return {
        "W_enc": directions,
        "W_dec": directions.T / np.linalg.norm(directions, axis=0)[:, None],
        "b_enc": bias.astype(np.float32),
        "b_dec": np.zeros(D_MODEL, dtype=np.float32),
        "threshold": threshold.astype(np.float32),
    }


def _save_sae(folder, weights, layer):
    import torch
    from sae_lens.registry import get_sae_class

    sae_class, config_class = get_sae_class("jumprelu")  # what a BatchTopK SAE is saved as
    sae = sae_class(config_class(d_in=D_MODEL, d_sae=weights["W_enc"].shape[1], apply_b_dec_to_input=True))
    with torch.no_grad():
        for name, parameter in sae.named_parameters():
            parameter.copy_(torch.from_numpy(weights[name]))
    known = {"model_name": "gemma-2-2b", "hook_name": f"blocks.{layer}.hook_resid_post", "prepend_bos": True}
    for name, value in known.items():
        sae.cfg.metadata[name] = value
    sae.save_model(folder)
