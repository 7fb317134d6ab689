"""Which language models and SAEs an estimator reads, and hashes of their files."""

from __future__ import annotations

import hashlib
import os
import warnings
from pathlib import Path

from sklearn_sae_encoding._lm.source import ModelSource, resolve_folder
from sklearn_sae_encoding._sae.loading import CONFIG_FILE, WEIGHTS_FILE, load_sae
from sklearn_sae_encoding._text_transformer import TextTransformer
from sklearn_sae_encoding.fitted import parts_of
from sklearn_sae_encoding.language_model import as_language_model, bos_token_of, source_of
from sklearn_sae_encoding.sae import SAEProjector

_MODEL_FILES = ("config.json", "*.safetensors", "tokenizer*", "vocab*", "merges*")


def describe_models(estimator) -> list[dict]:
    """Give each language model and SAE that the estimator names, once: `kind`, `name`, what finds it, `files`.

    `files` maps names of files to their SHA-256; None if nothing is found.
    """
    described = []
    for part in parts_of(estimator):
        if isinstance(part, TextTransformer):
            model = _language_model(as_language_model(part.model))
        elif isinstance(part, SAEProjector) and isinstance(part.sae, (str, os.PathLike)):
            model = {"kind": "SAE", "name": str(part.sae), "sae_id": part.sae_id, "revision": part.revision}
        else:
            continue
        if all(model.items() - known.items() for known in described):
            described.append(model)
    for model in described:
        model["files"] = _find_again(model)
    return described


def check_models_again(recorded: list[dict]) -> None:
    """Compare what was described with what is found now: warn of what is not found, refuse what is another one."""
    for model in recorded:
        now = _find_again(model)
        if now is None:
            warnings.warn(
                f"The {model['kind']} {model['name']!r} is not found here, so that it was not compared with the one "
                "of then. Predictions from texts need it.",
                stacklevel=3,
            )
        elif model["files"] is not None and now != model["files"]:
            changed = sorted(name for name in {*now, *model["files"]} if now.get(name) != model["files"].get(name))
            raise ValueError(
                f"The {model['kind']} {model['name']!r} is not the one that the encoder was fitted with: "
                f"{', '.join(changed)} differ. Get that version, or set check_models=False."
            )


def _find_again(model: dict) -> dict[str, str] | None:
    """Hash the files of a model that was described, as they are now."""
    try:
        if model["kind"] == "SAE":
            return _sae_files(model)
        source = ModelSource(model["name"], revision=model["revision"])
        folder, only = resolve_folder(source)
    except (OSError, ValueError, ImportError):
        return None
    patterns = [only] if only else _MODEL_FILES
    paths = sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()})
    return {path.name: hash_file(path) for path in paths} or None


def _language_model(model) -> dict:
    source = source_of(model)
    found = {"kind": "language model", "name": str(source.model), "revision": source.revision}
    try:
        bos = bos_token_of(model)
    except (OSError, ValueError, ImportError):
        bos = None
    return {**found, "weights": source.weights, "bos_token": bos}


def _sae_files(model) -> dict[str, str]:
    folder = Path(model["name"]).expanduser()
    if model["sae_id"] is None:
        return {name: hash_file(folder / name) for name in (CONFIG_FILE, WEIGHTS_FILE)}
    sae = load_sae(model["name"], model["sae_id"], revision=model["revision"])
    digest = hashlib.sha256()
    for name, tensor in sorted(sae.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().float().cpu().contiguous().numpy().data)
    return {"weights as loaded": digest.hexdigest()}


def hash_file(path) -> str:
    """Give the SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
