"""What do participants in a common space have in common? Group maps with sign flips, and functional regions."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.utils import check_random_state

from sklearn_sae_encoding.metrics import adjust_p_values

_FEWEST = 6  # participants of whom some two-sided sign flip reaches .05


class GroupMap(NamedTuple):
    """What :func:`group_map` gives; all arrays are of shape (n_voxels,)."""

    mean: np.ndarray  # over the participants that have the voxel
    t: np.ndarray  # of the mean, NaN with fewer than two participants or without spread
    p_values: np.ndarray  # two-sided, by sign flips of this voxel
    fwe_p_values: np.ndarray  # by the largest |t| of all voxels: chance that any is as large
    fdr_q_values: np.ndarray  # of p_values, Benjamini and Hochberg
    n_participants: np.ndarray  # that have the voxel
    n_passing: np.ndarray | None  # participants who pass their own test; None without p-values of theirs
    n_flips: int  # sign flips that were made, the observed one included
    exact: bool  # whether these are all that there are


def group_map(maps, *, own_p_values=None, level=0.05, n_flips=10_000, random_state=None):
    """Test each voxel over participants in a common space, by flipping signs.

    If a voxel's values are symmetric about zero where there is no effect, every participant's map may as well have had
    the other sign. The t value of each voxel is compared with those under flips, and, for the family-wise error, with
    the largest absolute t of all voxels, which needs no assumption on how they depend on each other.

    Parameters
    ----------
    maps : dict of participant to array-like of shape (n_voxels,), or array-like of shape (n_participants, n_voxels)
        Scores, contrasts or weights, zero where there is nothing; NaN where a participant has no voxel.

    own_p_values : same as `maps`, default=None
        Each participant's own test of each voxel, to count who passes it at `level`.

    level : float, default=0.05
        Level of the participants' own tests.

    n_flips : int, default=10000
        Sign flips, the observed one included. All ``2 ** n_participants`` are made where there are no more.

    random_state : int, RandomState instance or None, default=None
        Seed of the flips.

    Returns
    -------
    result : GroupMap
        A named tuple.

    Raises
    ------
    ValueError
        If maps differ in length, there are fewer than two, or no voxel has two participants.

    Warns
    -----
    UserWarning
        With fewer than six participants, of whom no two-sided flip can reach .05: read ``mean`` and ``n_passing``.

    References
    ----------
    Winkler et al., "Permutation inference for the general linear model", NeuroImage 92 (2014) 381-397.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sae_encoding.analysis import group_map
    >>> maps = np.random.default_rng(0).normal(size=(9, 50)) + np.r_[np.full(5, 4), np.zeros(45)]
    >>> result = group_map(maps)
    >>> result.exact, np.flatnonzero(result.fwe_p_values <= 0.05).tolist()
    (True, [0, 1, 2, 3, 4])
    """
    values = _stacked(maps, "maps")
    n_participants = (~np.isnan(values)).sum(axis=0)
    if len(values) < 2 or n_participants.max(initial=0) < 2:
        raise ValueError(
            f"A group map needs voxels that two participants or more have, but of {len(values)} participant(s) at most "
            f"{n_participants.max(initial=0)} share a voxel."
        )
    if len(values) < _FEWEST:
        warnings.warn(
            f"With {len(values)} participants no two-sided sign flip can reach .05: the smallest p-value is "
            f"{2.0 ** (1 - len(values)):.3g}. Read the mean and how many participants pass their own test.",
            UserWarning,
            stacklevel=2,
        )
    n_passing = None
    if own_p_values is not None:
        own = _stacked(own_p_values, "own_p_values")
        if own.shape != values.shape:
            raise ValueError(f"own_p_values must be of the shape of maps, {values.shape}, got {own.shape}.")
        n_passing = np.sum(own <= level, axis=0)
    filled, known = np.nan_to_num(values), ~np.isnan(values)
    t = _t(filled.sum(axis=0), (filled**2).sum(axis=0), n_participants)
    signs, exact = _signs(len(values), n_flips, check_random_state(random_state))
    as_large, largest = np.zeros(values.shape[1]), []
    for flip in signs:
        flipped = np.abs(_t(flip @ filled, (filled**2).sum(axis=0), n_participants))
        as_large += np.nan_to_num(flipped, nan=-1.0) >= np.nan_to_num(np.abs(t), nan=np.inf) * (1 - 1e-12)
        largest.append(np.nanmax(flipped, initial=0.0))
    largest = np.sort(largest)
    exceeding = len(largest) - np.searchsorted(largest, np.abs(t) * (1 - 1e-12), side="left")
    p, fwe = (np.where(np.isnan(t), np.nan, counts / len(signs)) for counts in (as_large, exceeding))
    mean = np.divide(filled.sum(axis=0), n_participants, out=np.full(len(t), np.nan), where=known.any(axis=0))
    return GroupMap(mean, t, p, fwe, adjust_p_values(p), n_participants, n_passing, len(signs), exact)


def functional_regions(t_values, parcels, *, top=0.1, reliability=None, min_reliability=0.4, responses=None):
    """Choose a participant's functional regions: the voxels with the largest localizer t in each parcel.

    Parameters
    ----------
    t_values : array-like of shape (n_voxels,)
        The participant's localizer contrast, such as sentences against nonwords; NaN is never chosen.

    parcels : array-like of shape (n_voxels,)
        Parcel of each voxel or vertex; None, NaN, 0 and "" are none.

    top : float, default=0.1
        Share of each parcel's voxels that are chosen, rounded down but never to none; counted before the floor on
        reliability, so that an unreliable parcel gets fewer.

    reliability : array-like of shape (n_voxels,), default=None
        Reliability of each voxel, such as its noise ceiling signal-to-noise ratio.

    min_reliability : float, default=0.4
        Floor: chosen voxels below it are dropped.

    responses : array-like of shape (n_samples, n_voxels), default=None
        Responses; of voxels with identical ones (vertices that sample one voxel) only the first is kept, at the end.

    Returns
    -------
    labels : ndarray of object of shape (n_voxels,)
        Parcel of each chosen voxel, "" elsewhere.

    sizes : pandas.DataFrame
        A row a parcel, also where nothing was chosen: `parcel`, `n_voxels`, `n_top`, `n_reliable`, `n_chosen`.

    Raises
    ------
    ValueError
        If lengths differ, `top` is no share, or no voxel is in a parcel.

    References
    ----------
    Fedorenko et al., "New method for fMRI investigations of language", Journal of Neurophysiology 104 (2010) 1177-1194.

    Examples
    --------
    >>> from sklearn_sae_encoding.analysis import functional_regions
    >>> labels, sizes = functional_regions([3.0, 1.0, 2.0, 0.5], ["IFG", "IFG", "IFG", "MFG"], top=0.5)
    >>> labels.tolist(), sizes["n_chosen"].tolist()
    (['IFG', '', '', 'MFG'], [1, 1])
    """
    t_values = np.asarray(t_values, dtype=np.float64)
    named = np.array(["" if p is None or p != p or p == 0 else str(p) for p in parcels], dtype=object)
    reliable = np.ones(len(t_values), dtype=bool)
    if reliability is not None:
        reliability = np.asarray(reliability, dtype=np.float64)
        if reliability.shape == t_values.shape:
            reliable = reliability >= min_reliability
    shapes = [named.shape, t_values.shape, *([] if reliability is None else [reliability.shape])]
    if len(set(shapes)) > 1 or (responses is not None and np.shape(responses)[1:] != t_values.shape):
        raise ValueError(f"Expected t values, parcels, reliability and responses of the same voxels, got {shapes}.")
    if not 0 < top <= 1 or not (named != "").any():
        raise ValueError(
            f"top must be a share above 0 and at most 1, of voxels in parcels; got {top}, {(named != '').sum()}."
        )
    labels, rows = np.full(len(t_values), "", dtype=object), []
    for parcel in dict.fromkeys(named[named != ""]):
        here = np.flatnonzero(named == parcel)
        order = here[np.argsort(-np.nan_to_num(t_values[here], nan=-np.inf), kind="stable")]
        best = order[: max(1, int(top * len(here)))]
        best = best[~np.isnan(t_values[best])]
        kept = best[reliable[best]]
        labels[kept] = parcel
        rows.append({"parcel": parcel, "n_voxels": len(here), "n_top": len(best), "n_reliable": len(kept)})
    if responses is not None:
        chosen = np.flatnonzero(labels != "")
        _, first = np.unique(np.asarray(responses)[:, chosen], axis=1, return_index=True)
        labels[np.setdiff1d(chosen, chosen[first])] = ""
    sizes = pd.DataFrame(rows)
    return labels, sizes.assign(n_chosen=[int(np.sum(labels == parcel)) for parcel in sizes["parcel"]])


def _stacked(maps, name):
    rows = [np.asarray(one, dtype=np.float64) for one in (maps.values() if isinstance(maps, Mapping) else maps)]
    if len({row.shape for row in rows}) > 1 or any(row.ndim != 1 for row in rows):
        raise ValueError(
            f"{name} must be in a common space, one value a voxel, got shapes {[row.shape for row in rows]}."
        )
    return np.array(rows)


def _t(total, squares, n):
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = total / n
        variance = (squares - n * mean**2) / (n - 1)
        # Rounding of values that are all alike leaves no spread to divide by.
        return np.where(variance > 1e-12 * squares / n, mean / np.sqrt(variance / n), np.nan)


def _signs(n_participants, n_flips, rng):
    """Signs of each flip, the observed one first; all of them where they are few enough."""
    if 2**n_participants <= n_flips:
        codes = np.arange(2**n_participants)[:, None] >> np.arange(n_participants)
        return 1.0 - 2.0 * (codes & 1), True
    drawn = rng.choice([-1.0, 1.0], size=(n_flips - 1, n_participants))
    return np.vstack([np.ones(n_participants), drawn]), False
