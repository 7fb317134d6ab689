"""What the language model said of each text, kept in memory or on disk."""

from __future__ import annotations

import io
import os
import tempfile
import threading
from collections import OrderedDict
from pathlib import Path

import numpy as np

_MAX_BYTES = 2 << 30  # of the store in memory; texts not asked for longest are forgotten first

Record = dict[str, np.ndarray]  # name of a quantity -> its array, first axis tokens


class MemoryStore:
    """Records of texts in this process, bounded in bytes."""

    def __init__(self, max_bytes: int = _MAX_BYTES):
        self.max_bytes = max_bytes
        self.n_bytes = 0
        self._records: OrderedDict[tuple[str, str], Record] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, pass_key: str, text_key: str, names) -> Record | None:
        """The quantities `names` of a text, or None unless all are known."""
        with self._lock:
            record = self._records.get((pass_key, text_key))
            if record is None or any(name not in record for name in names):
                return None
            self._records.move_to_end((pass_key, text_key))
            return {name: record[name] for name in names}

    def put(self, pass_key: str, text_key: str, record: Record, asked=None) -> None:
        """Keep all of `record`, whatever of it was `asked` for."""
        key = (pass_key, text_key)
        with self._lock:
            known = self._records.pop(key, {})
            self._records[key] = {**known, **{name: _frozen(array) for name, array in record.items()}}
            self.n_bytes += _size(self._records[key]) - _size(known)
            while self.n_bytes > self.max_bytes and len(self._records) > 1:
                self.n_bytes -= _size(self._records.popitem(last=False)[1])

    def clear(self) -> None:
        with self._lock:
            self._records.clear()
            self.n_bytes = 0


class DiskStore:
    """Records of texts in a folder: one folder a text, one file for every pass that added something to it.

    Files are written under another name and renamed, so that a reader never meets half a file, and two processes may
    write at once. npz files carry a checksum of every array: a damaged file counts as absent. What was read or written
    stays in `front`, the memory of this process, as long as there is room; so does what a pass gave and nobody asked
    for yet, which is written when somebody does.
    """

    def __init__(self, folder, front: MemoryStore | None = None):
        self.folder = Path(folder)
        self.front = MemoryStore(0) if front is None else front

    def get(self, pass_key: str, text_key: str, names) -> Record | None:
        """The quantities `names` of a text, or None unless all are known."""
        written, spare = self._front_keys(pass_key)
        if (found := self.front.get(written, text_key, names)) is not None:
            return found
        if (found := self._read(pass_key, text_key, names)) is not None:
            self.front.put(written, text_key, found)
        elif (found := self.front.get(spare, text_key, names)) is not None:
            self._write(pass_key, text_key, found)
            self.front.put(written, text_key, found)
        return found

    def put(self, pass_key: str, text_key: str, record: Record, asked=None) -> None:
        """Write what was `asked` for (None: all) of `record`, and hold the rest in memory."""
        written, spare = self._front_keys(pass_key)
        kept = record if asked is None else {name: record[name] for name in asked}
        self._write(pass_key, text_key, kept)
        self.front.put(written, text_key, kept)
        if len(kept) < len(record):
            self.front.put(spare, text_key, record)

    def _front_keys(self, pass_key: str) -> tuple[str, str]:
        here = f"{self.folder}:{pass_key}"  # what is only in memory, or in another folder, is not in this one
        return here, f"{here}:spare"

    def _read(self, pass_key: str, text_key: str, names) -> Record | None:
        found: Record = {}
        for path in sorted(self._folder_of(pass_key, text_key).glob("*.npz")):
            wanted = [name for name in names if name not in found]
            if not wanted:
                break
            found.update(_read(path, wanted))
        return {name: found[name] for name in names} if all(name in found for name in names) else None

    def _write(self, pass_key: str, text_key: str, record: Record) -> None:
        folder = self._folder_of(pass_key, text_key)
        folder.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(suffix=".tmp", dir=folder)
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez(file, **record)
            os.replace(temporary, temporary.removesuffix(".tmp") + ".npz")
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def _folder_of(self, pass_key: str, text_key: str) -> Path:
        return self.folder / pass_key / text_key[:2] / text_key


_process_store = MemoryStore()


def open_store(memory):
    """The store that a `memory` parameter names: None, a path or a joblib.Memory."""
    location = getattr(memory, "location", memory)
    if location is None:
        return _process_store
    return DiskStore(Path(location).expanduser().absolute() / "sklearn_sae_encoding", front=_process_store)


def forget_texts() -> None:
    """Empty this process's store in memory. What ``memory=`` put on disk stays."""
    _process_store.clear()


def _read(path: Path, names) -> Record:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: _frozen(_member(archive, name)) for name in names if name in archive.files}
    except Exception:  # damage may show as any error of zipfile, zlib or NumPy; whatever it is, the text runs again
        return {}


def _member(archive, name: str) -> np.ndarray:
    # zipfile compares the checksum at a member's end, which np.load never reaches where a header tells of less.
    return np.load(io.BytesIO(archive.zip.read(f"{name}.npy")), allow_pickle=False)


def _frozen(array: np.ndarray) -> np.ndarray:
    """Read-only: what is given out is also what is kept."""
    array.setflags(write=False)
    return array


def _size(record: Record) -> int:
    return sum(array.nbytes for array in record.values())
