"""Pickled SAEs to safetensors, once, on the user's own word."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np

from sklearn_sae_encoding._sae.arrays import SAEArrays

# What the weights are called by those who pickle SAEs: sae-lens and dictionary_learning, Goodfire, Qwen Scope. A matrix
# of a torch.nn.Linear stands the other way round.
_NAMES = {
    "W_enc": ("W_enc", "encoder.weight", "encoder_linear.weight"),
    "W_dec": ("W_dec", "decoder.weight", "decoder_linear.weight"),
    "b_enc": ("b_enc", "encoder.bias", "encoder_linear.bias"),
    "b_dec": ("b_dec", "decoder.bias", "decoder_linear.bias", "bias", "decoder_bias", "pre_bias"),
    "threshold": ("threshold",),
}
_ENDINGS = (".pt", ".pth", ".bin", ".ckpt")
_TRAINERS = {  # classes of dictionary_learning, as its config.json names them
    "AutoEncoder": "standard",
    "AutoEncoderTopK": "topk",
    "BatchTopKSAE": "jumprelu",
    "MatryoshkaBatchTopKSAE": "jumprelu",
    "JumpReluAutoEncoder": "jumprelu",
}


def find_pickle(path) -> Path:
    """The pickle at `path`, which may be the folder that holds one."""
    path = Path(path).expanduser()
    if path.is_file():
        return path
    found = sorted(one for one in path.iterdir() if one.suffix in _ENDINGS) if path.is_dir() else []
    if len(found) != 1:
        named = ", ".join(one.name for one in found) or "none"
        raise FileNotFoundError(f"Expected a file, or a folder with one file {'/'.join(_ENDINGS)}, at {path}: {named}.")
    return found[0]


def read_pickle(path: Path) -> dict[str, np.ndarray]:
    """Tensors of a pickle, read by torch with ``weights_only=True``, which builds nothing else."""
    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ValueError(
            f"{path} holds more than tensors, or is damaged, and is not opened any further: {error}"
        ) from error
    for name in ("state_dict", "model_state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(name), dict):
            content = content[name]
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}; expected tensors by name, such as W_enc and W_dec.")
    return {name: value.detach().float().numpy() for name, value in content.items() if isinstance(value, torch.Tensor)}


def read_settings(path: Path) -> dict:
    """What dictionary_learning's ``config.json`` beside a pickle says, if there is one."""
    config = path.with_name("config.json")
    if not config.is_file():
        return {}
    trainer = json.loads(config.read_text(encoding="utf-8")).get("trainer") or {}
    known = {
        "architecture": _TRAINERS.get(trainer.get("dict_class")),
        "k": trainer.get("k"),
        "model_name": trainer.get("lm_name"),
        # dictionary_learning's JumpReLU alone does not subtract the decoder's bias first
        "apply_b_dec_to_input": trainer.get("dict_class") != "JumpReluAutoEncoder" if trainer else None,
    }
    if trainer.get("layer") is not None and not trainer.get("submodule_name", "resid_post").startswith(("mlp", "att")):
        known["hook_name"] = f"blocks.{int(trainer['layer'])}.hook_resid_post"
    return {name: value for name, value in known.items() if value is not None}


def to_arrays(tensors: dict[str, np.ndarray], settings: dict) -> SAEArrays:
    """An SAE in sae-lens' terms. `settings` are `architecture`, `k`, `apply_b_dec_to_input` and entries of metadata."""
    weights = _weights(tensors)
    d_in, d_sae = weights["W_enc"].shape
    settings = dict(settings)
    architecture = settings.pop("architecture", None) or ("jumprelu" if "threshold" in weights else "standard")
    k, subtract = settings.pop("k", None), settings.pop("apply_b_dec_to_input", None)
    if architecture == "topk" and k is None:
        raise ValueError("A TopK SAE keeps k features of a token, and the file does not say how many: set k=.")
    if architecture == "jumprelu" and "threshold" not in weights:
        raise ValueError("A JumpReLU SAE has a threshold, and the file holds none. Set architecture= to what it is.")
    if architecture != "jumprelu":
        weights.pop("threshold", None)
    elif weights["threshold"].size == 1:
        weights["threshold"] = np.full(d_sae, float(weights["threshold"].reshape(-1)[0]), dtype=np.float32)
    config = {
        "architecture": architecture,
        "d_in": d_in,
        "d_sae": d_sae,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True if subtract is None else bool(subtract),
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": {name: value for name, value in settings.items() if value is not None},
        **({"k": int(k)} if architecture == "topk" else {}),
    }
    return SAEArrays(config, weights)


def _weights(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    found = {
        name: np.ascontiguousarray(tensors[given].T if given.endswith(".weight") else tensors[given], dtype=np.float32)
        for name, names in _NAMES.items()
        for given in names[:1] + tuple(other for other in names[1:] if names[0] not in tensors)
        if given in tensors
    }
    missing = [name for name in ("W_enc", "W_dec") if name not in found]
    if missing:
        raise ValueError(
            f"Found no {' and no '.join(missing)}; the file holds {', '.join(sorted(tensors)) or 'no tensor'}. "
            "Expected weights under the names of sae-lens or dictionary_learning."
        )
    # Both matrices tell which side is which: W_enc is (d_in, d_sae), W_dec (d_sae, d_in).
    if found["W_enc"].shape != found["W_dec"].shape[::-1]:
        raise ValueError(
            f"W_enc of shape {found['W_enc'].shape} and W_dec of shape {found['W_dec'].shape} do not belong together: "
            "expected (d_in, d_sae) and (d_sae, d_in)."
        )
    if found["W_enc"].shape[0] > found["W_enc"].shape[1] and "W_enc" in tensors:
        found["W_enc"], found["W_dec"] = (np.ascontiguousarray(found[name].T) for name in ("W_enc", "W_dec"))
    d_in, d_sae = found["W_enc"].shape
    return {"b_enc": np.zeros(d_sae, np.float32), "b_dec": np.zeros(d_in, np.float32), **found}
