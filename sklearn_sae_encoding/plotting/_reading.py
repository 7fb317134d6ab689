"""Reading times: what predictors add, coefficients, and language models by perplexity."""

import numpy as np

from sklearn_sae_encoding.plotting._style import GREY, accent, ink, legend_above, new_axes, plain


def plot_log_likelihood_gains(table, *, ax=None):
    """Draw what sets of predictors add to a model of reading times, in-sample and held out.

    Parameters
    ----------
    table : DataFrame or DeltaLogLikelihood
        A row a set of predictors with ``in_sample``, ``held_out``, ``low`` and ``high``, as
        :func:`~sklearn_sae_encoding.reading.delta_log_likelihood` gives it.

    ax : matplotlib.axes.Axes, default=None
        Where to draw. None makes a figure.

    Returns
    -------
    ax : matplotlib.axes.Axes

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_sae_encoding.plotting import plot_log_likelihood_gains
    >>> table = pd.DataFrame({"in_sample": [40], "held_out": [38], "low": [20], "high": [55]}, index=["surprisal"])
    >>> [label.get_text() for label in plot_log_likelihood_gains(table).get_yticklabels()]
    ['surprisal']
    """
    table = getattr(table, "table", table)
    _check(table, ["in_sample", "held_out", "low", "high"])
    places = np.arange(len(table))[::-1]
    ax = new_axes(ax, 0.8 + 0.3 * len(table))
    ax.axvline(0, color=ink(), linewidth=0.8)
    ax.plot(table["in_sample"], places, "o", markerfacecolor="none", color=GREY, label="in-sample")
    low, high = table["held_out"] - table["low"], table["high"] - table["held_out"]
    ax.errorbar(table["held_out"], places, xerr=[low, high], fmt="o", color=accent(), label="held out, 95 %")
    ax.set_yticks(places, list(table.index))
    ax.set_ylim(-0.6, len(table) - 0.4)
    ax.set_xlabel("gain in log likelihood (nats)", fontsize="small")
    legend_above(ax)
    return plain(ax)


def plot_coefficients(coef, *, intercept=False, ax=None):
    """Draw the coefficients of a model of reading times with 95 % intervals.

    Parameters
    ----------
    coef : DataFrame or ReadingTimeModel
        A row a predictor with ``estimate`` and ``standard_error``.

    intercept : bool, default=False
        Whether to draw the intercept, which is usually far from the rest.

    ax : matplotlib.axes.Axes, default=None
        Where to draw. None makes a figure.

    Returns
    -------
    ax : matplotlib.axes.Axes

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_sae_encoding.plotting import plot_coefficients
    >>> coef = pd.DataFrame({"estimate": [5.2, 0.03], "standard_error": [0.02, 0.01]}, index=["Intercept", "length"])
    >>> [label.get_text() for label in plot_coefficients(coef).get_yticklabels()]
    ['length']
    """
    coef = getattr(coef, "coef_", coef)
    _check(coef, ["estimate", "standard_error"])
    if not intercept:
        coef = coef.drop(index="Intercept", errors="ignore")
    places = np.arange(len(coef))[::-1]
    ax = new_axes(ax, 0.6 + 0.22 * len(coef))
    ax.axvline(0, color=ink(), linewidth=0.8)
    ax.errorbar(coef["estimate"], places, xerr=1.96 * coef["standard_error"], fmt="o", color=accent(), markersize=4)
    ax.set_yticks(places, list(coef.index))
    ax.set_ylim(-0.6, len(coef) - 0.4)
    ax.set_xlabel("coefficient", fontsize="small")
    return plain(ax)


def plot_perplexity_gains(table, *, ax=None):
    """Draw what the surprisal of each language model adds, held out, against its perplexity on the same words.

    Parameters
    ----------
    table : DataFrame or LanguageModelComparison
        A row a model with ``perplexity``, ``held_out``, ``low`` and ``high``, as
        :func:`~sklearn_sae_encoding.reading.compare_language_models` gives it.

    ax : matplotlib.axes.Axes, default=None
        Where to draw. None makes a figure.

    Returns
    -------
    ax : matplotlib.axes.Axes

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_sae_encoding.plotting import plot_perplexity_gains
    >>> table = pd.DataFrame({"perplexity": [300.0], "held_out": [38], "low": [20], "high": [55]}, index=["small"])
    >>> plot_perplexity_gains(table).get_xscale()
    'log'
    """
    table = getattr(table, "table", table)
    _check(table, ["perplexity", "held_out", "low", "high"])
    ax = new_axes(ax, 2.4)
    ax.axhline(0, color=ink(), linewidth=0.8)
    low, high = table["held_out"] - table["low"], table["high"] - table["held_out"]
    ax.errorbar(table["perplexity"], table["held_out"], yerr=[low, high], fmt="o", color=accent())
    for name, row in table.iterrows():
        where = (row["perplexity"], row["held_out"])
        ax.annotate(str(name), where, xytext=(4, 4), textcoords="offset points", fontsize="x-small")
    ax.set_xscale("log")
    ax.set_xlabel("perplexity of the words", fontsize="small")
    ax.set_ylabel("held-out gain (nats)", fontsize="small")
    return plain(ax)


def _check(table, columns):
    missing = [column for column in columns if column not in table.columns]
    if missing or not len(table):
        raise ValueError(
            f"Expected a table with rows and the columns {columns}; missing: {missing}, rows: {len(table)}."
        )
