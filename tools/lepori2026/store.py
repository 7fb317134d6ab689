"""Results by what they were computed from, in a folder: what was computed once is read again."""

import sys
import time
from contextlib import contextmanager

import joblib

from sklearn_sae_encoding import __version__
from sklearn_sae_encoding.metrics import VoxelScores


class Store:
    """Results in a folder.

    A result is found again only if everything that it was computed from is the same: the inputs (arrays, estimators
    with their parameters, folds), the version of the library and the fields of its scores.
    """

    def __init__(self, folder):
        self.folder = folder
        self.seconds = {}  # of each stage, on the clock and of all cores
        folder.mkdir(parents=True, exist_ok=True)

    def __call__(self, name, function, **inputs):
        key = joblib.hash({"version": __version__, "fields": VoxelScores._fields, "inputs": inputs})
        path = self.folder / f"{name}-{key[:16]}.joblib"
        if path.exists():
            return joblib.load(path)
        with self.stage(name):
            result = function()
        joblib.dump(result, path, compress=3)
        return result

    @contextmanager
    def stage(self, name):
        """Print how long a stage takes, and keep it."""
        start = time.perf_counter(), time.process_time()
        yield
        wall, cpu = time.perf_counter() - start[0], time.process_time() - start[1]
        self.seconds[name] = wall, cpu
        print(f"  {name}: {wall:.0f} s, {cpu:.0f} CPU s", file=sys.stderr, flush=True)
