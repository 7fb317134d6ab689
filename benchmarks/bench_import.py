"""Time imports, each in a process of its own, beside an empty one and the packages that they rest on.

python benchmarks/bench_import.py

Modules are found on disk for the first time in a session by the first repetition; the median of the others is printed.
"""

import statistics
import subprocess
import sys

TIMED = """
import resource, sys, time
start = time.perf_counter(), time.process_time()
for name in sys.argv[1:]:
    __import__(name)
print(time.perf_counter() - start[0], time.process_time() - start[1])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, *("torch" in sys.modules, "numba" in sys.modules))
"""
PACKAGE = "sklearn_sae_encoding"
IMPORTED = (
    (),
    ("numpy", "scipy.sparse", "pandas", "sklearn.base"),
    (PACKAGE,),
    *((f"{PACKAGE}.{name}",) for name in ("encoder", "banded", "activations", "surprisal", "sae", "tokens", "timing")),
    *(
        (f"{PACKAGE}.{name}",)
        for name in ("masking", "reading", "metrics", "pipeline", "analysis", "plotting", "report")
    ),
    ("torch",),
    ("sae_lens",),
)


def time_import(names):
    """Return wall and CPU seconds, megabytes at the peak, and whether torch and numba came along."""
    reply = subprocess.run([sys.executable, "-c", TIMED, *names], check=True, stdout=subprocess.PIPE, text=True).stdout
    times, rest = reply.strip().splitlines()[-2:]
    kilobytes, torch, numba = rest.split()
    return *map(float, times.split()), int(kilobytes) / 1000, torch == "True", numba == "True"


def main(repeats=3):
    print(f"{'import':44s}{'wall s':>8s}{'CPU s':>8s}{'peak MB':>9s}  with it")
    for names in IMPORTED:
        found = [time_import(names) for _ in range(repeats + 1)][1:]
        wall, cpu, peak = (statistics.median(column) for column in list(zip(*found, strict=True))[:3])
        along = " ".join(name for name, here in zip(("torch", "numba"), found[0][3:], strict=True) if here)
        print(f"{', '.join(names) or 'nothing':44s}{wall:8.2f}{cpu:8.2f}{peak:9.0f}  {along}", flush=True)


if __name__ == "__main__":
    main()
