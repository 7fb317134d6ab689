"""How the cost of a voxel grows, one thing at a time: a figure of six panels."""

from __future__ import annotations

import numpy as np
from _common import contiguous_folds, make_problem, timed

BASE = {"n_samples": 200, "n_features": 8192, "n_voxels": 200, "n_folds": 5, "n_alphas": 30, "density": 0.01}
VALUES = {
    "n_samples": [100, 200, 400, 800, 1600],
    "n_features": [2048, 4096, 8192, 16384, 32768, 65536],
    "n_voxels": [10, 30, 100, 300, 1000, 3000],
    "n_folds": [2, 3, 5, 10, 20],
    "n_alphas": [5, 10, 20, 40, 80],
    "density": [0.003, 0.01, 0.03, 0.1, 0.3],
}
LABELS = {
    "n_samples": "samples",
    "n_features": "features",
    "n_voxels": "voxels",
    "n_folds": "folds",
    "n_alphas": "penalties",
    "density": "share of non-zeros",
}


def measure(fit, scale, repeats):
    """Return the base setting and {quantity: (values, CPU seconds a voxel)}; `scale` multiplies the voxels."""
    base = BASE | {"n_voxels": int(scale * BASE["n_voxels"])}
    fit(make_problem(4, n_features=512, n_active=20))  # compiles
    curves = {}
    for name, values in VALUES.items():
        times = []
        values = [max(2, int(scale * value)) for value in values] if name == "n_voxels" else values
        for value in values:
            setting = base | {name: value}
            problem = make_problem(
                setting["n_voxels"],
                setting["n_samples"],
                setting["n_features"],
                max(1, int(setting["density"] * setting["n_features"])),
                setting["n_alphas"],
            )
            problem = problem._replace(splits=contiguous_folds(setting["n_samples"], setting["n_folds"]))
            time, _ = timed(fit, problem, repeats=repeats)
            times.append(time.cpu / setting["n_voxels"])
            print(f"{LABELS[name]:20s}{value:10g}{times[-1] * 1e3:10.2f} CPU ms / voxel", flush=True)
        curves[name] = (np.array(values), np.array(times))
        print(f"{'':20s}grows with the power {_slope(*curves[name]):.2f}", flush=True)
    return base, curves


def _slope(values, times):
    return np.polyfit(np.log(values), np.log(times), 1)[0]


def draw(base, curves, path):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(curves), figsize=(17, 3.2), sharey=True, layout="constrained")
    for axis, (name, (values, times)) in zip(axes, curves.items(), strict=True):
        axis.loglog(values, times * 1e3, "o-", color="C0")
        axis.set(xlabel=LABELS[name], title=f"power {_slope(values, times):.2f}")
        axis.set_xticks(values, [f"{value:g}" for value in values], rotation=45)
        axis.set_xticks([], minor=True)
        axis.grid(which="both", alpha=0.2)
    axes[0].set_ylabel("CPU time of a voxel (ms)")
    setting = ", ".join(f"{value:g} {LABELS[name]}" for name, value in base.items())
    figure.suptitle(f"Cross-validated lasso; unless varied: {setting}", fontsize=10)
    figure.savefig(path, dpi=120)
