"""Images as samples: one a row, read when they are needed."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from numbers import Integral

import numpy as np

# Images read at once take this many bytes, so that masking needs little more than the images and the rows.
CHUNK_BYTES = 64 * 2**20


class ImageRows:
    """Brain images as a sequence of samples: what scikit-learn needs to split them into folds.

    scikit-learn cannot index images. Wrapped in this class they have one row a sample, so that they can be the `y` of
    :class:`~sklearn.model_selection.GridSearchCV` and the like around a :class:`MaskedTargetRegressor`. Nothing is
    read before a fit needs it, then a few images at a time, and a subset shares its images with the whole.

    Parameters
    ----------
    imgs : image, path, or list of images or paths
        A 4-D image (NIfTI, as an object or a path), a list of 3-D images, a list of 4-D runs, whose samples follow
        each other, a :class:`~nilearn.surface.SurfaceImage` with one column a sample, or a list of these. All on the
        same grid or mesh.

    Attributes
    ----------
    shape : tuple of one int
        The number of samples.

    Raises
    ------
    ValueError
        If an image differs in shape, affine or mesh from the first one, or a single 3-D image is given.

    Examples
    --------
    >>> import numpy as np
    >>> from nibabel import Nifti1Image
    >>> from sklearn_sae_encoding.masking import ImageRows
    >>> run = Nifti1Image(np.zeros((4, 5, 6, 10), dtype=np.float32), np.eye(4))
    >>> rows = ImageRows([run, run])
    >>> len(rows), rows[[0, 12, 13]]
    (20, ImageRows(3 images of shape (4, 5, 6)))
    >>> rows[12].shape
    (4, 5, 6)
    """

    def __init__(self, imgs):
        if isinstance(imgs, ImageRows):
            self._parts, self._part, self._position = imgs._parts, imgs._part, imgs._position
            return
        self._parts = _read_parts(imgs)
        sizes = [part.n_rows for part in self._parts]
        self._part = np.repeat(np.arange(len(sizes)), sizes)
        self._position = np.concatenate([np.arange(size) for size in sizes])

    @property
    def shape(self) -> tuple[int]:
        return (len(self._part),)

    def __len__(self) -> int:
        return len(self._part)

    def __getitem__(self, key):
        if isinstance(key, tuple):  # scikit-learn indexes what has a shape as y[key, ...]
            key = next(part for part in key if part is not Ellipsis)
        if isinstance(key, Integral) and not isinstance(key, (bool, np.bool_)):
            return self._read(np.array([range(len(self))[key]]), squeeze=True)
        key = key if isinstance(key, slice) else np.asarray(key, dtype=None if len(key) else np.intp)
        taken = copy.copy(self)
        taken._part, taken._position = self._part[key], self._position[key]
        return taken

    def __iter__(self) -> Iterator:
        return (self[i] for i in range(len(self)))

    def __array__(self, dtype=None, copy=None):
        raise TypeError(
            "ImageRows hold images, which become numbers only through a masker. Use the regressor's own score "
            "(scoring=None), or mask the images first: Y = model.mask_targets(imgs)."
        )

    def __repr__(self) -> str:
        return f"ImageRows({len(self)} image{'s' * (len(self) != 1)} of {self._parts[0].describe()})"

    @property
    def is_surface(self) -> bool:
        """Whether the images live on a mesh."""
        return isinstance(self._parts[0], Surface)

    def differs_from(self, img) -> tuple[str, str] | None:
        """Say in words how the grid or mesh differs from that of an image; None if it doesn't."""
        return self._parts[0].differs_from(Surface(img) if is_surface_img(img) else Volume(img))

    def image(self, data):
        """Make an image on the same grid or mesh from one array a volume or hemisphere."""
        return self._parts[0].image(data)

    def chunks(self, order=None) -> Iterator[tuple[np.ndarray, object]]:
        """Yield the numbers of a few rows, and these as one image; rows come as they are, or in another order."""
        size = max(1, CHUNK_BYTES // (4 * self._parts[0].n_values))
        order = np.arange(len(self)) if order is None else order
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            yield rows, self._read(rows)

    def file_order(self) -> np.ndarray:
        """Give the order in which each file is read once, however its rows are mixed."""
        return np.lexsort((self._position, self._part))

    def finite_mask_img(self):
        """Give a mask of the voxels or vertices that are finite in all images.

        Returns
        -------
        mask_img : image
            For the `mask_img` of a masker of regions, which then averages over these.
        """
        finite = None
        for _, img in self.chunks(self.file_order()):
            parts = [np.isfinite(part).all(axis=-1) for part in data_parts(img)]
            finite = parts if finite is None else [a & b for a, b in zip(finite, parts, strict=True)]
        return self.image([part if self.is_surface else part.astype(np.int8) for part in finite])

    def mean_img(self):
        """Average all images; in a volume, missing values count as 0, as in nilearn's masks."""
        total = None
        for _, img in self.chunks(self.file_order()):
            sums = [np.sum(part, axis=-1, dtype=np.float64) for part in data_parts(img, finite=not self.is_surface)]
            total = sums if total is None else [a + b for a, b in zip(total, sums, strict=True)]
        return self._parts[0].image([(part / len(self)).astype(np.float32) for part in total])

    def _read(self, rows, squeeze=False):
        first = self._parts[0]
        data = first.empty(len(rows))
        for i in np.unique(self._part[rows]):
            here = np.flatnonzero(self._part[rows] == i)
            wanted, place = np.unique(self._position[rows[here]], return_inverse=True)
            # Only forwards and only what is wanted: a compressed file would start again for each step back.
            begins = np.flatnonzero(np.diff(wanted, prepend=-2) > 1)
            for begin, end in zip(begins, [*begins[1:], len(wanted)], strict=True):
                stretch = self._parts[i].read(wanted[begin], wanted[end - 1] + 1)
                inside = (place >= begin) & (place < end)
                for target, source in zip(data, stretch, strict=True):
                    target[..., here[inside]] = source[..., place[inside] - begin]
        return first.image([part[..., 0] for part in data] if squeeze else data)


class Volume:
    """A 3-D image or a 4-D run, as an object or a path."""

    def __init__(self, img):
        import nibabel

        lazy = nibabel.is_proxy(getattr(img, "dataobj", None)) and img.get_filename() and not img.in_memory
        if isinstance(img, (str, os.PathLike)) or lazy:
            # A file kept open is read on from where it stands; a compressed one would be read from its start each time.
            img = nibabel.load(img.get_filename() if lazy else img, keep_file_open=True)
        if len(img.shape) == 4 and img.shape[3] == 0:
            raise ValueError(f"The image is empty: it has the shape {img.shape}.")
        if len(img.shape) not in (3, 4):
            raise ValueError(f"Expected 3-D or 4-D images, got one of shape {img.shape}.")
        self._img = img
        self.n_rows = img.shape[3] if len(img.shape) == 4 else 1
        self.single = len(img.shape) == 3
        self.grid = (tuple(img.shape[:3]), np.asarray(img.affine))
        self.n_values = int(np.prod(img.shape[:3]))

    def read(self, start, stop):
        data = self._img.dataobj
        chunk = np.asarray(data)[..., None] if self.single else np.asarray(data[..., start:stop])
        return [chunk]

    def empty(self, n_rows):
        return [np.empty((*self.grid[0], n_rows), dtype=np.float32, order="F")]

    def image(self, data):
        from nibabel import Nifti1Image

        return Nifti1Image(data[0], self.grid[1])

    def describe(self):
        return f"shape {self.grid[0]}"

    def differs_from(self, other):
        if self.grid[0] != other.grid[0]:
            return f"shape {self.grid[0]}", f"shape {other.grid[0]}"
        if not np.allclose(self.grid[1], other.grid[1]):
            return f"affine\n{self.grid[1]}", f"affine\n{other.grid[1]}"
        return None


class Surface:
    """A surface image with one sample or one a column."""

    def __init__(self, img):
        self.mesh = img.mesh
        self.names = list(img.data.parts)
        parts = [np.asarray(img.data.parts[name]) for name in self.names]
        self.single = parts[0].ndim == 1
        self._parts = [part[:, None] if self.single else part for part in parts]
        if self._parts[0].ndim != 2 or self._parts[0].shape[1] == 0:
            raise ValueError(f"Expected a surface image of shape (n_vertices, n_samples), got {img.data.shape}.")
        self.n_rows = self._parts[0].shape[1]
        self.sizes = [len(part) for part in self._parts]
        self.n_values = sum(self.sizes)

    def read(self, start, stop):
        return [part[:, start:stop] for part in self._parts]

    def empty(self, n_rows):
        return [np.empty((size, n_rows), dtype=np.float32) for size in self.sizes]

    def image(self, data):
        from nilearn.surface import SurfaceImage

        return SurfaceImage(mesh=self.mesh, data=dict(zip(self.names, data, strict=True)))

    def describe(self):
        return " and ".join(f"{size} {name} vertices" for name, size in zip(self.names, self.sizes, strict=True))

    def differs_from(self, other):
        if (self.names, self.sizes) != (other.names, other.sizes):
            return self.describe(), other.describe()
        for name in self.names:
            mine, theirs = self.mesh.parts[name], other.mesh.parts[name]
            if mine is not theirs and not np.array_equal(mine.coordinates, theirs.coordinates):
                return f"a {name} mesh", f"another {name} mesh"
        return None


def is_images(y) -> bool:
    """Tell images and paths from arrays of numbers."""
    if isinstance(y, (list, tuple)):
        return len(y) > 0 and not isinstance(y[0], (list, tuple)) and is_images(y[0])
    return isinstance(y, (ImageRows, str, os.PathLike)) or is_volume(y) or is_surface_img(y)


def data_parts(img, finite=False) -> list[np.ndarray]:
    """Give the numbers of an image, one array for a volume, one a hemisphere for a surface."""
    parts = [img.dataobj] if is_volume(img) else list(img.data.parts.values())
    return [np.nan_to_num(part, nan=0.0, posinf=0.0, neginf=0.0) if finite else np.asarray(part) for part in parts]


def image_like(img, data):
    """Give an image on the grid or mesh of another one, from one array a volume or hemisphere."""
    if is_volume(img):
        from nibabel import Nifti1Image

        return Nifti1Image(data[0], img.affine)
    from nilearn.surface import SurfaceImage

    return SurfaceImage(mesh=img.mesh, data=dict(zip(img.data.parts, data, strict=True)))


def is_volume(img) -> bool:
    return hasattr(img, "affine") and hasattr(img, "dataobj")


def is_surface_img(img) -> bool:
    return hasattr(img, "mesh") and hasattr(img, "data")


def _read_parts(imgs) -> list:
    single = not isinstance(imgs, (list, tuple))
    imgs = [imgs] if single else list(imgs)
    if not imgs:
        raise ValueError("Expected at least one image, got an empty list.")
    for i, img in enumerate(imgs):
        if isinstance(img, (str, os.PathLike)) and str(img).endswith((".gii", ".dtseries.nii", ".dscalar.nii")):
            raise TypeError(f"{img} lies on the surface: read it by read_surface(file, mesh), GIFTI files as a pair.")
        if not is_images(img) or isinstance(img, (list, tuple, ImageRows)):
            raise TypeError(f"Expected images or paths, but number {i} of the list is a {type(img).__name__}.")
    parts = [Surface(img) if is_surface_img(img) else Volume(img) for img in imgs]
    if single and parts[0].single:
        raise ValueError(
            f"Expected one image a sample, got a single 3-D image ({parts[0].describe()}). "
            "Give a 4-D image (a surface image with one column a sample), or a list of images."
        )
    for i, part in enumerate(parts):
        if type(part) is not type(parts[0]):
            raise ValueError(f"Volumes and surfaces cannot be mixed, but image {i} is of another kind than image 0.")
        difference = part.differs_from(parts[0])
        if difference:
            raise ValueError(
                f"All images must lie on the same grid, but image {i} has {difference[0]} and image 0 has "
                f"{difference[1]}. Resample them first (nilearn.image.resample_to_img)."
            )
    return parts
