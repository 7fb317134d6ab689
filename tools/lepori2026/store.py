"""Results by what they were computed from, in a folder: what was computed once is read again."""

import hashlib
import io
import sys
import time
import warnings
from contextlib import contextmanager

import joblib

from sklearn_sae_encoding._cache import FORMATS
from sklearn_sae_encoding._files import make_folder, write_whole
from sklearn_sae_encoding.metrics import VoxelScores

_DIGEST = hashlib.sha256().digest_size


class Store:
    """Results in a folder of one's own: they are pickles, under a checksum.

    A result is found again only if everything that it was computed from is the same: the inputs (arrays, estimators
    with their parameters, folds), the format number of the code that computes it, and the fields of its scores.
    """

    def __init__(self, folder):
        self.folder = folder
        self.seconds = {}  # of each stage, on the clock and of all cores
        make_folder(folder)

    def __call__(self, name, function, **inputs):
        key = joblib.hash({"format": FORMATS["reproduction"], "fields": VoxelScores._fields, "inputs": inputs})
        path = self.folder / f"{name}-{key[:16]}.joblib"
        content = path.read_bytes() if path.exists() else b""
        if hashlib.sha256(content[_DIGEST:]).digest() == content[:_DIGEST]:
            return joblib.load(io.BytesIO(content[_DIGEST:]))
        with self.stage(name):
            result = function()
        self._keep(path, result)
        return result

    def _keep(self, path, result):
        content = io.BytesIO()
        joblib.dump(result, content, compress=3)
        digest = hashlib.sha256(content.getvalue()).digest()
        try:
            write_whole(path, lambda file: file.write(digest + content.getvalue()))
        except OSError as error:
            warnings.warn(f"{path} can't be kept: {error}. It will be computed again.", stacklevel=3)

    @contextmanager
    def stage(self, name):
        """Print how long a stage takes, and keep it."""
        start = time.perf_counter(), time.process_time()
        yield
        wall, cpu = time.perf_counter() - start[0], time.process_time() - start[1]
        self.seconds[name] = wall, cpu
        print(f"  {name}: {wall:.0f} s, {cpu:.0f} CPU s", file=sys.stderr, flush=True)
