"""Fitted estimators to a tree for JSON and arrays: no pickle, so that nothing in a file can run."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.utils import Bunch

from . import _registry
from ._checks import check_weights
from ._trees import CACHES, COMPLEX, MASKER_FILES, MASKER_IMAGES, NOT_FINITE, SPARSE, TEXTS

_LONGEST_KEY = 200


def encode(value) -> tuple[object, dict[str, np.ndarray]]:
    """Give a tree that JSON can hold, and the arrays that it refers to.

    Raises
    ------
    TypeError
        If there is something that can't be saved; says where.
    """
    encoder = _Encoder()
    try:
        return encoder.encode(value, "estimator"), encoder.arrays
    except RecursionError:
        raise TypeError("Cannot save the estimator: something in it contains itself.") from None


class _Encoder:
    def __init__(self):
        self.arrays = {}
        self._seen = {}  # what is the same object is stored once: (object, to keep its id taken; its tree)

    def encode(self, value, where):
        if value is None or type(value) in (bool, str, int):
            return value
        if isinstance(value, np.str_):
            return str(value)
        if type(value) is float:
            return value if math.isfinite(value) else {"$float": _not_finite(value)}
        if id(value) not in self._seen:
            self._seen[id(value)] = (value, self._encode_object(value, where))
        return self._seen[id(value)][1]

    def _encode_object(self, value, where):
        for kinds, method in (
            ((np.ndarray, np.memmap), self._array),
            ((list,), self._list),
            ((tuple,), lambda v, w: {"$tuple": self._list(v, w)}),
            ((dict,), lambda v, w: {"$dict": self._items(v, w)}),
            ((Bunch,), lambda v, w: {"$bunch": self._items(v, w)}),
            ((slice,), lambda v, w: {"$slice": self._list([v.start, v.stop, v.step], w)}),
            ((range,), lambda v, w: {"$range": [v.start, v.stop, v.step]}),
        ):
            if type(value) in kinds:
                return method(value, where)
        if isinstance(value, np.generic):
            return {"$scalar": self._put(np.asarray(value), where)}
        if isinstance(value, Path):
            return {"$path": str(value)}
        if isinstance(value, np.dtype):
            return {"$dtype": value.str}
        if type(value).__name__ in SPARSE and sparse.issparse(value):
            return self._sparse(value, where)
        return self._encode_instance(value, where)

    def _encode_instance(self, value, where):
        kind = type(value)
        name = f"{kind.__module__}.{kind.__qualname__}"
        if hasattr(value, "affine") and hasattr(value, "dataobj"):
            return {"$volume": [self._put(np.asarray(value.dataobj), where), self._put(value.affine, where)]}
        if hasattr(value, "mesh") and hasattr(value, "data"):
            return {"$surface": [self._mesh(value.mesh, where), self._items(value.data.parts, where)]}
        if name.startswith("pandas.") and kind.__name__ == "DataFrame":
            return self._frame(value, where)
        if name == "torch.device":
            return {"$device": str(value)}
        if name.startswith("joblib.") and hasattr(value, "location"):
            return None
        if hasattr(value, "best_estimator_"):
            raise TypeError(f"Cannot save {where}: it is a {kind.__name__}. Save what it found, its best_estimator_.")
        saved_as = _registry.name_of(kind)
        if saved_as in _registry.MASKERS:
            return self._masker(value, saved_as, where)
        if saved_as is not None:
            try:
                check_weights(value)
            except ValueError as error:
                raise ValueError(f"Cannot save {where}: {error}.") from None
            return {"$object": saved_as, "state": self._items(_state(value), f"{where} ({kind.__name__})")}
        raise TypeError(_not_saved(name, where, isinstance(value, BaseEstimator)))

    def _items(self, mapping, where):
        return [
            [self.encode(key, where), None if key in CACHES else self.encode(item, f"{where}.{key}")]
            for key, item in mapping.items()
        ]

    def _list(self, value, where):
        return [self.encode(item, f"{where}[{i}]") for i, item in enumerate(value)]

    def _array(self, value, where):
        if value.dtype.kind in TEXTS:
            values = self._list(value.ravel().tolist(), where)
            return {"$values": values, "shape": list(value.shape), "kind": TEXTS[value.dtype.kind]}
        return {"$array": self._put(value, where)}

    def _sparse(self, value, where):
        value = value.copy()
        value.sum_duplicates()  # sorts the indices, too
        parts = [self._put(part, where) for part in (value.data, value.indices, value.indptr)]
        return {"$sparse": parts, "shape": [int(n) for n in value.shape], "kind": type(value).__name__}

    def _frame(self, frame, where):
        columns = [[self.encode(name, where), self.encode(frame[name].to_numpy(), where)] for name in frame]
        return {"$frame": columns, "index": self.encode(frame.index.to_numpy(), where)}

    def _mesh(self, mesh, where):
        return [
            [name, self._put(part.coordinates, where), self._put(part.faces, where)]
            for name, part in mesh.parts.items()
        ]

    def _masker(self, masker, name, where):
        from sklearn_sae_encoding._images.masks import is_fitted

        params, fitted = masker.get_params(deep=False), is_fitted(masker)
        for image in MASKER_IMAGES:
            if fitted and image in params and getattr(masker, f"{image}_", None) is not None:
                params[image] = getattr(masker, f"{image}_")
        params = {key: _opened(item) if key in MASKER_FILES else item for key, item in params.items()}
        return {
            "$masker": name,
            "params": self._items(params, f"{where} ({name.rpartition('.')[2]})"),
            "fitted": fitted,
        }

    def _put(self, array, where):
        if array.dtype.kind not in "biufc" or array.dtype.itemsize > (16 if array.dtype.kind == "c" else 8):
            raise TypeError(f"Cannot save {where}: an array of dtype {array.dtype}.")
        array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("=")).reshape(array.shape)
        key = f"{len(self.arrays):04d} {where}".encode("ascii", "backslashreplace").decode()[:_LONGEST_KEY]
        if array.dtype.kind == "c":  # safetensors has no complex numbers of double precision
            key, array = key + COMPLEX, np.stack([array.real, array.imag], axis=-1)
        self.arrays[key] = array
        return key


def _state(value) -> dict:
    state = value.__getstate__() if hasattr(value, "__getstate__") else vars(value)
    return {key: item for key, item in (state or {}).items() if key != "_sklearn_version"}  # the manifest has it


def _opened(image):
    """Give an image or table that a masker knows by its path: a loaded masker opens no file."""
    if not isinstance(image, (str, Path)):
        return image
    if str(image).endswith((".csv", ".tsv", ".txt")):
        import pandas as pd

        return pd.read_csv(image, sep=None, engine="python")
    import nibabel

    return nibabel.load(image)


def _not_finite(value) -> str:
    return next(name for name in NOT_FINITE if repr(value) == name)


def _not_saved(name, where, is_estimator) -> str:
    if is_estimator:
        return (
            f"Cannot save {where}: it is a {name}, which is not among the estimators that saved encoders are made of "
            "(doc/images.rst lists them)."
        )
    return (
        f"Cannot save {where}: it is a {name}, which is no plain value, array, image, scikit-learn estimator or "
        "splitter. A language model is saved by its name or folder: give model= that, instead of the object."
    )
