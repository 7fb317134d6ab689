"""The two halves of a saved encoder, a tree that JSON holds and named arrays, and what both sides know of them."""

from __future__ import annotations

from scipy import sparse

SPARSE = {kind.__name__: kind for kind in (sparse.csr_array, sparse.csc_array, sparse.csr_matrix, sparse.csc_matrix)}
NOT_FINITE = {"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf")}
TEXTS = {"U": "str", "O": "object"}  # kinds of arrays whose values stand in the tree
COMPLEX = " complex"  # ends the name of an array that holds real and imaginary parts side by side

# Parameters that name a joblib cache, which unpickles what lies in its folder: None on both sides, however deep.
CACHES = ("memory", "memory_")

# What a nilearn masker finds out in ``fit`` and takes as a parameter, too. With it, ``fit()`` restores the masker by
# nilearn's own public ways, whatever its version keeps inside.
MASKER_IMAGES = ("mask_img", "labels_img", "maps_img")
# What a masker would open if it were a path.
MASKER_FILES = (*MASKER_IMAGES, "lut")
