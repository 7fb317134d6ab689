"""Scores of voxels, by model, region and participant."""

import numpy as np

from sklearn_sae_encoding.plotting._style import (
    ORANGE,
    accent,
    colors_for,
    columns_of_letters,
    ink,
    legend_above,
    new_axes,
    plain,
    wrap,
)

_LABELS = {"normalized_score": "score / noise ceiling"}
_DENSE = 2000  # points from which a scatter is drawn as counts


def plot_region_scores(
    table,
    models=None,
    *,
    value="normalized_score",
    model="model",
    region="region",
    participant="participant",
    colors=None,
    label=None,
    ax=None,
):
    """Draw a bar for each region and model, with a point for each participant.

    A participant's point is the mean of its voxels, the bar the mean of the points, the line their standard error.

    Parameters
    ----------
    table : pandas.DataFrame
        A row a voxel and model, such as :func:`~sklearn_sae_encoding.metrics.voxel_score_table` makes it. Voxels with
        NaN are left out of their participant's mean.

    models : str or list of str, default=None
        Models to show, in this order. None shows all, in order of appearance.

    value : str, default="normalized_score"
        Column to show.

    model, region, participant : str, default="model", "region" and "participant"
        Their columns. Regions come in the order in which they appear.

    colors : list, default=None
        A colour for each model. None takes colour-blind safe ones, grey first.

    label : str, default=None
        What the scores are. None is "score / noise ceiling" for normalised scores, and the name of the column
        otherwise.

    ax : matplotlib.axes.Axes, default=None
        Where to draw. None makes a figure.

    Returns
    -------
    ax : matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If a column or model isn't in the table, or the voxels are none.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_sae_encoding.plotting import plot_region_scores
    >>> table = pd.DataFrame({"region": ["IFG", "IFG", "MFG", "MFG"], "participant": ["p1", "p2"] * 2,
    ...                       "model": "ridge", "normalized_score": [0.4, 0.6, 0.2, 0.3]})
    >>> ax = plot_region_scores(table)
    >>> [label.get_text() for label in ax.get_xticklabels()]
    ['IFG', 'MFG']
    """
    _check_columns(table, [region, participant, model, value])
    known = list(dict.fromkeys(table[model]))
    models = [models] if isinstance(models, str) else known if models is None else list(models)
    if unknown := [name for name in models if name not in known]:
        raise ValueError(f"The table has no model {unknown}; it has {known}.")
    points = table.groupby([region, participant, model], sort=False, observed=True)[value].mean().unstack(sort=False)
    regions = list(dict.fromkeys(table[region]))
    colors = colors_for(len(models), colors, "models")
    ax = new_axes(ax, 2.4)

    width = 0.8 / len(models)
    for i, (shown, color) in enumerate(zip(models, colors, strict=True)):
        for j, name in enumerate(regions):
            x = j + (i - (len(models) - 1) / 2) * width
            _draw_bar(ax, x, width, points.loc[name, shown].dropna().to_numpy(), color, shown if j == 0 else None)
    ax.axhline(0, color=ink(), linewidth=0.8)
    letters = columns_of_letters(ax, len(regions))
    ax.set_xticks(range(len(regions)), [wrap(name, letters) for name in regions])
    ax.tick_params(axis="x", length=0)
    ax.set_ylabel(label or _LABELS.get(value, value), fontsize="small")
    legend_above(ax)
    return plain(ax)


def _check_columns(table, columns):
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise ValueError(f"The table has no column {missing}; it has {list(table.columns)}.")
    if len(table) == 0:
        raise ValueError("The table holds no voxel.")


def _draw_bar(ax, x, width, values, color, label):
    mean = values.mean() if len(values) else 0.0
    ax.bar(x, mean, 0.9 * width, color=color, alpha=0.55, linewidth=0, label=label)
    if len(values) > 1:
        error = values.std(ddof=1) / np.sqrt(len(values))
        ax.errorbar(x, mean, error, color=ink(), linewidth=0.9, capsize=0, zorder=4)
    # Side by side in the bar, always in the order of the participants.
    offsets = np.linspace(-0.3, 0.3, len(values)) * width if len(values) > 1 else np.zeros(len(values))
    ax.scatter(x + offsets, values, s=5, color=color, edgecolor=ink(), linewidth=0.4, zorder=3)


def plot_score_histogram(scores, *, colors=None, bins=None, label="score", ax=None):
    """Draw how the scores of the voxels are distributed, a line for each model.

    Parameters
    ----------
    scores : array-like of shape (n_voxels,) or dict of str to array-like
        Scores of one model, or of several by name. NaN is left out. Values outside the common range of 99.8% of the
        voxels are counted in the outermost bins.

    colors : list, default=None
        A colour for each model.

    bins : int, default=None
        Number of bins. None is twice the square root of the number of voxels, 10 to 40.

    label : str, default="score"
        What the scores are.

    ax : matplotlib.axes.Axes, default=None
        Where to draw. None makes a figure.

    Returns
    -------
    ax : matplotlib.axes.Axes

    Examples
    --------
    >>> from sklearn_sae_encoding.plotting import plot_score_histogram
    >>> ax = plot_score_histogram({"surprisal": [0.1, 0.2, 0.2], "SAE": [0.3, 0.5, 0.6]}, label="r")
    """
    scores = scores if isinstance(scores, dict) else {"": scores}
    finite = {name: _finite(values, name) for name, values in scores.items()}
    low, high = np.quantile(np.concatenate(list(finite.values())), [0.001, 0.999])
    bins = int(np.clip(2 * np.sqrt(max(map(len, finite.values()))), 10, 40)) if bins is None else bins
    edges = np.linspace(min(low, 0.0), max(high, low + 1e-9), bins + 1)
    colors = [accent()] if colors is None and len(scores) == 1 else colors_for(len(scores), colors, "models")
    ax = new_axes(ax, 2.2)
    styles = ("-", "--", "-.", ":")
    for i, (name, values) in enumerate(finite.items()):
        counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
        ax.stairs(counts, edges, color=colors[i], linestyle=styles[i % 4], linewidth=1.3, label=name or None)
        if len(finite) == 1:
            ax.stairs(counts, edges, color=colors[i], fill=True, alpha=0.35)
        ax.axvline(np.median(values), color=colors[i], linewidth=0.8, linestyle=styles[i % 4], alpha=0.7)
    ax.set_xlabel(label, fontsize="small")
    ax.set_ylabel("voxels", fontsize="small")
    ax.set_ylim(bottom=0)
    if any(finite):
        legend_above(ax)
    return plain(ax)


def _finite(values, name):
    values = np.asarray(values, dtype=float).ravel()
    values = values[np.isfinite(values)]
    if len(values) == 0:
        raise ValueError(f"There is no finite score to show{f' of {name!r}' if name else ''}.")
    return values


def plot_score_scatter(x, y, *, xlabel="surprisal", ylabel="content", diagonal=True, ax=None):
    """Draw one quantity of every voxel against another.

    From 2,000 voxels on, hexagons show how many lie where.

    Parameters
    ----------
    x, y : array-like of shape (n_voxels,)
        A value a voxel each. Voxels where either is NaN are left out.

    xlabel, ylabel : str
        What they are.

    diagonal : bool, default=True
        Whether to use one scale for both axes and draw the line of equal values.

    ax : matplotlib.axes.Axes, default=None
        Where to draw. None makes a figure.

    Returns
    -------
    ax : matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If the lengths differ, or no voxel has both values.

    Examples
    --------
    >>> from sklearn_sae_encoding.plotting import plot_score_scatter
    >>> ax = plot_score_scatter([0.1, 0.2, 0.2], [0.3, 0.5, 0.6], xlabel="surprisal", ylabel="SAE + surprisal")
    """
    x, y = np.asarray(x, dtype=float).ravel(), np.asarray(y, dtype=float).ravel()
    if x.shape != y.shape:
        raise ValueError(f"Expected two values a voxel, got {len(x)} on x and {len(y)} on y.")
    both = np.isfinite(x) & np.isfinite(y)
    if not both.any():
        raise ValueError("There is no voxel with both values.")
    x, y = x[both], y[both]
    ax = new_axes(ax, 3.0)
    if diagonal:
        low, high = min(x.min(), y.min(), 0.0), max(x.max(), y.max())
        pad = 0.03 * max(high - low, 1e-9)
        ax.plot([low - pad, high + pad], [low - pad, high + pad], color=ORANGE, linewidth=1, zorder=3)
        ax.set(xlim=(low - pad, high + pad), ylim=(low - pad, high + pad), aspect="equal")
    if len(x) < _DENSE:
        ax.scatter(x, y, s=8, color=accent(), alpha=0.6, linewidth=0)
    else:
        _draw_hexagons(ax, x, y)
    ax.set_xlabel(xlabel, fontsize="small")
    ax.set_ylabel(ylabel, fontsize="small")
    return plain(ax)


def _draw_hexagons(ax, x, y):
    hexagons = ax.hexbin(x, y, gridsize=35, bins="log", mincnt=1, cmap="viridis", linewidths=0.1)
    bar = ax.figure.colorbar(hexagons, ax=ax, shrink=0.7, pad=0.02)
    bar.set_label("voxels", fontsize="small")
    bar.ax.tick_params(labelsize="x-small")
