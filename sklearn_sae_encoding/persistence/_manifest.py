"""The manifest of a saved encoder: what it must say, and the fingerprint of what it says."""

from __future__ import annotations

import hashlib
import json
import re
from importlib.metadata import PackageNotFoundError, version

import sklearn_sae_encoding

from ._errors import SavedEncoderError

FORMAT = 2
ARRAYS = re.compile(r"arrays-[0-9a-f]{16}\.safetensors")

_PACKAGES = ("numpy", "scipy", "scikit-learn", "nilearn", "torch", "transformers", "sae-lens")
_HASH = re.compile(r"[0-9a-f]{64}")


def versions() -> dict[str, str]:
    """The versions of all packages that an encoder may depend on."""
    found = {"sklearn-sae-encoding": sklearn_sae_encoding.__version__}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def check_notes(notes) -> dict:
    """Give notes as JSON holds them, or say that it can't."""
    notes = {} if notes is None else notes
    try:
        kept = json.loads(json.dumps(notes, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(f"notes must be what JSON can hold: {error}.") from error
    if not isinstance(kept, dict):
        raise TypeError(f"notes must be a dict, got {notes!r:.60}.")
    return kept


def fingerprint_of(manifest) -> str:
    """SHA-256 of a manifest without its fingerprint."""
    # Sorted keys and no spaces: the hash is of what the manifest says, not of how the file is laid out.
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def parse(text: bytes, folder) -> dict:
    """Read a manifest, whose format has to be today's, and give it with its fingerprint still in it."""
    try:
        manifest = json.loads(text.decode("utf-8"), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise _damaged(folder, f"{type(error).__name__}: {error}") from error
    if not isinstance(manifest, dict) or not isinstance(manifest.get("fingerprint"), str):
        raise _damaged(folder, "it has no fingerprint")
    if type(manifest.get("format")) is not int:
        raise _damaged(folder, "it has no format")
    if manifest["format"] != FORMAT:
        saved_by = manifest.get("versions")
        saved_by = saved_by.get("sklearn-sae-encoding") if isinstance(saved_by, dict) else None
        raise SavedEncoderError(
            f"The manifest in {folder} is in format {manifest['format']}, saved by sklearn-sae-encoding {saved_by}; "
            f"version {sklearn_sae_encoding.__version__} reads format {FORMAT}. Load it with that version, or save "
            "the encoder again."
        )
    return manifest


def check_fingerprint(manifest: dict, expected: str | None, folder) -> dict:
    """Give the manifest without its fingerprint, which has to be right and, if given, the `expected` one."""
    stated = manifest.pop("fingerprint")
    found = fingerprint_of(manifest)
    if stated != found or expected not in (None, found):
        expected = stated if stated != found else expected
        raise SavedEncoderError(
            f"The manifest in {folder} was changed after it was saved: its fingerprint is {found[:16]}..., expected "
            f"{expected[:16]}...."
        )
    for name, holds in _ENTRIES.items():
        if name not in manifest or not holds(manifest[name]):
            raise _damaged(folder, f"its {name} is not what a saved encoder has")
    if unknown := sorted(set(manifest) - set(_ENTRIES) - {"format"}):
        raise _damaged(folder, f"it has {', '.join(unknown)[:60]}, which no saved encoder has")
    return manifest


def _refuse(constant):
    raise ValueError(f"{constant} is no JSON")


def _damaged(folder, what) -> SavedEncoderError:
    return SavedEncoderError(f"The manifest in {folder} is damaged: {what}. Save the encoder again.")


def _is_versions(value) -> bool:
    return isinstance(value, dict) and all(isinstance(item, str) for item in value.values())


def _is_data(value) -> bool:
    return (
        isinstance(value, dict)
        and set(value) <= {"X", "Y"}
        and all(isinstance(item, dict) and set(item) == {"sha256", "n_samples"} for item in value.values())
        and all(_is_hash(item["sha256"]) and type(item["n_samples"]) is int for item in value.values())
    )


def _is_models(value) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) and _has_files(item) for item in value)


def _has_files(model) -> bool:
    named = model.get("kind") in ("language model", "SAE") and isinstance(model.get("name"), str)
    files = model.get("files")
    return named and (files is None or (isinstance(files, dict) and all(map(_is_hash, files.values()))))


def _is_files(value) -> bool:
    return (
        isinstance(value, dict)
        and len(value) == 1
        and all(ARRAYS.fullmatch(name) and _is_hash(digest) for name, digest in value.items())
    )


def _is_hash(value) -> bool:
    return isinstance(value, str) and _HASH.fullmatch(value) is not None


_ENTRIES = {
    "versions": _is_versions,
    "data": _is_data,
    "models": _is_models,
    "notes": lambda value: isinstance(value, dict),
    "estimator": lambda value: True,  # checked as it is decoded
    "files": _is_files,
}
