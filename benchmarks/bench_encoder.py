"""Time a voxel's whole cross-validated lasso: ours against scikit-learn, celer, skglm, himalaya and adelie.

    python benchmarks/bench_encoder.py --problem A --voxels 1000 --seconds 120 --adelie ADELIE_ENV/bin/python
    python benchmarks/bench_encoder.py --problem A --device cuda --others 0
    python benchmarks/bench_encoder.py --growth growth.png

The problems: A, 200 samples of 32,768 sparse features, half of the voxels signal and half noise, 30 penalties, 5 folds;
B, the published protocol on the published voxels; C, 5,000 samples of 16,384 sparse features, 5 folds of whole stories;
D, 100,000 voxels of A, ours alone, with peak memory; R, SAE features of 200 real sentences with real voxels (or planted
ones, where the published betas are absent); Z, 200 samples of Zipf-like features in topics, strongly correlated. Every
competitor gets the same features, folds, penalties and duality gap, and as many voxels of each kind as it solves in
`--seconds`, at most `--others`.

Noise costs every solver more than signal, so each kind has rows of its own, and a ratio is one kind's seconds a voxel
over ours of that kind. A competitor's are the median of the voxels that it finished, the first ones of the kind. Ours
are a fit of all voxels of the kind at once over their number (median of `--repeats`): they share passes over the
features, as they would in use; with `--voxels 2` each kind is a single voxel that shares nothing. "half of each" is the
mean of both kinds, over ours of all voxels at once. What was not finished has a lower bound (>): the time when it was
stopped, over the voxels it had at once. Last come how often the penalty chosen is ours, and the largest relative gap
(with the scaled residual as dual point, so an upper bound): of the chosen solution and, of others that give it, of the
first fold's path (ours warns where its path misses `tol`).

Ours is exact up to 512 active features, whatever `tol` is: `--tighter 1e4` asks the others for more, too.

Ours solves the whole grid, as the others do. Rows of our own variants follow: early stopping, the default (whose grid
is not whole), and with `--device` the screening through torch on that device. For problem C, the hours follow that a
whole cortex of each kind of voxels, or of half of each, would take. Packages that are not installed are left out;
adelie, which needs NumPy below 2, runs in the environment that `--adelie` names.
"""

from __future__ import annotations

import argparse
import shutil
from functools import partial

import _correlated
import _floor
import _growth
import _published
import _stages
import _table
import numpy as np
from _common import Timing, alpha_grid, make_problem, peak_memory, relative_gap, some_voxels, timed
from _competitors import COMPETITORS, TOL, installed, run, run_adelie, tightened

SIZES = {"A": (200, 32768, 330), "C": (5000, 16384, 330), "D": (200, 32768, 330)}
VOXELS = {"A": 200, "B": 40, "C": 4, "D": 2000, "R": 64, "Z": 16}
FULL = {"A": 1000, "B": 100_000, "C": 20, "D": 100_000, "R": 256, "Z": 256}
WHOLE_CORTEX = 80_000  # voxels
MADE = {"R": _correlated.real, "Z": _correlated.topics}


def ours(problem, **settings):
    from sklearn_sae_encoding.encoder import SparseVoxelEncoder

    encoder = SparseVoxelEncoder(problem.alphas, eps=problem.eps, cv=problem.splits, tol=TOL, **settings)
    return encoder.fit(problem.X, problem.Y)


def variants(device):
    """Return {name: settings} of ours; the first is what all are compared with."""
    settings = {"SparseVoxelEncoder": {"early_stopping": False}, "early stopping, the default": {}}
    if device:
        import torch

        settings[f"device={device}"] = {"device": torch.device(device)}
    return settings


def time_ours(problem, repeats, fit=ours):
    """Return median seconds a voxel, and what `fit` returned last."""
    time, result = timed(fit, problem, repeats=repeats)
    n_voxels = problem.Y.shape[1]
    return Timing(time.wall / n_voxels, time.cpu / n_voxels), result


def shapes(options):
    """Problems A, C, R and Z."""
    if options.problem in MADE:
        problem = MADE[options.problem](options.voxels)
    else:
        problem = make_problem(options.voxels, *SIZES[options.problem], name=options.problem)
    announce(problem)
    kinds = {"all": slice(None)} | problem.kinds
    parts = {kind: some_voxels(problem, part) for kind, part in kinds.items() if problem.Y[:, part].size}
    bases, exact, screening, times = {}, {}, {}, {}
    _table.head(f"{'same alpha':>12s}{'largest gap':>13s}")
    for name, settings in variants(options.device).items():
        fit = partial(ours, **settings)
        compile_kernels(fit)
        for kind, part in parts.items():
            with _floor.counted_screening() as counted:
                time, encoder = time_ours(part, options.repeats, fit)
            if kind not in bases:
                bases[kind], exact[kind], screening[kind] = time, encoder, counted
            times[f"{name}, {kind}"] = time
            _table.row(f"{name}, {kind}", part.Y.shape[1], time, bases[kind], of_ours(part, encoder, exact[kind]))
    if options.problem == "C":
        project(times)

    def describe(kind, chosen):
        alphas = exact[kind].alpha_[: len(chosen)]
        gaps = [largest_gap(parts[kind], y, one) for y, one in zip(parts[kind].Y.T, chosen, strict=False)]
        return last_columns([one.alpha for one in chosen], alphas, gaps)

    run_others(options, problem, bases, describe)
    _floor.report(problem, screening["all"], options.repeats, bases["all"].cpu)
    with _stages.timed_stages() as spent:
        time, _ = time_ours(problem, 1, partial(ours, early_stopping=False))
    _stages.report(spent, problem.Y.shape[1], time.cpu)


def project(times):
    """Print how long a whole cortex of such voxels takes; `times` are those of a voxel."""
    print(f"hours that {WHOLE_CORTEX:,} such voxels take, from CPU time: of one core, and of eight")
    for name, time in times.items():
        hours = time.cpu * WHOLE_CORTEX / 3600
        print(f"  {name:42s}{hours:10.1f}{hours / 8:10.1f}", flush=True)


def announce(problem, more=""):
    n_active = problem.X.nnz / problem.X.shape[0]
    print(f"problem {problem.name}: X {problem.X.shape}, {n_active:.0f} non-zeros a row{more}", flush=True)


def compile_kernels(fit):
    """Fit a few samples, then so many that active sets outgrow their inverse."""
    for n_samples in (200, 1200):
        fit(make_problem(2, n_samples, n_features=2048, n_active=40))


def of_ours(problem, encoder, exact):
    return last_columns(encoder.alpha_, exact.alpha_, encoder.dual_gap_ / problem.Y.var(axis=0))


def last_columns(alphas, alphas_of_ours, gaps):
    return f"{np.mean(np.isclose(alphas, alphas_of_ours, rtol=1e-6)):12.2f}{np.max(gaps):13.1e}"


def largest_gap(problem, y, chosen):
    """Of the solution chosen, and of the path on the first fold."""
    train = problem.splits[0][0]
    X, rows = problem.X.tocsr()[train], y[train]
    path = zip(alpha_grid(problem, y), *chosen.path, strict=False)
    final = relative_gap(problem.X, y, chosen.alpha, chosen.weights, chosen.intercept)
    return max([final, *(relative_gap(X, rows, *solution) for solution in path)])


def many(options):
    """Problem D."""
    problem = make_problem(options.voxels, *SIZES["D"], name="D")
    announce(problem)
    compile_kernels(ours)
    thousand = some_voxels(problem, slice(1000))
    small, _ = time_ours(thousand, 1)
    with _floor.counted_screening() as counted:
        base, _ = time_ours(problem, options.repeats)
    memory, growth = peak_memory(), base.cpu / small.cpu
    _table.head("")
    for part, time in ((thousand, small), (problem, base)):
        _table.row("SparseVoxelEncoder, all", part.Y.shape[1], time, base)
    print(f"peak memory {memory:.2f} GB; a voxel costs {growth:.2f} times one of {thousand.Y.shape[1]} in CPU time")
    _floor.report(problem, counted, options.repeats, base.cpu)


def published(options):
    """Problem B."""
    try:
        problem = _published.load(options.voxels)
    except OSError as error:
        print(f"problem B is left out: {error}")
        return
    announce(problem, ", screening, ridge refit")
    _published.ours(some_voxels(problem, slice(2)))  # compiles
    base, scored = time_ours(problem, options.repeats, _published.ours)
    _table.head(f"{'largest difference of r':>25s}{'of sizes':>10s}")
    _table.row("SparseVoxelEncoder, real", problem.Y.shape[1], base, base)

    def describe(_kind, chosen):
        score, size = _published.compare(chosen, scored)
        return f"{score:25.1e}{size:10.1f}"

    run_others(options, problem, {"real": base}, describe, _published.around)


def run_others(options, problem, bases, describe, wrap=None):
    """Print the rows of all competitors; `bases` has our time for each kind of voxels."""
    if not options.others:
        return
    for competitor in COMPETITORS:
        if options.only and not any(word.lower() in competitor.name.lower() for word in options.only):
            continue
        competitor = tightened(competitor, options.tighter)
        if wrap and competitor.package != "adelie":
            competitor = competitor._replace(solve=wrap(competitor.solve), together=1)
        reason = why_not(competitor, options, wrap)
        if reason:
            _table.missing(competitor.name, reason)
            continue
        kinds = [kind for kind in problem.kinds if kind in bases]
        times = [run_kind(options, competitor, problem, kind, bases, describe) for kind in kinds]
        if len(times) > 1 and all(times):
            half = Timing(*np.mean(times, axis=0))
            _table.row(f"{competitor.name}, half of each", "", half, bases["all"])


def why_not(competitor, options, wrap):
    """Return why a competitor cannot run, or an empty string."""
    if competitor.package != "adelie":
        return "" if installed(competitor.package) else "not installed"
    if wrap:
        return "left out of this problem"
    return "" if options.adelie and shutil.which(options.adelie) else "not given (--adelie)"


def run_kind(options, competitor, problem, kind, bases, describe):
    part = some_voxels(some_voxels(problem, problem.kinds[kind]), slice(max(options.others, competitor.together)))
    grids = np.array([alpha_grid(part, y) for y in part.Y.T])
    if competitor.package == "adelie":
        found = run_adelie(options.adelie, competitor, part, grids, options.seconds)
    else:
        found = run(competitor, part, grids, options.seconds)
    together = min(competitor.together, part.Y.shape[1])
    name = f"{competitor.name} ({together} at once)" if together > 1 else competitor.name
    return _table.found(f"{name}, {kind}", found, bases[kind], partial(describe, kind))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problem", choices="ABCDRZ", default="A")
    parser.add_argument("--voxels", type=int, help="ours; by default a few")
    parser.add_argument("--full", action="store_true", help="as many voxels as the problem asks for")
    parser.add_argument("--others", type=int, default=2, help="at most so many voxels of each kind for each competitor")
    parser.add_argument("--seconds", type=float, default=30, help="time for each competitor and kind of voxels")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", nargs="*", help="of the competitors, for example celer LassoCV")
    parser.add_argument(
        "--tighter",
        type=float,
        default=1.0,
        help="divide the tolerances of the others, for the accuracy ours has anyway",
    )
    parser.add_argument("--device", help="of torch, to time our screening there too, for example cuda")
    parser.add_argument("--adelie", metavar="PYTHON", help="of an environment that has adelie")
    parser.add_argument("--growth", metavar="PATH", help="instead, draw how the cost grows: six minutes on two cores")
    parser.add_argument("--scale", type=float, default=1.0, help="of the voxels of --growth")
    options = parser.parse_args()
    if options.growth:
        _growth.draw(*_growth.measure(ours, options.scale, options.repeats), options.growth)
        return
    options.voxels = options.voxels or (FULL if options.full else VOXELS)[options.problem]
    {"B": published, "D": many}.get(options.problem, shapes)(options)


if __name__ == "__main__":
    main()
