"""Two raters' categories of the same features to a figure of who takes what for what."""

import numpy as np
import pandas as pd

from sklearn_sae_encoding.plotting._style import import_pyplot, new_axes, on_color, wrap

_MARGIN = "all"


def plot_confusion(confusion, *, first="first rater", second="second rater", normalize="row", ax=None):
    """Draw a confusion matrix of two raters, or of people and a language model, with its margins.

    Parameters
    ----------
    confusion : DataFrame of shape (n_categories, n_categories), or with margins "all"
        Counts of the first rater's categories (rows) by the second's (columns), such as the ``confusion`` of
        :func:`~sklearn_sae_encoding.analysis.compare_raters`. Margins are computed where they are missing.

    first, second : str, default="first rater", "second rater"
        Who they are.

    normalize : {"row", "column", None}, default="row"
        What colours and the upper numbers are shares of: of what the first rater, or the second, put into a category.
        None shows counts alone.

    ax : matplotlib.axes.Axes, default=None
        Where to draw. None makes a figure as tall as the rows need.

    Returns
    -------
    ax : matplotlib.axes.Axes
        Numbers in cells are percentages and, below them, counts; margins are counts.

    Raises
    ------
    ValueError
        If rows and columns are not the same categories, a count is negative or missing, or nothing was rated.

    Examples
    --------
    >>> from sklearn_sae_encoding.analysis import compare_raters
    >>> from sklearn_sae_encoding.plotting import plot_confusion
    >>> found = compare_raters({1: "semantic", 2: "lexical"}, {1: "semantic", 2: "semantic"}, n_bootstraps=10)
    >>> ax = plot_confusion(found.confusion, first="GPT-4", second="people")
    >>> ax.get_ylabel(), ax.get_xlabel()
    ('GPT-4', 'people')
    """
    counts = _counts(confusion)
    n, values = len(counts), counts.to_numpy(dtype=float)
    if normalize not in ("row", "column", None):
        raise ValueError(f"normalize must be 'row', 'column' or None, got {normalize!r}.")
    totals = {"row": values.sum(axis=1, keepdims=True), "column": values.sum(axis=0, keepdims=True)}.get(normalize)
    shown = values if totals is None else np.divide(values, totals, out=np.zeros_like(values), where=totals > 0)
    ax = new_axes(ax, 0.9 + 0.36 * (n + 1))
    import_pyplot()
    mesh = ax.pcolormesh(shown, cmap="Blues", vmin=0, vmax=values.max() if totals is None else 1)
    for (row, column), share in np.ndenumerate(shown):
        count = f"{values[row, column]:.0f}"
        text = count if totals is None else f"{share:.0%}\n{count}" if values[row, column] else "0"
        ink = on_color(mesh.cmap(mesh.norm(share)))
        ax.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize="x-small", color=ink)
    for place, total in enumerate(values.sum(axis=1)):
        ax.text(n + 0.5, place + 0.5, f"{total:.0f}", ha="center", va="center", fontsize="x-small")
    for place, total in enumerate(values.sum(axis=0)):
        ax.text(place + 0.5, n + 0.5, f"{total:.0f}", ha="center", va="center", fontsize="x-small")
    ax.text(n + 0.5, n + 0.5, f"{values.sum():.0f}", ha="center", va="center", fontsize="x-small", weight="bold")
    if totals is not None:
        ax.text(0, n + 1.0, f"% of each {normalize}", fontsize="xx-small", va="top")
    ax.set(xlim=(0, n + 1), ylim=(n + 1, 0))
    ax.set_xlabel(second, fontsize="small")
    ax.set_ylabel(first, fontsize="small")
    names = [*counts.columns.astype(str), _MARGIN]
    ax.set_yticks(np.arange(n + 1) + 0.5, [wrap(name, 14) for name in names], fontsize="x-small")
    long = max(map(len, names)) > 6
    ax.set_xticks(np.arange(n + 1) + 0.5, names, fontsize="x-small", rotation=30 if long else 0)
    ax.xaxis.tick_top()
    ax.xaxis.set_label_position("top")
    if long:
        for tick in ax.get_xticklabels():
            tick.set(ha="left", rotation_mode="anchor")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return ax


def _counts(confusion):
    counts = pd.DataFrame(confusion)
    counts = counts.drop(index=_MARGIN, errors="ignore").drop(columns=_MARGIN, errors="ignore")
    if set(counts.index) != set(counts.columns):
        only = sorted(map(str, set(counts.index) ^ set(counts.columns)))
        raise ValueError(f"Rows and columns must be the same categories; {', '.join(only)} stand on one side only.")
    counts = counts.loc[:, counts.index]
    if not (counts.to_numpy(dtype=float) >= 0).all() or not counts.to_numpy().sum() > 0:
        raise ValueError("Counts must be numbers of at least 0, and some of them above 0.")
    return counts
