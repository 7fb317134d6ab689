"""Figures of story models show the lag that was planted, and the course of a run."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsRegressor
from story_cases import noisy_runs

from sklearn_sae_encoding.plotting import plot_lags, plot_time_course
from sklearn_sae_encoding.timing import RunwiseRegressor

BANDS = {"content": slice(0, 2), "form": slice(2, 3)}


def test_the_line_of_a_band_is_highest_at_the_planted_lag():
    X, y = noisy_runs(delay=2)
    model = RunwiseRegressor(None, Ridge(), delays={"content": (1, 2, 3), "form": (0,)}, bands=BANDS).fit(X, y)
    (line,) = plot_lags(model, t_r=2.0).lines
    assert line.get_xdata().tolist() == [2.0, 4.0, 6.0]
    assert line.get_ydata().argmax() == 1
    assert line.get_ydata().max() == 1.0
    with pytest.raises(AttributeError, match="KNeighborsRegressor has no coef_"):
        plot_lags(RunwiseRegressor(None, KNeighborsRegressor(), delays=(1, 2)).fit(X, y))


def test_a_time_course_shows_both_series_and_how_they_correlate():
    rng = np.random.default_rng(0)
    response = rng.normal(size=50)
    ax = plot_time_course(response, response / 2, t_r=2.0)
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), response)
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), response / 2)
    assert ax.get_title(loc="right") == "r = 1.00"
    with pytest.raises(ValueError, match="two series of one length"):
        plot_time_course(response, response[:-1])
