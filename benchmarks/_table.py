"""The table that bench_encoder.py prints: seconds a voxel, and their ratios to ours of the same kind of voxels."""

from __future__ import annotations

import numpy as np
from _common import Timing


def head(last):
    print(
        f"{'':40s}{'voxels':>7s}{'wall s/voxel':>14s}{'ratio':>9s}{'CPU s/voxel':>13s}{'ratio':>9s}{last}", flush=True
    )


def row(name, n_voxels, time, base, last="", sign=""):
    """`time` and `base` are seconds a voxel; a `sign` says that they are a bound."""
    cells = [f"{sign}{seconds:.5f}" for seconds in time]
    ratios = [f"{sign}{_short(seconds / ours)}" for seconds, ours in zip(time, base, strict=True)]
    columns = f"{cells[0]:>14s}{ratios[0]:>9s}{cells[1]:>13s}{ratios[1]:>9s}"
    print(f"{name:40s}{n_voxels:>7}{columns}{last}", flush=True)


def _short(ratio):
    return f"{ratio:.1f}" if ratio >= 0.95 else f"{ratio:.2g}"


def found(name, run, base, describe):
    """Print what a competitor did, and return its median time if it finished any voxel."""
    if run.chosen:
        time = Timing(float(np.median(run.walls)), float(np.median(run.cpus)))
        row(name, len(run.chosen), time, base, describe(run.chosen))
        return time
    *spent, done = run.stopped
    row(name, 0, Timing(*spent), base, f"  stopped{done}", sign=">")
    return None


def missing(name, reason):
    print(f"{name:40s}{reason:>7s}", flush=True)
