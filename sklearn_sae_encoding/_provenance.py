"""Which language models and SAEs an estimator reads, and hashes of their files."""

from __future__ import annotations

import hashlib
import os
import warnings
from pathlib import Path

from sklearn_sae_encoding._lm.extract import Pass
from sklearn_sae_encoding._lm.fingerprint import TOKENIZER_FILES
from sklearn_sae_encoding._lm.source import ModelSource, resolve_folder, where_tokenizer
from sklearn_sae_encoding._sae.loading import files_of, load_sae
from sklearn_sae_encoding._text_transformer import TextTransformer
from sklearn_sae_encoding.fitted import parts_of
from sklearn_sae_encoding.language_model import as_language_model, bos_token_of, source_of
from sklearn_sae_encoding.sae import SAEProjector

_MODEL_FILES = ("config.json", "*.safetensors*")


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
            continue
        if model["files"] is not None and now != model["files"]:
            changed = sorted(name for name in {*now, *model["files"]} if now.get(name) != model["files"].get(name))
            raise ValueError(
                f"The {model['kind']} {model['name']!r} is not the one that the encoder was fitted with: "
                f"{', '.join(changed)} differ. Get that version, or set check_models=False."
            )
        if model.get("bos_token") is not None and (bos := _bos_of(model)) not in (None, model["bos_token"]):
            raise ValueError(
                f"Before every text the encoder was fitted with stood {model['bos_token']!r}, and now "
                f"{model['name']!r} would be given {bos!r}. Name the token with bos_token in its LanguageModel, or set "
                "check_models=False."
            )


def _find_again(model: dict) -> dict[str, str] | None:
    """Hash the files of a model that was described, as they are now."""
    try:
        if model["kind"] == "SAE":
            return _sae_files(model)
        folder, only = resolve_folder(_source(model))
        files = _hashes(folder, [only] if only else (*_MODEL_FILES, *TOKENIZER_FILES))
        if model.get("tokenizer") is not None:
            place = where_tokenizer(_source(model))["pretrained_model_name_or_path"]
            found = _hashes(Path(place).expanduser(), TOKENIZER_FILES)
            files |= {f"tokenizer: {name}": value for name, value in found.items()}
    except (OSError, ValueError, ImportError):
        return None
    return files or None


def _hashes(folder: Path, patterns) -> dict[str, str]:
    paths = sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()})
    return {path.name: hash_file(path) for path in paths}


def _source(model: dict) -> ModelSource:
    return ModelSource(model["name"], revision=model["revision"], tokenizer=model.get("tokenizer"))


def _bos_of(model: dict) -> str | None:
    """The token that would stand before texts now, ``""`` for none; None where it is not found."""
    try:
        bos = Pass(_source(model), model["bos_asked"]).find_bos()
    except (OSError, ValueError, ImportError):
        return None
    return "" if bos is None else bos.token


def _language_model(model) -> dict:
    source = source_of(model)
    try:
        bos = bos_token_of(model)
    except (OSError, ValueError, ImportError):
        bos = None
    return {
        "kind": "language model",
        "name": str(source.model),
        "revision": source.revision,
        "tokenizer": source.tokenizer if isinstance(source.tokenizer, str) else None,
        "weights": source.weights,
        "bos_asked": model.bos_token,
        "bos_token": bos,
    }


def _sae_files(model) -> dict[str, str]:
    folder = Path(model["name"]).expanduser()
    if model["sae_id"] is None:
        return {name: hash_file(folder / name) for name in files_of(folder)}
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
