"""What fits share, they share on equal rows and inside the block alone."""

import numpy as np

from sklearn_sae_encoding._solvers.running import made_once, sharing


def make(made, value):
    def once():
        made.append(value)
        return value

    return once


def test_equal_rows_and_keys_are_made_once_inside_the_block_and_each_time_outside():
    made, rows = [], np.arange(5.0)
    with sharing():
        for _ in range(2):
            assert made_once(rows.copy(), ["a", "b"], [make(made, 1), make(made, 2)]) == [1, 2]
        assert made == [1, 2]
        assert made_once(rows + 1, ["a"], [make(made, 3)]) == [3]
        assert made_once(rows, ["a"], [make(made, 4)]) == [4]  # only what was made of the last rows is kept
    assert made_once(rows, ["a"], [make(made, 5)]) == [5]
    assert made == [1, 2, 3, 4, 5]
