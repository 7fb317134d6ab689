"""Files and folders that are whole or absent, and that the group of a folder can use."""

from __future__ import annotations

import os
import stat
import uuid
from pathlib import Path

_NEW_FILE = 0o666  # less the umask


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
