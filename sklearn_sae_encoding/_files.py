"""Files and folders that are whole or absent, and that the group of a folder can use."""

from __future__ import annotations

import codecs
import os
import stat
import uuid
from pathlib import Path

_NEW_FILE = 0o666  # less the umask


_BOMS = {  # the longer ones first: UTF-32 begins like UTF-16
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def read_text(path) -> str:
    """The text of a file in UTF-8, or in any Unicode encoding that a byte order mark tells.

    Other encodings are not guessed, since a wrong guess would change letters without a word.
    """
    return decode_text(Path(path).read_bytes(), path)


def decode_text(content: bytes, path) -> str:
    """The text that a file holds; see :func:`read_text`."""
    encoding = next((name for mark, name in _BOMS.items() if content.startswith(mark)), "utf-8")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ValueError(
            f"{path} is not in UTF-8: line {line} holds the byte 0x{content[error.start]:02x}. If it is in Latin-1, "
            "make it UTF-8 by Path(path).write_text(Path(path).read_text('latin-1'), 'utf-8')."
        ) from error


def make_folder(folder: Path) -> Path:
    """Make a folder and its parents, each open to the group that the one above it is open to."""
    missing = []
    place = folder
    while not place.exists():
        missing.append(place)
        place = place.parent
    for new in reversed(missing):
        try:
            new.mkdir()
        except FileExistsError:  # another process was faster
            continue
        open_to_group(new)
    return folder


def write_whole(path: Path, write, *, sync: bool = False) -> None:
    """Let ``write(file)`` fill a file beside `path`, and give it that name once it is whole.

    A reader meets the old content or the new, never half of one, and two processes may write at once. A failure leaves
    nothing behind. With `sync` the content is on the disk before it gets its name.
    """
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        # The umask counts here; tempfile would make what its owner alone may read.
        with open(os.open(aside, os.O_CREAT | os.O_EXCL | os.O_RDWR, _NEW_FILE), "wb") as file:
            write(file)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        open_to_group(aside)
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def open_to_group(new: Path) -> None:
    """Let the group do with a new file or folder what it may do with the folder around it.

    A group's folder is often writable for the group while its users' umask is not. Others than the group, and another
    group, get what the umask gives; so does everybody in a folder like ``/tmp``, which is open to all.
    """
    folder, made = new.parent.stat(), new.stat()
    if folder.st_mode & stat.S_ISVTX or folder.st_gid != made.st_gid:
        return
    rights = stat.S_IRWXG if stat.S_ISDIR(made.st_mode) else stat.S_IRGRP | stat.S_IWGRP
    mode = stat.S_IMODE(made.st_mode)
    if wanted := folder.st_mode & rights & ~mode:
        new.chmod(mode | wanted)
