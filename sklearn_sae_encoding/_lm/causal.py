"""Whether a model's logits are of the next token given those before: a trial, before any is taken for surprisal."""

from __future__ import annotations

import weakref

from sklearn_sae_encoding._lm.running import evaluating, without_cache, without_hooks

_known: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()  # model -> (its configuration, reason)


def why_no_surprisal(model, name: str) -> str | None:
    """What keeps the logits of `model` from being surprisal, with what to do about it; None where nothing does.

    Neither the configuration nor the class tells: BERT comes as a causal model of transformers, and looks ahead. The
    trial is made once for a model, and again if its configuration changed.
    """
    config = model.config.to_json_string()
    if model not in _known or _known[model][0] != config:
        _known[model] = (config, _reason(model, name))
    return _known[model][1]


def _reason(model, name: str) -> str | None:
    advice = "Take a causal language model for surprisal; LMActivationTransformer reads this one's activations."
    if getattr(model.config, "is_encoder_decoder", False):
        return f"{name} is an encoder and a decoder, which gives no probability of a text alone. {advice}"
    logits = _trial(model)
    if logits is None:
        return (
            f"{name} gives no logits of the next token. If it is a causal language model without its head, load it "
            f"with AutoModelForCausalLM. {advice}"
        )
    if _differ(*logits):
        return (
            f"{name} looks ahead, as BERT does: what it says of a token changes with those that follow, and is no "
            f"probability given those before. {advice}"
        )
    return None


def _trial(model):
    """Logits (2, vocab) of the first token of two rows that go on differently, or None where there are none."""
    import torch

    size = model.config.get_text_config().vocab_size
    one, two, three = size // 4, size // 2, 3 * size // 4
    ids = torch.tensor([[one, two, two], [one, three, three]], device=model.device)
    with torch.inference_mode(), evaluating(model), without_hooks(model):
        out = model(input_ids=ids, attention_mask=torch.ones_like(ids), **without_cache(model))
    logits = getattr(out, "logits", None)
    if logits is None or logits.ndim != 3 or logits.shape[-1] <= three:  # such as those of classes
        return None
    return logits[:, 0]


def _differ(one, other) -> bool:
    """Whether by more than rounding, which does nothing to most causal models: both rows take the same steps."""
    import torch

    tolerance = max(1e-4, 8 * torch.finfo(one.dtype).eps)
    one, other = one.float(), other.float()
    return bool((one - other).abs().max() > tolerance * one.std())
