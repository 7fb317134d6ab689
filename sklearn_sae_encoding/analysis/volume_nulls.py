"""Maps in a volume to their correlation, tested against random maps that are as smooth."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import fft, stats
from sklearn.utils import check_random_state


class MapComparison(NamedTuple):
    """Rank correlations of maps, and how often smooth random maps correlate as much."""

    #: DataFrame with a row a pair: ``first``, ``second``, ``spearman``, ``p`` (two-sided, of random maps in the place
    #: of the first), ``null_sd`` (standard deviation of the correlation under the null), ``n_voxels``.
    table: pd.DataFrame
    #: dict from pair of names to the correlations of random maps, ``(n_draws,)``.
    nulls: dict


def smooth_random_maps(volume, n_maps, *, random_state=None):
    """Draw Gaussian maps with the spatial autocorrelation of a map.

    The autocorrelation is estimated as a function of distance from all pairs of voxels of the mask, so that the mask's
    shape does not enter; its spectrum, without negative parts, gives the power of random phases. The ranks of the
    drawn values then take the map's own values, as in amplitude-adjusted surrogates.

    Parameters
    ----------
    volume : array of shape (x, y, z), or of any number of dimensions
        The map, NaN outside its mask.

    n_maps : int
        How many to draw.

    random_state : int, RandomState or None, default=None

    Yields
    ------
    drawn : array of the shape of ``volume``
        NaN outside the mask.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sae_encoding.analysis import smooth_random_maps
    >>> volume = np.add.outer(np.arange(6.0), np.arange(5.0))
    >>> volume[0, 0] = np.nan
    >>> drawn = next(smooth_random_maps(volume, 1, random_state=0))
    >>> np.isnan(drawn[0, 0]), sorted(drawn[1]) != sorted(volume[1]), np.nansum(drawn) == np.nansum(volume)
    (np.True_, True, np.True_)
    """
    volume = np.asarray(volume, dtype=float)
    rng = check_random_state(random_state)
    inside = np.isfinite(volume)
    if inside.sum() < 3:
        raise ValueError(f"Expected a map with three or more values, got {int(inside.sum())}.")
    values = np.sort(volume[inside])
    amplitude, shape = _amplitudes(volume, inside)
    for _ in range(n_maps):
        noise = fft.rfftn(rng.standard_normal(shape))
        field = fft.irfftn(noise * amplitude, s=shape)[tuple(map(slice, volume.shape))]
        drawn = np.full(volume.shape, np.nan)
        drawn[inside] = values[stats.rankdata(field[inside], method="ordinal") - 1]
        yield drawn


def _amplitudes(volume, inside):
    """Square root of the map's spectrum on a grid with room for every shift, whatever the mask."""
    shape = [fft.next_fast_len(2 * n, real=True) for n in volume.shape]
    centred = np.where(inside, volume - volume[inside].mean(), 0.0)
    pairs = fft.irfftn(np.abs(fft.rfftn(inside.astype(float), s=shape)) ** 2, s=shape)
    products = fft.irfftn(np.abs(fft.rfftn(centred, s=shape)) ** 2, s=shape)
    axes = [np.minimum(np.arange(n), n - np.arange(n)) for n in shape]
    lengths = np.sqrt(sum(np.square(axis, dtype=float) for axis in np.ix_(*axes)))
    autocovariance = _by_length(products, pairs, lengths)
    return np.sqrt(np.maximum(fft.rfftn(autocovariance).real, 0.0)), shape


def _by_length(products, pairs, lengths):
    """Autocovariance of each shift as a function of its length alone: single shifts are too noisy."""
    bins = lengths.round().astype(int).ravel()
    counts = np.bincount(bins, pairs.ravel())
    # Shifts that few pairs of voxels have say little.
    known = counts > 0.1 * np.bincount(bins) * pairs.flat[0]
    known[: min(3, len(known))] = True
    last = int(np.argmin(known)) if not known.all() else len(known)
    means = np.bincount(bins, products.ravel())[:last] / np.maximum(counts[:last], 0.5)
    places = np.bincount(bins, lengths.ravel())[:last] / np.bincount(bins)[:last]
    # A map's own mean is not the mean of the field that it is a piece of: taking it off lowers the estimate at every
    # shift by the variance of such means, which is what it falls to where the field has no correlation left.
    means = means - min(means.min(), 0.0)
    means[int(np.argmin(means)) :] = 0.0
    return np.interp(lengths, places, means, right=0.0)


def compare_volume_maps(maps, *, n_draws=1000, random_state=None):
    """Correlate maps of several languages (or groups, or models), tested against smooth random maps.

    Neighbouring voxels are alike, so that any two smooth maps correlate by chance far more than independent voxels
    would. Each pair is tested by putting random maps in the place of the first: Gaussian fields with its own spatial
    autocorrelation and values (see :func:`smooth_random_maps`). The null is that the places of the one map are
    unrelated to those of the other; it is not that of a common anatomy, such as signal that is better near the surface
    in everybody. In simulations of 60 pairs of unrelated maps in a ball of 20 voxels across, p was at most .05 in 2, 5
    and 7 % of pairs for a smoothness of 2.4, 4.7 and 7.1 voxels (full width at half maximum).

    Parameters
    ----------
    maps : dict from str to array of shape (x, y, z)
        Maps on one grid, NaN outside their masks. A pair is compared where both have values.

    n_draws : int, default=1000
        Random maps a pair; the smallest p is 1 / (n_draws + 1).

    random_state : int, RandomState or None, default=None

    Returns
    -------
    comparison : :class:`MapComparison`

    Raises
    ------
    ValueError
        If there are fewer than two maps, their grids differ, or their masks hardly overlap.
    """
    names = list(maps)
    shapes = {name: np.shape(volume) for name, volume in maps.items()}
    if len(names) < 2 or len(set(shapes.values())) > 1:
        raise ValueError(f"Expected two or more maps on one grid, got the shapes {shapes}.")
    rng = check_random_state(random_state)
    rows, nulls = [], {}
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            one, other = (np.asarray(maps[name], dtype=float) for name in (first, second))
            both = np.isfinite(one) & np.isfinite(other)
            if both.sum() < 10:
                raise ValueError(f"The masks of {first!r} and {second!r} share {int(both.sum())} voxels.")
            observed = stats.spearmanr(one[both], other[both]).statistic
            ranks = stats.rankdata(other[both])
            drawn = smooth_random_maps(np.where(both, one, np.nan), n_draws, random_state=rng)
            null = np.array([np.corrcoef(stats.rankdata(volume[both]), ranks)[0, 1] for volume in drawn])
            nulls[first, second] = null
            p = (1 + np.count_nonzero(np.abs(null) >= abs(observed))) / (1 + n_draws)
            row = {"first": first, "second": second, "spearman": float(observed), "p": p}
            rows.append(row | {"null_sd": float(null.std()), "n_voxels": int(both.sum())})
    return MapComparison(pd.DataFrame(rows), nulls)
