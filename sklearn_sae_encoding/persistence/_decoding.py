"""Trees and arrays of a saved encoder to the estimator: everything is checked before it is used."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import Bunch

from . import _registry
from ._checks import check_fitted, check_image, check_masker_params
from ._errors import SavedEncoderError
from ._trees import CACHES, COMPLEX, NOT_FINITE, SPARSE, TEXTS


def decode(tree, arrays):
    """Give what was encoded.

    Raises
    ------
    SavedEncoderError
        If it is anything else than what :func:`encode` gives: other classes, shapes, bounds, or unused arrays.
    """
    decoder = _Decoder(arrays)
    try:
        decoded = decoder.decode(tree)
    except Exception as error:  # of whatever NumPy, SciPy, nilearn or a constructor says to what is no estimator
        said = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        raise SavedEncoderError(f"The saved encoder can't be read: {said}.") from error
    if unused := sorted(set(arrays) - decoder.used):
        raise SavedEncoderError(f"The saved encoder holds arrays that nothing refers to: {', '.join(unused[:3])}.")
    return decoded


class _Decoder:
    def __init__(self, arrays):
        self._arrays = arrays
        self.used = set()
        # Kind of node, the other keys that it has, and what reads it. Nothing else is read.
        self._kinds = {
            "$float": ((), lambda name: NOT_FINITE[name]),
            "$scalar": ((), lambda key: self._numbers(key, ndim=0)[()]),
            "$array": ((), self._numbers),
            "$values": (("shape", "kind"), self._values),
            "$sparse": (("shape", "kind"), self._sparse),
            "$bunch": ((), lambda items: Bunch(**self._mapping(items, names=True))),
            "$dict": ((), self._mapping),
            "$tuple": ((), lambda items: tuple(self._list(items))),
            "$slice": ((), lambda items: slice(*_three(items))),
            "$range": ((), lambda items: range(*_three(items))),
            "$path": ((), lambda path: Path(_text(path))),
            "$dtype": ((), _dtype),
            "$device": ((), _device),
            "$frame": (("index",), self._frame),
            "$volume": ((), self._volume),
            "$surface": ((), self._surface),
            "$masker": (("params", "fitted"), self._masker),
            "$object": (("state",), self._object),
        }

    def decode(self, tree):
        if isinstance(tree, list):
            return self._list(tree)
        if not isinstance(tree, dict):
            return tree
        kind = next(iter(tree), None)
        if kind not in self._kinds:
            raise ValueError(f"it holds something of an unknown kind, {kind!r}")
        others, read = self._kinds[kind]
        if set(tree) != {kind, *others}:
            raise ValueError(f"a {kind} has {sorted(set(tree) - {kind})}, expected {sorted(others)}")
        return read(tree[kind], **{name: tree[name] for name in others})

    def _list(self, items):
        if not isinstance(items, list):
            raise ValueError(f"expected a list, got {items!r:.60}")
        return [self.decode(item) for item in items]

    def _mapping(self, items, names=False):
        decoded = {}
        for key, item in self._list_of_pairs(items):
            key = self.decode(key)
            if key in decoded or (names and not (isinstance(key, str) and not key.startswith("__"))):
                raise ValueError(f"{key!r:.60} stands twice or is no name")
            decoded[key] = None if key in CACHES else self.decode(item)
        return decoded

    def _list_of_pairs(self, items):
        if not isinstance(items, list) or any(not isinstance(pair, list) or len(pair) != 2 for pair in items):
            raise ValueError(f"expected a list of pairs, got {items!r:.60}")
        return items

    def _numbers(self, key, ndim=None, kinds="biufc"):
        if not isinstance(key, str) or key not in self._arrays:
            raise ValueError(f"there is no array {key!r:.60}")
        self.used.add(key)
        array = self._arrays[key]
        if key.endswith(COMPLEX):
            array = array.view({"f4": np.complex64, "f8": np.complex128}[array.dtype.str[1:]])[..., 0]
        if array.dtype.kind not in kinds or (ndim is not None and array.ndim != ndim):
            raise ValueError(f"array {key!r} has dtype {array.dtype} and shape {array.shape}")
        return array

    def _values(self, items, shape, kind):
        if kind not in TEXTS.values():
            raise ValueError(f"an array has values of the kind {kind!r:.60}")
        decoded = self._list(items)
        if kind == "str":
            return np.array([_text(text) for text in decoded], dtype=str).reshape(_shape(shape))
        values = np.empty(len(decoded), dtype=object)
        for i, item in enumerate(decoded):
            values[i] = item
        return values.reshape(_shape(shape))

    def _sparse(self, keys, shape, kind):
        if kind not in SPARSE:
            raise ValueError(f"a sparse array is of the kind {kind!r:.60}")
        data, indices, indptr = (
            self._numbers(key, ndim=1, kinds=kinds) for key, kinds in zip(keys, ("biufc", "i", "i"), strict=True)
        )
        if {indices.dtype.str[1:], indptr.dtype.str[1:]} - {"i4", "i8"}:
            raise ValueError(f"the indices of a sparse array are {indices.dtype} and {indptr.dtype}")
        shape = _shape(shape)
        if len(shape) != 2:
            raise ValueError(f"a sparse array has the shape {shape}")
        matrix = SPARSE[kind]((data, indices, indptr), shape=shape)
        matrix.check_format(full_check=True)
        if not matrix.has_canonical_format:
            raise ValueError("the indices of a sparse array are not in order")
        return matrix

    def _frame(self, columns, index):
        import pandas as pd

        return pd.DataFrame(self._mapping(columns), index=self.decode(index))

    def _volume(self, keys):
        from nibabel import Nifti1Image

        data, affine = (self._numbers(key) for key in _list_of(keys, 2))
        check_image(data, affine)
        # NIfTI knows no 64-bit integers in most programs, and nibabel asks for a decision.
        return Nifti1Image(data, affine, dtype=data.dtype if data.dtype.kind in "iu" else None)

    def _surface(self, parts):
        from nilearn.surface import InMemoryMesh, PolyMesh, SurfaceImage

        mesh, data = _list_of(parts, 2)
        meshes = {}
        for name, points, faces in (_list_of(part, 3) for part in _list_of(mesh)):
            coordinates, corners = self._numbers(points, ndim=2, kinds="f"), self._numbers(faces, ndim=2, kinds="iu")
            if corners.size and not 0 <= corners.min() <= corners.max() < len(coordinates):
                raise ValueError(f"the mesh of {name!r:.60} has faces without corners")
            meshes[_text(name)] = InMemoryMesh(coordinates, corners)
        return SurfaceImage(mesh=PolyMesh(**meshes), data=self._mapping(data, names=True))

    def _masker(self, name, params, fitted):
        kind = _registry.find_class(name, _registry.MASKERS)
        params = self._mapping(params, names=True)
        check_masker_params(params, fitted)
        masker = kind(**params)
        return masker.fit() if fitted else masker

    def _object(self, name, state):
        kind = _registry.find_class(name, _registry.STATES)
        state = self._mapping(state, names=True)
        made = kind.__new__(kind)
        if getattr(kind, "__setstate__", BaseEstimator.__setstate__) is BaseEstimator.__setstate__:
            vars(made).update(state)
        else:
            made.__setstate__(state)
        check_fitted(made)
        return made


def _list_of(items, n=None):
    if not isinstance(items, list) or n not in (None, len(items)):
        raise ValueError(f"expected a list{'' if n is None else f' of {n}'}, got {items!r:.60}")
    return items


def _three(items):
    if any(item is not None and type(item) is not int for item in _list_of(items, 3)):
        raise ValueError(f"expected whole numbers, got {items!r:.60}")
    return items


def _text(text):
    if not isinstance(text, str):
        raise ValueError(f"expected text, got {text!r:.60}")
    return text


def _shape(shape):
    if any(type(n) is not int or n < 0 for n in _list_of(shape)) or any(n >= 2**63 for n in shape):
        raise ValueError(f"expected a shape, got {shape!r:.60}")
    return tuple(shape)


def _dtype(name):
    if not re.fullmatch(r"[<>|=][biufcUSO]\d{1,3}", _text(name)):
        raise ValueError(f"there is no dtype {name!r:.60}")
    return np.dtype(name)


def _device(name):
    if not re.fullmatch(r"[a-z]{2,10}(:\d{1,3})?", _text(name)):
        raise ValueError(f"there is no device {name!r:.60}")
    import torch

    return torch.device(name)
