"""Time the first fit of a fresh installation, which compiles the kernels, and that of the next process.

python benchmarks/bench_compile.py
"""

import os
import subprocess
import sys
import tempfile

FIT = """
import time
import numpy as np
from scipy import sparse
from sklearn_sae_encoding.encoder import SparseVoxelEncoder
rng = np.random.default_rng(0)
X, Y = rng.random((40, 60)) * (rng.random((40, 60)) < 0.2), rng.normal(size=(40, 3))
for name, layout in (("sparse", sparse.csr_array), ("dense", np.asarray)):
    start = time.perf_counter(), time.process_time()
    SparseVoxelEncoder(5).fit(layout(X), Y)
    print(f"{name} {time.perf_counter() - start[0]:.2f} {time.process_time() - start[1]:.2f}")
"""


def main():
    print(f"{'seconds of a small fit':34s}{'wall':>8s}{'CPU':>8s}")
    with tempfile.TemporaryDirectory() as cache:
        for process in ("first process (compiles)", "second process (loads)"):
            command, environment = [sys.executable, "-c", FIT], os.environ | {"NUMBA_CACHE_DIR": cache}
            reply = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
            for layout, wall, cpu in map(str.split, reply.splitlines()):
                print(f"{process + ', ' + layout:34s}{float(wall):8.2f}{float(cpu):8.2f}", flush=True)


if __name__ == "__main__":
    main()
