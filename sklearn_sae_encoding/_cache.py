"""Arrays that were computed once, kept in a folder under the key of what they were computed from.

An entry is a file of arrays without pickles. Each array has a checksum, so that a damaged file counts as absent, and
the folder has the format number of its kind, so that nothing that older code made is taken for what today's would.
"""

from __future__ import annotations

import hashlib
import io
import threading
import warnings
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from scipy import sparse

from ._files import make_folder, write_whole

# Raise a kind's number when the code that makes its content changes. tests/cache_formats.json lists that code and its
# hash; after a change `python tools/cache_formats.py` writes it anew, and says which numbers want raising.
FORMATS = {"texts": 9, "blocks": 23, "reproduction": 44}

_PARTS = ("data", "indices", "indptr", "shape")


class Cache:
    """Entries of one kind in a folder: dictionaries of arrays.

    A folder that can't be written costs a warning, and what was computed stays the caller's.
    """

    def __init__(self, memory, kind: str):
        self.root = memory_folder(memory)
        self.folder = self.root / "sklearn_sae_encoding" / f"{kind}-{FORMATS[kind]}"
        self._writable = True

    def get(self, key: tuple[str, ...], names: Iterable[str] | None = None) -> dict[str, np.ndarray] | None:
        """The arrays `names` of an entry, or None unless all are there and undamaged; without `names`, all of a file.

        They may come from several files, each of which holds what was put at once.
        """
        found: dict[str, np.ndarray] = {}
        for path in sorted(self._folder_of(key).glob("*.npz")):
            wanted = None if names is None else [name for name in names if name not in found]
            if wanted == [] or (names is None and found):
                break
            found.update(_read(path, wanted))
        whole = found if names is None else all(name in found for name in names)
        return found if whole else None

    def put(self, key: tuple[str, ...], arrays: dict[str, np.ndarray]) -> None:
        """Add `arrays` to an entry."""
        if not self._writable:
            return
        # Named by what is in it: the same arrays replace a damaged file, others stand beside it.
        name = hashlib.sha256(repr(sorted(arrays)).encode()).hexdigest()[:16]
        try:
            folder = make_folder(self._folder_of(key))
            write_whole(folder / f"{name}.npz", lambda file: _write(file, arrays))
        except OSError as error:
            self._writable = False
            _warn_once(
                self.folder,
                f"Results can't be kept in memory={str(self.root)!r}: {error}. They are right, but will be computed "
                "again. Make room there, get the right to write, or choose another folder.",
            )

    def _folder_of(self, key: tuple[str, ...]) -> Path:
        *above, last = key
        return self.folder.joinpath(*above, last[:2], last)


def memory_folder(memory) -> Path | None:
    """The folder that a `memory` parameter names: a path or a joblib.Memory; None if it names none."""
    location = getattr(memory, "location", memory)
    return None if location is None else Path(location).expanduser().absolute()


def pack(values) -> dict[str, np.ndarray]:
    """Give the fields of a NamedTuple of arrays, CSR arrays and such tuples again as arrays for a :class:`Cache`."""
    arrays = {}
    for name, value in values._asdict().items():
        if sparse.issparse(value):
            arrays.update({f"{name}.{part}": np.asarray(getattr(value, part)) for part in _PARTS})
        elif isinstance(value, tuple):
            arrays.update({f"{name}.{inner}": array for inner, array in pack(value).items()})
        else:
            arrays[name] = np.asarray(value)
    return arrays


def unpack(like, arrays: dict[str, np.ndarray], n_rows: int):
    """Give the NamedTuple back that was packed, all of whose fields have `n_rows`.

    `like` is one of the same kind that says dtypes and the other dimensions; its own number of rows may be any. Where
    `arrays` hold something else, such as weights with indices out of bounds, the answer is None.
    """
    values = []
    for name, known in like._asdict().items():
        if sparse.issparse(known):
            value = _unpack_sparse([arrays.get(f"{name}.{part}") for part in _PARTS])
        elif isinstance(known, tuple):
            inner = {at[len(name) + 1 :]: array for at, array in arrays.items() if at.startswith(f"{name}.")}
            value = unpack(known, inner, n_rows)
        else:
            value = arrays.get(name)
        if value is None:
            return None
        if not isinstance(known, tuple) and (value.shape, value.dtype) != ((n_rows, *known.shape[1:]), known.dtype):
            return None
        values.append(value)
    return type(like)(*values)


def _unpack_sparse(parts):
    if any(part is None for part in parts):
        return None
    try:
        matrix = sparse.csr_array(tuple(parts[:3]), shape=tuple(int(n) for n in parts[3]))
        matrix.check_format(full_check=True)
    except (ValueError, TypeError):
        return None
    return matrix


_warned: set[Path] = set()
_lock = threading.Lock()


def _warn_once(folder: Path, message: str) -> None:
    with _lock:
        if folder in _warned:
            return
        _warned.add(folder)
    warnings.warn(message, stacklevel=4)


def _write(file, arrays) -> None:
    with zipfile.ZipFile(file, "w") as archive:  # np.savez takes no array that is named like its own arguments
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.save(member, array, allow_pickle=False)


def _read(path: Path, names) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            wanted = archive.files if names is None else [name for name in names if name in archive.files]
            return {name: _member(archive, name) for name in wanted}
    except Exception:  # damage may show as any error of zipfile, zlib or NumPy; whatever it is, it is computed again
        return {}


def _member(archive, name: str) -> np.ndarray:
    # zipfile compares the checksum at a member's end, which np.load never reaches where a header tells of less.
    return np.load(io.BytesIO(archive.zip.read(f"{name}.npy")), allow_pickle=False)
