"""What each parameter of an estimator may be, and the one error that says so."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from sklearn.utils import check_array


class InvalidParameterError(ValueError, TypeError):
    """A parameter has a value that it can't have: names the parameter, what is allowed, and what came."""


class Allowed(NamedTuple):
    """One kind of value that a parameter may have."""

    says: str  # ends the sentence "it must be ..."
    holds: Callable[[Any], bool]


def check_parameters(owner, allowed: Mapping[str, Iterable], *, values: Mapping[str, Any] | None = None) -> None:
    """Check the parameters of an estimator, or of a function, against what is `allowed`.

    `allowed` maps a parameter to a tuple: :class:`Allowed` as the functions below make them, types, or None. A value
    has to be one of them. `owner` is the estimator, whose attributes are the values, or the name of a function, with
    its `values`.
    """
    name = owner if isinstance(owner, str) else type(owner).__name__
    for parameter, kinds in allowed.items():
        value = getattr(owner, parameter) if values is None else values[parameter]
        kinds = [_as_allowed(kind) for kind in kinds]
        if not any(kind.holds(value) for kind in kinds):
            *first, last = [kind.says for kind in kinds]
            said = f"{', '.join(first)} or {last}" if first else last
            raise InvalidParameterError(f"The {parameter!r} parameter of {name} must be {said}. Got {value!r} instead.")


def integer(low: int | None = None, high: int | None = None) -> Allowed:
    """Whole numbers of Python or NumPy from `low` to `high`, both included. A bool is none."""
    return Allowed(f"an int{_range(low, high, 'both')}", lambda value: _is_number(value, Integral, low, high, "both"))


def real(low: float | None = None, high: float | None = None, *, closed: str = "both") -> Allowed:
    """Finite numbers from `low` to `high`; `closed` is "both", "left", "right" or "neither". A bool is none."""
    return Allowed(f"a number{_range(low, high, closed)}", lambda value: _is_number(value, Real, low, high, closed))


def one_of(*options: str) -> Allowed:
    """Some strings."""
    return Allowed(f"one of {', '.join(map(repr, options))}", lambda value: isinstance(value, str) and value in options)


def having(*methods: str) -> Allowed:
    """Objects with all of these methods."""
    return Allowed(
        f"an object with {' and '.join(f'.{method}()' for method in methods)}",
        lambda value: not isinstance(value, type) and all(callable(getattr(value, one, None)) for one in methods),
    )


def _is_array_like(value) -> bool:
    shaped = any(hasattr(value, name) for name in ("__len__", "shape", "__array__"))
    return shaped and not isinstance(value, (str, bytes, Mapping, type))


def _is_splitter(value) -> bool:
    if value is None or _is_number(value, Integral, None, None, "both"):
        return True
    return not isinstance(value, str) and (hasattr(value, "__iter__") or callable(getattr(value, "split", None)))


boolean = Allowed("a bool", lambda value: isinstance(value, (bool, np.bool_)))
array_like = Allowed("an array-like", _is_array_like)
splitter = Allowed("an int, a splitter, an iterable of (train, test) rows or None", _is_splitter)
random_state = Allowed(
    "an int from 0 to 4294967295, a numpy.random.RandomState or None",
    lambda value: (
        value is None
        or isinstance(value, np.random.RandomState)
        or _is_number(value, Integral, 0, np.iinfo(np.uint32).max, "both")
    ),
)
verbosity = Allowed(
    "an int of at least 0 or a bool",
    lambda value: isinstance(value, (bool, np.bool_)) or _is_number(value, Integral, 0, None, "both"),
)
anything_callable = Allowed("a callable", callable)


def _as_allowed(kind) -> Allowed:
    if isinstance(kind, Allowed):
        return kind
    if kind is None:
        return Allowed("None", lambda value: value is None)
    named = f"{'an' if kind.__name__[0].lower() in 'aeiou' else 'a'} {kind.__name__}"
    return Allowed(named, lambda value: isinstance(value, kind))


def _is_number(value, kind, low, high, closed: str) -> bool:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, kind):
        return False
    if not isinstance(value, Integral) and not math.isfinite(value):
        return False
    above = low is None or value > low or (value == low and closed in ("both", "left"))
    below = high is None or value < high or (value == high and closed in ("both", "right"))
    return above and below


def _range(low, high, closed: str) -> str:
    if low is None and high is None:
        return ""
    if high is None:
        return f" of at least {low}" if closed in ("both", "left") else f" above {low}"
    if low is None:
        return f" of at most {high}" if closed in ("both", "right") else f" below {high}"
    left, right = closed in ("both", "left"), closed in ("both", "right")
    return f" in {'[' if left else '('}{low}, {high}{']' if right else ')'}"


def count_samples(X) -> int:
    """How many samples X has: rows of an array or table of any kind, or entries of a list."""
    if not hasattr(X, "shape") and hasattr(X, "__len__"):
        return len(X)
    shape = X.shape if hasattr(X, "shape") else np.shape(np.asarray(X))
    if not shape:
        raise TypeError(f"Expected samples, such as a list of texts or an array with a row a sample, got {X!r:.60}.")
    return int(shape[0])


def take_samples(X, rows):
    """Samples of `X` at `rows`, in the kind of container that `X` is."""
    if hasattr(X, "iloc"):
        return X.iloc[rows]
    if sparse.issparse(X):
        return X.tocsr()[rows]
    return X[rows] if hasattr(X, "shape") else [X[row] for row in rows]


def take_params(params: Mapping[str, Any], n_samples: int, rows) -> dict[str, Any]:
    """Parameters of ``fit`` for the samples at `rows`: what has a value a sample loses the others."""

    def has_samples(value):
        if value is None or isinstance(value, (str, bytes, Mapping)):
            return False
        return (bool(np.shape(value)) if hasattr(value, "shape") else hasattr(value, "__len__")) and (
            count_samples(value) == n_samples
        )

    return {name: take_samples(value, rows) if has_samples(value) else value for name, value in params.items()}


def params_of_predict(fitted, params):
    """Of parameters of ``fit`` those that predictions need, too: the run of each row, if columns were scaled by run."""
    while fitted is not None and not hasattr(fitted, "n_runs_"):
        steps = getattr(fitted, "steps", None)
        fitted = steps[-1][1] if steps else getattr(fitted, "regressor_", None)
    found = [value for name, value in params.items() if name.rpartition("__")[-1] == "groups"]
    return {"groups": found[-1]} if found and fitted is not None else {}


def check_penalties(values, name: str) -> np.ndarray:
    """Positive numbers in one dimension as float64; strings and bools that look like numbers are none."""
    kinds = {
        type(value).__name__
        for value in np.asarray(values, dtype=object).ravel()
        if not _is_number(value, Real, None, None, "both")
    }
    if kinds:
        raise ValueError(f"{name} must be positive numbers in one dimension, got {values!r} with {', '.join(kinds)}.")
    values = check_array(values, ensure_2d=False, dtype=np.float64, input_name=name)
    if values.ndim != 1 or values.min() <= 0:
        raise ValueError(f"{name} must be positive numbers in one dimension, got {values!r}.")
    return values


def some_folds(splits: list) -> list:
    """The folds themselves, or ValueError if there are none."""
    if not len(splits):
        raise ValueError(
            "cv gave no folds. An iterator of splits serves one call only: give a list of them, or a splitter."
        )
    return splits


def check_torch_device(device, *, multiplies_sparse: bool = False) -> None:
    """Raise ValueError if torch has no such device here, or cannot multiply sparse matrices there."""
    if isinstance(device, str) and device == "cpu":
        return
    try:
        import torch

        one = torch.ones((1, 1), device=device)
        (torch.sparse.mm(one.to_sparse(), one) if multiplies_sparse else one).cpu()
    except (ImportError, RuntimeError, AssertionError, TypeError) as error:
        said = str(error).strip().split("\n")[0]
        raise ValueError(
            f'device={device!r} cannot be used: {said}. Expected "cpu", or a device that torch has here.'
        ) from error
