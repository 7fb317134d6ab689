"""Features: which regions use them, how many voxels, and how widely."""

import numpy as np
import pandas as pd

from sklearn_sae_encoding.plotting._style import (
    GREY,
    ORANGE,
    accent,
    import_pyplot,
    ink,
    legend_above,
    new_axes,
    on_color,
    plain,
    spread,
)

_ROW_HEIGHT = 0.155  # inches


def plot_feature_heatmap(
    table, *, n_features=15, label="share of voxels", fmt=None, center=None, vmax=None, cmap=None, ax=None
):
    """Draw a table of features by regions (or categories, participants, tokens) as a heat map.

    Parameters
    ----------
    table : pandas.DataFrame of shape (n_features, n_groups)
        A row a feature, such as the share of each region's voxels that use it. The row names are shown as they are,
        so a sign or a label belongs into them. NaN is left blank.

    n_features : int or None, default=15
        Show only so many rows, those with the largest sum of absolute values, the largest first. None shows all rows
        as they come.

    label : str, default="share of voxels"
        What the values are.

    fmt : str, default=None
        Format of the numbers in the cells, such as ``".2f"``. None shows no numbers.

    center : float, default=None
        Value in the middle of a diverging colour map. None is 0 if there are negative values, and no middle otherwise.

    vmax : float, default=None
        Value (distance from the middle) at the end of the colours.

    cmap : str, default=None
        Colour map. None is viridis, or a blue-orange one around a middle.

    ax : matplotlib.axes.Axes, default=None
        Where to draw. None makes a figure as tall as the rows need.

    Returns
    -------
    ax : matplotlib.axes.Axes

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_sae_encoding.plotting import plot_feature_heatmap
    >>> table = pd.DataFrame({"IFG": [0.1, 0.5], "MFG": [0.0, 0.4]}, index=["+sae_00040", "-sae_00079 scenery"])
    >>> ax = plot_feature_heatmap(table, fmt=".1f")
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['-sae_00079 scenery', '+sae_00040']
    """
    table = pd.DataFrame(table)
    if table.empty:
        raise ValueError("The table has no row or no column to show.")
    if n_features is not None:
        table = table.loc[table.abs().sum(axis=1).sort_values(ascending=False, kind="stable").index[:n_features]]
    values = np.ma.masked_invalid(table.to_numpy(dtype=float))
    if center is None and values.min() < 0:
        center = 0.0
    norm, cmap = _colors(values, center, vmax, cmap)
    ax = new_axes(ax, 0.75 + _ROW_HEIGHT * len(table))
    mesh = ax.pcolormesh(values, norm=norm, cmap=cmap, edgecolor="face", linewidth=0.2)
    ax.invert_yaxis()
    ax.set_yticks(np.arange(len(table)) + 0.5, [str(name) for name in table.index], fontsize="x-small")
    _name_columns(ax, [str(name) for name in table.columns])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    if fmt is not None:
        _write_numbers(ax, values, mesh, fmt)
    bar = ax.figure.colorbar(mesh, ax=ax, pad=0.02, fraction=0.05, aspect=25)
    bar.set_label(label, fontsize="x-small")
    bar.ax.tick_params(labelsize="x-small")
    bar.outline.set_visible(False)
    return ax


def _colors(values, center, vmax, cmap):
    import_pyplot()
    from matplotlib.colors import CenteredNorm, Normalize

    if center is None:
        return Normalize(min(0.0, values.min()), values.max() if vmax is None else vmax), cmap or "viridis"
    half = np.abs(values - center).max() if vmax is None else vmax
    return CenteredNorm(center, half or 1.0), cmap or "PuOr_r"


def _name_columns(ax, names):
    short = max(map(len, names)) <= 30 / len(names)
    ax.xaxis.tick_top()
    positions = np.arange(len(names)) + 0.5
    if short:
        ax.set_xticks(positions, names, fontsize="x-small")
    else:
        names = [name.replace("_", " ") for name in names]
        ax.set_xticks(positions, names, fontsize="x-small", rotation=45, ha="left", rotation_mode="anchor")


def _write_numbers(ax, values, mesh, fmt):
    for (row, column), value in np.ma.ndenumerate(values):
        color = on_color(mesh.cmap(mesh.norm(value)))
        ax.text(column + 0.5, row + 0.5, format(value, fmt), ha="center", va="center", color=color, fontsize=5.5)


def plot_prevalence_entropy(
    prevalence, entropy, *, max_entropy=None, max_prevalence=None, curves=None, labels=None, n_labels=8, ax=None
):
    """Draw how many voxels use each feature against how evenly participants (or regions) share it.

    Parameters
    ----------
    prevalence : array-like of shape (n_features,)
        Number of voxels that use each feature, at least 1.

    entropy : array-like of shape (n_features,)
        Entropy of the feature's rate over groups, in bits: 0 where a single group uses it.

    max_entropy : float, default=None
        Entropy of a feature that all groups use alike, ``log2(n_groups)``, drawn as a line.

    max_prevalence : float, default=None
        Number of all voxels: with `max_entropy`, the point of a feature that every voxel uses.

    curves : dict of str to (array-like, array-like), default=None
        Reference curves, prevalence and entropy each, such as what chance gives.

    labels : array-like of str of shape (n_features,), default=None
        Names of the features.

    n_labels : int, default=8
        How many of the most prevalent features to name.

    ax : matplotlib.axes.Axes, default=None
        Where to draw. None makes a figure.

    Returns
    -------
    ax : matplotlib.axes.Axes

    Examples
    --------
    >>> from sklearn_sae_encoding.plotting import plot_prevalence_entropy
    >>> ax = plot_prevalence_entropy([300, 12, 5], [2.9, 1.5, 0.0], max_entropy=3, labels=["a", "b", "c"])
    """
    prevalence, entropy = np.asarray(prevalence, dtype=float), np.asarray(entropy, dtype=float)
    if prevalence.shape != entropy.shape or prevalence.ndim != 1 or len(prevalence) == 0:
        raise ValueError(
            f"Expected a prevalence and an entropy a feature, got shapes {prevalence.shape} and {entropy.shape}."
        )
    ax = new_axes(ax, 2.6)
    ax.scatter(prevalence, entropy, s=7, color=accent(), alpha=0.5, linewidth=0, label="features", rasterized=True)
    top = max(entropy.max(), max_entropy or 0.0) or 1.0
    if max_entropy is not None:
        ax.axhline(max_entropy, color=GREY, linewidth=0.8, linestyle=":", label="all groups alike")
    for (name, (x, y)), style in zip((curves or {}).items(), ("-", "--", "-.", ":"), strict=False):
        ax.plot(x, y, color=ORANGE, linewidth=1.2, linestyle=style, label=name)
    if max_entropy is not None and max_prevalence is not None:
        ax.scatter(max_prevalence, max_entropy, marker="*", s=40, color=ORANGE, label="every voxel", zorder=3)
    ax.set(xscale="log", ylim=(-0.04 * top, 1.08 * top))
    ax.set_xlabel("prevalence (voxels that use the feature)", fontsize="small")
    ax.set_ylabel("entropy over groups (bits)", fontsize="small")
    legend_above(ax)
    if labels is not None:
        _name_points(ax, prevalence, entropy, np.asarray(labels, dtype=object), n_labels)
    return plain(ax)


def _name_points(ax, x, y, labels, n):
    """Write names in a column at the right, each tied to its point by a line."""
    chosen = np.argsort(-x, kind="stable")[:n]
    chosen = chosen[np.lexsort((x[chosen], y[chosen]))]
    low, high = ax.get_ylim()
    height = ax.figure.get_size_inches()[1] * 0.75
    heights = spread((y[chosen] - low) / (high - low), 0.125 / height, 0.0, 1.0)
    for i, at in zip(chosen, heights, strict=True):
        ax.annotate(
            str(labels[i]),
            (x[i], y[i]),
            (1.04, at),
            textcoords="axes fraction",
            fontsize="x-small",
            va="center",
            arrowprops={"arrowstyle": "-", "color": ink(), "linewidth": 0.4, "alpha": 0.6, "relpos": (0, 0.5)},
            annotation_clip=False,
        )
