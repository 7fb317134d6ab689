"""Story models to figures: which lag, and the time course of prediction against response."""

import numpy as np

from sklearn_sae_encoding.plotting._style import colors_for, ink, legend_above, new_axes, plain


def plot_lags(model, *, targets=None, t_r=None, ax=None):
    """Draw how much weight each delay of each band has in a fitted story model.

    The root of the sum of squared weights of a band's features at a delay, averaged over targets and divided by the
    band's largest. Bands with a single delay are left out where others have more.

    Parameters
    ----------
    model : RunwiseRegressor
        Fitted, with a regressor that has ``coef_`` or, like
        :class:`~sklearn_sae_encoding.banded.BandedRidgeEncoder`, ``primal_weights``.

    targets : array-like of int or bool, default=None
        Which voxels, among those that are not absent. None is all.

    t_r : float, default=None
        Repetition time: the axis is then in seconds. None counts scans.

    ax : matplotlib.axes.Axes, default=None
        Where to draw. None makes a figure.

    Returns
    -------
    ax : matplotlib.axes.Axes

    Raises
    ------
    AttributeError
        If the regressor has no weights.
    """
    table, weights = model.design_, np.abs(_weights(model))
    weights = weights if targets is None else weights[np.asarray(targets)]
    ax = new_axes(ax, 2.4)
    bands = [band for band, delays in model.delayer_.delays_.items() if len(delays) > 1] or list(model.delayer_.delays_)
    for band, color in zip(bands, colors_for(len(bands), what="bands"), strict=True):
        delays = sorted(model.delayer_.delays_[band])
        inside = [((table["band"] == band) & (table["delay"] == delay)).to_numpy() for delay in delays]
        size = np.array([np.sqrt(np.sum(weights[:, part] ** 2, axis=1)).mean() for part in inside])
        x = np.array(delays) * (1 if t_r is None else t_r)
        ax.plot(x, size / (size.max() or 1), "o-", color=color, label=band)
    ax.set(xlabel="delay (scans)" if t_r is None else "delay (s)", ylabel="weight, relative", ylim=(0, 1.05))
    legend_above(ax)
    return plain(ax)


def plot_time_course(response, predicted, *, t_r=None, label="response", ax=None):
    """Draw a measured response and its prediction over the scans of a run.

    Parameters
    ----------
    response : array-like of shape (n_scans,)
        Measured response of one voxel or region.

    predicted : array-like of shape (n_scans,)
        Its prediction, by a model that was not fitted to the run: ``predictions`` of
        :func:`~sklearn_sae_encoding.metrics.cross_val_voxel_scores`.

    t_r : float, default=None
        Repetition time: the axis is then in seconds. None counts scans.

    label : str, default="response"
        What the measured response is called.

    ax : matplotlib.axes.Axes, default=None
        Where to draw. None makes a figure.

    Returns
    -------
    ax : matplotlib.axes.Axes
        The correlation of the two stands in its title.

    Raises
    ------
    ValueError
        If the two differ in length.
    """
    response, predicted = np.asarray(response, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    if response.ndim != 1 or response.shape != predicted.shape:
        raise ValueError(f"Expected two series of one length, got shapes {response.shape} and {predicted.shape}.")
    ax = new_axes(ax, 2.4)
    x = np.arange(len(response)) * (1 if t_r is None else t_r)
    measured, model = colors_for(2)
    ax.plot(x, response, color=measured, linewidth=1, label=label)
    ax.plot(x, predicted, color=model, linewidth=1.5, label="prediction")
    ax.axhline(0, color=ink(), linewidth=0.5)
    ax.set(xlabel="scan" if t_r is None else "time (s)", ylabel="standard deviations")
    ax.set_title(f"r = {np.corrcoef(response, predicted)[0, 1]:.2f}", loc="right", fontsize="small")
    legend_above(ax)
    return plain(ax)


def _weights(model):
    regressor = model.regressor_
    if hasattr(regressor, "primal_weights"):
        return regressor.primal_weights()
    if not hasattr(regressor, "coef_"):
        raise AttributeError(f"The {type(regressor).__name__} has no coef_: it gives no weights to draw.")
    coef = regressor.coef_.toarray() if hasattr(regressor.coef_, "toarray") else np.asarray(regressor.coef_)
    return np.atleast_2d(coef)
