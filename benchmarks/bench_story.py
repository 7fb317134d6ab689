"""Bands of a story, from features to scores: BandedRidgeEncoder against himalaya driven by hand.

    python benchmarks/bench_story.py [--scans 900] [--runs 6] [--voxels 5000] [--candidates 20] [--full | --tenth]

A band of 32,768 sparse SAE features and three of few columns, four delays each. One run is held out; penalties are
chosen by leaving out each of the others; all use the same folds, candidates, penalties and single precision. Times are
taken in one process, peaks of memory each in a process of its own, less that of the imports. `--full` is 3,600 scans in
12 runs and 20,000 voxels. `--tenth` is a tenth of 25 hours (4,500 scans, 9,500 voxels), ours alone, in one process for
time and memory, beside what `fit` said of both before it began.
"""

import argparse
import importlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import sparse

N_FEATURES, N_ACTIVE, DELAYS = 32_768, 250, (1, 2, 3, 4)
NARROW = {"surprisal": 1, "rate": 1, "sound": 10}
ALPHAS = np.logspace(0, 8, 20)
SECONDS_OF_LASSO = 60


class Story(NamedTuple):
    """The first run is held out."""

    X: sparse.csr_array  # (n_train, n_columns)
    Y: np.ndarray  # (n_train, n_voxels)
    X_test: sparse.csr_array
    Y_test: np.ndarray
    runs: np.ndarray  # (n_train,)
    bands: dict
    candidates: np.ndarray  # (n_candidates, n_bands)

    @property
    def folds(self):
        return [(np.flatnonzero(self.runs != run), np.flatnonzero(self.runs == run)) for run in np.unique(self.runs)]


def simulate(n_scans, n_runs, n_voxels, n_candidates):
    """Follow words in a third of the voxels, sound in a third, both in a third."""
    rng = np.random.default_rng(0)
    rates = (1.0 + np.arange(N_FEATURES)) ** -0.8
    rates = np.minimum(rates * N_ACTIVE / rates.sum(), 0.8)
    rows = [np.flatnonzero(rng.random(N_FEATURES) < rates) for _ in range(n_scans)]
    indptr = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    data = rng.gamma(2.0, 1.0, indptr[-1]).astype(np.float32)
    sae = sparse.csr_array((data, np.concatenate(rows), indptr), shape=(n_scans, N_FEATURES))
    parts = {"sae": sae} | {
        name: sparse.csr_array(rng.normal(2.0, 1.0, (n_scans, width)).astype(np.float32))
        for name, width in NARROW.items()
    }
    runs = np.arange(n_scans) * n_runs // n_scans
    columns, bands, start = [], {}, 0
    for name, part in parts.items():
        delayed = [_delay(part, runs, delay) for delay in DELAYS]
        bands[name] = slice(start, start + len(DELAYS) * part.shape[1])
        columns += delayed
        start = bands[name].stop
    X = sparse.hstack(columns, format="csr")
    X.sort_indices()
    Y = rng.normal(size=(n_scans, n_voxels)).astype(np.float32)
    for kind, names in enumerate((["sae"], ["sound"], ["sae", "sound"])):
        for name in names:
            part = X[:, bands[name]]
            weights = rng.normal(size=(part.shape[1], len(range(kind, n_voxels, 3)))).astype(np.float32)
            signal = np.asarray(part @ weights)
            Y[:, kind::3] += 0.7 * (signal - signal.mean(axis=0)) / signal.std(axis=0)
    candidates = np.vstack([np.full(4, 0.25), rng.dirichlet(np.full(4, 0.5), n_candidates - 1)])
    n_test = int(np.sum(runs == 0))
    return Story(X[n_test:], Y[n_test:].copy(), X[:n_test], Y[:n_test].copy(), runs[n_test:], bands, candidates)


def _delay(part, runs, delay):
    rows = np.arange(part.shape[0]) - delay
    inside = (rows >= 0) & (runs[np.maximum(rows, 0)] == runs)
    shift = sparse.csr_array(
        (inside[inside].astype(np.float32), (np.flatnonzero(inside), rows[inside])), shape=(part.shape[0],) * 2
    )
    return shift @ part


def ours(story, verbose=0):
    """Fit BandedRidgeEncoder as it comes."""
    from sklearn_sae_encoding.banded import BandedRidgeEncoder

    encoder = BandedRidgeEncoder(
        story.bands,
        alphas=ALPHAS,
        candidates=story.candidates,
        cv=story.folds,
        scale="columns",
        form="kernel",
        verbose=verbose,
    )
    encoder.fit(story.X, story.Y)
    return encoder.voxel_scores(story.X_test, story.Y_test, metric="r2")


def by_hand(story):
    """Drive himalaya with sparse products: the batches are those of the voxelwise tutorials."""
    from himalaya.kernel_ridge import MultipleKernelRidgeCV
    from sklearn.preprocessing import StandardScaler

    train, test = [], []
    for columns in story.bands.values():
        scaler = StandardScaler(with_mean=False)
        fitted, new = scaler.fit_transform(story.X[:, columns]), scaler.transform(story.X_test[:, columns])
        train.append((fitted @ fitted.T).toarray())
        test.append((new @ fitted.T).toarray())
    return _fit_kernels(story, np.array(train), np.array(test), fit_intercept=True, model=MultipleKernelRidgeCV)


def announced(story):
    """Fit BandedRidgeEncoder, which says time and memory first."""
    return ours(story, verbose=1)


def tutorial(story):
    """Drive himalaya with dense, centred and scaled columns, as its tutorials do."""
    from himalaya.kernel_ridge import MultipleKernelRidgeCV
    from sklearn.preprocessing import StandardScaler

    train, test = [], []
    for columns in story.bands.values():
        scaler = StandardScaler()
        fitted = scaler.fit_transform(story.X[:, columns].toarray())
        new = scaler.transform(story.X_test[:, columns].toarray())
        train.append(fitted @ fitted.T)
        test.append(new @ fitted.T)
    return _fit_kernels(story, np.array(train), np.array(test), fit_intercept=True, model=MultipleKernelRidgeCV)


def _fit_kernels(story, train, test, *, fit_intercept, model):
    fitted = model(
        kernels="precomputed",
        cv=story.folds,
        fit_intercept=fit_intercept,
        solver_params={
            "n_iter": story.candidates.astype(np.float32),
            "alphas": ALPHAS.astype(np.float32),
            "n_targets_batch": 200,
            "n_alphas_batch": 5,
            "n_targets_batch_refit": 200,
            "progress_bar": False,
        },
    ).fit(train.astype(np.float32), story.Y)
    return fitted.score(test.astype(np.float32), story.Y_test)


def imports():
    """Import what the others import."""
    for module in ("himalaya.kernel_ridge", "sklearn.preprocessing", "sklearn_sae_encoding.banded"):
        importlib.import_module(module)


COMPETITORS = {"ours": ours, "himalaya by hand, sparse": by_hand, "himalaya as in tutorials, dense": tutorial}


def peak(name, folder):
    """Run one competitor in a process of its own.

    Return gigabytes beyond its imports, seconds, seconds of CPU, and what the fit said before it began.
    """
    command = [sys.executable, __file__, "--child", name, "--folder", folder]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    said = next((line for line in done.stderr.splitlines() if "form:" in line), "")
    return *json.loads(done.stdout.splitlines()[-1]), said


def child(name, folder):
    imports()
    before = resident("VmRSS")
    story = load(folder)
    start, cpu = time.perf_counter(), time.process_time()
    {**COMPETITORS, "announced": announced}[name](story)
    print(json.dumps([resident("VmHWM") - before, time.perf_counter() - start, time.process_time() - cpu]))


def resident(what):
    """Read gigabytes of this program (Linux): ru_maxrss would start from those of the process that started it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e9 for line in lines if line.startswith(what))


def save(story, folder):
    for name in ("X", "X_test"):
        sparse.save_npz(Path(folder) / f"{name}.npz", getattr(story, name), compressed=False)
    rest = {name: getattr(story, name) for name in ("Y", "Y_test", "runs", "candidates")}
    np.savez(Path(folder) / "rest.npz", **rest)
    edges = {name: [columns.start, columns.stop] for name, columns in story.bands.items()}
    (Path(folder) / "bands.json").write_text(json.dumps(edges))


def load(folder):
    edges = json.loads((Path(folder) / "bands.json").read_text())
    with np.load(Path(folder) / "rest.npz") as rest:
        arrays = {name: rest[name] for name in rest.files}
    for name in ("X", "X_test"):
        arrays[name] = sparse.csr_array(sparse.load_npz(Path(folder) / f"{name}.npz"))
    return Story(bands={name: slice(*ends) for name, ends in edges.items()}, **arrays)


def project(seconds, story, targets):
    """Scale measured seconds by the operations of larger fits."""
    from sklearn_sae_encoding._solvers.banded import planning

    def size(n_scans, n_folds, n_voxels):
        return planning.Size(n_scans, story.X.shape[1], 1, n_voxels, len(story.candidates), 20, n_folds, 4, False, 1)

    here = size(len(story.Y), len(story.folds), story.Y.shape[1])
    unit = planning.operations(here, planning.voxels_of_a_block(here, None))
    for name, target in targets.items():
        there = size(*target)
        block = planning.voxels_of_a_block(there, None)
        hours = seconds * planning.operations(there, block) / unit / 3600
        gigabytes = planning.peak_bytes(there, block) / planning.GB
        print(f"  {name:44s}{hours:10.2f} h{gigabytes:10.1f} GB")


def lasso(story):
    """Time SparseVoxelEncoder on a few of the voxels."""
    from sklearn_sae_encoding.encoder import SparseVoxelEncoder

    n_voxels, start = 0, time.perf_counter()
    while time.perf_counter() - start < SECONDS_OF_LASSO and n_voxels + 3 <= story.Y.shape[1]:
        SparseVoxelEncoder(cv=story.folds, early_stopping=True).fit(story.X, story.Y[:, n_voxels : n_voxels + 3])
        n_voxels += 3
    return (time.perf_counter() - start) / n_voxels, n_voxels


def nested(story):
    """Time the models of all bands, all but one and each alone, on a fold: together, and each by itself."""
    from sklearn_sae_encoding.analysis import band_models
    from sklearn_sae_encoding.banded import BandedRidgeEncoder
    from sklearn_sae_encoding.metrics import cross_val_voxel_scores

    X, Y = sparse.vstack([story.X, story.X_test], format="csr"), np.concatenate([story.Y, story.Y_test])
    fold = [(np.arange(len(story.Y)), np.arange(len(story.Y), len(Y)))]
    params = {"alphas": ALPHAS, "candidates": story.candidates, "cv": story.folds, "scale": "columns", "form": "kernel"}
    models = band_models(BandedRidgeEncoder(story.bands, **params))
    seconds = []
    for parts in ([models], [{name: model} for name, model in models.items()]):
        start = time.perf_counter(), time.process_time()
        for part in parts:
            cross_val_voxel_scores(part, X, Y, cv=fold)
        seconds.append((time.perf_counter() - start[0], time.process_time() - start[1]))
    (together, cpu), (apart, cpu_apart) = seconds
    print(f"{len(models)} nested models together: {together:.1f} s, {cpu:.1f} s of CPU")
    print(f"each by itself:                {apart:.1f} s, {cpu_apart:.1f} s of CPU ({cpu_apart / cpu:.2f} x)")


def table(times, cpus, scores, n_voxels):
    """Print seconds, their ratios to ours, and how far scores lie apart."""
    heads = ("seconds", "ratio", "CPU s", "ratio", "per 1,000", "mean r2", "difference")
    print(f"{'':32s}" + "".join(f"{head:>11s}" for head in heads))
    for name in times:
        cells = []
        for unit in (times, cpus):
            cells += [f"{unit[name]:11.3g}", f"{unit[name] / unit['ours']:11.2f}"]
        difference = np.abs(scores[name] - scores["ours"]).max()
        cells.append(f"{1000 * times[name] / n_voxels:11.3g}")
        print(f"{name:32s}{''.join(cells)}{np.mean(scores[name]):11.3f}{difference:11.1e}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("scans", 900), ("runs", 6), ("voxels", 5000), ("candidates", 20)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--full", action="store_true", help="3,600 scans in 12 runs, 20,000 voxels")
    parser.add_argument(
        "--tenth", action="store_true", help="a tenth of 25 hours: 4,500 scans in 10 runs, 9,500 voxels"
    )
    parser.add_argument("--only", action="store_true", help="ours alone")
    parser.add_argument("--nested", action="store_true", help="all nested models together and one by one, and no more")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.folder)
        return
    if options.full:
        options.scans, options.runs, options.voxels = 3600, 12, 20_000
    if options.tenth:
        options.scans, options.runs, options.voxels = 4500, 10, 9500
    story = simulate(options.scans, options.runs, options.voxels, options.candidates)
    imports()
    print(
        f"{options.scans} scans in {options.runs} runs, {story.X.shape[1]:,} columns ({story.X.nnz:,} not zero) in 4 "
        f"bands, {options.voxels} voxels, {options.candidates} candidates x {len(ALPHAS)} penalties"
    )
    if options.nested:
        nested(story)
        return
    if options.tenth:
        with tempfile.TemporaryDirectory() as folder:
            save(story, folder)
            gigabytes, seconds, cpu, said = peak("announced", folder)
        print(
            f"said before:  {said}\nmeasured:     {seconds:.0f} s, {cpu:.0f} s of CPU, {gigabytes:.2f} GB with its data"
        )
        return
    names = ["ours"] if options.only else list(COMPETITORS)
    times, cpus, scores = {}, {}, {}
    for name in names:
        start, cpu = time.perf_counter(), time.process_time()
        scores[name] = COMPETITORS[name](story)
        times[name], cpus[name] = time.perf_counter() - start, time.process_time() - cpu
        print(f"  {name} done in {times[name]:.1f} s", file=sys.stderr, flush=True)
    table(times, cpus, scores, options.voxels)
    with tempfile.TemporaryDirectory() as folder:
        save(story, folder)
        peaks = {name: peak(name, folder)[0] for name in names}
    print("peak memory beyond the imports, each in a process of its own:")
    for name in names:
        print(f"  {name:32s}{peaks[name]:9.3f} GB{peaks[name] / peaks['ours']:9.2f} x ours", flush=True)
    print("projected from the operations of a fit, for ours:")
    project(
        times["ours"],
        story,
        {
            "3,600 scans, 12 runs, 20,000 voxels": (3300, 11, 20_000),
            "80,000 voxels of these scans": (len(story.Y), len(story.folds), 80_000),
            "25 hours, 45,000 scans, 95,000 voxels": (45_000, 5, 95_000),
        },
    )
    if not options.only:
        seconds, n_voxels = lasso(story)
        hours = seconds * 80_000 / 3600
        print(f"SparseVoxelEncoder: {seconds:.2f} s a voxel ({n_voxels} of them), {hours:.0f} h for 80,000")


if __name__ == "__main__":
    main()
