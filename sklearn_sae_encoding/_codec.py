"""Fitted estimators to JSON and arrays, and back: no pickle, so that nothing in a file can run."""

from __future__ import annotations

import contextlib
import importlib
import math
from pathlib import Path

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.model_selection import BaseCrossValidator, BaseShuffleSplit
from sklearn.utils import Bunch

_OWN, _MASKERS = "sklearn_sae_encoding.", "nilearn.maskers."
_SPARSE = {kind.__name__: kind for kind in (sparse.csr_array, sparse.csc_array, sparse.csr_matrix, sparse.csc_matrix)}
_SPLITTERS = (BaseCrossValidator, BaseShuffleSplit)
# Classes of this package that are saved and are no estimators.
_OWN_CLASSES = (_OWN + "_sae.arrays.SAEArrays",)

# Parameters that name a joblib cache, which unpickles what lies in its folder. They are neither saved nor loaded.
_CACHES = ("memory", "memory_")

# What a nilearn masker finds out in ``fit`` and takes as a parameter, too. With it, ``fit()`` restores the masker by
# nilearn's own public ways, whatever its version keeps inside.
_MASKER_IMAGES = ("mask_img", "labels_img", "maps_img")


def encode(value) -> tuple[object, dict[str, np.ndarray]]:
    """Give a tree that JSON can hold, and the arrays that it refers to."""
    encoder = _Encoder()
    return encoder.encode(value, "estimator"), encoder.arrays


def decode(tree, arrays):
    """Give what was encoded.

    Raises
    ------
    ValueError
        If the tree names a class that is none of scikit-learn's estimators and splitters, nilearn's maskers or this
        package's classes.
    """
    return _Decoder(arrays).decode(tree)


class _Encoder:
    def __init__(self):
        self.arrays = {}
        self._seen = {}  # what is the same object is stored once: (object, to keep its id taken; its tree)

    def encode(self, value, where):
        if value is None or isinstance(value, (bool, str)):
            return value
        if isinstance(value, int):
            return int(value)
        if isinstance(value, float) and not isinstance(value, np.generic):
            return value if math.isfinite(value) else {"$float": repr(value)}
        if id(value) not in self._seen:
            self._seen[id(value)] = (value, self._encode_object(value, where))
        return self._seen[id(value)][1]

    def _encode_object(self, value, where):
        for kind, method in (
            (np.generic, self._scalar),
            (np.ndarray, self._array),
            (Bunch, lambda v, w: {"$bunch": self._items(v, w)}),
            (dict, lambda v, w: {"$dict": self._items(v, w)}),
            (list, lambda v, w: self._list(v, w)),
            (tuple, self._tuple),
            (slice, lambda v, w: {"$slice": [v.start, v.stop, v.step]}),
            (Path, lambda v, w: {"$path": str(v)}),
            (np.dtype, lambda v, w: {"$dtype": v.str}),
        ):
            if isinstance(value, kind):
                return method(value, where)
        if sparse.issparse(value) and type(value).__name__ in _SPARSE:
            return self._sparse(value, where)
        return self._encode_instance(value, where)

    def _encode_instance(self, value, where):
        kind = type(value)
        name = f"{kind.__module__}.{kind.__qualname__}"
        if hasattr(value, "affine") and hasattr(value, "dataobj"):
            return {"$volume": [self._put(np.asarray(value.dataobj), where), self._put(value.affine, where)]}
        if hasattr(value, "mesh") and hasattr(value, "data"):
            return {"$surface": [self._mesh(value.mesh, where), self._items(value.data.parts, where)]}
        if _is_masker(kind, name):
            return self._masker(value, name, where)
        if name.startswith("pandas.") and kind.__name__ == "DataFrame":
            return {"$frame": self._items({column: value[column].to_numpy() for column in value}, where)}
        if name == "torch.device":
            return {"$device": str(value)}
        if name.startswith("joblib.") and hasattr(value, "location"):
            return None
        if hasattr(value, "best_estimator_"):
            raise TypeError(f"Cannot save {where}: it is a {kind.__name__}. Save what it found, its best_estimator_.")
        if _is_allowed(kind, name):
            state = value.__getstate__() if hasattr(value, "__getstate__") else vars(value)
            state = _without_caches(state or {})
            return {"$object": name, "state": self._items(state, f"{where} ({kind.__name__})")}
        raise TypeError(
            f"Cannot save {where}: it is a {name}, which is no plain value, array, image, scikit-learn estimator or "
            "splitter. A language model is saved by its name or folder: give model= that, instead of the object."
        )

    def _items(self, mapping, where):
        return [[self.encode(key, where), self.encode(item, f"{where}.{key}")] for key, item in mapping.items()]

    def _list(self, value, where):
        return [self.encode(item, f"{where}[{i}]") for i, item in enumerate(value)]

    def _tuple(self, value, where):
        if type(value) is not tuple and not hasattr(value, "_fields"):
            raise TypeError(
                f"Cannot save {where}: it is a {type(value).__name__}, a tuple of a kind that is not known."
            )
        return {"$tuple": self._list(value, where)}

    def _scalar(self, value, where):
        return {"$scalar": self._put(np.asarray(value), where)}

    def _array(self, value, where):
        if value.dtype.kind in "OUS":
            return {
                "$objects": self._list(value.ravel().tolist(), where),
                "shape": value.shape,
                "dtype": value.dtype.str,
            }
        return {"$array": self._put(value, where)}

    def _sparse(self, value, where):
        parts = [self._put(part, where) for part in (value.data, value.indices, value.indptr)]
        return {"$sparse": parts, "shape": [int(n) for n in value.shape], "kind": type(value).__name__}

    def _mesh(self, mesh, where):
        return [
            [name, self._put(part.coordinates, where), self._put(part.faces, where)]
            for name, part in mesh.parts.items()
        ]

    def _masker(self, masker, name, where):
        from sklearn_sae_encoding._images.masks import is_fitted

        params, fitted = masker.get_params(deep=False), is_fitted(masker)
        for image in _MASKER_IMAGES:
            if fitted and image in params and getattr(masker, f"{image}_", None) is not None:
                params[image] = getattr(masker, f"{image}_")
        params = self._items(_without_masker_caches(params), f"{where} ({type(masker).__name__})")
        return {"$masker": name, "params": params, "fitted": fitted}

    def _put(self, array, where):
        if array.dtype.kind not in "biufc":
            raise TypeError(f"Cannot save {where}: an array of dtype {array.dtype}.")
        key = f"{len(self.arrays):04d} {where}"
        self.arrays[key] = np.ascontiguousarray(array).reshape(array.shape)
        return key


class _Decoder:
    def __init__(self, arrays):
        self._arrays = arrays

    def decode(self, tree):
        if isinstance(tree, list):
            return [self.decode(item) for item in tree]
        if not isinstance(tree, dict):
            return tree
        name = next(iter(tree))
        method = getattr(self, f"_{name[1:]}", None) if name[:1] == "$" else None
        if method is None:
            raise ValueError(f"The saved encoder holds something of an unknown kind, {name!r}.")
        return method(tree)

    def _mapping(self, items):
        return {self.decode(key): self.decode(item) for key, item in items}

    def _float(self, tree):
        return float(tree["$float"])

    def _scalar(self, tree):
        return self._arrays[tree["$scalar"]][()]

    def _array(self, tree):
        return self._arrays[tree["$array"]]

    def _objects(self, tree):
        values = np.empty(len(tree["$objects"]), dtype=object)
        values[:] = self.decode(tree["$objects"])
        return values.reshape(tree["shape"]).astype(tree["dtype"])

    def _sparse(self, tree):
        return _SPARSE[tree["kind"]](tuple(self._arrays[key] for key in tree["$sparse"]), shape=tuple(tree["shape"]))

    def _bunch(self, tree):
        return Bunch(**self._mapping(tree["$bunch"]))

    def _dict(self, tree):
        return self._mapping(tree["$dict"])

    def _tuple(self, tree):
        return tuple(self.decode(tree["$tuple"]))

    def _slice(self, tree):
        return slice(*tree["$slice"])

    def _path(self, tree):
        return Path(tree["$path"])

    def _dtype(self, tree):
        return np.dtype(tree["$dtype"])

    def _device(self, tree):
        import torch

        return torch.device(tree["$device"])

    def _frame(self, tree):
        import pandas as pd

        return pd.DataFrame(self._mapping(tree["$frame"]))

    def _volume(self, tree):
        from nibabel import Nifti1Image

        data, affine = (self._arrays[key] for key in tree["$volume"])
        # NIfTI knows no 64-bit integers in most programs, and nibabel asks for a decision.
        return Nifti1Image(data, affine, dtype=data.dtype if data.dtype.kind in "iu" else None)

    def _surface(self, tree):
        from nilearn.surface import InMemoryMesh, PolyMesh, SurfaceImage

        mesh, data = tree["$surface"]
        parts = {name: InMemoryMesh(self._arrays[points], self._arrays[faces]) for name, points, faces in mesh}
        return SurfaceImage(mesh=PolyMesh(**parts), data=self._mapping(data))

    def _masker(self, tree):
        kind = _find_class(tree["$masker"], _is_masker)
        # Whatever the file says: fit would unpickle what it finds in the cache.
        masker = kind(**_without_masker_caches(self._mapping(tree["params"])))
        return masker.fit() if tree["fitted"] else masker

    def _object(self, tree):
        kind = _find_class(tree["$object"], _is_allowed)
        made, state = kind.__new__(kind), _without_caches(self._mapping(tree["state"]))
        if hasattr(made, "__setstate__"):
            made.__setstate__(state)
        else:
            vars(made).update(state)
        return made


def _without_caches(mapping):
    return {key: None if key in _CACHES else value for key, value in mapping.items()}


def _without_masker_caches(params):
    # mask_args and the like are handed on to functions of nilearn that take a memory, too.
    return _without_caches({k: _without_caches(v) if isinstance(v, dict) else v for k, v in params.items()})


def _is_masker(kind, name) -> bool:
    return name.startswith(_MASKERS) and issubclass(kind, BaseEstimator)


def _is_allowed(kind, name) -> bool:
    if name.startswith("sklearn."):
        return issubclass(kind, (BaseEstimator, *_SPLITTERS))
    return name in _OWN_CLASSES or (name.startswith(_OWN) and issubclass(kind, BaseEstimator))


def _find_class(name, is_allowed):
    module, _, attribute = name.rpartition(".")
    kind = None
    if name.startswith((_OWN, _MASKERS, "sklearn.")):
        with contextlib.suppress(ImportError):
            kind = getattr(importlib.import_module(module), attribute, None)
    # By the name under which it was defined: modules hold much else that they import.
    defined = isinstance(kind, type) and f"{kind.__module__}.{kind.__qualname__}" == name
    if not defined or not is_allowed(kind, name):
        raise ValueError(f"The saved encoder names the class {name}, which is not made from a file.")
    return kind
