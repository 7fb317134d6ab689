"""Delays stay inside runs."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_sae_encoding.timing import RunwiseDelayer

MIXES_ROWS = {
    "check_methods_sample_order_invariance": "a delayed row holds earlier rows, so that their order matters",
    "check_methods_subset_invariance": "a delayed row holds earlier rows, which a subset may lack",
}


@parametrize_with_checks(
    [RunwiseDelayer(), RunwiseDelayer((0,))],
    expected_failed_checks=lambda delayer: MIXES_ROWS if delayer.delays != (0,) else {},
)
def test_the_delayer_keeps_scikit_learns_conventions(estimator, check):
    check(estimator)


@pytest.fixture
def runs():
    rng = np.random.default_rng(3)
    return [rng.normal(size=(n, 4)) for n in (12, 9, 15)]


def test_a_delayed_scan_holds_the_feature_of_an_earlier_scan_and_a_negative_delay_looks_ahead(runs):
    delayed = RunwiseDelayer((0, 2, -1)).fit_transform(runs)
    for run, out in zip(runs, delayed, strict=True):
        np.testing.assert_array_equal(out[:, :4], run)
        np.testing.assert_array_equal(out[2:, 4:8], run[:-2])
        np.testing.assert_array_equal(out[:2, 4:8], 0)
        np.testing.assert_array_equal(out[:-1, 8:], run[1:])
        np.testing.assert_array_equal(out[-1:, 8:], 0)


def test_nothing_crosses_from_one_run_to_another(runs):
    clean = RunwiseDelayer().fit_transform(runs)
    runs[1] = np.full_like(runs[1], 1e300)
    poisoned = RunwiseDelayer().fit_transform(runs)
    np.testing.assert_array_equal(clean[0], poisoned[0])
    np.testing.assert_array_equal(clean[2], poisoned[2])


def test_bands_follow_each_other_and_have_their_own_delays(runs):
    delayer = RunwiseDelayer({"a": (1, 2), "b": (0,)}, bands={"b": [0, 2], "a": [1, 3]})
    delayed = delayer.fit_transform(runs)
    assert delayer.delayed_bands_ == {"b": slice(0, 2), "a": slice(2, 6)}
    np.testing.assert_array_equal(delayed[0][:, :2], runs[0][:, [0, 2]])
    np.testing.assert_array_equal(delayed[0][2:, 4:6], runs[0][:-2, [1, 3]])
    table = delayer.table(["w", "x", "y", "z"])
    assert table["name"].tolist() == ["w", "y", "x_delay1", "z_delay1", "x_delay2", "z_delay2"]
    assert table["column"].tolist() == [0, 2, 1, 3, 1, 3]
    assert table["delay"].tolist() == [0, 0, 1, 1, 2, 2]


def test_columns_come_in_the_order_of_their_band(runs):
    order = [3, 1, 0, 2]
    (delayed,) = RunwiseDelayer((0,), bands={"a": order}).fit_transform(runs[:1])
    np.testing.assert_array_equal(delayed, runs[0][:, order])


def test_columns_are_named_by_their_delay_unless_there_is_none_but_zero(runs):
    first = [RunwiseDelayer(delays).fit(runs).get_feature_names_out(list("wxyz"))[0] for delays in ((0,), (3,), (0, 3))]
    assert first == ["w", "w_delay3", "w_delay0"]


def test_sparse_runs_stay_sparse_and_give_the_same(runs):
    runs = [run * (run > 0) for run in runs]
    dense = RunwiseDelayer((0, 1, -3)).fit_transform(runs)
    for run, out in zip(
        dense, RunwiseDelayer((0, 1, -3)).fit_transform(list(map(sparse.csr_array, runs))), strict=True
    ):
        assert sparse.issparse(out)
        np.testing.assert_array_equal(out.toarray(), run)


@pytest.mark.parametrize("layout", [np.asarray, sparse.csr_array])
def test_features_scaled_by_run_are_divided_by_their_deviation_in_it(runs, layout):
    runs = [np.column_stack([run * (3.0 + i), np.full(len(run), 2.0)]) for i, run in enumerate(runs)]
    found = RunwiseDelayer((0, 2), scale="runs").fit_transform([layout(run) for run in runs])
    plain = [run / np.append(run[:, :-1].std(axis=0), 1.0) for run in runs]
    for made, expected in zip(found, RunwiseDelayer((0, 2)).fit_transform(plain), strict=True):
        assert sparse.issparse(made) == (layout is sparse.csr_array)
        made = made.toarray() if sparse.issparse(made) else made
        np.testing.assert_allclose(made, expected, rtol=1e-12)


def test_an_array_is_one_run(runs):
    delayer = RunwiseDelayer()
    np.testing.assert_array_equal(delayer.fit_transform(runs[0]), delayer.fit_transform([runs[0]])[0])


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"delays": {"a": (1,)}}, "there is no band 'a'. The bands are features"),
        ({"delays": {"a": (1,)}, "bands": {"a": [0, 1], "b": [2, 3]}}, "the band 'b' has none"),
        ({"delays": (1, 1)}, "must be different integers"),
        ({"delays": (0.5,)}, "must be different integers"),
        ({"delays": ()}, "must be different integers"),
        ({"bands": {"a": [0, 1], "b": [1, 2, 3]}}, "1 of 4 are in more than one band, such as column 1"),
        ({"bands": {"a": [0, 1]}}, "2 of 4 are in no band, such as column 2"),
    ],
)
def test_bad_delays_and_bands_say_what_is_wrong(runs, params, message):
    with pytest.raises(ValueError, match=message):
        RunwiseDelayer(**params).fit(runs)


def test_a_run_of_fewer_scans_than_delays_is_named(runs):
    with pytest.raises(ValueError, match="Run 1 has 9 scans, but there are delays of up to 9 scans"):
        RunwiseDelayer((9,)).fit_transform(runs)
