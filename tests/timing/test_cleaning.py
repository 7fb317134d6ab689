"""Responses are cleaned run by run."""

import warnings

import numpy as np
import pytest
from nilearn.signal import clean
from story_cases import make_run

from sklearn_sae_encoding.timing import clean_runs


@pytest.fixture
def responses():
    rng = np.random.default_rng(1)
    return [100 + np.linspace(0, 5, n)[:, None] + rng.normal(size=(n, 3)) for n in (90, 80)]


@pytest.fixture
def movement():
    rng = np.random.default_rng(2)
    return [np.cumsum(rng.normal(size=(n, 2)), axis=0) for n in (90, 80)]


@pytest.mark.parametrize("high_pass", [None, 1 / 60])
@pytest.mark.parametrize("with_movement", [False, True])
def test_a_run_is_cleaned_as_nilearn_does_it(responses, movement, high_pass, with_movement):
    confounds = movement if with_movement else None
    cleaned = clean_runs(responses, t_r=2.0, confounds=confounds, high_pass=high_pass)
    for i, run in enumerate(responses):
        expected = clean(
            run,
            standardize="zscore_sample",
            confounds=movement[i] if with_movement else None,
            filter="cosine" if high_pass else False,
            high_pass=high_pass,
            t_r=2.0,
        )
        np.testing.assert_allclose(cleaned[i], expected, atol=1e-8)


def test_movement_that_drifts_like_a_cosine_does_not_switch_the_filter_off(responses):
    # nilearn takes such a confound for a filter that the user made, and warns.
    slow = np.cos(np.pi / 90 * (np.arange(90) + 0.5))[:, None]
    (cleaned,) = clean_runs(responses[:1], t_r=2.0, confounds=[slow], high_pass=1 / 60)
    faster = np.cos(np.pi / 90 * np.outer(np.arange(90) + 0.5, np.arange(1, 7)))
    np.testing.assert_allclose(faster.T @ cleaned, 0, atol=1e-8)


def test_nothing_crosses_from_one_run_to_another(responses):
    before = clean_runs(responses, t_r=2.0)
    after = clean_runs([responses[0], 1e6 * responses[1]], t_r=2.0)
    np.testing.assert_array_equal(before[0], after[0])


def test_scans_leave_before_cleaning_and_censored_ones_with_it(responses):
    kept = np.ones(90, dtype=bool)
    kept[[20, 21]] = False
    run = make_run(n_scans=90, scans=slice(5, -5), kept=kept)
    (cleaned,) = clean_runs(responses[:1], [run])
    assert len(cleaned) == run.n_rows == 78
    (whole,) = clean_runs([responses[0][5:-5]], [run])  # all scans, or those that are used
    np.testing.assert_array_equal(cleaned, whole)
    spoilt = responses[0].copy()
    spoilt[[0, 88, 20]] = 1e9
    np.testing.assert_allclose(clean_runs([spoilt], [run])[0], cleaned)


def test_parts_of_a_recording_are_cleaned_alone(responses):
    parts = make_run(n_scans=90).cut(3)
    cleaned = clean_runs([responses[0]] * 3, parts)
    for part, run in zip(cleaned, np.split(responses[0], 3), strict=True):
        np.testing.assert_allclose(part, clean(run, standardize="zscore_sample", t_r=2.0), atol=1e-8)


def test_a_run_too_short_for_the_filter_is_detrended_with_a_warning(responses):
    with pytest.warns(UserWarning, match="Run 0 lasts 60 s and can't hold one period of high_pass=0.0078125 Hz"):
        (cleaned,) = clean_runs([responses[0][:30]], t_r=2.0, high_pass=1 / 128)
    np.testing.assert_allclose(cleaned, clean_runs([responses[0][:30]], t_r=2.0)[0])


def test_a_run_of_one_whole_period_is_filtered_without_a_warning(responses):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (cleaned,) = clean_runs([responses[0][:64]], t_r=2.0, high_pass=1 / 128)
    expected = clean(responses[0][:64], standardize="zscore_sample", filter="cosine", high_pass=1 / 128, t_r=2.0)
    np.testing.assert_allclose(cleaned, expected, atol=1e-8)


def test_an_absent_voxel_stays_absent_and_other_gaps_are_errors(responses):
    responses[0][:, 1] = np.nan
    cleaned = clean_runs(responses, t_r=2.0)
    assert np.isnan(cleaned[0][:, 1]).all()
    assert np.isfinite(cleaned[0][:, [0, 2]]).all()
    responses[1][7, 0] = np.nan
    with pytest.raises(ValueError, match=r"responses to run 1 hold 1 NaN or infinite value.*first in scan 7"):
        clean_runs(responses, t_r=2.0)


def test_other_numbers_of_runs_or_scans_are_errors(responses, movement):
    with pytest.raises(ValueError, match="Expected confounds of 2 runs, got those of 1"):
        clean_runs(responses, t_r=2.0, confounds=movement[:1])
    with pytest.raises(ValueError, match="The confounds of run 0 have 80 rows; expected all 90 scans"):
        clean_runs(responses, t_r=2.0, confounds=movement[::-1])
    with pytest.raises(ValueError, match="runs must be a list of 2 StoryRuns"):
        clean_runs(responses, [make_run(n_scans=90)])
    with pytest.raises(ValueError, match="runs must be a list of 2 StoryRuns"):
        clean_runs(responses, [2.0, 2.0])
    with pytest.raises(ValueError, match="repetition time is missing"):
        clean_runs(responses)
    movement[0][0] = np.nan
    with pytest.raises(ValueError, match="confounds of run 0 hold a NaN"):
        clean_runs(responses, t_r=2.0, confounds=movement)


def test_what_is_no_list_of_runs_or_no_frequency_is_refused():
    run = np.random.default_rng(0).normal(size=(40, 3))
    with pytest.raises(ValueError, match=r"list with one array of responses a run, got ndarray of shape \(40, 3\)"):
        clean_runs(run, t_r=2.0)  # each scan would be a run
    with pytest.raises(ValueError, match="takes the runs second"):
        clean_runs([make_run()], [run])
    with pytest.raises(ValueError, match="high_pass=128 Hz leaves nothing"):
        clean_runs([run], t_r=2.0, high_pass=128)
    with pytest.raises(ValueError, match="must be a frequency in Hz"):
        clean_runs([run], t_r=2.0, high_pass=0)
    with pytest.raises(ValueError, match="must have the shape"):
        clean_runs([run[None]], t_r=2.0)
