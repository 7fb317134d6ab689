"""What the language model said of each text, kept in memory or on disk."""

from __future__ import annotations

import threading
from collections import OrderedDict

import numpy as np

from sklearn_sae_encoding._cache import Cache, memory_folder

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
    """Records of texts in a folder, which several processes and users may share.

    A record that is damaged, or not of one length and finite, counts as absent. What was read or written stays in
    `front`, the memory of this process, as long as there is room; so does what a pass gave and nobody asked for yet,
    which is written when somebody does.
    """

    def __init__(self, folder, front: MemoryStore | None = None):
        self.cache = Cache(folder, "texts")
        self.front = MemoryStore(0) if front is None else front

    def get(self, pass_key: str, text_key: str, names) -> Record | None:
        """The quantities `names` of a text, or None unless all are known."""
        written, spare = self._front_keys(pass_key)
        if (found := self.front.get(written, text_key, names)) is not None:
            return found
        if (found := self._read(pass_key, text_key, names)) is not None:
            self.front.put(written, text_key, found)
        elif (found := self.front.get(spare, text_key, names)) is not None:
            self.cache.put((pass_key, text_key), found)
            self.front.put(written, text_key, found)
        return found

    def put(self, pass_key: str, text_key: str, record: Record, asked=None) -> None:
        """Write what was `asked` for (None: all) of `record`, and hold the rest in memory."""
        written, spare = self._front_keys(pass_key)
        kept = record if asked is None else {name: record[name] for name in asked}
        self.cache.put((pass_key, text_key), kept)
        self.front.put(written, text_key, kept)
        if len(kept) < len(record):
            self.front.put(spare, text_key, record)

    def _front_keys(self, pass_key: str) -> tuple[str, str]:
        here = f"{self.cache.folder}:{pass_key}"  # what is only in memory, or in another folder, is not in this one
        return here, f"{here}:spare"

    def _read(self, pass_key: str, text_key: str, names) -> Record | None:
        found = self.cache.get((pass_key, text_key), names)
        if found is None or not _is_record(found):
            return None
        return {name: _frozen(array) for name, array in found.items()}


_process_store = MemoryStore()


def open_store(memory):
    """The store that a `memory` parameter names: None, a path or a joblib.Memory."""
    if memory_folder(memory) is None:
        return _process_store
    return DiskStore(memory, front=_process_store)


def forget_texts() -> None:
    """Empty this process's store in memory. What ``memory=`` put on disk stays."""
    _process_store.clear()


def _is_record(found: Record) -> bool:
    """Whether all arrays have a row for every token, and numbers are numbers."""
    if len({array.shape[:1] for array in found.values()}) != 1 or any(array.ndim == 0 for array in found.values()):
        return False
    # Of scores only the first column is always known, as a tokenizer may not mark where words start, and that only
    # where something stands before the token.
    numbers = (array[1:, :1] if name == "scores" else array for name, array in found.items() if array.dtype.kind == "f")
    return all(np.isfinite(array).all() for array in numbers)


def _frozen(array: np.ndarray) -> np.ndarray:
    """Read-only: what is given out is also what is kept."""
    array.setflags(write=False)
    return array


def _size(record: Record) -> int:
    return sum(array.nbytes for array in record.values())
