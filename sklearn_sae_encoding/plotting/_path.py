"""One voxel's regularisation path."""

import numpy as np

from sklearn_sae_encoding.plotting._style import (
    COLUMN_WIDTH,
    GREY,
    accent,
    import_pyplot,
    ink,
    legend_above,
    palette,
    plain,
    spread,
)


def plot_regularization_path(alphas, errors, *, chosen=None, coefs=None, names=None, n_labels=5, axes=None):
    """Draw a voxel's held-out error, and its weights, over the penalties tried.

    Parameters
    ----------
    alphas : array-like of shape (n_alphas,)
        Penalties, such as a row of ``SparseVoxelEncoder.alphas_``. The largest, with the smallest model, is at the
        left.

    errors : array-like of shape (n_alphas, n_folds) or (n_alphas,)
        Mean squared held-out errors, such as ``cv_mse_path_[voxel]``. The band is one standard error over folds.

    chosen : float, default=None
        The penalty that was chosen.

    coefs : array-like of shape (n_alphas, n_features), default=None
        Weights at each penalty. They get axes of their own, below.

    names : array-like of str of shape (n_features,), default=None
        Names of the features.

    n_labels : int, default=5
        How many features to name: those with the largest weights at the smallest penalty.

    axes : matplotlib.axes.Axes or sequence of two, default=None
        Where to draw: one, or with `coefs` two. None makes a figure.

    Returns
    -------
    axes : matplotlib.axes.Axes or ndarray of two
        Two if there are `coefs`.

    Raises
    ------
    ValueError
        If the numbers of penalties differ.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sae_encoding.encoder import SparseVoxelEncoder
    >>> from sklearn_sae_encoding.plotting import plot_regularization_path
    >>> rng = np.random.default_rng(0)
    >>> X = rng.random((60, 20))
    >>> encoder = SparseVoxelEncoder().fit(X, X[:, :2] + 0.1 * rng.standard_normal((60, 2)))
    >>> ax = plot_regularization_path(encoder.alphas_[0], encoder.cv_mse_path_[0], chosen=encoder.alpha_[0])
    """
    alphas, errors = np.asarray(alphas, dtype=float), np.asarray(errors, dtype=float)
    errors = errors[:, None] if errors.ndim == 1 else errors
    coefs = None if coefs is None else np.asarray(coefs, dtype=float)
    if len(errors) != len(alphas) or (coefs is not None and len(coefs) != len(alphas)):
        n_coefs = "" if coefs is None else f" and {len(coefs)} rows of coefs"
        raise ValueError(f"Expected one row a penalty: {len(alphas)} alphas, {len(errors)} rows of errors{n_coefs}.")
    axes = _axes(axes, coefs is not None)
    _draw_errors(axes[0], alphas, errors)
    if coefs is not None:
        _draw_coefs(axes[1], alphas, coefs, names, n_labels)
    for ax in axes:
        ax.set_xscale("log")
        ax.set_xlim(alphas.max(), alphas.min())
        if chosen is not None:
            ax.axvline(chosen, color=ink(), linewidth=0.8, linestyle="--", label="chosen")
        plain(ax)
    axes[-1].set_xlabel("penalty α (models grow to the right)", fontsize="small")
    legend_above(axes[0])
    return axes if coefs is not None else axes[0]


def _axes(axes, two):
    if axes is None:
        size = (COLUMN_WIDTH, 3.4 if two else 2.2)
        axes = (
            import_pyplot()
            .subplots(1 + two, 1, figsize=size, sharex=True, squeeze=False, layout="constrained")[1]
            .ravel()
        )
    axes = np.atleast_1d(axes)
    if len(axes) != 1 + two:
        raise ValueError(f"Expected {1 + two} axes, {'with' if two else 'without'} coefs, got {len(axes)}.")
    return axes


def _draw_errors(ax, alphas, errors):
    mean = errors.mean(axis=1)
    if errors.shape[1] > 1:
        error = errors.std(axis=1, ddof=1) / np.sqrt(errors.shape[1])
        ax.fill_between(alphas, mean - error, mean + error, color=accent(), alpha=0.2, linewidth=0)
        ax.plot(alphas, errors, color=GREY, linewidth=0.5, alpha=0.7)
        ax.plot([], [], color=GREY, linewidth=0.5, label="a fold")
    ax.plot(alphas, mean, color=accent(), linewidth=1.5, label="mean")
    ax.set_ylabel("held-out error", fontsize="small")


def _draw_coefs(ax, alphas, coefs, names, n_labels):
    smallest = np.argmin(alphas)
    used = np.flatnonzero(np.any(coefs != 0, axis=0))
    top = used[np.argsort(-np.abs(coefs[smallest, used]), kind="stable")][:n_labels]
    rest = np.setdiff1d(used, top)
    ax.plot(alphas, coefs[:, rest], color=GREY, linewidth=0.5, alpha=0.6)
    colors = [palette()[1 + i % 6] for i in range(len(top))]
    for j, color in zip(top, colors, strict=True):
        ax.plot(alphas, coefs[:, j], color=color, linewidth=1.3)
    ax.axhline(0, color=ink(), linewidth=0.6)
    ax.set_ylabel("weight", fontsize="small")
    if names is not None:
        _name_ends(ax, coefs[smallest, top], [str(names[j]) for j in top], colors)


def _name_ends(ax, ends, names, colors):
    low, high = ax.get_ylim()
    ax.set_ylim(low, high)
    height = ax.figure.get_size_inches()[1] * ax.get_position().height
    gap = 0.13 / height * (high - low)
    for at, end, name, color in zip(spread(ends, gap, low, high), ends, names, colors, strict=True):
        ax.annotate(
            name,
            (1.0, end),
            (1.05, at),
            xycoords=("axes fraction", "data"),
            textcoords=("axes fraction", "data"),
            va="center",
            fontsize="x-small",
            arrowprops={"arrowstyle": "-", "color": color, "linewidth": 0.8, "relpos": (0, 0.5)},
            annotation_clip=False,
        )
