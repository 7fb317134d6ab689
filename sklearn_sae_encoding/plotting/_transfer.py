"""Transfer between voxels as an ordered matrix."""

import numpy as np

from sklearn_sae_encoding.plotting._style import colors_for, ink, new_axes

# Merges of the tree that are drawn, from the top: more become a black block.
_MERGES = 150


def plot_transfer_matrix(
    similarity,
    *,
    linkage=None,
    groups=None,
    clusters=None,
    label="transfer score",
    vmin=0.0,
    vmax=None,
    colors=None,
    ax=None,
):
    """Draw how well each voxel's features serve each other voxel, similar voxels side by side.

    Parameters
    ----------
    similarity : array-like of shape (n_voxels, n_voxels)
        Score of the row's features (source) refitted on the column's voxel (target). NaN is left blank.

    linkage : array-like of shape (n_voxels - 1, 4), default=None
        Hierarchical clustering as :func:`scipy.cluster.hierarchy.linkage` gives it. Rows and columns follow its
        leaves, and its tree is drawn (of more than 150 merges, the uppermost). None keeps the order.

    groups : array-like of shape (n_voxels,), default=None
        A label a voxel, such as its region, shown as a strip of colours. At most 8 different ones, or pass `colors`.

    clusters : array-like of int of shape (n_voxels,), default=None
        Clusters to outline, -1 for voxels of none.

    label : str, default="transfer score"
        What the similarities are, such as ``"transfer score / noise ceiling"`` for normalised ones.

    vmin, vmax : float
        Ends of the colours. No `vmax` is the 99th percentile off the diagonal, which would otherwise outshine the rest.

    colors : list, default=None
        A colour for each group, in sorted order.

    ax : matplotlib.axes.Axes, default=None
        Where to draw; the tree and the strip stand at its left. None makes a figure.

    Returns
    -------
    ax : matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If the shapes don't belong together.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.cluster.hierarchy import linkage
    >>> from scipy.spatial.distance import squareform
    >>> from sklearn_sae_encoding.plotting import plot_transfer_matrix
    >>> similarity = np.array([[0.8, 0.1, 0.7], [0.1, 0.9, 0.2], [0.6, 0.1, 0.8]])
    >>> distance = 1 - np.minimum(similarity, similarity.T)
    >>> np.fill_diagonal(distance, 0)
    >>> tree = linkage(squareform(distance), "average", optimal_ordering=True)
    >>> ax = plot_transfer_matrix(similarity, linkage=tree, groups=["IFG", "MFG", "IFG"])
    """
    similarity = np.asarray(similarity, dtype=float)
    n = len(similarity)
    if similarity.shape != (n, n) or n < 2:
        raise ValueError(f"Expected a square matrix of at least two voxels, got shape {similarity.shape}.")
    order = np.arange(n) if linkage is None else _leaves(linkage, n)
    if vmax is None:
        vmax = max(np.nanpercentile(similarity[~np.eye(n, dtype=bool)], 99), vmin + 1e-9)
    ax = new_axes(ax, 3.0)
    image = ax.imshow(similarity[np.ix_(order, order)], vmin=vmin, vmax=vmax, cmap="viridis")
    ax.set(xticks=[], yticks=[])
    ax.set_xlabel("target voxels", fontsize="small")
    left = 0.0
    if groups is not None:
        left = _draw_groups(ax, _one_a_voxel(groups, n, "groups")[order], colors)
    if linkage is not None:
        left = _draw_tree(ax, linkage, order, left)
    beside = {"transform": ax.transAxes, "rotation": 90, "ha": "right", "va": "center"}
    ax.text(left - 0.02, 0.5, "source voxels", fontsize="small", **beside)
    if clusters is not None:
        _outline(ax, _one_a_voxel(clusters, n, "clusters")[order])
    below = np.nanmin(np.where(np.eye(n, dtype=bool), vmin, similarity)) < vmin
    bar = ax.figure.colorbar(image, ax=ax, pad=0.02, shrink=0.8, extend="both" if below else "max")
    bar.set_label(label, fontsize="x-small")
    bar.ax.tick_params(labelsize="x-small")
    return ax


def _leaves(linkage, n):
    from scipy.cluster.hierarchy import leaves_list

    if np.shape(linkage) != (n - 1, 4):
        raise ValueError(f"A linkage of {n} voxels has the shape {(n - 1, 4)}, got {np.shape(linkage)}.")
    return leaves_list(linkage)


def _one_a_voxel(labels, n, name):
    labels = np.asarray(labels)
    if labels.shape != (n,):
        raise ValueError(f"{name} must hold one label a voxel, ({n},), got shape {labels.shape}.")
    return labels


def _draw_groups(ax, groups, colors):
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    names, numbers = np.unique(groups, return_inverse=True)
    colors = colors_for(len(names), colors, "groups")
    strip = ax.inset_axes([-0.055, 0, 0.045, 1])
    # Two colours at least, so that a single group does not stretch to an empty range.
    cmap = ListedColormap([*colors, "none"])
    strip.imshow(numbers[:, None], aspect="auto", cmap=cmap, vmin=-0.5, vmax=len(names) + 0.5, interpolation="nearest")
    strip.set_axis_off()
    labels = [str(name).replace("_", " ") for name in names]
    handles = [Patch(color=color, label=label) for color, label in zip(colors, labels, strict=True)]
    n_rows = -(-len(names) // 4)
    for n_columns in range(-(-len(names) // n_rows), 0, -1):
        legend = ax.legend(
            handles=handles,
            ncols=n_columns,
            frameon=False,
            fontsize="x-small",
            loc="lower center",
            bbox_to_anchor=(0.5, 1.0),
            columnspacing=0.9,
            handlelength=0.9,
            handletextpad=0.4,
        )
        # No wider than the matrix, or it would reach the colour bar, which is drawn later and narrows it.
        if legend.get_window_extent().width <= 0.85 * ax.get_window_extent().width:
            break
    return -0.06


def _draw_tree(ax, linkage, order, left):
    """Draw the top of the tree, without recursion, which a chain of thousands of merges would exhaust."""
    from matplotlib.collections import LineCollection

    linkage = np.asarray(linkage, dtype=float)
    n = len(order)
    place, height = np.empty(2 * n - 1), np.zeros(2 * n - 1)
    place[order] = np.arange(n)
    forks = []
    for i, (a, b, distance, _) in enumerate(linkage, start=n):
        a, b = int(a), int(b)
        forks.append([(height[a], place[a]), (distance, place[a]), (distance, place[b]), (height[b], place[b])])
        place[i], height[i] = (place[a] + place[b]) / 2, distance
    tree = ax.inset_axes([left - 0.17, 0, 0.16, 1])
    forks = forks[-_MERGES:]
    tree.add_collection(LineCollection(forks, colors=[ink()], linewidths=min(0.5, 40 / len(forks))))
    tree.set(xlim=(height.max() * 1.02 or 1.0, 0), ylim=(n - 0.5, -0.5))
    tree.set_axis_off()
    return left - 0.17


def _outline(ax, clusters):
    from matplotlib.patches import Rectangle

    changes = np.flatnonzero(np.diff(clusters)) + 1
    starts, ends = np.r_[0, changes], np.r_[changes, len(clusters)]
    for start, end in zip(starts, ends, strict=True):
        if clusters[start] >= 0 and end - start > 1:
            square = (start - 0.5, start - 0.5), end - start, end - start
            ax.add_patch(Rectangle(*square, fill=False, edgecolor="black", linewidth=2.2))
            ax.add_patch(Rectangle(*square, fill=False, edgecolor="white", linewidth=1.1))
