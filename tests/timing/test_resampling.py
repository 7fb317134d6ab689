"""Values with times become values at scans."""

import numpy as np
import pytest
from nilearn.glm.first_level import compute_regressor, make_first_level_design_matrix
from scipy import sparse

from sklearn_sae_encoding.timing import words_to_scans


@pytest.fixture
def words():
    rng = np.random.default_rng(7)
    times = np.sort(rng.uniform(-4, 64, 150))
    return times, rng.normal(size=(150, 3)), rng.uniform(0, 0.6, 150)


def lanczos_of_the_public_encoding_code(data, oldtime, newtime, window=3, cutoff_mult=1.0):
    # window * sin(pi t) sin(pi t / window) / (pi² t²), the formula of the voxelwise story models.
    cutoff = 1 / np.mean(np.diff(newtime)) * cutoff_mult
    t = (newtime[:, None] - oldtime[None]) * cutoff
    with np.errstate(invalid="ignore", divide="ignore"):
        weights = window * np.sin(np.pi * t) * np.sin(np.pi * t / window) / (np.pi**2 * t**2)
    weights[t == 0] = 1.0
    weights[np.abs(t) > window] = 0.0
    return weights @ data


def lanczos_as_a_product_of_sincs(data, oldtime, newtime, a=3, cutoff_mult=1.0):
    # sinc(f t) sinc(f t / a), the other public form; its cutoff comes from the largest step.
    f = 1 / np.max(np.abs(np.diff(newtime))) * cutoff_mult
    t = newtime[:, None] - oldtime[None]
    weights = np.sinc(f * t) * np.sinc(f * t / a)
    weights[np.abs(t * f) > a] = 0.0
    return weights @ data


@pytest.mark.parametrize("reference", [lanczos_of_the_public_encoding_code, lanczos_as_a_product_of_sincs])
@pytest.mark.parametrize(("window", "times_cutoff"), [(3, 1.0), (5, 1.0), (3, 0.5)])
def test_lanczos_gives_the_values_of_two_public_implementations(words, reference, window, times_cutoff):
    times, values, _ = words
    scans = words_to_scans(values, times, 30, t_r=2.0, window=window, cutoff=times_cutoff / 2.0, scan_time="start")
    np.testing.assert_allclose(scans, reference(values, times, np.arange(30) * 2.0, window, times_cutoff), atol=1e-6)


@pytest.mark.parametrize("hrf_model", ["spm", "glover"])
@pytest.mark.parametrize(("scan_time", "shift"), [("start", 0.0), ("middle", 0.5), ("end", 1.0)])
def test_convolution_gives_the_values_of_nilearns_regressor(words, hrf_model, scan_time, shift):
    times, values, durations = words
    for t_r in (2.0, 1.37):
        scans = words_to_scans(
            values[:, 0],
            times,
            40,
            t_r=t_r,
            method="hrf",
            hrf_model=hrf_model,
            scan_time=scan_time,
            durations=durations,
        )
        # A scan that stands for a later moment sees every word earlier.
        expected, _ = compute_regressor(
            (times - shift * t_r, durations, values[:, 0]), hrf_model, np.arange(40) * t_r, min_onset=-24
        )
        np.testing.assert_allclose(scans, expected[:, 0], atol=1e-6)


def test_events_that_last_longer_than_the_response_are_convolved_as_nilearn_does_it(words):
    times, values, _ = words
    durations = np.linspace(0, 50, 150)
    scans = words_to_scans(
        values[:, 0], times, 40, t_r=2.0, method="hrf", scan_time="start", durations=durations, hrf_model="glover"
    )
    events = (times, durations, values[:, 0])
    expected, _ = compute_regressor(events, "glover", np.arange(40) * 2.0, min_onset=-24)
    np.testing.assert_allclose(scans, expected[:, 0], atol=1e-6)


def test_an_event_that_began_within_24_s_before_the_scans_is_seen_as_nilearn_sees_it_and_an_earlier_one_not_at_all():
    like = {"n_scans": 20, "t_r": 2.0, "method": "hrf", "hrf_model": "glover", "scan_time": "start"}
    for before in (-24.0, -23.9):
        scans = words_to_scans([1.0], [before], durations=[30.0], **like)
        expected, _ = compute_regressor(([before], [30.0], [1.0]), "glover", np.arange(20) * 2.0, min_onset=-24)
        np.testing.assert_allclose(scans, expected[:, 0], atol=1e-6)
    assert not words_to_scans([1.0], [-24.1], durations=[30.0], **like).any()


def test_convolved_impulses_are_a_column_of_nilearns_design_matrix(words):
    import pandas as pd

    times, _, _ = words
    times = times[(times > 0) & (times < 58)]
    events = pd.DataFrame({"onset": times, "duration": 0.0, "trial_type": "word"})
    design = make_first_level_design_matrix(np.arange(30) * 2.0, events, hrf_model="spm", drift_model=None)
    scans = words_to_scans(np.ones(len(times)), times, 30, t_r=2.0, method="hrf", scan_time="start")
    np.testing.assert_allclose(scans, design["word"], atol=1e-6)


def test_sum_counts_the_words_nearest_to_each_scan(words):
    times, _, _ = words
    counts = words_to_scans(np.ones(150), times, 30, t_r=2.0, method="sum")  # middle: the words inside the scan
    np.testing.assert_array_equal(counts, np.histogram(times, np.arange(31) * 2.0)[0])
    starts = words_to_scans(np.ones(150), times, 30, t_r=2.0, method="sum", scan_time="start")
    np.testing.assert_array_equal(starts, np.histogram(times, np.arange(31) * 2.0 - 1.0)[0])


def test_mean_is_sum_over_count_and_zero_without_words(words):
    times, values, _ = words
    times = times[20:]
    total, count = (words_to_scans(v, times, 30, t_r=2.0, method="sum") for v in (values[20:], np.ones(130)))
    mean = words_to_scans(values[20:], times, 30, t_r=2.0, method="mean")
    np.testing.assert_allclose(mean, total / np.maximum(count, 1)[:, None])
    assert np.any(count == 0)


@pytest.mark.parametrize("method", ["lanczos", "sum", "mean", "hrf"])
def test_sparse_values_stay_sparse_and_give_the_same(words, method):
    times, values, _ = words
    values = values * (np.abs(values) > 1)
    scans = words_to_scans(sparse.csr_array(values), times, 30, t_r=2.0, method=method)
    assert sparse.issparse(scans)
    np.testing.assert_allclose(scans.toarray(), words_to_scans(values, times, 30, t_r=2.0, method=method), atol=1e-12)


@pytest.mark.parametrize("method", ["lanczos", "sum", "hrf"])
def test_words_and_scan_times_that_move_together_change_nothing(words, method):
    times, values, _ = words
    scans = words_to_scans(values, times, 30, t_r=2.0, method=method, scan_time="start")
    later = words_to_scans(values, times + 1.0, 30, t_r=2.0, method=method, scan_time="middle")
    np.testing.assert_allclose(scans, later, atol=1e-9)


def test_bad_values_times_and_options_are_named(words):
    times, values, _ = words
    with pytest.raises(ValueError, match=r"one time a row of values, got \(149,\) times"):
        words_to_scans(values, times[:-1], 30, t_r=2.0)
    with pytest.raises(ValueError, match="must be finite"):
        words_to_scans(values, np.r_[times[:-1], np.nan], 30, t_r=2.0)
    with pytest.raises(ValueError, match="method must be one of"):
        words_to_scans(values, times, 30, t_r=2.0, method="fir")
    with pytest.raises(ValueError, match="scan_time must be one of"):
        words_to_scans(values, times, 30, t_r=2.0, scan_time="centre")
    with pytest.raises(ValueError, match="t_r=2000 s is not plausible"):
        words_to_scans(values, times, 30, t_r=2000)
