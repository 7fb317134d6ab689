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


def _hash_texts(digest, texts):
    digest.update(f"texts {texts.shape}".encode())
    for text in texts.ravel():
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
