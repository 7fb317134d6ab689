"""Where the time of a fit goes: a table of stages that adds up to the whole."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager

# What path.py calls, and what a reader knows it as. A step checks, records and moves in one compiled loop.
STAGES = {
    "_own_alpha_max": "largest penalties",
    "_screen": "screening",
    "advance": "checking, recording, moving",
    "descend_chunk": "coordinate descent",
    "solve_paths": "rest of the paths",
}


@contextmanager
def timed_stages():
    """Collect CPU seconds a stage, over all threads of this process."""
    from sklearn_sae_encoding._solvers.lasso import cross_validation, path

    spent, lock, originals = dict.fromkeys(STAGES, 0.0), threading.Lock(), {}
    inner = threading.local()

    def timed(name, function):
        def run(*args, **options):
            start, before = time.thread_time(), getattr(inner, "seconds", 0.0)
            inner.seconds = 0.0
            result = function(*args, **options)
            own = time.thread_time() - start
            with lock:
                spent[name] += own - inner.seconds
            inner.seconds = before + own
            return result

        return run

    for name in STAGES:
        originals[name] = getattr(path, name)
        setattr(path, name, timed(name, originals[name]))
    cross_validation.solve_paths = path.solve_paths
    try:
        yield spent
    finally:
        for name, function in originals.items():
            setattr(path, name, function)
        cross_validation.solve_paths = originals["solve_paths"]


def report(spent, n_voxels, cpu):
    """Print the stages of `n_voxels`, where a voxel took `cpu` seconds in all."""
    print("stages of ours, CPU ms a voxel")
    rows = {STAGES[name]: seconds / n_voxels for name, seconds in spent.items()}
    rows["the rest of the fit"] = cpu - sum(rows.values())
    for name, seconds in rows.items():
        print(f"  {name:32s}{1e3 * seconds:9.3f}{seconds / cpu:8.0%}")
    print(f"  {'all':32s}{1e3 * cpu:9.3f}")
