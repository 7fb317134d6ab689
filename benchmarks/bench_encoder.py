"""Time a voxel's whole cross-validated lasso: ours against scikit-learn, celer, skglm, himalaya and adelie.

    python benchmarks/bench_encoder.py --problem A --voxels 1000 --seconds 120 --adelie ADELIE_ENV/bin/python
    python benchmarks/bench_encoder.py --growth growth.png

The problems: A, 200 samples of 32,768 sparse features, half of the voxels signal and half noise, 30 penalties, 5 folds;
B, the published protocol on the published voxels; C, 5,000 samples of 16,384 sparse features, 5 folds of whole stories;
D, 100,000 voxels of A, with peak memory. Every competitor gets the same features, folds, penalties and duality gap, and
as many voxels as it solves in `--seconds` (at most `--others`). It prints seconds a voxel (a single one is signal,
which costs every solver less than noise) and their ratios to ours, how often the penalty chosen is ours, and the
largest relative gap. Packages that are not installed are left out; adelie, which needs NumPy below 2, runs in the
environment that `--adelie` names.
"""

from __future__ import annotations

import argparse
import resource

import _floor
import _growth
import _published
import numpy as np
from _common import alpha_grid, make_problem, relative_gap, timed
from _competitors import COMPETITORS, TOL, installed, run, run_adelie

SIZES = {"A": (200, 32768, 330), "C": (5000, 16384, 330), "D": (200, 32768, 330)}
VOXELS = {"A": 200, "B": 40, "C": 4, "D": 2000}
FULL = {"A": 1000, "B": 100_000, "C": 200, "D": 100_000}


def ours(problem):
    from sklearn_sae_encoding.encoder import SparseVoxelEncoder

    encoder = SparseVoxelEncoder(problem.alphas, eps=problem.eps, cv=problem.splits, tol=TOL)
    return encoder.fit(problem.X, problem.Y)


def peak_memory():
    """Return the most memory this process ever had, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def print_head(last):
    print(
        f"{'':26s}{'voxels':>8s}{'wall s/voxel':>14s}{'ratio':>9s}{'CPU s/voxel':>13s}{'ratio':>9s}{last}", flush=True
    )


def print_row(name, n_voxels, wall, cpu, base, last=""):
    ratios = f"{wall:14.5f}{wall / base.wall:9.1f}{cpu:13.5f}{cpu / base.cpu:9.1f}"
    print(f"{name:26s}{n_voxels:8d}{ratios}{last}", flush=True)


def print_found(name, found, base, describe):
    if found.chosen:
        # Every other voxel is noise and costs more: as many of both kinds, as in our own time.
        pairs = max(1, len(found.walls) // 2 * 2)
        wall, cpu = np.mean(found.walls[:pairs]), np.mean(found.cpus[:pairs])
        print_row(name, len(found.chosen), wall, cpu, base, describe(found))
    else:
        print(
            f"{name:26s}{'none':>8s}{'':5s}in {found.limit:.0f} s, ratio above {found.limit / base.wall:.0f}",
            flush=True,
        )


def run_others(options, problem, grids, base, describe, wrap=None):
    for competitor in COMPETITORS:
        if options.only and competitor.package not in options.only:
            continue
        if not installed(competitor.package):
            print(f"{competitor.name:26s}{'not installed':>22s}")
            continue
        if wrap:
            competitor = competitor._replace(solve=wrap(competitor.solve), together=1)
        found = run(competitor, problem, grids, options.seconds, options.others)
        together = f" ({competitor.together} at once)" if competitor.together > 1 else ""
        print_found(competitor.name + together, found, base, describe)
    if options.adelie and not wrap:
        print_found(
            "adelie", run_adelie(options.adelie, problem, grids, options.seconds, options.others), base, describe
        )


def shapes(options):
    """Problems A, C and D."""
    problem = make_problem(options.voxels, *SIZES[options.problem])
    print(f"problem {options.problem}: X {problem.X.shape}, {problem.X.nnz / problem.X.shape[0]:.0f} non-zeros a row")
    few = problem._replace(Y=problem.Y[:, : min(options.voxels, 200)])
    ours(few._replace(Y=few.Y[:, :2]))  # compiles
    if options.problem == "D":
        thousand = problem._replace(Y=np.ascontiguousarray(problem.Y[:, :1000]))
        small, _ = timed(ours, thousand, repeats=1)
    time, encoder = timed(ours, problem, repeats=options.repeats)
    base = time._replace(wall=time.wall / options.voxels, cpu=time.cpu / options.voxels)
    memory = peak_memory()
    print_head(f"{'same alpha':>12s}{'largest gap':>13s}")
    gap = np.max(encoder.dual_gap_ / problem.Y.var(axis=0))
    print_row("SparseVoxelEncoder", options.voxels, *base, base, f"{'':12s}{gap:13.1e}")
    if options.problem == "D":
        n_voxels = thousand.Y.shape[1]
        growth = base.cpu / (small.cpu / n_voxels)
        print(f"peak memory {memory:.2f} GB; a voxel costs {growth:.2f} times one of {n_voxels} in CPU time")

    def describe(found):
        alphas = [chosen.alpha for chosen in found.chosen]
        gaps = [relative_gap(problem.X, y, *chosen) for y, chosen in zip(problem.Y.T, found.chosen, strict=False)]
        return f"{np.mean(np.isclose(alphas, encoder.alpha_[: len(alphas)], rtol=1e-6)):12.2f}{max(gaps):13.1e}"

    grids = np.array([alpha_grid(problem, y) for y in problem.Y[:, : options.others].T])
    if options.others:
        run_others(options, problem, grids, base, describe)
    _floor.report(few, ours, base.cpu)


def published(options):
    """Problem B."""
    try:
        problem = _published.load(options.voxels)
    except OSError as error:
        print(f"problem B is left out: {error}")
        return
    n_voxels = problem.Y.shape[1]
    print(
        f"problem B: X {problem.X.shape}, {problem.X.nnz / len(problem.Y):.0f} non-zeros a row, screening, ridge refit"
    )
    _published.ours(problem._replace(Y=problem.Y[:, :2]))  # compiles
    time, scored = timed(_published.ours, problem, repeats=options.repeats)
    base = time._replace(wall=time.wall / n_voxels, cpu=time.cpu / n_voxels)
    print_head(f"{'largest difference of r':>25s}{'of sizes':>10s}")
    print_row("SparseVoxelEncoder", n_voxels, *base, base)

    def describe(found):
        score, size = _published.compare(found, scored)
        return f"{score:25.1e}{size:10.1f}"

    grids = np.array([alpha_grid(problem, y) for y in problem.Y.T])
    run_others(options, problem, grids, base, describe, _published.around)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problem", choices="ABCD", default="A")
    parser.add_argument("--voxels", type=int, help="ours; by default a few")
    parser.add_argument("--full", action="store_true", help="as many voxels as the problem asks for")
    parser.add_argument("--others", type=int, default=4, help="at most so many voxels for each competitor")
    parser.add_argument("--seconds", type=float, default=30, help="time for each competitor")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", nargs="*", help="packages of competitors, for example celer")
    parser.add_argument("--adelie", metavar="PYTHON", help="of an environment that has adelie")
    parser.add_argument("--growth", metavar="PATH", help="instead, draw how the cost grows")
    parser.add_argument("--scale", type=float, default=1.0, help="of the voxels of --growth")
    options = parser.parse_args()
    if options.growth:
        _growth.draw(*_growth.measure(ours, options.scale, options.repeats), options.growth)
        return
    options.voxels = options.voxels or (FULL if options.full else VOXELS)[options.problem]
    options.others = min(options.others, options.voxels)
    published(options) if options.problem == "B" else shapes(options)


if __name__ == "__main__":
    main()
