"""SparseVoxelEncoder over worker processes and clusters: the same bits, features sent once, killed workers."""

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from joblib import parallel_config
from joblib.externals.loky import ProcessPoolExecutor
from joblib.externals.loky.process_executor import TerminatedWorkerError
from scipy import sparse

from sklearn_sae_encoding._solvers.lasso.active_sets import LARGEST
from sklearn_sae_encoding._solvers.lasso.cross_validation import Task
from sklearn_sae_encoding._solvers.running import Status, blocks
from sklearn_sae_encoding._solvers.running.keeping import Keeper
from sklearn_sae_encoding.encoder import SparseVoxelEncoder

N_BLOCKS = 8


def problem(n_voxels=12 * N_BLOCKS):
    rng = np.random.default_rng(0)
    X = rng.gamma(2.0, 1.0, (120, 1500)) * (rng.random((120, 1500)) < 0.1)
    weights = rng.normal(size=(1500, n_voxels)) * (rng.random((1500, n_voxels)) < 0.01)
    return sparse.csr_array(X), X @ weights + 2.0 * rng.normal(size=(120, n_voxels))


def assert_same_bits(found, expected):
    for name in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(found.coef_, name), getattr(expected.coef_, name))
    for name in ("intercept_", "alpha_", "cv_mse_path_", "dual_gap_", "n_iter_"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


@pytest.fixture(scope="module")
def alone():
    """Return a plain sequential fit, in a process that loads the kernels from disk.

    This one may be the process that compiled them, and its results may then differ in the last bits: numba links inner
    functions weakly into each kernel that calls them. A process that compiled them has them also by themselves, under
    the same name, and the linker takes those; one that loads a kernel from disk has only the copies within it, which
    were optimised together with the kernel and may add up in another order.
    """
    X, Y = problem()
    SparseVoxelEncoder().fit(X, Y[:, :2])
    with ProcessPoolExecutor(1) as fresh:
        return fresh.submit(SparseVoxelEncoder().fit, X, Y).result()


def test_the_process_that_compiles_the_kernels_finds_the_same_to_a_billionth(alone):
    X, Y = problem()
    here = SparseVoxelEncoder().fit(X, Y)  # in a process that may have compiled them
    np.testing.assert_allclose(here.cv_mse_path_, alone.cv_mse_path_, rtol=1e-9)
    np.testing.assert_array_equal(here.alpha_, alone.alpha_)
    np.testing.assert_allclose(here.predict(X), alone.predict(X), rtol=1e-9, atol=1e-9 * Y.std())


@pytest.mark.parametrize("options", [{"n_jobs": 2}, {"n_jobs": 3}, {"n_jobs": 2, "block_size": 24}], ids=str)
def test_worker_processes_give_the_very_bits_of_a_sequential_fit(alone, options):
    X, Y = problem()
    with parallel_config(backend="loky"):
        assert_same_bits(SparseVoxelEncoder(**options).fit(X, Y), alone)


def test_bits_are_the_same_where_coordinate_descent_goes_on():
    rng = np.random.default_rng(0)
    X = sparse.csr_array(rng.random((900, 2000)) * (rng.random((900, 2000)) < 0.05))
    Y, alphas = rng.normal(size=(900, 24)), [0.002, 0.001, 0.0005]
    SparseVoxelEncoder(alphas, cv=3).fit(X, Y[:, :2])  # compiles
    with ProcessPoolExecutor(1) as fresh:
        expected = fresh.submit(SparseVoxelEncoder(alphas, cv=3, block_size=21).fit, X, Y).result()
    assert np.diff(expected.coef_.indptr).max() > LARGEST
    with parallel_config(backend="loky"):
        assert_same_bits(SparseVoxelEncoder(alphas, cv=3, block_size=21, n_jobs=2).fit(X, Y), expected)


def test_features_are_written_once_for_all_worker_processes(tmp_path, monkeypatch):
    X, Y = problem()
    written, add = [], Status.add

    def watched(status, count):
        sizes = [path.stat().st_size for path in tmp_path.rglob("*.pkl")]
        written.append(sum(X.data.nbytes <= size < X.data.nbytes + 5000 for size in sizes))
        add(status, count)

    monkeypatch.setattr(Status, "add", watched)
    with parallel_config(backend="loky", temp_folder=str(tmp_path), max_nbytes=100_000):
        SparseVoxelEncoder(n_jobs=2, block_size=12, verbose=1).fit(X, Y)
    assert written[: N_BLOCKS // 2] == [1] * (N_BLOCKS // 2)  # joblib may have removed it before the last one
    assert max(written) == 1
    assert len(written) == N_BLOCKS


def finished(folder):
    """The blocks that a fit with `memory=folder` has done so far, and when."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.npz")}


def killer_after_a_block(folder, find_pid):
    """A thread that kills a worker as soon as a block is finished; its `blocks` are those finished by then."""

    def kill():
        deadline = time.monotonic() + 60
        while not finished(folder) and time.monotonic() < deadline:
            time.sleep(0.005)
        thread.blocks = finished(folder)
        os.kill(find_pid(), signal.SIGKILL)

    thread = threading.Thread(target=kill, daemon=True)
    return thread


class DyingKeeper(Keeper):
    """Kills its process once, as it begins a block after others are finished.

    A worker that is killed while its result is on the way is another thing: joblib then waits for the rest of it.
    """

    def solve(self, problem, block, n_threads):
        if finished(Path(self.memory)):
            try:
                (Path(self.memory) / "killed").touch(exist_ok=False)
            except FileExistsError:
                return super().solve(problem, block, n_threads)
            os.kill(os.getpid(), signal.SIGKILL)
        return super().solve(problem, block, n_threads)


def test_after_a_killed_worker_process_a_fit_resumes_from_the_finished_blocks(alone, tmp_path, monkeypatch):
    X, Y = problem()
    encoder = SparseVoxelEncoder(n_jobs=2, block_size=12, memory=str(tmp_path))
    monkeypatch.setattr(blocks, "Keeper", DyingKeeper)
    with parallel_config(backend="loky"):
        with pytest.raises(TerminatedWorkerError, match="worker process managed by the executor was unexpectedly"):
            encoder.fit(X, Y)
        before = finished(tmp_path)
        assert 1 <= len(before) < N_BLOCKS
        encoder.fit(X, Y)
    after = finished(tmp_path)
    assert len(after) == N_BLOCKS
    assert before.items() <= after.items()  # none was computed again
    assert_same_bits(encoder, alone)


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed")
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        yield client


def test_a_dask_cluster_gives_the_same_bits_and_features_are_sent_once(alone, cluster, monkeypatch):
    X, Y = problem()
    sent, reduce = [], tuple.__reduce_ex__

    def counted(self, protocol):
        sent.append(self.columns.data.nbytes)
        return reduce(self, protocol)

    monkeypatch.setattr(Task, "__reduce_ex__", counted)
    with parallel_config(backend="dask"):
        SparseVoxelEncoder().fit(X, Y[:, :24])
        n_sent = len(sent)
        encoder = SparseVoxelEncoder(block_size=12).fit(X, Y)
    assert n_sent >= 1
    assert len(sent) == 2 * n_sent  # as often with eight blocks as with two
    assert_same_bits(encoder, alone)


def test_a_dask_cluster_survives_a_killed_worker(alone, cluster, tmp_path):
    X, Y = problem()
    pids = list(cluster.run(os.getpid).values())
    killer = killer_after_a_block(tmp_path, lambda: pids[0])
    killer.start()
    with parallel_config(backend="dask"):
        encoder = SparseVoxelEncoder(block_size=12, memory=str(tmp_path)).fit(X, Y)
    killer.join()
    assert 1 <= len(killer.blocks) < N_BLOCKS
    assert_same_bits(encoder, alone)
