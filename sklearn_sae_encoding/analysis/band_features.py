"""Which features of a band move predictions most, from weights that are computed for them alone?"""

import numpy as np
import pandas as pd

from sklearn_sae_encoding.banded import BandedRidgeEncoder
from sklearn_sae_encoding.fitted import FittedView, fitted_view

_BLOCK = 2**24  # weights computed at once


def rank_band_features(fitted, bands=None, *, chosen=None, voxels=None, features=None, labels=None):
    """Rank features of a banded ridge by how far they move predictions.

    Ridge uses every feature in every voxel, so that counting tells nothing. A feature's effect on a voxel is its weight
    times its standard deviation over the training rows. Weights are computed some at a time, so that a band may be
    wider, and voxels more, than what memory holds.

    Parameters
    ----------
    fitted : estimator or FittedView
        With a :class:`~sklearn_sae_encoding.banded.BandedRidgeEncoder` inside.

    bands : str or sequence of str, default=None
        Features of these bands. None is all.

    chosen : sequence of int or str, default=None
        These features instead, by column or name.

    voxels : array-like of int or of bool, default=None
        Over these voxels, such as those of a region. None is all.

    features : transformer, FittedView, DataFrame or sequence of str, default=None
        What the features are, for an encoder that was fitted to features; see
        :func:`~sklearn_sae_encoding.fitted.fitted_view`.

    labels : Series or dict of int or str to str, default=None
        What they mean, by the SAE's own index or by name.

    Returns
    -------
    table : pandas.DataFrame
        The largest effect first: `feature`, `index` (the first of its columns), `kind`, `sae_index`, `label`, `band`,
        `effect` (root of the mean square over voxels, in units of the response), `positive` (share of the voxels whose
        prediction it raises) and, where features were delayed, `delay`, at which its effect is largest: delayed copies
        of a feature are one feature, whose effect is the root of the sum of their squares, and whose sign is that of
        the sum.

    Raises
    ------
    ValueError
        If there is no banded ridge, or a band or feature is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sae_encoding.analysis import rank_band_features
    >>> from sklearn_sae_encoding.banded import BandedRidgeEncoder
    >>> X = np.random.default_rng(0).normal(size=(200, 5))
    >>> Y = np.column_stack([3 * X[:, 2] + X[:, 4], 3 * X[:, 2]])
    >>> encoder = BandedRidgeEncoder({"words": [0, 1, 2], "sound": [3, 4]}, candidates=5).fit(X, Y)
    >>> rank_band_features(encoder, "words").head(1)[["feature", "band", "positive"]]
      feature   band  positive
    0      x2  words       1.0
    """
    view = fitted if isinstance(fitted, FittedView) else fitted_view(fitted, features=features, labels=labels)
    encoder = view.linear
    if not isinstance(encoder, BandedRidgeEncoder):
        raise ValueError(f"Expected a model with a BandedRidgeEncoder, got one with {type(encoder).__name__}.")
    table = view.features
    columns = _columns(view, bands, chosen)
    voxels = np.arange(len(encoder.intercept_)) if voxels is None else np.arange(len(encoder.intercept_))[voxels]
    if not len(voxels):
        raise ValueError("There are no voxels to rank features over.")
    source = table["source" if "source" in table else "feature"].iloc[columns]
    groups = pd.MultiIndex.from_arrays([table["band"].iloc[columns], source])
    groups, order = groups.factorize()[0], np.argsort(groups.factorize()[0], kind="stable")
    columns, groups = columns[order], groups[order]
    firsts = np.flatnonzero(np.diff(groups, prepend=-1))
    squares, positive = _effects(view, columns, firsts, voxels)
    ranked = table.iloc[columns[firsts]].drop(columns=["feature", "bin", "source"], errors="ignore")
    ranked.insert(0, "feature", source.to_numpy()[order][firsts])
    ranked["effect"], ranked["positive"] = np.sqrt(np.add.reduceat(squares, firsts)), positive
    if "delay" in ranked:
        best = pd.Series(squares).groupby(groups).idxmax().to_numpy()
        ranked["delay"] = table["delay"].to_numpy()[columns[best]]
    return ranked.sort_values("effect", ascending=False, kind="stable").reset_index(drop=True)


def _columns(view, bands, chosen):
    if chosen is not None:
        if bands is not None:
            raise ValueError("Give bands or chosen features, not both.")
        return view.columns(chosen)
    known = list(view.linear.bands_)
    bands = known if bands is None else [bands] if isinstance(bands, str) else list(bands)
    if unknown := [band for band in bands if band not in known]:
        raise ValueError(f"There is no band {unknown[0]!r}; the bands are {known}.")
    return np.sort(np.concatenate([view.linear.bands_[band] for band in bands]))


def _effects(view, columns, firsts, voxels):
    """Mean squares of the effects of columns over voxels, and shares of voxels that groups of columns raise."""
    encoder, scale = view.linear, view.target_scale
    deviations = encoder.feature_deviations_[columns]
    squares, positive = np.zeros(len(columns)), np.zeros(len(firsts))
    step = max(1, _BLOCK // len(columns))
    for start in range(0, len(voxels), step):
        some = voxels[start : start + step]
        effects = encoder.primal_weights(features=columns, targets=some) * deviations * scale[some, None]
        effects = np.where(np.isfinite(effects), effects, 0.0)  # voxels that were not fitted
        squares += np.sum(effects.astype(np.float64) ** 2, axis=0)
        positive += np.sum(np.add.reduceat(effects, firsts, axis=1) > 0, axis=0)
    return squares / len(voxels), positive / len(voxels)
