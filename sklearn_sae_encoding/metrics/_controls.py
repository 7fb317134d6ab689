"""What scores look like by chance."""

import numpy as np
from sklearn.utils import check_random_state

from sklearn_sae_encoding.metrics._scores import BLOCK


def shuffle_responses(Y, random_state=None, *, voxel_groups=None, groups=None):
    """Permute the rows of the responses, a fresh permutation for every voxel.

    The shuffled control: texts and responses no longer belong together, while each voxel keeps its values. Permuting
    a voxel's rows has the same effect as permuting the rows of the features for that voxel alone, but all voxels can
    still be fitted at once.

    Parameters
    ----------
    Y : array-like of shape (n_samples, n_voxels) or (n_samples,)
        Responses. They are not changed.

    random_state : int, RandomState instance or None, default=None
        Seed of the permutations.

    voxel_groups : array-like of shape (n_voxels,), default=None
        Voxels with the same label (such as the participant) share a permutation, which keeps the correlations
        between them. None gives each voxel its own.

    groups : array-like of shape (n_samples,), default=None
        Rows are permuted among the rows with the same label only (such as the run). None permutes them all.

    Returns
    -------
    shuffled : ndarray of the shape of ``Y``

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sae_encoding.metrics import shuffle_responses
    >>> Y = np.arange(8).reshape(4, 2)
    >>> shuffled = shuffle_responses(Y, random_state=0)
    >>> (np.sort(shuffled, axis=0) == Y).all(axis=0)
    array([ True,  True])
    """
    Y = np.asarray(Y)
    if Y.ndim not in (1, 2):
        raise ValueError(f"Responses must have the shape (n_samples, n_voxels), got {Y.shape}.")
    columns = Y[:, None] if Y.ndim == 1 else Y
    rows = _labels(groups, len(columns), "groups", "row")
    voxels = None if voxel_groups is None else _labels(voxel_groups, columns.shape[1], "voxel_groups", "voxel")
    rng = np.random.default_rng(check_random_state(random_state).randint(2**32, size=4, dtype=np.uint64))
    shuffled = np.empty_like(columns)
    for label in range(rows.max(initial=0) + 1):
        _shuffle_among(np.flatnonzero(rows == label), columns, shuffled, voxels, rng)
    return shuffled.reshape(Y.shape)


def _labels(labels, n, name, unit):
    """Number the labels 0, 1, ..., one a row or voxel."""
    if labels is None:
        return np.zeros(n, dtype=np.intp)
    labels = np.asarray(labels)
    if labels.shape != (n,):
        raise ValueError(f"{name} must hold one label a {unit}, ({n},), got shape {labels.shape}.")
    return np.unique(labels, return_inverse=True)[1]


def _shuffle_among(among, columns, shuffled, voxels, rng):
    """Permute the rows ``among``, a block of voxels at a time: no second copy of the responses."""
    if voxels is not None:
        permutations = np.array([rng.permutation(len(among)) for _ in range(voxels.max(initial=0) + 1)])
    for start in range(0, columns.shape[1], BLOCK):
        block = slice(start, start + BLOCK)
        values = columns[among, block]
        if voxels is None:
            shuffled[among, block] = rng.permuted(values, axis=0)
        else:
            shuffled[among, block] = np.take_along_axis(values, permutations[voxels[block]].T, axis=0)
