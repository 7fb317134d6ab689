"""Small volumes, surfaces and maskers for the tests of images as targets."""

import numpy as np
from nibabel import Nifti1Image
from nilearn.datasets import load_fsaverage
from nilearn.maskers import (
    MultiNiftiMasker,
    NiftiLabelsMasker,
    NiftiMapsMasker,
    NiftiMasker,
    NiftiSpheresMasker,
    SurfaceLabelsMasker,
    SurfaceMasker,
)
from nilearn.surface import SurfaceImage

from sklearn_sae_encoding._images import rows as images

SHAPE, N = (5, 6, 7), 24
AFFINE = np.array([[4.0, 0, 0, -10], [0, 4, 0, 20], [0, 0, 4, 3], [0, 0, 0, 1]])
MESH = load_fsaverage("fsaverage5")["pial"]


def volume(data):
    return Nifti1Image(np.asarray(data), AFFINE)


def surface(left, right):
    return SurfaceImage(mesh=MESH, data={"left": left, "right": right})


def mask():
    inside = np.zeros(SHAPE, dtype=np.int8)
    inside[1:4, 1:5, 1:6] = 1
    return volume(inside)


def halves():
    labels = np.ones(SHAPE, dtype=np.int32)
    labels[3:] = 2
    return volume(labels)


def surf_mask(n_vertices=40):
    inside = np.arange(10242) < n_vertices
    return surface(inside, inside)


def apart():
    """Three maps that share no voxel."""
    weights = np.random.default_rng(3).random((*SHAPE, 3))
    weights[:2, ..., 1:] = weights[2:4, ..., ::2] = weights[4:, ..., :2] = 0
    return volume(weights)


VOLUME_MASKERS = {
    "mask": lambda: NiftiMasker(mask()),
    "computed mask": lambda: NiftiMasker(),
    "multi": lambda: MultiNiftiMasker(mask()),
    "labels": lambda: NiftiLabelsMasker(halves()),
    "maps": lambda: NiftiMapsMasker(volume(np.random.default_rng(3).random((*SHAPE, 3)))),
    "spheres": lambda: NiftiSpheresMasker([(-6, 28, 11), (2, 36, 19)], radius=6, mask_img=mask()),
}
SURFACE_MASKERS = {
    "surface mask": lambda: SurfaceMasker(surf_mask()),
    "computed surface mask": lambda: SurfaceMasker(),
    "surface labels": lambda: SurfaceLabelsMasker(surface(np.arange(10242) % 3, np.arange(10242) % 3 + 3)),
}
MASKERS = VOLUME_MASKERS | SURFACE_MASKERS


def numbers(img):
    return np.concatenate([np.asarray(part) for part in images.data_parts(img)])
