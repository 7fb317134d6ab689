"""Values of voxels or vertices on the brain, by nilearn."""

import numpy as np

from sklearn_sae_encoding.plotting._images import check_same_space, is_surface, load_map, map_values, values_of
from sklearn_sae_encoding.plotting._style import COLUMN_WIDTH, import_pyplot, ink

_HEMISPHERES = ("left", "right")
_MAP_WIDTH = 0.8  # of the frame; what the colours mean stands at its right
_LEVELS = 12  # shades of each of the two colours of a two-colour map


def plot_score_map(scores, *, threshold=None, signed=True, vmax=None, label="score", bg=None, ax=None, **nilearn):
    """Draw scores or weights on slices of the brain, or on its surface.

    Parameters
    ----------
    scores : Nifti1Image, SurfaceImage or path
        A value a voxel or vertex, such as a score, or the weight of a feature. NaN is not drawn.

    threshold : float, default=None
        Values nearer to 0 are not drawn. None draws all but 0.

    signed : bool, default=True
        Whether values below ``-threshold`` are drawn, too: if there are any, orange and purple stand on both sides of
        0. With False, only what lies above the threshold is drawn, in one range of colours, which suits scores whose
        negative values are noise.

    vmax : float, default=None
        Value of the last colour (on both sides of 0 if both are drawn). None is the 99.5th percentile of the magnitudes
        drawn.

    label : str, default="score"
        What the values are: ``"score / noise ceiling"`` for normalised scores, ``"weight"``.

    bg : Nifti1Image, SurfaceImage or path, default=None
        What lies beneath: an anatomical image (None: the MNI152 template), or the sulcal depth of the surface (None:
        its shape alone).

    ax : matplotlib.axes.Axes, default=None
        Where to draw. None makes a figure.

    **nilearn
        For :func:`nilearn.plotting.plot_stat_map` (such as ``display_mode``, ``cut_coords``) or, of a surface, for
        :func:`nilearn.plotting.plot_surf_stat_map`.

    Returns
    -------
    ax : matplotlib.axes.Axes
        The frame; what nilearn draws in it are axes of their own in ``ax.figure``.

    Raises
    ------
    ValueError
        If no value is left to draw, or the threshold is negative.

    Examples
    --------
    >>> from sklearn_sae_encoding.plotting import plot_score_map
    >>> ax = plot_score_map(model.to_img(scores), threshold=0.1, display_mode="z")  # doctest: +SKIP
    """
    scores = load_map(scores)
    threshold = 0.0 if threshold is None else threshold
    if threshold < 0:
        raise ValueError(f"threshold must be at least 0, got {threshold:g}: it is a distance from 0 on both sides.")
    values = values_of(scores)
    drawn = np.abs(values[np.abs(values) > threshold]) if signed else values[values > threshold]
    if drawn.size == 0:
        raise ValueError(f"No score lies above the threshold of {threshold:g}: there is nothing to draw.")
    vmax = max(float(np.quantile(drawn, 0.995)) if vmax is None else vmax, threshold + 1e-9)
    # nilearn hides what lies within ±threshold, and zero must be hidden too.
    hidden = max(threshold, 1e-6 * vmax)
    if signed and np.any(values < -threshold):
        colors = {"cmap": "PuOr_r", "vmin": -vmax, "vmax": vmax, "threshold": hidden}
        ax = _draw(map_values(np.nan_to_num, scores), bg, ax, colors, nilearn)
        _add_bar(ax, "PuOr_r", -vmax, vmax, label, hidden=threshold)
        return ax
    shown = map_values(lambda v: np.where(v > threshold, v, 0.0), scores)
    colors = {"cmap": "viridis", "vmin": 0.0, "vmax": vmax, "threshold": hidden}
    ax = _draw(shown, bg, ax, colors, nilearn)
    _add_bar(ax, "viridis", threshold, vmax, label)
    return ax


def plot_difference_map(
    first, second, *, threshold, vmax=None, label="difference of scores", bg=None, ax=None, **nilearn
):
    """Draw where one model's scores exceed another's, or fall short of them, by a threshold.

    Parameters
    ----------
    first, second : Nifti1Image, SurfaceImage or path
        Scores of two models in the same space. Drawn is the first minus the second: orange where the first is higher,
        purple where it is lower.

    threshold : float
        Smaller differences are not drawn.

    vmax : float, default=None
        Difference of the last colour, on both sides. None is the 99.5th percentile of those drawn.

    label : str, default="difference of scores"
        What the differences are.

    bg, ax, **nilearn
        As for :func:`plot_score_map`.

    Returns
    -------
    ax : matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If the images aren't in the same space, or no difference reaches the threshold.

    Examples
    --------
    >>> from sklearn_sae_encoding.plotting import plot_difference_map
    >>> ax = plot_difference_map(to_img(augmented.scores), to_img(surprisal.scores), threshold=0.1)  # doctest: +SKIP
    """
    first, second = load_map(first), load_map(second)
    check_same_space(first, second)
    difference = map_values(np.subtract, first, second)
    drawn = np.abs(values_of(difference))
    drawn = drawn[drawn >= threshold]
    if drawn.size == 0:
        raise ValueError(f"No difference reaches the threshold of {threshold:g}: there is nothing to draw.")
    vmax = max(float(np.quantile(drawn, 0.995)) if vmax is None else vmax, threshold + 1e-9)
    colors = {"cmap": "PuOr_r", "vmin": -vmax, "vmax": vmax, "threshold": max(threshold, 1e-6 * vmax)}
    ax = _draw(map_values(np.nan_to_num, difference), bg, ax, colors, nilearn)
    _add_bar(ax, "PuOr_r", -vmax, vmax, label, hidden=threshold)
    return ax


def plot_surprisal_content_map(
    surprisal, content, *, threshold=None, vmax=None, labels=("surprisal", "content"), bg=None, ax=None, **nilearn
):
    """Draw two maps in one: how much surprisal explains as orange, how much content explains as blue, both as dark.

    Parameters
    ----------
    surprisal, content : Nifti1Image, SurfaceImage or path
        What each explains in a voxel or vertex (unique variance, or the score of each alone), in the same space.

    threshold : float, default=None
        Voxels where neither is above it are not drawn. None is a tenth of `vmax`.

    vmax : float, default=None
        Value of full colour, for both. None is the 98th percentile of the larger of the two, where that is drawn.

    labels : tuple of two str, default=("surprisal", "content")
        What the two are.

    bg, ax, **nilearn
        As for :func:`plot_score_map`.

    Returns
    -------
    ax : matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If the images aren't in the same space, or no voxel is above the threshold.

    Examples
    --------
    >>> from sklearn_sae_encoding.plotting import plot_surprisal_content_map
    >>> ax = plot_surprisal_content_map(model.surprisal_img(texts), model.content_img(texts))  # doctest: +SKIP
    """
    surprisal, content = load_map(surprisal), load_map(content)
    check_same_space(surprisal, content)
    larger = np.fmax(values_of(surprisal), values_of(content))
    if vmax is None:
        drawn = larger[larger > (0.0 if threshold is None else threshold)]
        vmax = float(np.quantile(drawn, 0.98)) if drawn.size else 1.0
    threshold = 0.1 * vmax if threshold is None else threshold
    if not np.any(larger > threshold):
        raise ValueError(f"No voxel lies above the threshold of {threshold:g}: there is nothing to draw.")
    codes = map_values(lambda s, c: _two_color_codes(s, c, threshold, vmax), surprisal, content)
    table = _two_color_table()
    colors = {"cmap": _as_cmap(table), "vmin": 0, "vmax": len(table), "threshold": 0.5}
    # A code is a name, not a quantity: nothing between two of them means anything.
    ax = _draw(codes, bg, ax, colors, {"resampling_interpolation": "nearest", **nilearn})
    _add_square(ax, table[1:].reshape(_LEVELS, _LEVELS, 3), vmax, labels)
    return ax


def _two_color_codes(surprisal, content, threshold, vmax):
    """Number the colour of each voxel: 0 is none, then rows of rising surprisal in columns of rising content."""
    shades = [np.clip(np.nan_to_num(v) / vmax * _LEVELS, 0, _LEVELS - 1).astype(int) for v in (surprisal, content)]
    codes = 1.5 + shades[0] * _LEVELS + shades[1]  # the middle of each colour: a bound could be rounded away
    return np.where(np.fmax(surprisal, content) > threshold, codes, 0).astype(np.float32)


def _two_color_table():
    """Mix by multiplying, as inks do: light where neither is, orange, blue, and dark where both are."""
    amount = (np.arange(_LEVELS) / (_LEVELS - 1))[:, None]
    light = np.array([0.93, 0.93, 0.93])
    orange = light + amount * (np.array([0.90, 0.45, 0.00]) - light)
    blue = light + amount * (np.array([0.05, 0.40, 0.85]) - light)
    mixed = orange[:, None, :] * blue[None, :, :] / light
    return np.vstack([light[None], mixed.reshape(-1, 3)])


def _as_cmap(table):
    import_pyplot()
    from matplotlib.colors import ListedColormap

    return ListedColormap(table)


def _draw(image, bg, ax, colors, nilearn):
    plt = import_pyplot()
    surface = is_surface(image)
    if ax is None:
        one_row = not surface and nilearn.get("display_mode") not in ("mosaic", "tiled")
        figure = plt.figure(figsize=(COLUMN_WIDTH, 1.35 if one_row else 2.6))
        ax = figure.add_axes([0, 0, 1, 1])
    else:
        ax.figure.draw_without_rendering()  # a layout engine gives the axes their place only now
    ax.set_axis_off()
    (_draw_surface if surface else _draw_volume)(image, bg, ax, colors, nilearn)
    return ax


def _draw_volume(image, bg, ax, colors, nilearn):
    from nilearn.plotting import plot_stat_map

    options = {"display_mode": "ortho", "draw_cross": False, "annotate": True, "black_bg": False, **nilearn}
    background = {} if bg is None else {"bg_img": bg}
    frame = _part(ax, [0.0, 0.0, _MAP_WIDTH, 1.0])
    display = plot_stat_map(
        image, axes=frame, figure=ax.figure, colorbar=False, symmetric_cbar=False, **colors, **background, **options
    )
    if options["annotate"]:
        _shrink_letters(display)


def _shrink_letters(display):
    """nilearn's letters are made for wide figures, and for one colour of paper."""
    for cut in display.axes.values():
        for text in cut.ax.texts:
            text.set(fontsize="x-small", color=ink())
            text.set_bbox(None)
            if "=" in text.get_text():  # the coordinate: below the slice, not on it
                text.set_va("top")


def _draw_surface(image, bg, ax, colors, nilearn):
    from nilearn.plotting import plot_surf_stat_map

    options = {key: value for key, value in nilearn.items() if key != "resampling_interpolation"}
    hemispheres = [h for h in _HEMISPHERES if h in image.data.parts]
    for column, hemi in enumerate(hemispheres):
        for row, view in enumerate(("lateral", "medial")):
            width = _MAP_WIDTH / len(hemispheres)
            # Three-dimensional axes leave a wide margin around what they show: let them overlap.
            bounds = [column * width - 0.03, 0.48 * (1 - row) - 0.06, width + 0.06, 0.6]
            cell = _part(ax, bounds, projection="3d")
            cell.patch.set_alpha(0)
            plot_surf_stat_map(
                stat_map=image,
                bg_map=_shading(image, hemi, view) if bg is None else bg,
                hemi=hemi,
                view=view,
                axes=cell,
                figure=ax.figure,
                colorbar=False,
                avg_method="median",
                symmetric_cbar=False,
                **{"bg_on_data": False, **colors, **options},
            )
        ax.text((column + 0.5) * width, 0.98, hemi, transform=ax.transAxes, ha="center", va="top", fontsize="x-small")


def _shading(image, hemi, view):
    """How squarely each vertex faces the viewer: shows the shape of a surface without sulcal depth."""
    mesh = image.mesh.parts[hemi]
    corners = mesh.coordinates[mesh.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    at_vertices = np.zeros(mesh.coordinates.shape)
    for corner in range(3):
        np.add.at(at_vertices, mesh.faces[:, corner], normals)
    length = np.linalg.norm(at_vertices, axis=1)
    viewer = 1.0 if (hemi == "right") == (view == "lateral") else -1.0
    facing = viewer * at_vertices[:, 0] / np.where(length > 0, length, 1.0)
    return -np.clip(facing, 0.2, 1.0)  # as depth: the higher, the darker


def _part(ax, bounds, **options):
    """Make axes in a part of other axes; unlike insets they may be three-dimensional, and nilearn may fill them."""
    box = ax.get_position()
    left, bottom, width, height = bounds
    place = [box.x0 + left * box.width, box.y0 + bottom * box.height, width * box.width, height * box.height]
    return ax.figure.add_axes(place, **options)


def _add_bar(ax, cmap, vmin, vmax, label, hidden=None):
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize

    colors = colormaps[cmap](np.linspace(0, 1, 256))
    if hidden is not None:  # differences that are not drawn have no colour
        colors[np.abs(np.linspace(vmin, vmax, 256)) < hidden] = (0.6, 0.6, 0.6, 0.35)
    bar_ax = ax.inset_axes([_MAP_WIDTH + 0.02, 0.14, 0.022, 0.72])
    bar = ax.figure.colorbar(ScalarMappable(Normalize(vmin, vmax), ListedColormap(colors)), cax=bar_ax)
    bar.outline.set_visible(False)
    bar.locator = _few_ticks()
    bar.update_ticks()
    bar.ax.tick_params(labelsize="x-small", length=2, pad=1.5)
    bar.set_label(label, fontsize="x-small", labelpad=2)


def _few_ticks():
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(nbins=4, steps=[1, 2, 2.5, 5, 10])


def _add_square(ax, table, vmax, labels):
    """Show what the mixtures mean: surprisal upwards, content to the right."""
    inches = ax.figure.get_size_inches() * (ax.get_position().width, ax.get_position().height)
    side = 0.11 * inches[0]
    square = ax.inset_axes([0.87, 0.5 - side / inches[1] / 2, side / inches[0], side / inches[1]])
    square.imshow(table, origin="lower", extent=(0, vmax, 0, vmax), aspect="auto", interpolation="nearest")
    square.set(xticks=[0, vmax], yticks=[0, vmax])
    ticks = ["0", f"{vmax:.2g}"]
    for text, side in zip(square.set_xticklabels(ticks), ("left", "right"), strict=True):
        text.set_ha(side)
    square.set_yticklabels(ticks)
    square.tick_params(labelsize=5.5, length=1.5, pad=1)
    square.spines[:].set(linewidth=0.5, color=ink())
    square.set_ylabel(labels[0], fontsize=6, labelpad=0)
    square.set_xlabel(labels[1], fontsize=6, labelpad=0)
