"""Story models to figures: which lag, and the time course of prediction against response."""

from typing import NamedTuple

import numpy as np

from sklearn_sae_encoding._fitted.weights import as_weights, shape_of_weights
from sklearn_sae_encoding.plotting._style import colors_for, ink, legend_above, new_axes, plain

_WEIGHTS = 2**24  # computed at a time


def plot_lags(model, *, targets=None, t_r=None, ax=None):
    """Draw how much weight each delay of each band has in a fitted story model.

    The root of the sum of squared weights of a band's features at a delay, averaged over targets and divided by the
    band's largest. Weights of a :class:`~sklearn_sae_encoding.banded.BandedRidgeEncoder`, which knows the standard
    deviations of its features, are in units of these, so that rare features don't weigh most. Bands with a single delay
    are left out where others have more.

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
    ax = new_axes(ax, 2.4)
    profile = lag_profile(model, targets)
    profile = [lags for lags in profile if len(lags.delays) > 1] or profile
    for lags, color in zip(profile, colors_for(len(profile), what="bands"), strict=True):
        x = np.array(lags.delays) * (1 if t_r is None else t_r)
        ax.plot(x, lags.sizes / (lags.sizes.max() or 1), "o-", color=color, label=lags.band)
    ax.set(xlabel="delay (scans)" if t_r is None else "delay (s)", ylabel="weight, relative", ylim=(0, 1.05))
    legend_above(ax)
    return plain(ax)


class Lags(NamedTuple):
    """A band's weight at each of its delays."""

    band: str
    n_features: int
    delays: list  # ascending, in scans
    sizes: np.ndarray  # (n_delays,), root of the summed squared weights, the mean over voxels
    share: float  # of the voxels whose largest weight is at the delay where the mean is largest

    @property
    def best(self):
        return self.delays[int(self.sizes.argmax())]


def lag_profile(model, targets=None):
    """Sum up the weights of each band at each delay, some targets at a time: all weights may be too many to hold."""
    table, regressor = model.design_, model.regressor_
    n_targets, _ = shape_of_weights(regressor)
    targets = np.arange(n_targets) if targets is None else np.arange(n_targets)[np.asarray(targets)]
    bands = {band: sorted(delays) for band, delays in model.delayer_.delays_.items()}
    inside = {
        (band, delay): ((table["band"] == band) & (table["delay"] == delay)).to_numpy()
        for band, delays in bands.items()
        for delay in delays
    }
    step = max(1, _WEIGHTS // len(table))
    blocks = [_sizes(regressor, targets[start : start + step], inside) for start in range(0, len(targets), step)]
    sizes = dict(zip(inside, np.concatenate(blocks, axis=1), strict=True))  # each of shape (n_targets,)
    profile = []
    for band, delays in bands.items():
        own = np.array([sizes[band, delay] for delay in delays])
        mean = own.mean(axis=1)
        share = np.mean(own.argmax(axis=0) == mean.argmax()) if len(targets) else np.nan
        profile.append(Lags(band, len(model.delayer_.bands_[band]), delays, mean, float(share)))
    return profile


def _sizes(regressor, targets, inside):
    """Roots of summed squared weights of some targets, (n_bands_and_delays, n_targets)."""
    if hasattr(regressor, "primal_weights"):
        weights = regressor.primal_weights(targets=targets) * regressor.feature_deviations_
    else:
        weights = as_weights(regressor.coef_)[targets].toarray()
    weights = np.where(np.isfinite(weights), weights, 0.0).astype(np.float64)
    return np.array([np.sqrt(np.sum(weights[:, part] ** 2, axis=1)) for part in inside.values()])


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
