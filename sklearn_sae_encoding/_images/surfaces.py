"""GIFTI pairs and CIFTI files to surface images, and maps back to the kind that came in."""

from __future__ import annotations

import os

import numpy as np

from sklearn_sae_encoding._annex import require_file

_STRUCTURES = {"left": "CIFTI_STRUCTURE_CORTEX_LEFT", "right": "CIFTI_STRUCTURE_CORTEX_RIGHT"}


def read_surface(file, mesh):
    """Read a run on the surface, from a pair of GIFTI files or a CIFTI file, as an image.

    Parameters
    ----------
    file : (left, right) of path-like or nibabel.GiftiImage, path-like or nibabel.Cifti2Image
        Two GIFTI files (``.func.gii``, one of each hemisphere), or a CIFTI file (``.dtseries.nii``, ``.dscalar.nii``).
        Of a CIFTI file cortex alone is taken.

    mesh : nilearn.surface.PolyMesh or str
        The mesh on which the vertices lie, or the name of one that nilearn has (``"fsaverage5"``, ...,
        ``"fsaverage"``). fsLR has 32,492 vertices a hemisphere; nilearn doesn't have it: give
        ``PolyMesh(left="...L.midthickness.32k_fs_LR.surf.gii", right="...R...")``.

    Returns
    -------
    img : nilearn.surface.SurfaceImage
        One column a scan. Vertices that a CIFTI file lacks, as the medial wall, are NaN: nilearn's maskers and
        :class:`MaskedTargetRegressor` leave them out.

    Raises
    ------
    ValueError
        If the file has other numbers of vertices than the mesh, or no cortex.
    """
    from nilearn.datasets import load_fsaverage
    from nilearn.surface import SurfaceImage

    mesh = load_fsaverage(mesh)["pial"] if isinstance(mesh, str) else mesh
    n_vertices = {side: len(part.coordinates) for side, part in mesh.parts.items()}
    if isinstance(file, (tuple, list)):
        data = dict(zip(("left", "right"), map(_read_gifti, file), strict=True))
        named = [str(one) if isinstance(one, (str, os.PathLike)) else type(one).__name__ for one in file]
        where = f"The files {', '.join(named)} have"
    else:
        data = _read_cifti(file)
        where = "The CIFTI file has"
    found = {side: len(part) for side, part in data.items()}
    if found != n_vertices:
        raise ValueError(f"{where} {found} vertices, but the mesh {n_vertices}: give the mesh that they lie on.")
    return SurfaceImage(mesh=mesh, data=data)


def read_surface_files(y, masker, takes_runs=False):
    """Read CIFTI files and pairs of GIFTI files among images on the mesh of a masker; give all else as it is.

    A pair is a tuple or list of two; a list of pairs or of CIFTI files has one a run, or one a part of the samples.
    """
    is_list = isinstance(y, (list, tuple))
    if not (_is_surface_file(y) or (is_list and any(_is_surface_file(one) or _is_pair(one) for one in y))):
        return y
    mask = getattr(masker, "mask_img_", None) or getattr(masker, "mask_img", None)
    if not hasattr(mask, "mesh"):
        raise ValueError(
            f"Files on the surface need a mesh, and the {type(masker).__name__} knows none: give it a mask_img (a "
            "SurfaceImage), or read the files by read_surface(file, mesh)."
        )
    if not is_list or (_is_pair(y) and not takes_runs):
        return read_surface(y, mask.mesh)
    return [read_surface(one, mask.mesh) for one in y]


def _is_surface_file(file):
    """Tell GIFTI and CIFTI, objects or names of files, from other images."""
    if isinstance(file, (str, os.PathLike)):
        return os.fspath(file).endswith((".gii", ".dtseries.nii", ".dscalar.nii"))
    return type(file).__name__ in ("GiftiImage", "Cifti2Image")


def _is_pair(files):
    return isinstance(files, (list, tuple)) and len(files) == 2 and all(map(_is_gifti, files))


def _is_gifti(file):
    return _is_surface_file(file) and (hasattr(file, "darrays") or str(file).endswith(".gii"))


def surface_to_cifti(img, like, names=None, *, series=False):
    """Write maps or scans on the surface as a CIFTI image, on the vertices of another one.

    Parameters
    ----------
    img : nilearn.surface.SurfaceImage
        One column a map, such as ``coef_img`` gives.

    like : path-like or nibabel.Cifti2Image
        A CIFTI file of the responses, which says which vertices there are.

    names : sequence of str, default=None
        A name a map.

    series : bool, default=False
        Whether columns are scans, such as predictions, that follow each other as those of `like` do (dtseries).

    Returns
    -------
    cifti : nibabel.Cifti2Image
        ``cifti.to_filename("map.dscalar.nii")``, or ``"run.dtseries.nii"``. What lies under the cortex is not in it.

    Raises
    ------
    ValueError
        If `like` lies on another mesh, or is no series where scans are written.

    See Also
    --------
    surface_to_gifti : The same for pairs of GIFTI files.
    """
    from nibabel import Cifti2Image
    from nibabel.cifti2 import ScalarAxis, SeriesAxis

    parts, like = _columns(img), _loaded(like)
    axes = _cortex(like)
    for side, (_, axis) in axes.items():
        if axis.nvertices[_STRUCTURES[side]] != len(parts[side]):
            raise ValueError(
                f"The {side} hemisphere of the image has {len(parts[side])} vertices, but that of the CIFTI file "
                f"{axis.nvertices[_STRUCTURES[side]]}."
            )
    values = np.concatenate([parts[side][axis.vertex] for side, (_, axis) in axes.items()]).T.astype(np.float32)
    first, *others = [axis for _, axis in axes.values()]
    if series:
        clock = like.header.get_axis(0)
        if not isinstance(clock, SeriesAxis):
            raise ValueError("like is no series of scans, so that it doesn't say their times: give the dtseries.")
        rows = SeriesAxis(clock.start, clock.step, len(values), clock.unit)
    else:
        rows = ScalarAxis(_names(names, len(values)))
    return Cifti2Image(values, (rows, sum(others, first)))


def surface_to_gifti(img, names=None, *, t_r=None):
    """Write maps or scans on the surface as a pair of GIFTI images.

    Parameters
    ----------
    img : nilearn.surface.SurfaceImage
        One column a map, such as ``coef_img`` gives, or a scan.

    names : sequence of str, default=None
        A name a map.

    t_r : float, default=None
        Repetition time in seconds, if columns are scans.

    Returns
    -------
    left, right : nibabel.GiftiImage
        ``left.to_filename("map_hemi-L.func.gii")``. :func:`read_surface` reads the pair.

    Raises
    ------
    ValueError
        If there are other numbers of names than of maps.

    See Also
    --------
    surface_to_cifti : The same for CIFTI files.
    """
    from nibabel import GiftiImage
    from nibabel.gifti import GiftiDataArray, GiftiMetaData

    parts = _columns(img)
    names = _names(names, parts["left"].shape[1])
    intent = "NIFTI_INTENT_NONE" if t_r is None else "NIFTI_INTENT_TIME_SERIES"
    clock = {} if t_r is None else {"TimeStep": f"{1000 * t_r:g}"}  # in milliseconds, as FreeSurfer and Workbench do
    pair = []
    for side in ("left", "right"):
        columns = parts[side].astype(np.float32).T
        arrays = [
            GiftiDataArray(column, intent=intent, datatype="NIFTI_TYPE_FLOAT32", meta={"Name": name, **clock})
            for column, name in zip(columns, names, strict=True)
        ]
        where = GiftiMetaData({"AnatomicalStructurePrimary": f"Cortex{side.capitalize()}"})
        pair.append(GiftiImage(darrays=arrays, meta=where))
    return tuple(pair)


def _columns(img):
    """Give the values of each hemisphere, of shape (n_vertices, n_columns)."""
    parts = {side: np.asarray(part) for side, part in img.data.parts.items()}
    return {side: part[:, None] if part.ndim == 1 else part for side, part in parts.items()}


def _names(names, n_maps):
    names = [f"map {i}" for i in range(n_maps)] if names is None else [str(name) for name in names]
    if len(names) != n_maps:
        raise ValueError(f"names must name each of the {n_maps} maps, got {len(names)}.")
    return names


def _read_gifti(path):
    import nibabel

    img = nibabel.load(require_file(path)) if isinstance(path, (str, os.PathLike)) else path
    if not isinstance(img, nibabel.GiftiImage) or not img.darrays:
        raise ValueError(f"{path} is no GIFTI file with data (.func.gii).")
    parts = [part.data for part in img.darrays]
    return np.column_stack(parts).astype(np.float32, copy=False)


def _read_cifti(file):
    img = _loaded(file)
    values = np.asarray(img.dataobj)
    data = {}
    for side, (columns, axis) in _cortex(img).items():
        whole = np.full((axis.nvertices[_STRUCTURES[side]], len(values)), np.nan, dtype=np.float32)
        whole[axis.vertex] = values[:, columns].T
        data[side] = whole
    return data


def _loaded(file):
    import nibabel

    img = nibabel.load(require_file(file)) if isinstance(file, (str, os.PathLike)) else file
    if not isinstance(img, nibabel.Cifti2Image):
        raise ValueError(f"Expected a CIFTI file or a pair (left, right) of GIFTI files, got {file!r}.")
    return img


def _cortex(img):
    """Give the columns of each hemisphere and which vertices they are."""
    from nibabel.cifti2 import BrainModelAxis

    models = [img.header.get_axis(i) for i in range(img.ndim)]
    models = [axis for axis in models if isinstance(axis, BrainModelAxis)]
    structures = {name: (part, axis) for name, part, axis in models[0].iter_structures()} if models else {}
    found = {side: structures[name] for side, name in _STRUCTURES.items() if name in structures}
    if len(found) < len(_STRUCTURES):
        raise ValueError(f"The CIFTI file lacks a hemisphere: it has {', '.join(structures) or 'no brain models'}.")
    return found
