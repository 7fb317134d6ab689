"""Which lag: the weights of a story model over delays, and the course of its best prediction."""

from __future__ import annotations

import numpy as np

from sklearn_sae_encoding.plotting import plot_lags, plot_time_course
from sklearn_sae_encoding.plotting._stories import lag_profile
from sklearn_sae_encoding.report._figures import figure
from sklearn_sae_encoding.report._html import cell, element, join, paragraph, scrolling_table
from sklearn_sae_encoding.timing import RunwiseRegressor, StoryRun

_MOST_SCANS = 200  # of a run that are drawn


def stories_section(fitted, scores, regions=None):
    """Draw weights over delays and a time course; None if a sample is no run."""
    if fitted.runs is None:
        return None
    model = fitted.view.wrapper(RunwiseRegressor)
    profile = lag_profile(model)
    parts, figures = [_table(fitted, profile)], []
    if any(len(lags.delays) > 1 for lags in profile):
        best = "; ".join(f"{lags.band} {lags.best}" for lags in profile)
        figures.append(
            figure(
                lambda: plot_lags(model, t_r=_t_r(fitted)),
                "Weight of each delay of a band, over its largest, the mean over voxels.",
                f"Lines of weight over delays. Delay of the largest weight, in scans: {best}.",
            )
        )
    figures += _time_course(fitted, scores, regions)
    return join([*parts, element("div", *figures, class_="figures")])


def _table(fitted, profile):
    t_r = _t_r(fitted)
    names = ("Band", "Features", "Delays (scans)", "Largest weight at", "Share of voxels")
    head = [
        element("th", name, scope="col", class_="number" if i not in (0, 2) else "") for i, name in enumerate(names)
    ]
    rows = []
    for lags in profile:
        at = f"{lags.best} scans" if t_r is None else f"{lags.best * t_r:g} s"
        cells = [f"{lags.n_features:,}", ", ".join(map(str, lags.delays)), at, f"{lags.share:.0%}"]
        classes = ("number", None, "number", "number")
        cells = [cell(shown, class_=kind) for shown, kind in zip(cells, classes, strict=True)]
        rows.append(element("tr", element("th", lags.band, scope="row"), *cells))
    about = paragraph(
        "The weight of a band at a delay is the root of its summed squared weights. The share is that of the voxels "
        "whose largest weight is at the same delay as that of the mean over voxels."
    )
    return join([about, scrolling_table("Delays of each band", head, rows)])


def _t_r(fitted):
    """The repetition time, if there is one for all runs."""
    known = {run.t_r if isinstance(run, StoryRun) else None for run in fitted.runs.runs}
    return known.pop() if len(known) == 1 else None


def _time_course(fitted, scores, regions):
    """Draw the voxel that is predicted best, in the run in which it is predicted best, by a model that held it out."""
    name, one = next(iter(scores.items()), (None, None))
    if one is None or not isinstance(one.predictions, list) or not np.isfinite(one.raw).any():
        return
    voxel = int(np.nanargmax(one.raw))
    ends = np.cumsum([len(run) for run in one.predictions])
    measured = np.split(fitted.Y_of_all_scans[:, voxel], ends[:-1])
    predicted = [np.reshape(run, (len(run), -1))[:, voxel] for run in one.predictions]
    with np.errstate(invalid="ignore"):
        r = [np.corrcoef(a, b)[0, 1] for a, b in zip(measured, predicted, strict=True)]
    if not np.isfinite(r).any():
        return
    run = int(np.nanargmax(r))
    where = f" ({regions[voxel]})" if regions is not None and len(regions) == len(one.raw) and regions[voxel] else ""
    mean, sd = measured[run].mean(), measured[run].std()  # responses are drawn in units of their own deviation
    response, course = ((values[run][:_MOST_SCANS] - mean) / sd for values in (measured, predicted))
    yield figure(
        lambda: plot_time_course(response, course, t_r=_t_r(fitted)),
        f"Response and held-out prediction of “{name}” in voxel {voxel}{where}, the one predicted best, in run {run}: "
        "the best case, to be looked at, not to be reported.",
        f"Two lines over the scans of run {run}. They correlate with r = {r[run]:.2f}.",
    )
