"""The folder of a saved encoder: written so that it is whole or not there, read without believing it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import uuid
from pathlib import Path

from sklearn_sae_encoding._files import make_folder, open_to_group, write_whole

from ._errors import SavedEncoderError
from ._manifest import ARRAYS, fingerprint_of

_MANIFEST = "manifest.json"
# What a killed process leaves: arrays without their manifest, and files that never got their name.
_LEFT_OVER = re.compile(rf"{ARRAYS.pattern}|\.({ARRAYS.pattern}|{re.escape(_MANIFEST)})\.[0-9a-f]{{32}}\.tmp")
_READS = 3  # while another process replaces the encoder


def check_free(folder: Path, overwrite: bool) -> None:
    """Refuse a folder that is there, unless it is a saved encoder that may be replaced."""
    if not os.path.lexists(folder):
        return
    ours = _is_ours(folder)
    if not (overwrite and ours):
        advice = "Set overwrite=True to replace it." if ours else "It holds something else; choose another folder."
        raise FileExistsError(f"{str(folder)!r} is there already. {advice}")


def save(folder: Path, manifest: dict, arrays: dict, overwrite: bool) -> str:
    """Write a saved encoder, and give its fingerprint."""
    make_folder(folder.parent)
    if not os.path.lexists(folder):
        aside = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.tmp")
        try:
            aside.mkdir()
            fingerprint = _write(aside, manifest, arrays)
            open_to_group(aside)
            os.rename(aside, folder)  # onto nothing, or nothing but an empty folder: else it fails
            return fingerprint
        except OSError:
            if not os.path.lexists(folder):
                raise
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    check_free(folder, overwrite)  # or another process was faster
    with _alone(folder) as is_alone:
        fingerprint = _write(folder, manifest, arrays)
        if is_alone:
            for path in folder.iterdir():
                if _LEFT_OVER.fullmatch(path.name) and path.name not in manifest["files"]:
                    path.unlink()
    return fingerprint


def read_manifest_text(folder: Path) -> bytes:
    """The manifest as it stands."""
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no saved encoder in {str(folder)!r}: it is no folder.")
    try:
        return (folder / _MANIFEST).read_bytes()
    except FileNotFoundError as error:
        raise SavedEncoderError(f"There is no saved encoder in {str(folder)!r}: it has no {_MANIFEST}.") from error


def read(folder: Path, check) -> tuple[dict, dict]:
    """The manifest, checked by ``check(text)``, and the arrays that it names."""
    text = read_manifest_text(folder)
    for _ in range(_READS):
        manifest = check(text)
        _check_nothing_else(folder)
        ((name, digest),) = manifest["files"].items()
        try:
            content = (folder / name).read_bytes()
            break
        except OSError as error:
            before, text = text, read_manifest_text(folder)
            if text == before:  # otherwise somebody replaced the encoder meanwhile
                raise SavedEncoderError(f"{folder / name} is missing: the saved encoder is not whole.") from error
    else:
        raise SavedEncoderError(f"The encoder in {str(folder)!r} is being replaced again and again. Load it later.")
    if hashlib.sha256(content).hexdigest() != digest:
        raise SavedEncoderError(
            f"{folder / name} is damaged or was changed after it was saved: its hash is not the manifest's."
        )
    return manifest, _arrays(content, folder / name)


def _arrays(content: bytes, path: Path) -> dict:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return load(content)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise SavedEncoderError(f"{path} is no file of arrays: {error}.") from error


def _write(folder: Path, manifest: dict, arrays: dict) -> str:
    """Write the arrays under a name of their own, then the manifest: with it the encoder becomes the new one."""
    from safetensors.numpy import save as to_bytes

    content = to_bytes(arrays)
    digest = hashlib.sha256(content).hexdigest()
    name = f"arrays-{digest[:16]}.safetensors"
    manifest["files"] = {name: digest}
    fingerprint = fingerprint_of(manifest)
    text = json.dumps({**manifest, "fingerprint": fingerprint}, indent=1, allow_nan=False) + "\n"
    write_whole(folder / name, lambda file: file.write(content), sync=True)
    write_whole(folder / _MANIFEST, lambda file: file.write(text.encode("utf-8")), sync=True)
    return fingerprint


@contextlib.contextmanager
def _alone(folder: Path):
    """Wait until no other process replaces the encoder; False where that can't be known."""
    try:
        import fcntl

        handle = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):
        yield False
        return
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            locked = True
        except OSError:  # some network file systems
            locked = False
        yield locked
    finally:
        os.close(handle)


def _is_ours(folder: Path) -> bool:
    """Whether a folder holds a saved encoder and nothing else."""
    try:
        names = {path.name for path in folder.iterdir()}
        manifest = json.loads((folder / _MANIFEST).read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    ours = isinstance(manifest, dict) and {"fingerprint", "format", "estimator", "files"} <= set(manifest)
    return ours and not _others(names, manifest["files"])


def _check_nothing_else(folder: Path) -> None:
    if others := _others({path.name for path in folder.iterdir()}, ()):
        raise SavedEncoderError(
            f"{str(folder)!r} holds more than a saved encoder: {', '.join(others[:5])}. Expected {_MANIFEST} and "
            "a file of arrays alone. Move the rest elsewhere if you know where it comes from."
        )


def _others(names, files) -> list[str]:
    own = {_MANIFEST, *(files if isinstance(files, dict) else ())}
    return sorted(name for name in names - own if not _LEFT_OVER.fullmatch(name))
