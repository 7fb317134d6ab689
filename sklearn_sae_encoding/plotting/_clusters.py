"""Which cluster of features is strongest where, on the brain."""

import numpy as np

from sklearn_sae_encoding.plotting._images import load_map, map_values, values_of
from sklearn_sae_encoding.plotting._maps import _MAP_WIDTH, _as_cmap, _draw
from sklearn_sae_encoding.plotting._style import COLORS, import_pyplot, palette


def plot_cluster_map(clusters, *, names=None, bg=None, ax=None, **nilearn):
    """Draw a map of clusters, such as the one whose features are strongest in each voxel or vertex.

    Parameters
    ----------
    clusters : Nifti1Image, SurfaceImage or path
        The number of a cluster from 0 in each voxel or vertex, NaN or negative for none, such as the ``voxels`` of
        :func:`~sklearn_sae_encoding.analysis.cluster_feature_maps`.

    names : sequence of str, default=None
        Names of the clusters, for the legend. None numbers them.

    bg, ax, **nilearn
        As for :func:`plot_score_map`.

    Returns
    -------
    ax : matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If there is no cluster, more than eight, or not a name each.

    Examples
    --------
    >>> from sklearn_sae_encoding.plotting import plot_cluster_map
    >>> ax = plot_cluster_map(masker.inverse_transform(found.voxels))  # doctest: +SKIP
    """
    clusters = load_map(clusters)
    values = values_of(clusters)
    there = values[np.isfinite(values) & (values >= 0)]
    n = int(there.max()) + 1 if there.size else 0
    if not 0 < n <= len(COLORS) or not (there == there.round()).all():
        raise ValueError(
            f"Expected clusters numbered from 0 to {len(COLORS) - 1}, got {np.unique(there)[:12].tolist()}."
        )
    names = [f"cluster {i}" for i in range(n)] if names is None else list(names)
    if len(names) < n:
        raise ValueError(f"There are {n} clusters, but {len(names)} names.")
    codes = map_values(lambda v: np.where(np.nan_to_num(v, nan=-1.0) >= 0, v + 1.5, 0).astype(np.float32), clusters)
    import_pyplot()
    from matplotlib.colors import to_rgb
    from matplotlib.patches import Patch

    grey, *bright = palette()
    of_clusters = [*bright, grey][:n]  # grey, which is like no cluster at all, comes last
    table = np.array([(0.93, 0.93, 0.93), *map(to_rgb, of_clusters)])
    colors = {"cmap": _as_cmap(table), "vmin": 0, "vmax": len(table), "threshold": 0.5}
    # A number is a name, not a quantity: nothing between two of them means anything.
    ax = _draw(codes, bg, ax, colors, {"resampling_interpolation": "nearest", **nilearn})
    patches = [Patch(color=color, label=name) for color, name in zip(of_clusters, names, strict=False)]
    ax.legend(
        handles=patches,
        loc="center left",
        bbox_to_anchor=(_MAP_WIDTH, 0.5),
        fontsize="x-small",
        frameon=False,
        handlelength=1,
        borderaxespad=0,
    )
    return ax
