"""Compile the kernels of SparseVoxelEncoder ahead of time, so that no fit waits for it.

They are kept beside the package, or in NUMBA_CACHE_DIR where that is set. Run it once after an installation, as the
user who fits.
"""

from __future__ import annotations

import time
import warnings

import numpy as np
from scipy import sparse

LAYOUTS = {"dense": np.asarray, "sparse": sparse.csr_array}


def add_arguments(parser):
    """Add which features to compile for."""
    parser.add_argument("--features", choices=sorted(LAYOUTS), nargs="*", default=sorted(LAYOUTS), help="all of them")


def run(options) -> int:
    """Fit small problems of every kind that has kernels of its own, and say how long each took."""
    from sklearn_sae_encoding._solvers.running import told_of_compiling

    with told_of_compiling():
        _fit_small_problems(options.features)
    return 0


def _fit_small_problems(kinds):
    from sklearn_sae_encoding.encoder import SparseVoxelEncoder

    rng = np.random.default_rng(0)
    X, Y = rng.random((40, 60)) * (rng.random((40, 60)) < 0.2), rng.normal(size=(40, 3))
    for dtype in (np.float64, np.float32):
        for kind in kinds:
            layout = LAYOUTS[kind]
            start = time.perf_counter()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                SparseVoxelEncoder(5, cv=2, forced_features=[0], screening=30).fit(layout(X.astype(dtype)), Y)
                # So few changes allowed that coordinate descent goes on.
                SparseVoxelEncoder(5, cv=2, max_iter=2).fit(layout(X.astype(dtype)), Y)
            print(f"{kind} features, {np.dtype(dtype).name}: {time.perf_counter() - start:.1f} s", flush=True)
