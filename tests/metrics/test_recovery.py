"""Recovery of planted features against scikit-learn's precision, recall and F1."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.metrics import precision_recall_fscore_support

from sklearn_sae_encoding.metrics import support_recovery


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 1000), st.floats(0, 0.6), st.booleans())
def test_precision_recall_and_f1_equal_scikit_learn(seed, density, as_sparse):
    rng = np.random.default_rng(seed)
    true, found = (rng.normal(size=(5, 12)) * (rng.random((5, 12)) < density) for _ in range(2))
    given = [sparse.csr_array(w) if as_sparse else w for w in (true, found)]
    recovery = support_recovery(*given)
    for voxel in range(5):
        if not true[voxel].any() and not found[voxel].any():
            expected = 1.0, 1.0, 1.0
        else:
            *expected, _ = precision_recall_fscore_support(
                true[voxel] != 0, found[voxel] != 0, average="binary", zero_division=0
            )
        np.testing.assert_allclose([scores[voxel] for scores in recovery], expected)


def test_small_weights_do_not_count_where_a_tolerance_is_given():
    recovery = support_recovery([[1e-9, 0, 0]], [[-0.5, 1e-6, 0]], tol=1e-5)
    assert recovery.precision[0] == recovery.recall[0] == 1


def test_excluded_columns_count_on_neither_side():
    true, found = [[1.0, 0, 0, 2.0]], [[0, 1.0, 0, -3.0]]
    assert support_recovery(true, found).f1[0] == 0.5
    assert support_recovery(true, found, exclude=[-1]).f1[0] == 0.0
    assert support_recovery(true, found, exclude=[0, 1]).f1[0] == 1.0


def test_weights_of_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"same shape, got \(1, 3\) and \(1, 4\)"):
        support_recovery(np.ones((1, 3)), np.ones((1, 4)))
