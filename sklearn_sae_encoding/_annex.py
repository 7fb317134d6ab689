"""Files of git-annex (datalad): whether their content is there, and whole."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import NamedTuple

# BACKEND-s<bytes>--<hash>.<ending>, with more fields between them; https://git-annex.branchable.com/internals/key_format
_KEY = re.compile(r"(?P<backend>[A-Z0-9_]+?)(?P<extended>E?)(?P<fields>(-[a-zA-Z][0-9]+)*)--(?P<name>.+)")
_HASHES = {"MD5": "md5", "SHA1": "sha1", "SHA224": "sha224", "SHA256": "sha256", "SHA384": "sha384", "SHA512": "sha512"}
_POINTER_BYTES = 32768  # git-annex takes nothing longer for a pointer


class AnnexKey(NamedTuple):
    """What git-annex knows of a file's content."""

    text: str
    size: int | None  # bytes
    algorithm: str | None  # of hashlib, None if the key holds no hash that can be computed here
    digest: str | None


def annex_key(path) -> AnnexKey | None:
    """Give the key of a file that git-annex holds: what its link names, or what stands in its place; else None."""
    path = Path(path)
    told = os.readlink(path) if path.is_symlink() else _pointer(path)
    if told is None or "annex/objects/" not in told.replace("\\", "/"):
        return None
    name = told.replace("\\", "/").rsplit("/", 1)[1]
    found = _KEY.fullmatch(name)
    if found is None:
        return AnnexKey(name, None, None, None)
    size = re.search(r"-s([0-9]+)", found["fields"])
    algorithm = _HASHES.get(found["backend"])
    digest = found["name"].split(".")[0].lower() if algorithm else None
    return AnnexKey(name, int(size[1]) if size else None, algorithm, digest)


def is_fetched(path) -> bool:
    """Whether the content of a file is there: it exists, and is no pointer of git-annex."""
    path = Path(path)
    return path.exists() and _pointer(path) is None


def require_file(path, advice: str = "") -> Path:
    """Give a path whose content is there, and as long as git-annex says; else raise an error that says what to do."""
    path = Path(path)
    key = annex_key(path)
    if key is not None and not is_fetched(path):
        raise FileNotFoundError(
            f"{path} is known to git-annex, but its content is not there. In {_root(path)}: "
            f"datalad get {os.path.relpath(path, _root(path))}"
        )
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there." + (f" {advice}" if advice else ""))
    if key is not None and key.size is not None and path.stat().st_size != key.size:
        raise OSError(
            f"{path} holds {path.stat().st_size} bytes, but git-annex {key.size}: the copy is damaged. In "
            f"{_root(path)}: git annex fsck {os.path.relpath(path, _root(path))}, then datalad get it again."
        )
    return path


def digest_of(path, algorithm: str) -> str:
    """Compute the hash of a file's content, in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def _pointer(path):
    """Give the line that stands in a file in the place of content that was not fetched; None if it has content."""
    if not path.is_file() or path.stat().st_size > _POINTER_BYTES:
        return None
    with open(path, "rb") as file:
        begin = file.read(_POINTER_BYTES)
    line = begin.split(b"\n", 1)[0].strip()
    # "/annex/objects/KEY" where files are unlocked, the link's text where the disk has no links
    if not re.fullmatch(rb"(/|([.]{2}[/\\])*[.]git[/\\])annex[/\\]objects[/\\][^\x00]+", line):
        return None
    return line.decode("utf-8", "replace")


def _root(path):
    """Give the clone that a file belongs to."""
    parents = Path(os.path.abspath(path)).parents
    return next((parent for parent in parents if (parent / ".git").exists()), parents[0])
