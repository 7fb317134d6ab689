r"""Active sets of a chunk of problems.

With each goes the inverse of its normal matrix, and what that gives: in units of ``n`` (the number of training rows),
with :math:`L = n\alpha\rho` and :math:`D = n\alpha(1-\rho)`, penalty factors ``f`` and signs ``s``, the weights that
solve ``(X'X + D F) w = X'y - L f s`` are ``least - L pull`` at any ``L``.
"""

from __future__ import annotations

import math
import threading
from typing import NamedTuple

import numpy as np

from ..columns import Columns, aligned
from .inverses import Inverse, new_inverses, padded, wider

# What a solver returns: solved, out of room in the arrays, out of steps, or not solved in other ways.
DONE, NO_ROOM, TOO_LONG, FAILED = 0, 1, 2, 3
# Larger active sets have no inverse (see descent.py), unless there are more features without a penalty.
LARGEST = 512


class Fit(NamedTuple):
    """What one problem is fitted to, and with how much of a ridge term."""

    columns: Columns
    target: np.ndarray  # (n_samples,), not centred
    train: np.ndarray  # (n_samples,), 1 on training rows and 0 elsewhere
    n_train: float
    fit_intercept: bool
    factors: np.ndarray  # (n_features,)
    positive: bool
    ridge: float  # D, in units of n


class ActiveSets(NamedTuple):
    """The state of a chunk of problems between two penalties."""

    features: np.ndarray  # (n_problems, capacity) int32, active features
    signs: np.ndarray  # (n_problems, capacity)
    weights: np.ndarray  # (n_problems, capacity)
    inverses: Inverse  # (n_problems, ...), of X'X + D F on the active set, with room for LARGEST features at most
    least: np.ndarray  # (n_problems, capacity), the inverse times X'y: weights without the penalty L
    pull: np.ndarray  # (n_problems, capacity), the inverse times f s: how fast a growing L pulls them towards zero
    sizes: np.ndarray  # (n_problems,)
    fitted: np.ndarray  # (n_problems, n_samples), X w on all rows, without intercept
    residuals: np.ndarray  # (n_problems, n_samples), centred on training rows, zero on held-out rows
    knots: np.ndarray  # (n_problems,), features that have entered or left so far
    every: np.ndarray  # (0,), no slots, see `column_dots`


class Spare(threading.local):
    """Memory that the chunks of a thread use one after another: new memory costs a page fault every four kilobytes.

    What it holds at first means nothing, and what was taken before is overwritten.
    """

    def __init__(self):
        self.numbers = aligned((0,))

    def take(self, *shape: int) -> np.ndarray:
        size = math.prod(shape)
        if self.numbers.size < size:
            self.numbers = aligned((size,))
        return self.numbers[:size].reshape(shape)


def new_active_sets(residuals: np.ndarray, capacity: int, n_free: int = 0, spare: Spare | None = None) -> ActiveSets:
    """Start with no feature; the inverses lie in the `spare` memory, if there is any, until the next ones are taken."""
    n_problems, capacity = len(residuals), padded(capacity)
    room = min(capacity, padded(max(LARGEST, n_free)))
    return ActiveSets(
        features=np.zeros((n_problems, capacity), dtype=np.int32),
        signs=np.zeros((n_problems, capacity)),
        weights=np.zeros((n_problems, capacity)),
        inverses=new_inverses((spare or Spare()).take(n_problems, room, room)),
        least=np.zeros((n_problems, capacity)),
        pull=np.zeros((n_problems, capacity)),
        sizes=np.zeros(n_problems, dtype=np.int64),
        fitted=np.zeros_like(residuals),
        residuals=residuals,
        knots=np.zeros(n_problems, dtype=np.int64),
        every=np.zeros(0, dtype=np.int64),
    )


def grown(state: ActiveSets, capacity: int) -> ActiveSets:
    """Copy `state` into arrays that hold `capacity` active features."""
    capacity = padded(capacity)
    wide = ((0, 0), (0, capacity - state.features.shape[1]))
    return state._replace(
        features=np.pad(state.features, wide),
        signs=np.pad(state.signs, wide),
        weights=np.pad(state.weights, wide),
        inverses=wider(state.inverses, min(capacity, padded(LARGEST))),
        least=np.pad(state.least, wide),
        pull=np.pad(state.pull, wide),
    )
