"""What was done to activations before the SAE saw them in training, and is done again before it encodes."""

from __future__ import annotations

import numpy as np

from sklearn_sae_encoding._sae.matching import canonical, readable

# Entry of an SAE's metadata: tokens with a larger norm were scaled down to it in training.
MAX_NORM = "max_norm"

# Models whose norms subtract the mean. Only theirs does TransformerLens centre, whatever it is asked for.
_LAYER_NORM_FAMILIES = ("gpt2", "distilgpt2", "gpt-neo-", "gpt-j-", "pythia-")

# Arguments of TransformerLens for how a model is loaded, or for weights that only read the residual stream: what stands
# in the stream, and what attention and MLP add to it, is the same with any of them.
_WITHOUT_EFFECT = {
    *("device", "device_map", "n_devices", "move_to_device", "dtype", "torch_dtype", "low_cpu_mem_usage"),
    *("cache_dir", "token", "local_files_only", "trust_remote_code", "attn_implementation"),
    *("default_prepend_bos", "default_padding_side"),
    *("fold_ln", "fold_value_biases", "center_unembed", "refactor_factored_attn_matrices"),
}


def prepared(values: np.ndarray, metadata) -> np.ndarray:
    """Activations as the SAE was trained on them."""
    if _is_centred(metadata):
        # Centring all weights that write into the stream takes the mean over its dimensions out of every vector. Those
        # that come from such a model stay as they are.
        values = np.asarray(values, dtype=np.result_type(values.dtype, np.float32))
        values = values - values.mean(axis=1, keepdims=True)
    max_norm = metadata.get(MAX_NORM)
    return values if max_norm is None else clip_norms(values, max_norm)


def clip_norms(values: np.ndarray, max_norm: float) -> np.ndarray:
    """Scale rows that are longer than `max_norm` down to it; the result is float32 or float64."""
    values = np.asarray(values, dtype=np.result_type(values.dtype, np.float32))
    norms = np.linalg.norm(values, axis=1)
    if (norms <= max_norm).all():
        return values
    return values * np.minimum(1, max_norm / np.maximum(norms, max_norm))[:, None].astype(values.dtype)


def unknown_processing(metadata) -> str | None:
    """Say how the model that the SAE was trained on was changed in a way that is not done here, or None."""
    options = _options(metadata)
    left = {
        name: value for name, value in options.items() if name not in _WITHOUT_EFFECT and value not in (None, False)
    }
    if _is_centred(metadata):
        del left["center_writing_weights"]
    if not left:
        return None
    shown = ", ".join(f"{name}={value!r}" for name, value in sorted(left.items()))
    return (
        f"The SAE was trained on {metadata.get('model_name')} as TransformerLens loads it with {shown}, and its "
        "activations may differ from those of the model as it is published. Give the changed model's as arrays"
    )


def _is_centred(metadata) -> bool:
    family, hook = canonical(metadata.get("model_name") or ""), metadata.get("hook_name") or ""
    asked = bool(_options(metadata).get("center_writing_weights"))
    return asked and family.startswith(_LAYER_NORM_FAMILIES) and readable(hook) is not None


def _options(metadata) -> dict:
    return metadata.get("model_from_pretrained_kwargs") or {}
