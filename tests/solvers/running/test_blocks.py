"""Blocks of targets, with a solver that knows nothing of lasso."""

from typing import NamedTuple

import numpy as np
import pytest
from joblib import parallel_config
from scipy import sparse

from sklearn_sae_encoding._solvers.running import Problem, part_of, solve_blocks


class Sums(NamedTuple):
    shift: float
    calls: list  # targets of each call


class Parts(NamedTuple):
    largest: np.ndarray  # (n_targets,)


class Solution(NamedTuple):
    sums: np.ndarray  # (n_targets,)
    weights: sparse.csr_array  # (n_targets, n_samples)
    parts: Parts


def solve(task, targets, n_threads):
    task.calls.append(len(targets))
    targets = np.asarray(targets)
    return Solution(targets.sum(axis=1) + task.shift, sparse.csr_array(targets), Parts(targets.max(axis=1)))


def empty(task):
    return Solution(np.zeros(0), sparse.csr_array((0, 4)), Parts(np.zeros(0)))


def toy(shift=0.0, **options):
    return Problem(Sums(shift, []), solve, empty, **options)


@pytest.mark.parametrize("block_size", [1, 3, 10, 50, "auto"])
@pytest.mark.parametrize("n_jobs", [None, 2])
def test_rows_come_back_in_order_whatever_the_blocks(block_size, n_jobs):
    targets = np.random.default_rng(0).normal(size=(10, 4))
    with parallel_config(backend="threading"):
        solution = solve_blocks(toy(2.0), targets, block_size=block_size, n_jobs=n_jobs)
    np.testing.assert_array_equal(solution.sums, targets.sum(axis=1) + 2.0)
    np.testing.assert_array_equal(solution.weights.toarray(), targets)
    np.testing.assert_array_equal(solution.parts.largest, targets.max(axis=1))


def test_targets_may_be_a_list():
    solution = solve_blocks(toy(), [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], block_size=2)
    np.testing.assert_array_equal(solution.sums, [3.0, 7.0, 11.0])


def test_no_target_has_the_empty_solution():
    problem = toy()
    assert solve_blocks(problem, np.zeros((0, 4))).weights.shape == (0, 4)
    assert problem.task.calls == []


def test_blocks_of_open_size_are_whole_multiples_of_what_is_solved_together():
    problem = toy(together=4)
    with parallel_config(backend="threading"):
        solve_blocks(problem, np.ones((22, 2)), n_jobs=2)
    assert sorted(problem.task.calls) == [10, 12]


def test_finished_blocks_are_taken_from_disk_and_other_tasks_have_their_own(tmp_path):
    targets, first, again, other = np.arange(24.0).reshape(6, 4), toy(), toy(), toy(shift=1.0)
    solve_blocks(first, targets, block_size=2, memory=str(tmp_path))
    found = solve_blocks(again, targets, block_size=2, memory=str(tmp_path))
    assert (first.task.calls, again.task.calls) == ([2, 2, 2], [])
    np.testing.assert_array_equal(found.sums, targets.sum(axis=1))
    shifted = solve_blocks(other, targets, block_size=2, memory=str(tmp_path))
    np.testing.assert_array_equal(shifted.sums, targets.sum(axis=1) + 1.0)
    assert other.task.calls == [2, 2, 2]


def test_the_last_line_of_progress_says_what_it_was_about_and_how_long_in_all(capsys):
    with part_of("surprisal alone"), part_of("fold 2 of 5"):
        solve_blocks(toy(noun="sources"), np.ones((30, 3)), block_size=1, verbose=1)
    (line,) = capsys.readouterr().err.splitlines()  # no terminal: one line, not one a block
    assert line.startswith("surprisal alone, fold 2 of 5, 30 sources in ")
    assert line.endswith(" s")
    solve_blocks(toy(), np.ones((3, 3)), verbose=0)
    assert capsys.readouterr().err == ""
