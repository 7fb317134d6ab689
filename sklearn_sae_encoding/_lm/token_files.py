"""Token activations in a folder: half-precision numbers that stay on disk, and JSON for the rest."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

_VALUES, _OFFSETS, _REST = "values.bin", "offsets.npy", "activations.json"


def write_parts(parts: Iterable, folder, dtype: str) -> None:
    """Write TokenActivations one after the other; the folder gets its name when all of them are in it."""
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
    """Arguments of TokenActivations, from a folder."""
    folder = Path(folder)
    rest = json.loads((folder / _REST).read_text())
    lengths, width, dtype = rest["n_tokens"], rest["d_model"], np.dtype(rest["dtype"])
    expected = sum(lengths) * width * dtype.itemsize
    if (size := (folder / _VALUES).stat().st_size) != expected:
        raise ValueError(f"{folder / _VALUES} has {size} bytes where {expected} were written: it is damaged.")
    values = np.memmap(folder / _VALUES, dtype=dtype, mode="r", shape=(sum(lengths), width))
    if not mmap:
        values = np.array(values)
    cuts = np.cumsum(lengths)[:-1]
    offsets = np.load(folder / _OFFSETS, allow_pickle=False) if rest["has_offsets"] else None
    return {
        "values": np.split(values, cuts),
        "tokens": rest["tokens"],
        "offsets": None if offsets is None else np.split(offsets, cuts),
        "model": rest["model"],
        "hook": tuple(rest["hook"]) if isinstance(rest["hook"], list) else rest["hook"],
        "bos_token": rest["bos_token"],
    }


def _write(parts: Iterable, folder: Path, dtype: np.dtype) -> None:
    first, lengths, tokens, offsets, seen = None, [], [], [], 0
    with open(folder / _VALUES, "wb") as file:
        for part in parts:
            first = part if first is None else first
            first._check_same_origin(part)
            for value in part.values:
                file.write(_narrowed(value, dtype, seen).tobytes())
                seen += 1
            lengths += part.n_tokens.tolist()
            # What one part lacks is missing for all, as where lists are added up.
            tokens = None if tokens is None or part.tokens is None else tokens + part.tokens
            offsets = None if offsets is None or part.offsets is None else offsets + part.offsets
    if not lengths:
        raise ValueError("There are no activations to write.")
    if offsets:
        np.save(folder / _OFFSETS, np.concatenate(offsets))
    rest = {
        **first._origin(),
        "d_model": first.d_model,
        "dtype": dtype.name,
        "n_tokens": lengths,
        "tokens": tokens or None,
        "has_offsets": bool(offsets),
    }
    (folder / _REST).write_text(json.dumps(rest))


def _narrowed(value: np.ndarray, dtype: np.dtype, text: int) -> np.ndarray:
    with np.errstate(over="ignore"):
        narrowed = np.asarray(value).astype(dtype)
    if np.isinf(narrowed).any() and np.isfinite(value).all():
        raise ValueError(
            f"Text {text} has activations up to {np.abs(value).max():.3g}, which {dtype.name} cannot hold. Use "
            "dtype='float32'."
        )
    return narrowed
