"""Regions that were drawn on pycortex' flatmaps to the voxels of a mask."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from sklearn_sae_encoding._annex import require_file
from sklearn_sae_encoding._images.drawings import inside_any, read_outlines
from sklearn_sae_encoding._images.pycortex import from_pycortex, to_pycortex

ORDERS = ("pycortex", "nilearn")
_HEMISPHERES = {"lh": "left", "rh": "right"}


def read_pycortex_rois(folder, *, order, transform=None, mask="thick", reach=None, by_hemisphere=False):
    """Read regions of interest that were drawn on the flatmap of a participant, without pycortex.

    The outlines in ``overlays.svg`` hold vertices of the flat surface. Each voxel of the mask belongs to the regions of
    the vertex of the fiducial surface that is nearest to it; pycortex' cortical masks are made of the same distance.

    Parameters
    ----------
    folder : path-like
        Of the participant in pycortex' database, such as ``ds003020/derivative/pycortex-db/UTS03``. Of it are needed
        ``overlays.svg``, ``surfaces/flat_lh.gii`` and ``fiducial_lh.gii`` (or ``wm_lh.gii`` and ``pia_lh.gii``) and
        those of ``rh``, as GIFTI or OFF, and ``matrices.xfm`` and the mask in ``transforms/<transform>``.

    order : {"pycortex", "nilearn"}
        The order of voxels: ``"pycortex"`` is that of the published responses of ds003020, ``"nilearn"`` that of a
        NiftiMasker of the same mask. Both have one length, and the wrong one raises no error anywhere.

    transform : str, default=None
        Name of the transform from surface to scans. None takes the only one.

    mask : str, default="thick"
        Which mask, ``mask_<mask>.nii.gz``.

    reach : float, default=None
        Distance from the surface, in its units (mm), beyond which voxels belong to no region. None takes all voxels
        of the mask; ``"thick"`` reaches 8 mm.

    by_hemisphere : bool, default=False
        Whether to give each region twice, as ``"left AC"`` and ``"right AC"``.

    Returns
    -------
    rois : dict of str to ndarray of bool of shape (n_voxels,)
        The voxels of each region, in the order of the file. Regions may overlap (:func:`region_names`).

    Raises
    ------
    ImportError
        If svgelements is not installed (extra ``pycortex``).

    FileNotFoundError
        If a file is missing.

    ValueError
        If the transform has to be said, or files don't belong together.

    Notes
    -----
    pycortex itself leaves out transformations of layers (Inkscape's *move*) when it makes masks, not when it draws;
    here both count. Regions of ``cortex.get_roi_masks`` are shares of voxels and depend on its sampler: they differ
    from these at borders (:func:`convert_pycortex_rois` takes those).
    """
    folder = Path(folder)
    if order not in ORDERS:
        raise ValueError(f"order must be one of {ORDERS}, got {order!r}.")
    there = folder / "transforms" / _only_transform(folder, transform)
    mask_img = require_file(there / f"mask_{mask}.nii.gz")
    flat = [_read_mesh(folder, "flat", side) for side in _HEMISPHERES]
    middle = [_read_fiducial(folder, side) for side in _HEMISPHERES]
    for side, (points, _), vertices in zip(_HEMISPHERES, flat, middle, strict=True):
        if len(points) != len(vertices):
            raise ValueError(f"flat_{side} has {len(points)} vertices, but the fiducial surface {len(vertices)}.")
    outlines, size = read_outlines(require_file(folder / "overlays.svg"))
    on_map = _on_drawing(flat, size)
    vertex, distance = _nearest_vertices(mask_img, there / "matrices.xfm", np.concatenate(middle))
    near = np.ones(len(vertex), dtype=bool) if reach is None else distance <= reach
    is_left = vertex < len(middle[0])
    rois = {}
    for name, paths in outlines.items():
        voxels = inside_any(on_map, paths)[vertex] & near
        if by_hemisphere:
            rois[f"left {name}"], rois[f"right {name}"] = voxels & is_left, voxels & ~is_left
        else:
            rois[name] = voxels
    return {name: to_pycortex(rows, mask_img) if order == "pycortex" else rows for name, rows in rois.items()}


def convert_pycortex_rois(rois, mask_img, *, order, threshold=0.5):
    """Take regions of interest as pycortex gives them to the voxels of a mask.

    Parameters
    ----------
    rois : dict of str to array-like
        What ``cortex.get_roi_masks(subject, transform)`` gives: a volume a region, of shape `(z, y, x)`, true or the
        share of each voxel that lies in the region; or values of the voxels of the mask, in pycortex' order.

    mask_img : image or path
        The mask, ``transforms/<transform>/mask_thick.nii.gz``: its data are `(x, y, z)`, as nilearn reads them.

    order : {"pycortex", "nilearn"}
        The order of voxels to give: ``"pycortex"`` is that of the published responses of ds003020, ``"nilearn"`` that
        of a NiftiMasker of the mask.

    threshold : float, default=0.5
        Least share of a voxel that makes it one of the region.

    Returns
    -------
    rois : dict of str to ndarray of bool of shape (n_voxels,)

    Raises
    ------
    ValueError
        If a volume has another shape than the mask, reversed, or is a list of vertices (``cortex.get_roi_verts``),
        which need the surfaces: :func:`read_pycortex_rois`.

    Examples
    --------
    >>> import numpy as np
    >>> from nibabel import Nifti1Image
    >>> from sklearn_sae_encoding.masking import convert_pycortex_rois
    >>> mask = Nifti1Image(np.ones((2, 1, 3), dtype="int8"), np.eye(4))  # x, y, z
    >>> volume = np.zeros((3, 1, 2))
    >>> volume[2, 0, 0] = 1.0  # x = 0, z = 2
    >>> convert_pycortex_rois({"AC": volume}, mask, order="nilearn")["AC"].astype(int).tolist()
    [0, 0, 1, 0, 0, 0]
    >>> convert_pycortex_rois({"AC": volume}, mask, order="pycortex")["AC"].astype(int).tolist()
    [0, 0, 0, 0, 1, 0]
    """
    from nilearn.image import load_img

    if order not in ORDERS:
        raise ValueError(f"order must be one of {ORDERS}, got {order!r}.")
    inside = np.asarray(load_img(mask_img).dataobj) != 0
    given = {}
    for name, values in rois.items():
        values = np.asarray(values)
        if values.shape == inside.shape[::-1]:
            values = values[inside.T]
        elif values.shape != (inside.sum(),):
            raise ValueError(
                f"The region {name!r} has the shape {values.shape}; expected a volume (z, y, x) of shape "
                f"{inside.shape[::-1]}, as pycortex makes them, or the {inside.sum()} voxels of the mask. "
                + _what_else(values, inside.shape)
            )
        if values.dtype.kind not in "bfiu" or not np.all((values >= 0) & (values <= 1)):
            raise ValueError(f"The region {name!r} must be true, false or a share from 0 to 1 in each voxel.")
        chosen = values if values.dtype == bool else values >= threshold
        given[name] = chosen if order == "pycortex" else from_pycortex(chosen, mask_img)
    return given


def region_names(rois, *, overlapping="raise"):
    """Name the region of each voxel, as ``regions=`` of reports and tables takes it.

    Parameters
    ----------
    rois : dict of str to array-like of bool of shape (n_voxels,)
        Such as :func:`read_pycortex_rois` gives.

    overlapping : {"raise", "first"}, default="raise"
        What to do about voxels of two regions: an error that names the regions, or the first of them.

    Returns
    -------
    names : ndarray of str of shape (n_voxels,)
        Empty for voxels of no region.

    Raises
    ------
    ValueError
        If regions differ in length, or overlap.

    Examples
    --------
    >>> from sklearn_sae_encoding.masking import region_names
    >>> region_names({"AC": [True, False, False], "FFA": [False, True, False]}).tolist()
    ['AC', 'FFA', '']
    """
    if overlapping not in ("raise", "first"):
        raise ValueError(f"overlapping must be 'raise' or 'first', got {overlapping!r}.")
    rois = {name: np.asarray(voxels) for name, voxels in rois.items()}
    sizes = {voxels.shape for voxels in rois.values()}
    if len(sizes) != 1 or any(voxels.ndim != 1 or voxels.dtype != bool for voxels in rois.values()):
        raise ValueError("rois must hold True or False for each voxel, in arrays of one length, and one at least.")
    names = np.full(next(iter(sizes)), "", dtype=object)
    for name, voxels in rois.items():
        taken = voxels & (names != "")
        if taken.any() and overlapping == "raise":
            other = names[np.flatnonzero(taken)[0]]
            raise ValueError(
                f"{taken.sum()} voxel(s) belong to {name!r} and {other!r}: leave a region out, or say "
                "overlapping='first'."
            )
        names[voxels & (names == "")] = name
    return names.astype(str)


def _what_else(values, shape):
    if values.ndim == 3 and values.shape == shape:
        return "This is (x, y, z): transpose it."
    if values.ndim == 1 and values.dtype.kind in "iu":
        return "Vertices, as of cortex.get_roi_verts, need the surfaces: read_pycortex_rois."
    return "Is it of another transform or mask?"


def _only_transform(folder, transform):
    found = sorted(path.parent.name for path in folder.glob("transforms/*/matrices.xfm"))
    if transform is None and len(found) == 1:
        return found[0]
    if transform not in found:
        where = f"{folder}/transforms holds {', '.join(map(repr, found)) or 'no matrices.xfm'}"
        error = ValueError if found else FileNotFoundError
        raise error(f"{where}: say by transform= which, got {transform!r}." if found else f"{where}.")
    return transform


def _read_fiducial(folder, side):
    """Give the vertices half way between white matter and pia, which pycortex calls fiducial."""
    if any((folder / "surfaces" / f"fiducial_{side}.{kind}").exists() for kind in ("gii", "off")):
        return _read_mesh(folder, "fiducial", side)[0]
    white, pia = (_read_mesh(folder, kind, side)[0] for kind in ("wm", "pia"))
    return (white + pia) / 2


def _read_mesh(folder, kind, side):
    """Give vertices, of shape (n_vertices, 3), and triangles of a surface."""
    path = folder / "surfaces" / f"{kind}_{side}.gii"
    if path.exists():
        import nibabel

        points, triangles = nibabel.load(path).agg_data(("pointset", "triangle"))
        return np.asarray(points, dtype=np.float64), np.asarray(triangles)
    lines = require_file(path.with_suffix(".off")).read_text(encoding="utf-8").split("\n")
    lines = [line for line in lines if line.strip() and not line.startswith("#")]
    n_points, n_triangles = map(int, lines[1].split()[:2])
    points = np.array([line.split()[:3] for line in lines[2 : 2 + n_points]], dtype=np.float64)
    triangles = [line.split()[1:4] for line in lines[2 + n_points : 2 + n_points + n_triangles]]
    return points, np.array(triangles, dtype=np.intp)


def _on_drawing(flat, size):
    """Give where each vertex lies on the drawing, as pycortex lays flatmaps out; NaN for what was cut off the map.

    The hemispheres touch each other; together they fill the drawing, whose second axis points down.
    """
    left, right = (points[:, :2].copy() for points, _ in flat)
    left[:, 0] -= left[:, 0].max()
    right[:, 0] -= right[:, 0].min()
    places = np.concatenate([left, right])
    places -= places.min(axis=0)
    places /= places.max(axis=0)
    places[:, 1] = 1 - places[:, 1]
    on_map = [np.isin(np.arange(len(points)), triangles) for points, triangles in flat]
    places[~np.concatenate(on_map)] = np.nan
    return size[:2] + places * size[2:]


def _nearest_vertices(mask_img, matrices, vertices):
    """Give the nearest vertex of each voxel of a mask, in nilearn's order, and how far it is, in units of the surface.

    The matrix ``coord`` goes from the surface to the voxels' numbers (x, y, z).
    """
    import nibabel
    from scipy.spatial import cKDTree

    voxels = np.argwhere(np.asarray(nibabel.load(mask_img).dataobj) != 0)
    to_voxels = np.asarray(json.loads(matrices.read_text(encoding="utf-8"))["coord"], dtype=np.float64)
    places = nibabel.affines.apply_affine(np.linalg.inv(to_voxels), voxels)
    distance, vertex = cKDTree(vertices).query(places)
    return vertex, distance
