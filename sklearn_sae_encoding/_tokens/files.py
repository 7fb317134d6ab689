"""A token table in a folder: numbers that stay on disk, dense or sparse, and JSON for the rest."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from scipy import sparse

from sklearn_sae_encoding._tokens.arrays import check_same_origin

FORMAT = 1  # goes up when what is written can no longer be read by the code of before, or the other way round

_VALUES, _COLUMNS, _ENDS, _REST = "values.bin", "columns.bin", "ends.bin", "table.json"
_ARRAYS = {"offsets": np.int64, "shared": np.bool_, "joined": np.bool_}  # a row a token
_LISTS = ("texts", "tokens")
PER_TEXT = (*_LISTS, *_ARRAYS)


def write_parts(parts: Iterable, folder, dtype: str) -> None:
    """Write token tables one after the other; the folder gets its name when all of them are in it."""
    folder = Path(folder)
    if folder.exists():
        raise FileExistsError(f"{folder} exists already. Remove it, or choose another folder.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        _write(parts, made, np.dtype(dtype))
        made.chmod(0o755)  # mkdtemp makes folders that only their owner may read
        os.rename(made, folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def read_folder(folder, mmap: bool) -> dict:
    """Arguments of TokenTable, from a folder."""
    folder = Path(folder)
    rest = _rest_of(folder)
    lengths, cuts = rest["n_tokens"], np.cumsum(rest["n_tokens"])[:-1]
    read = _read_sparse if rest["is_sparse"] else _read_dense
    loaded = {"values": read(folder, rest, sum(lengths), cuts, mmap), **rest["origin"]}
    loaded["hook"] = tuple(loaded["hook"]) if isinstance(loaded["hook"], list) else loaded["hook"]
    loaded |= {name: rest[name] for name in _LISTS}
    for name in _ARRAYS:
        array = np.load(folder / f"{name}.npy", allow_pickle=False) if name in rest["arrays"] else None
        loaded[name] = None if array is None else np.split(array, cuts)
    return loaded


def _rest_of(folder: Path) -> dict:
    try:
        rest = json.loads((folder / _REST).read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{folder / _REST} is no JSON: it is damaged.") from error
    found = rest.get("format") if isinstance(rest, dict) else None
    if found != FORMAT:
        raise ValueError(f"{folder} holds a token table of format {found!r}, but this version reads {FORMAT}.")
    return rest


def _read_dense(folder: Path, rest: dict, n_tokens: int, cuts: np.ndarray, mmap: bool) -> list[np.ndarray]:
    values = _array(folder / _VALUES, np.dtype(rest["dtype"]), (n_tokens, rest["width"]), mmap)
    return np.split(values, cuts)


def _read_sparse(folder: Path, rest: dict, n_tokens: int, cuts: np.ndarray, mmap: bool) -> list[sparse.csr_array]:
    ends = np.append(0, _array(folder / _ENDS, np.dtype(np.int64), (n_tokens,), mmap=False))
    if not (np.diff(ends) >= 0).all():
        raise ValueError(f"{folder / _ENDS} does not increase: it is damaged.")
    data = _array(folder / _VALUES, np.dtype(rest["dtype"]), (int(ends[-1]),), mmap)
    columns = _array(folder / _COLUMNS, np.dtype(np.int32), (int(ends[-1]),), mmap)
    if len(columns) and not 0 <= columns.min() <= columns.max() < rest["width"]:
        raise ValueError(f"{folder / _COLUMNS} names columns beyond the {rest['width']} that there are: it is damaged.")
    parts = []
    for first, last in zip(np.append(0, cuts), np.append(cuts, n_tokens), strict=True):
        here = slice(ends[first], ends[last])
        of_text = (data[here], columns[here], (ends[first : last + 1] - ends[first]).astype(np.int32))
        parts.append(sparse.csr_array(of_text, shape=(last - first, rest["width"])))
    return parts


def _array(path: Path, dtype: np.dtype, shape: tuple[int, ...], mmap: bool) -> np.ndarray:
    expected = int(np.prod(shape)) * dtype.itemsize
    if (size := path.stat().st_size) != expected:
        raise ValueError(f"{path} has {size} bytes where {expected} were written: it is damaged.")
    if not expected:
        return np.empty(shape, dtype=dtype)
    array = np.memmap(path, dtype=dtype, mode="r", shape=shape)
    return array if mmap else np.array(array)


def _write(parts: Iterable, folder: Path, dtype: np.dtype) -> None:
    first, lengths, written, ends = None, [], 0, 0
    lists: dict[str, list | None] = {name: [] for name in PER_TEXT}
    with (
        open(folder / _VALUES, "wb") as values,
        open(folder / _COLUMNS, "wb") as columns,
        open(folder / _ENDS, "wb") as end_file,
    ):
        for part in parts:
            first = part if first is None else first
            check_same_origin(first, part)
            for value in part.values:
                if sparse.issparse(value):
                    values.write(_narrowed(value.data, dtype, written).tobytes())
                    columns.write(value.indices.astype(np.int32).tobytes())
                    end_file.write((ends + value.indptr[1:].astype(np.int64)).tobytes())
                    ends += value.nnz
                else:
                    values.write(_narrowed(value, dtype, written).tobytes())
                written += 1
            lengths += part.n_tokens.tolist()
            for name, so_far in lists.items():
                # What one part lacks is missing for all, as where tables are added up.
                here = getattr(part, name)
                lists[name] = None if so_far is None or here is None else so_far + here
    if not lengths:
        raise ValueError("There is nothing to write: no text came.")
    kept = {name: dict_type for name, dict_type in _ARRAYS.items() if lists[name] is not None}
    for name, kind in kept.items():
        np.save(folder / f"{name}.npy", np.concatenate(lists[name]).astype(kind))
    rest = {
        "format": FORMAT,
        "origin": first.origin(),
        "width": first.width,
        "dtype": dtype.name,
        "is_sparse": first.is_sparse,
        "n_tokens": lengths,
        "arrays": list(kept),
        **{name: lists[name] for name in _LISTS},
    }
    (folder / _REST).write_text(json.dumps(rest), encoding="utf-8")


def _narrowed(value: np.ndarray, dtype: np.dtype, text: int) -> np.ndarray:
    with np.errstate(over="ignore"):
        narrowed = np.asarray(value).astype(dtype)
    if np.isinf(narrowed).any() and np.isfinite(value).all():
        raise ValueError(
            f"Text {text} has values up to {np.abs(value).max():.3g}, which {dtype.name} cannot hold. Use "
            "dtype='float32'."
        )
    return narrowed
