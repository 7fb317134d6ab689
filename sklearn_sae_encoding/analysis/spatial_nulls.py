"""Do two maps of the cortex agree by more than their smoothness? Spins of the sphere."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist
from scipy.spatial.transform import Rotation
from scipy.stats import rankdata
from sklearn.utils import check_random_state

_HEMISPHERES = ("left", "right")
_ASSIGNMENTS = ("nearest", "unique")


class SpinTest(NamedTuple):
    """What :func:`spin_test` finds."""

    statistic: float  # correlation of the two maps
    p_value: float  # share of spins that reach it, the map itself counted as one
    null: np.ndarray  # (n_spins,), the correlation after each spin
    n_places: np.ndarray  # (n_spins,), places that had a value in both maps after each spin


def spin_places(sphere, *, kept=None, n_spins=1000, assignment="nearest", random_state=None):
    """Draw random rotations of the sphere, and say for each place from where its value comes.

    Both hemispheres turn together, the right one mirrored, so that left and right keep their likeness [1]_.

    Parameters
    ----------
    sphere : nilearn PolyMesh, or dict of "left" and "right" to array of shape (n_places, 3)
        Coordinates on a sphere around the origin: the vertices of a sphere mesh, such as
        ``nilearn.datasets.load_fsaverage("fsaverage5")["sphere"]``, or centres of parcels (:func:`parcel_centres`).
        One hemisphere may be absent.

    kept : array-like of bool of shape (n_places,), default=None
        Which places are cortex, left before right: False on the medial wall. None is all.

    n_spins : int, default=1000
        Number of rotations, uniform over all.

    assignment : {"nearest", "unique"}, default="nearest"
        "nearest" gives each place the value of the place that the rotation carries nearest to it, as in [1]_: values
        may be used twice, and places that the medial wall lands on have none (-1). "unique" uses every kept place
        once, as in [2]_: the pairs whose nearest partner is farthest are joined first. It takes time with the cube of
        the number of places: for parcels.

    random_state : int, RandomState instance or None, default=None
        Seed of the rotations.

    Returns
    -------
    places : ndarray of int of shape (n_spins, n_places)
        ``values[places[k]]`` is the map after spin `k`, where ``places[k]`` is not -1. Places outside `kept` are -1.

    Raises
    ------
    ValueError
        If coordinates don't lie on a sphere around the origin, or `kept` has another length.

    References
    ----------
    .. [1] Alexander-Bloch et al., "On testing for spatial correspondence between maps of human brain structure and
       function", NeuroImage 178 (2018) 540-551.
    .. [2] Váša et al., "Adolescent tuning of association cortex in human structural brain networks", Cerebral Cortex
       28 (2018) 281-294.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sae_encoding.analysis import spin_places
    >>> points = np.random.default_rng(0).normal(size=(50, 3))
    >>> points /= np.linalg.norm(points, axis=1, keepdims=True)
    >>> spin_places({"left": points, "right": points * [-1, 1, 1]}, n_spins=3, random_state=0).shape
    (3, 100)
    """
    if assignment not in _ASSIGNMENTS:
        raise ValueError(f"assignment must be one of {_ASSIGNMENTS}, got {assignment!r}.")
    parts = _hemispheres(sphere)
    sizes = [len(points) for points in parts.values()]
    kept = _kept(kept, sum(sizes))
    starts = np.cumsum([0, *sizes[:-1]])
    assign = {"nearest": _nearest, "unique": _unique}[assignment]
    rotations = Rotation.random(n_spins, random_state=check_random_state(random_state)).as_matrix()
    places = np.full((n_spins, sum(sizes)), -1, dtype=np.int64)
    for (side, points), start in zip(parts.items(), starts, strict=True):
        here = slice(start, start + len(points))
        mirror = np.diag([-1.0 if side == "right" else 1.0, 1.0, 1.0])
        for k, rotation in enumerate(rotations):
            found = assign(points, points @ (mirror @ rotation @ mirror).T, kept[here])
            places[k, here] = np.where(found >= 0, found + start, -1)
    return places


def spin_test(x, y, places, *, method="pearson", alternative="two-sided"):
    """Test whether two maps agree by more than smooth maps do by chance.

    The first map is spun, the second stays; p is the share of spins whose correlation is as large. Naive tests take
    places as independent: of independent smooth maps on 180 parcels they reject half. See
    ``benchmarks/calibration.py spins``.

    Parameters
    ----------
    x, y : array-like of shape (n_places,)
        Values of two maps, left before right; NaN where there is none, the medial wall included.

    places : ndarray of int of shape (n_spins, n_places)
        What :func:`spin_places` gives.

    method : {"pearson", "spearman"}, default="pearson"
        Which correlation.

    alternative : {"two-sided", "greater", "less"}, default="two-sided"
        Which correlations count as large.

    Returns
    -------
    result : SpinTest
        A named tuple of ``statistic``, ``p_value``, ``null`` and ``n_places``.

    Raises
    ------
    ValueError
        If maps and spins differ in length (a sphere of another resolution), or fewer than three places have a value
        in both.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sae_encoding.analysis import spin_places, spin_test
    >>> points = np.random.default_rng(0).normal(size=(100, 3))
    >>> points /= np.linalg.norm(points, axis=1, keepdims=True)
    >>> places = spin_places({"left": points}, n_spins=99, random_state=0)
    >>> result = spin_test(points[:, 0], points[:, 0] + 0.1 * points[:, 1], places)
    >>> round(result.statistic, 2), int(result.n_places.min())
    (1.0, 100)
    """
    x, y = (np.asarray(values, dtype=np.float64) for values in (x, y))
    places = np.asarray(places)
    if x.ndim != 1 or x.shape != y.shape or places.ndim != 2 or places.shape[1] != len(x):
        raise ValueError(
            f"Expected two maps and spins of the same places, got maps of shapes {x.shape} and {y.shape} and spins of "
            f"{places.shape[-1]} places. Is the sphere of another resolution?"
        )
    if method not in ("pearson", "spearman"):
        raise ValueError(f"method must be 'pearson' or 'spearman', got {method!r}.")
    sides = {"two-sided": np.abs, "greater": np.positive, "less": np.negative}
    if alternative not in sides:
        raise ValueError(f"alternative must be one of {sorted(sides)}, got {alternative!r}.")
    statistic, n_used = _correlation(x, y, method)
    if n_used < 3:
        raise ValueError(f"Only {n_used} places have a value in both maps; a correlation needs 3 or more.")
    spun = [_correlation(np.where(spin >= 0, x[spin], np.nan), y, method) for spin in places]
    null, n_places = np.array([r for r, _ in spun]), np.array([n for _, n in spun])
    side = sides[alternative]
    defined = null[~np.isnan(null)]
    as_large = np.sum(side(defined) >= side(statistic) - 1e-12)
    return SpinTest(float(statistic), float((1 + as_large) / (1 + len(defined))), null, n_places)


def parcel_centres(labels, sphere):
    """Find the centre of each parcel on the sphere.

    Parameters
    ----------
    labels : array-like of shape (n_vertices,)
        Parcel of each vertex, left before right; 0, None, NaN and "" are none (medial wall).

    sphere : nilearn PolyMesh, or dict of "left" and "right" to array of shape (n_vertices, 3)
        The vertices, on a sphere around the origin.

    Returns
    -------
    centres : dict of "left" and "right" to ndarray of shape (n_parcels, 3)
        Mean of the parcel's vertices, back on the sphere; parcels in increasing order of their label.

    parcels : ndarray of shape (n_parcels_left + n_parcels_right,)
        Labels of the centres, left before right. A label that stands in both hemispheres is a parcel in each.

    Raises
    ------
    ValueError
        If there isn't a label a vertex.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sae_encoding.analysis import parcel_centres
    >>> corners = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [-1, 0, 0]])
    >>> centres, parcels = parcel_centres(["a", "a", "b", ""], {"left": corners})
    >>> centres["left"].round(2).tolist(), parcels.tolist()
    ([[0.71, 0.71, 0.0], [0.0, 0.0, 1.0]], ['a', 'b'])
    """
    parts = _hemispheres(sphere)
    labels = np.asarray(labels, dtype=object)
    n_vertices = sum(map(len, parts.values()))
    if labels.shape != (n_vertices,):
        raise ValueError(
            f"Expected a label for each of {n_vertices} vertices, got shape {labels.shape}. Is the sphere of another "
            "resolution?"
        )
    centres, parcels, start = {}, [], 0
    for side, points in parts.items():
        here = labels[start : start + len(points)]
        start += len(points)
        named = sorted({label for label in here if not _is_none(label)})
        means = np.array([points[here == label].mean(axis=0) for label in named]).reshape(-1, 3)
        radius = np.linalg.norm(points, axis=1).mean()
        centres[side] = radius * means / np.linalg.norm(means, axis=1, keepdims=True)
        parcels += named
    return centres, np.array(parcels, dtype=object)


def _is_none(label):
    return label is None or label == "" or label == 0 or label != label


def _hemispheres(sphere):
    parts = getattr(sphere, "parts", sphere)
    if not hasattr(parts, "items") or not set(parts) <= set(_HEMISPHERES) or not len(parts):
        raise ValueError(
            "sphere must be a nilearn PolyMesh or a dict with 'left' and/or 'right' to coordinates of shape "
            f"(n_places, 3), got {type(sphere).__name__}."
        )
    parts = {
        side: np.asarray(getattr(parts[side], "coordinates", parts[side]), dtype=np.float64)
        for side in _HEMISPHERES
        if side in parts
    }
    for side, points in parts.items():
        if points.ndim != 2 or points.shape[1] != 3:
            raise ValueError(f"The {side} sphere must be of shape (n_places, 3), got {points.shape}.")
        radii = np.linalg.norm(points, axis=1)
        if not np.allclose(radii, radii.mean(), rtol=0.01):
            raise ValueError(
                f"The {side} coordinates don't lie on a sphere around the origin: their distances from it run from "
                f"{radii.min():.3g} to {radii.max():.3g}. Give the sphere mesh, not the inflated or pial one."
            )
    return parts


def _kept(kept, n_places):
    kept = np.ones(n_places, dtype=bool) if kept is None else np.asarray(kept)
    if kept.dtype != bool or kept.shape != (n_places,):
        raise ValueError(
            f"kept must hold True or False for each of {n_places} places, got {kept.dtype} of shape {kept.shape}. Is "
            "the sphere of another resolution?"
        )
    return kept


def _nearest(points, rotated, kept):
    found = cKDTree(rotated).query(points)[1]
    return np.where(kept & kept[found], found, -1)


def _unique(points, rotated, kept):
    inside = np.flatnonzero(kept)
    distances = cdist(points[inside], rotated[inside])
    found = np.full(len(inside), -1)
    for _ in range(len(inside)):  # the place whose nearest free partner is farthest chooses first
        nearest = distances.argmin(axis=1)
        least = distances[np.arange(len(inside)), nearest]
        least[found >= 0] = -np.inf
        row = int(least.argmax())
        found[row] = nearest[row]
        distances[:, nearest[row]] = np.inf
    places = np.full(len(points), -1)
    places[inside] = inside[found]
    return places


def _correlation(x, y, method):
    both = ~(np.isnan(x) | np.isnan(y))
    x, y = x[both], y[both]
    if len(x) < 3:
        return np.nan, len(x)
    if method == "spearman":
        x, y = rankdata(x), rankdata(y)
    x, y = x - x.mean(), y - y.mean()
    scale = np.linalg.norm(x) * np.linalg.norm(y)
    return (x @ y / scale if scale > 0 else np.nan), len(x)
