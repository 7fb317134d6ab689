"""What is said while kernels are compiled."""

import subprocess
import sys
from typing import NamedTuple

import numpy as np
import pytest
from numba import njit

from sklearn_sae_encoding._solvers.running import Problem, solve_blocks, told_of_compiling


class Solution(NamedTuple):
    sums: np.ndarray  # (n_targets,)


LINE = "compiling, about 20 s: once after an installation"


def kernel(module):
    """A function that waits to be compiled, as if it were one of `module`."""

    def double(x):
        return 2 * x

    double.__module__ = module
    return njit(double)


def test_it_is_said_once_whatever_is_compiled_and_only_then(capsys):
    first, second = kernel("sklearn_sae_encoding.one"), kernel("sklearn_sae_encoding.two")
    with told_of_compiling():
        assert capsys.readouterr().err == ""
        first(1), first(1.0), second(1)
    assert capsys.readouterr().err.splitlines() == [LINE]
    with told_of_compiling():
        first(2)
    assert capsys.readouterr().err == ""


def test_kernels_of_others_are_not_ours_to_speak_of(capsys):
    ours = kernel("sklearn_sae_encoding.one")
    with told_of_compiling():
        kernel("sklearn_sae_encoding_of_others.one")(1)
    ours(1)  # nobody listens any more
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("verbose", "said"), [(1, [LINE]), (0, [])])
def test_one_line_comes_before_the_first_voxel_is_counted(verbose, said, capsys):
    compiled = kernel("sklearn_sae_encoding.one")

    def compiles(task, targets, n_threads):
        compiled(len(targets))
        return Solution(targets.sum(axis=1))

    problem = Problem(None, compiles, lambda task: Solution(np.zeros(0)))
    solve_blocks(problem, np.ones((6, 3)), block_size=2, verbose=verbose)
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if not line.startswith("6 voxels in ")] == said
    assert lines[: len(said)] == said


def test_what_has_no_kernels_does_not_load_numba():
    code = (
        "import sys; from sklearn_sae_encoding._solvers.running import told_of_compiling\n"
        "with told_of_compiling(): pass\n"
        "assert 'numba' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
