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
        """Print how long a stage takes."""
        start = time.perf_counter()
        yield
        print(f"  {name}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
