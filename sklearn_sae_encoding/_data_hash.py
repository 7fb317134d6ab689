"""Hashes of texts, numbers and images: the same for equal data."""

from __future__ import annotations

import hashlib
from itertools import pairwise

import numpy as np
from scipy import sparse

from sklearn_sae_encoding._images.rows import ImageRows, data_parts, is_images, is_volume


def hash_data(data) -> str:
    """Hash texts, numbers or images by their content, however they are stored."""
    digest = hashlib.sha256()
    if isinstance(data, ImageRows):
        _hash_images(digest, data)
    elif sparse.issparse(data):
        _hash_sparse(digest, data)
    elif _are_runs(data):
        digest.update(f"runs {len(data)}".encode())
        for run in data:
            digest.update((_hash_story(run) if hasattr(run, "n_scans") else hash_data(run)).encode())
    else:
        data = np.asarray(data)
        if data.dtype.kind in "OUT":
            _hash_texts(digest, data)
        else:
            _hash_numbers(digest, data)
    return digest.hexdigest()


def hash_responses(Y) -> str:
    """Hash responses, or the images that hold them: a list of strings is paths of images here, not texts."""
    return hash_data(ImageRows(Y) if is_images(Y) else Y)


def _are_runs(data) -> bool:
    """Whether data are a list of what was heard in each run: stories, or arrays with a row a scan."""
    if hasattr(data, "dtype") or not hasattr(data, "__len__") or not hasattr(data, "__getitem__") or len(data) == 0:
        return False
    first = data.iloc[0] if hasattr(data, "iloc") else data[0] if not isinstance(data, dict) else None
    return hasattr(first, "n_scans") or len(getattr(first, "shape", ())) == 2


def _hash_story(run) -> str:
    clock = [run.t_r, run.onset, run.scan_time, run.n_scans]
    parts = [[run.text], [str(name) for name in run.words], run.words, clock, run.rows]
    parts += [part for name in sorted(run.tables) for part in ([name], *run.tables[name])]
    return hashlib.sha256("".join(map(hash_data, parts)).encode()).hexdigest()


def _hash_texts(digest, texts):
    digest.update(f"texts {texts.shape}".encode())
    for text in texts.ravel():
        if type(text).__repr__ is object.__repr__:
            raise TypeError(f"Can't tell data by their content: a sample is a {type(text).__name__}.")
        encoded = str(text).encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8, "little") + encoded)


def _hash_numbers(digest, numbers):
    digest.update(f"numbers {numbers.shape}".encode())
    for row in numbers.reshape(len(numbers), -1) if numbers.size else ():
        columns = np.flatnonzero(row)
        _hash_row(digest, columns, row[columns])


def _hash_sparse(digest, matrix):
    digest.update(f"numbers {matrix.shape}".encode())
    matrix = sparse.csr_array(matrix, copy=True)
    matrix.sum_duplicates()  # sorts the columns, too
    matrix.eliminate_zeros()
    for start, stop in pairwise(matrix.indptr if matrix.shape[1] else ()):
        _hash_row(digest, matrix.indices[start:stop], matrix.data[start:stop])


def _hash_row(digest, columns, values):
    # What is not 0, so that dense and sparse data give the same, and no sparse data need be made dense.
    digest.update(len(columns).to_bytes(8, "little"))
    digest.update(columns.astype("<i8").data)
    digest.update(_canonical(values, "<c16" if values.dtype.kind == "c" else "<f8"))


def _hash_images(digest, rows):
    digest.update(f"images {len(rows)}".encode())
    for numbers, img in rows.chunks():
        if numbers[0] == 0:
            for name, part in _grid(img):
                digest.update(f"{name} {part.shape}".encode() + _canonical(part, "<f8"))
        parts = [part.reshape(-1, part.shape[-1]).T for part in data_parts(img)]
        for image in zip(*parts, strict=True):  # image by image: the hash does not depend on the chunks
            for part in image:
                digest.update(_canonical(part, "<f4"))


def _grid(img):
    """Give what says where the numbers of an image lie."""
    if is_volume(img):
        # In the precision of NIfTI files, so that an image and its file give the same.
        return [("shape", np.asarray(img.shape[:3])), ("affine", img.affine.astype(np.float32))]
    meshes = img.mesh.parts.items()
    return [(f"{side} {name}", getattr(mesh, name)) for side, mesh in meshes for name in ("coordinates", "faces")]


def _canonical(values, dtype) -> bytes:
    values = np.asarray(values).astype(dtype) + 0  # -0 becomes 0
    values[np.isnan(values)] = np.nan
    return values.astype(dtype).tobytes()
