"""Is a feature used by voxels of everyone, or of one participant or region only?"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.utils import check_random_state

from sklearn_sae_encoding.analysis.features import check_groups, signed_use
from sklearn_sae_encoding.analysis.stability import FeatureStability


class PrevalenceReferences(NamedTuple):
    """What the entropies of features can be, and what they are by chance."""

    max_entropy: float  # bits, of a feature that all groups use alike
    max_prevalence: int  # number of all voxels
    only: pd.DataFrame  # a row a group: prevalence of a feature that all its voxels use and no others; entropy 0
    curves: dict  # name to (prevalence, entropy): "voxels at random" and "most specific"


def prevalence_entropy(fitted, groups, features=None):
    """Compute for each feature how many voxels use it, and how evenly over participants (or regions).

    With :math:`c_g` of the :math:`N_g` voxels of group `g` using the feature, whatever the sign, the entropy is that of
    the rates :math:`c_g / N_g`, normalised to sum to one, in bits: a group with many voxels weighs no more than others.

    Parameters
    ----------
    fitted : estimator, FittedView, {ndarray, sparse array} of shape (n_voxels, n_features) or FeatureStability
        A fitted model, its view, or weights such as ``SparseVoxelEncoder.coef_``. What :func:`stability_selection`
        gives adds up frequencies, so that `prevalence` is the mean number of voxels in a half of the samples.

    groups : array-like of shape (n_voxels,)
        Participant or region of each voxel.

    features : transformer, FittedView, DataFrame or sequence of str, default=None
        Their names, for weights or a model that was fitted to features; see
        :func:`~sklearn_sae_encoding.fitted.fitted_view`.

    Returns
    -------
    table : pandas.DataFrame
        A row a feature that any voxel uses, the most used first: `feature`, `index`, `prevalence` (voxels), `entropy`
        (0, one group only, to ``log2(n_groups)``, all alike) and `n_groups` that use it.

    Raises
    ------
    ValueError
        If the numbers of labels or names are wrong.

    References
    ----------
    Lepori, Kay and Tuckute, arXiv:2606.06857, figure 4.

    Examples
    --------
    >>> from sklearn_sae_encoding.analysis import prevalence_entropy
    >>> prevalence_entropy([[1.0, 0.0], [-1.0, 2.0]], ["p1", "p2"], ["people", "places"])
      feature  index  prevalence  entropy  n_groups
    0  people      0           2      1.0         2
    1  places      1           1      0.0         1
    """
    positive, negative, known = signed_use(fitted, features)
    use = positive + negative
    codes, sizes = _group_sizes(check_groups(groups, use.shape[0]))
    member = sparse.csr_array((np.ones(len(codes)), (codes, np.arange(len(codes)))))
    counts = (member @ use).toarray()  # (n_groups, n_features)
    prevalence = counts.sum(axis=0)
    table = pd.DataFrame(
        {
            "feature": known["feature"],
            "index": np.arange(use.shape[1]),
            "prevalence": prevalence if isinstance(fitted, FeatureStability) else prevalence.round().astype(int),
            "entropy": _entropy(counts / sizes[:, None]),
            "n_groups": (counts > 0).sum(axis=0),
        }
    )
    table = table[table["prevalence"] > 0]
    return table.sort_values("prevalence", ascending=False, kind="stable").reset_index(drop=True)


def prevalence_references(groups, *, n_points=40, n_draws=200, random_state=None):
    """Compute what entropies can be for voxels in these groups, and what they are by chance.

    Parameters
    ----------
    groups : array-like of shape (n_voxels,)
        Participant or region of each voxel.

    n_points : int, default=40
        Prevalences, from 1 to all voxels, evenly spaced on a logarithmic scale.

    n_draws : int, default=200
        Random sets of voxels for each prevalence.

    random_state : int, RandomState instance or None, default=None
        Seed of the draws.

    Returns
    -------
    references : PrevalenceReferences
        - ``max_entropy`` and ``max_prevalence``: where a feature that every voxel uses would lie;
        - ``only``: for each group, `prevalence` of a feature that all of its voxels use and no others, `entropy` 0;
        - ``curves``, over prevalence: ``"voxels at random"``, the mean entropy of as many voxels drawn from all alike,
          below which a feature is specific; ``"most specific"``, the smallest entropy that is possible.

        :func:`~sklearn_sae_encoding.plotting.plot_prevalence_entropy` draws them.

    Examples
    --------
    >>> from sklearn_sae_encoding.analysis import prevalence_references
    >>> references = prevalence_references(["p1"] * 30 + ["p2"] * 10, random_state=0)
    >>> references.max_entropy, references.max_prevalence
    (1.0, 40)
    >>> references.only
      group  prevalence  entropy
    0    p1          30      0.0
    1    p2          10      0.0
    """
    groups = np.asarray(groups)
    names = list(dict.fromkeys(groups.tolist()))
    _, sizes = _group_sizes(check_groups(groups, groups.size))
    prevalence = np.unique(np.geomspace(1, len(groups), n_points).round().astype(int))
    seed = check_random_state(random_state).randint(2**32, size=4, dtype=np.uint64)
    rng = np.random.default_rng(seed)
    random = [_random_entropy(sizes, n, n_draws, rng) for n in prevalence]
    lowest = [_lowest_entropy(sizes, n) for n in prevalence]
    return PrevalenceReferences(
        max_entropy=float(np.log2(len(sizes))),
        max_prevalence=len(groups),
        only=pd.DataFrame({"group": names, "prevalence": sizes, "entropy": 0.0}),
        curves={"voxels at random": (prevalence, np.array(random)), "most specific": (prevalence, np.array(lowest))},
    )


def _group_sizes(groups):
    codes, names = pd.factorize(groups)
    return codes, np.bincount(codes, minlength=len(names))


def _entropy(rates):
    """Entropy in bits of each column, normalised to sum to one; 0 for an empty column."""
    total = rates.sum(axis=0)
    p = rates / np.where(total > 0, total, 1.0)
    return np.abs(-(p * np.log2(np.where(p > 0, p, 1.0))).sum(axis=0))  # no -0.0


def _random_entropy(sizes, n, n_draws, rng):
    counts = rng.multivariate_hypergeometric(sizes, n, n_draws).T
    return _entropy(counts / sizes[:, None]).mean()


def _lowest_entropy(sizes, n):
    """Smallest entropy of `n` voxels.

    The entropy of normalised rates is quasi-concave in the counts, so that its minimum lies at a vertex of what is
    possible: `k` groups full, at most one of them in part, with rate `r`, the others empty. Such rates have an entropy
    between log2(k) and log2(k + 1) that grows with `r`. So as few groups as possible are full; and beside a partial
    group, the largest others are, which leaves the least to it.
    """
    largest = np.argsort(-sizes, kind="stable")
    n_full = int(np.searchsorted(np.cumsum(sizes[largest]), n))  # this many and one more hold n voxels, fewer don't
    rates = np.ones(n_full + 1)
    rest = [n - sizes[largest[largest != g][:n_full]].sum() for g in range(len(sizes))]
    rates[-1] = min(left / size for left, size in zip(rest, sizes, strict=True) if left <= size)
    return float(_entropy(rates[:, None])[0])
