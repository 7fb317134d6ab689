"""How many threads a block may use, and one BLAS thread in each of them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import joblib
from threadpoolctl import threadpool_limits

_lock = threading.Lock()
_users = 0
_limits = None


def available_threads() -> int:
    """Cores of this process, or fewer where OMP_NUM_THREADS says so (joblib sets it in its workers)."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    cores = joblib.cpu_count()
    return min(cores, int(asked)) if asked.isdigit() and int(asked) > 0 else cores


def threaded_map(function: Callable, items: list, n_threads: int) -> list:
    """Apply `function` to each item, in order; the compiled kernels and BLAS release the interpreter lock."""
    with SingleThreadedBlas():
        if n_threads == 1 or len(items) == 1:
            return [function(item) for item in items]
        with ThreadPoolExecutor(n_threads) as pool:
            return list(pool.map(function, items))


class SingleThreadedBlas:
    """Keep BLAS to one thread while anyone in this process needs that; restore it when the last one leaves.

    Plain nested limits from several threads would restore in the wrong order and leave the process changed.
    """

    def __enter__(self):
        global _users, _limits
        with _lock:
            if _users == 0:
                _limits = threadpool_limits(1, user_api="blas")
            _users += 1

    def __exit__(self, *exception):
        global _users, _limits
        with _lock:
            _users -= 1
            if _users == 0:
                _limits.restore_original_limits()
                _limits = None
