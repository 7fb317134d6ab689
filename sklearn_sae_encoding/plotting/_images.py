"""Volumes and surfaces alike: a map, its values, and functions of them."""

import numpy as np


def load_map(image):
    """Give one map, of voxels or vertices, from an image or a path."""
    from nilearn.image import load_img
    from nilearn.surface import SurfaceImage

    if isinstance(image, SurfaceImage):
        return image
    image = load_img(image)
    if len(image.shape) == 4 and image.shape[3] == 1:
        image = image.slicer[..., 0]
    if len(image.shape) != 3:
        raise ValueError(f"Expected one map, a 3-D image, got shape {image.shape}.")
    return image


def is_surface(image):
    """Whether an image holds vertices."""
    return hasattr(image, "mesh")


def check_same_space(first, second):
    """Refuse two maps that do not lie on each other."""
    if is_surface(first) != is_surface(second):
        raise ValueError("Expected two volumes or two surfaces, got one of each.")
    if first.shape != second.shape:
        raise ValueError(f"The maps must be in the same space, but their shapes are {first.shape} and {second.shape}.")
    if not is_surface(first) and not np.allclose(first.affine, second.affine):
        raise ValueError("The maps must be in the same space, but their affines differ. Resample one to the other.")


def values_of(image):
    """All values of a map in one row."""
    arrays = image.data.parts.values() if is_surface(image) else [image.get_fdata()]
    return np.concatenate([np.asarray(array, dtype=float).ravel() for array in arrays])


def map_values(function, *images):
    """Apply a function of arrays to images of one space."""
    from nilearn.image import new_img_like

    first = images[0]
    with np.errstate(invalid="ignore"):
        if not is_surface(first):
            return new_img_like(first, np.asarray(function(*[im.get_fdata() for im in images]), dtype=np.float32))
        parts = {
            name: np.asarray(function(*[np.asarray(im.data.parts[name], dtype=float).ravel() for im in images]))
            for name in first.data.parts
        }
    return type(first)(mesh=first.mesh, data=parts)
