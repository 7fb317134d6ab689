"""Small random SAEs of every architecture of sae-lens, and activations for them."""

import numpy as np
import pytest

from sklearn_sae_encoding.tokens import TokenTable

D_MODEL, N_FEATURES = 8, 24
HOOK = "blocks.3.hook_resid_post"
ARCHITECTURES = ("standard", "gated", "jumprelu", "topk", "abstopk", "matching_pursuit")
TRANSCODERS = ("transcoder", "skip_transcoder", "jumprelu_transcoder", "jumprelu_skip_transcoder")
TRAINED = ("standard", "gated", "jumprelu", "topk", "batchtopk", "matryoshka_batchtopk", "matching_pursuit")


def make_texts(n_texts=7, d_model=D_MODEL, seed=0):
    """Activations of texts of 1 to 6 tokens, with a mean that is not 0."""
    rng = np.random.default_rng(seed)
    lengths = [1, 6, *rng.integers(2, 6, n_texts - 2)]
    return [(rng.standard_normal((n, d_model)) + 0.3).astype(np.float32) for n in lengths]


def make_sae(architecture="jumprelu", seed=0, **metadata):
    """Random inference SAE."""
    from sae_lens.registry import SAE_CLASS_REGISTRY, get_sae_class

    if architecture not in SAE_CLASS_REGISTRY:
        pytest.skip(f"this version of sae-lens has no {architecture} SAEs")
    sae_class, config_class = get_sae_class(architecture)
    options = {"k": 5} if architecture in ("topk", "abstopk") else {}
    if architecture in TRANSCODERS:
        options = {
            "d_out": D_MODEL if "skip" in architecture else D_MODEL + 1,
            "apply_b_dec_to_input": False,
        }
    sae = sae_class(config_class(d_in=D_MODEL, d_sae=N_FEATURES, **options))
    _randomize(sae, seed)
    for key, value in metadata.items():
        sae.cfg.metadata[key] = value
    return sae.eval().requires_grad_(False)


def make_sae_of_tiny_lm():
    """Random SAE of layer 2 of the tiny language model."""
    from sae_lens import SAE, StandardSAEConfig

    sae = SAE.from_dict(StandardSAEConfig(d_in=32, d_sae=40, dtype="float32", device="cpu").to_dict())
    _randomize(sae, 0)
    sae.cfg.metadata.hook_name = "blocks.2.hook_resid_post"
    return sae


def make_training_sae(architecture, seed=0):
    """Random SAE as it is while being trained."""
    from sae_lens.registry import get_sae_training_class

    sae_class, config_class = get_sae_training_class(architecture)
    options = {"k": 5} if "topk" in architecture else {}
    if architecture == "matryoshka_batchtopk":
        options["matryoshka_widths"] = [4, 12, N_FEATURES]
    sae = sae_class(config_class(d_in=D_MODEL, d_sae=N_FEATURES, **options))
    _randomize(sae, seed)
    if hasattr(sae, "topk_threshold"):
        sae.topk_threshold.fill_(0.8)
    return sae


def save_sae(sae, folder):
    """Store as sae-lens does, and give the folder's name."""
    sae.save_model(folder)
    return str(folder)


def _randomize(sae, seed):
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sae.named_parameters():
            values = torch.randn(parameter.shape, generator=generator) * 0.5
            parameter.copy_(values.abs() if "threshold" in name else values)


def activations(texts, model="LM-1", hook=HOOK, bos_token="<s>"):
    return TokenTable(texts, model=model, hook=hook, bos_token=bos_token)


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
        "first": lambda x: x[0],
        "fraction_active": lambda x: (x != 0).mean(0),
    }[pooling]
    return np.stack([pool(text) for text in tokens])
