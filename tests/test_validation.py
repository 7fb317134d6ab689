"""Parameters are what they may be, or one error names them, what is allowed and what came."""

import os
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from sklearn.model_selection import KFold

from sklearn_sae_encoding._validation import (
    InvalidParameterError,
    anything_callable,
    array_like,
    boolean,
    check_parameters,
    having,
    integer,
    one_of,
    random_state,
    real,
    splitter,
    verbosity,
)


class Thing:
    def __init__(self, value):
        self.value = value


@pytest.mark.parametrize(
    ("kinds", "good", "bad"),
    [
        ((integer(1),), [1, np.int8(3), 10**400], [0, True, 1.0, "1", None, np.nan]),
        ((integer(0, 3),), [0, 3], [-1, 4, np.array([1])]),
        ((real(0, 1, closed="right"),), [1, 0.5, Fraction(1, 3), np.float32(1)], [0, 1.1, np.nan, np.inf, True, 1j]),
        ((real(0, closed="neither"),), [1e-300, 5], [0, -1, np.inf]),
        ((real(high=2, closed="neither"),), [-1e9, 1.99], [2]),
        ((one_of("min", "1se"), None), ["min", None], ["max", 1, ["min"]]),
        ((having("cache"),), [type("Memory", (), {"cache": lambda self: 0})()], [1, "cache", Thing(1), Path]),
        ((str, os.PathLike), ["a", Path("a")], [1, b"a", None]),
        ((boolean,), [True, np.True_], [0, 1, "True", None]),
        ((array_like,), [[1], (), np.zeros(3)], ["abc", {"a": 1}, 3, None, list]),
        ((splitter,), [None, 5, KFold(3), [([0], [1])], iter([])], ["5", 2.5, True]),
        ((random_state,), [None, 0, np.random.RandomState(0), 2**32 - 1], [-1, 2**32, "seed", np.random]),
        ((verbosity,), [0, 3, True], [-1, 0.5, None]),
        ((anything_callable, str), [len, "r2"], [1]),
    ],
)
def test_what_is_allowed_passes_and_all_else_is_an_error(kinds, good, bad):
    for value in good:
        check_parameters(Thing(value), {"value": kinds})
    for value in bad:
        with pytest.raises(InvalidParameterError, match=r"^The 'value' parameter of Thing must be .*\. Got .* instead"):
            check_parameters(Thing(value), {"value": kinds})


def test_the_error_names_the_parameter_what_is_allowed_and_what_came():
    allowed = {"value": (integer(1), one_of("auto"), None)}
    expected = "The 'value' parameter of Thing must be an int of at least 1, one of 'auto' or None. Got -3 instead."
    with pytest.raises(ValueError, match=re.escape(expected)):
        check_parameters(Thing(-3), allowed)
    with pytest.raises(TypeError, match=re.escape("parameter of fetch must be a number in (0, 1]. Got 0 instead")):
        check_parameters("fetch", {"share": (real(0, 1, closed="right"),)}, values={"share": 0})
