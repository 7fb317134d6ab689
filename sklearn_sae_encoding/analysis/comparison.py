"""Which model predicts better, over participants?"""

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.utils import check_random_state

from sklearn_sae_encoding.metrics import adjust_p_values

_STARS = ((0.001, "***"), (0.01, "**"), (0.05, "*"), (0.1, "."))


def average_participants(table, *, value="normalized_score", region="region", model="model", participant="participant"):
    """Average voxels within each participant, region and model.

    Voxels of one participant are no independent observations; their mean is one.

    Parameters
    ----------
    table : pandas.DataFrame
        A row a voxel and model, such as :func:`~sklearn_sae_encoding.metrics.voxel_score_table` makes it.

    value : str, default="normalized_score"
        Column to average. Voxels where it is NaN are left out.

    region : str or None, default="region"
        Column of the regions, or None to average over all voxels of a participant.

    model, participant : str, default="model" and "participant"
        Their columns.

    Returns
    -------
    means : pandas.DataFrame
        Index (region, participant), a column a model, all in order of appearance; NaN where there is no voxel. Without
        `region`, the first level is ``"all"``.

    Raises
    ------
    ValueError
        If a column is missing, or a voxel is scored for some models only (NaN): their means would be over different
        voxels.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_sae_encoding.analysis import average_participants
    >>> table = pd.DataFrame({
    ...     "participant": ["p1", "p1", "p1", "p1"], "region": "IFG", "voxel": [0, 1, 0, 1],
    ...     "model": ["surprisal", "surprisal", "SAE", "SAE"], "normalized_score": [0.1, 0.3, 0.4, 0.8]})
    >>> average_participants(table).round(2).reset_index()
    model region participant  surprisal  SAE
    0        IFG          p1        0.2  0.6
    """
    names = [participant, model, value, *([] if region is None else [region])]
    if missing := [name for name in names if name not in table]:
        raise ValueError(f"The table has no column {missing}; it has {list(table.columns)}.")
    _check_same_voxels(table, value, participant)
    keys = ["all"] * len(table) if region is None else table[region].to_numpy()
    keys = [pd.Series(keys, name="region", index=table.index), table[participant].rename("participant"), table[model]]
    means = table.groupby(keys, sort=False, observed=True)[value].mean().unstack(sort=False)
    return means[list(dict.fromkeys(table[model]))].rename_axis(columns="model")


def _check_same_voxels(table, value, participant):
    if "voxel" not in table:
        return
    n_scored = table.groupby([participant, "voxel"], sort=False, observed=True)[value].agg(["count", "size"])
    partial = n_scored[(n_scored["count"] > 0) & (n_scored["count"] < n_scored["size"])]
    if len(partial):
        raise ValueError(
            f"{len(partial)} voxel(s) have a {value} for some models only, the first voxel {partial.index[0][1]} of "
            f"{partial.index[0][0]}. Leave them out, so that all means are over the same voxels."
        )


def compare_models(
    table,
    reference,
    *,
    models=None,
    region="region",
    value="normalized_score",
    model="model",
    participant="participant",
    **options,
):
    """Compare models with a reference, region by region, with participants as the units.

    Parameters
    ----------
    table : pandas.DataFrame
        A row a voxel and model, such as :func:`~sklearn_sae_encoding.metrics.voxel_score_table` makes it.

    reference : str
        The model that the others are compared with, such as ``"surprisal"``.

    models : list of str, default=None
        Which others. None is all. The adjustment counts these.

    region : str or None, default="region"
        Column of the regions. None compares means over all voxels of a participant.

    value : str, default="normalized_score"
        Column to compare.

    model, participant : str, default="model" and "participant"
        Their columns.

    **options
        Passed to :func:`paired_tests`: ``adjust``, ``confidence``, ``n_bootstraps``, ``random_state``.

    Returns
    -------
    comparison : pandas.DataFrame
        A row a region and model: `region`, `model`, `n_participants` that have it in the region, `mean`, `sem` (over
        them) and `reference_mean`; then, over participants that have both, the columns of :func:`paired_tests`.
        P-values are adjusted within a region. Participants without voxels in a region don't count there.

    Raises
    ------
    ValueError
        If the reference or another model is not in the table.

    References
    ----------
    Lepori, Kay and Tuckute, arXiv:2606.06857: paired t-tests against surprisal, Bonferroni within each group.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sklearn_sae_encoding.analysis import compare_models
    >>> scores = {"surprisal": [0.2, 0.1, 0.3, 0.2], "SAE": [0.5, 0.6, 0.7, 0.4]}
    >>> table = pd.concat(pd.DataFrame({"participant": ["p1", "p2", "p3", "p4"], "region": "IFG", "voxel": range(4),
    ...                                 "model": name, "normalized_score": r}) for name, r in scores.items())
    >>> compare_models(table, "surprisal")[["region", "model", "mean", "difference", "p_value"]].round(3)
      region model  mean  difference  p_value
    0    IFG   SAE  0.55        0.35    0.012
    """
    means = average_participants(table, value=value, region=region, model=model, participant=participant)
    models = [name for name in means.columns if name != reference] if models is None else list(models)
    if unknown := [name for name in (reference, *models) if name not in means.columns]:
        raise ValueError(f"The table has no model {unknown}; it has {list(means.columns)}.")
    rng = check_random_state(options.pop("random_state", None))
    parts = []
    for name, group in means.groupby(level="region", sort=False):
        tests = paired_tests(group[[reference, *models]], reference, random_state=rng, **options)
        known = {
            "region": name,
            "model": models,
            "n_participants": group[models].count().to_numpy(),
            "mean": group[models].mean().to_numpy(),
            "sem": group[models].sem().to_numpy(),
            "reference_mean": group[reference].mean(),
        }
        parts.append(pd.concat([pd.DataFrame(known), tests.drop(columns="condition")], axis=1))
    return pd.concat(parts, ignore_index=True)


def mean_gain(comparison):
    """Compute what the models gain over the reference on average: the Δ that the paper prints over its bars.

    Parameters
    ----------
    comparison : pandas.DataFrame
        From :func:`compare_models`, with the models to average.

    Returns
    -------
    gain : pandas.Series
        Over regions: mean over models of `mean`, minus `reference_mean`.
    """
    groups = comparison.groupby("region", sort=False)
    return (groups["mean"].mean() - groups["reference_mean"].first()).rename("gain")


def paired_tests(values, reference, *, adjust="bonferroni", confidence=0.95, n_bootstraps=10_000, random_state=None):
    """Test conditions against a reference, paired by participant.

    Parameters
    ----------
    values : pandas.DataFrame of shape (n_participants, n_conditions)
        One value a participant and condition. A participant with NaN in a condition or the reference is left out of
        their test.

    reference : hashable
        Column that the others are compared with.

    adjust : {"bonferroni", "holm", "bh", "by"} or None, default="bonferroni"
        How p-values are adjusted over the conditions, see :func:`~sklearn_sae_encoding.metrics.adjust_p_values`. The
        first two keep the chance of any false positive at the level; Holm's is never less powerful, Bonferroni's is the
        published one.

    confidence : float, default=0.95
        Of the bootstrap intervals.

    n_bootstraps : int, default=10_000
        Resamples of the participants. The interval is the percentile interval, expanded for few participants
        (Hesterberg 2015). With fewer than six it cannot reach its level (it ends at the smallest and the largest
        difference).

    random_state : int, RandomState instance or None, default=None
        Seed of the resamples.

    Returns
    -------
    tests : pandas.DataFrame
        A row a condition, in order: `condition`, `n_pairs`, `difference` (mean of condition minus reference), `low`
        and `high` (its bootstrap interval), `t`, `p_value` (two-sided paired t-test), `adjusted_p_value`, `cohen_d`
        (mean over standard deviation of the differences), `hedges_g` (the same, corrected for the bias of few
        participants) and `stars` (of the adjusted p-value: ``.`` < .1, ``*`` < .05, ``**`` < .01, ``***`` < .001). NaN
        where there are fewer than two pairs.

    Raises
    ------
    ValueError
        If the reference is no column, or an option is unknown.

    References
    ----------
    Hesterberg (2015), "What teachers should know about the bootstrap", The American Statistician 69, 371-386.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_sae_encoding.analysis import paired_tests
    >>> values = pd.DataFrame({"surprisal": [0.2, 0.1, 0.3], "SAE": [0.5, 0.6, 0.7], "dense": [0.3, 0.1, 0.2]})
    >>> tests = paired_tests(values, "surprisal", random_state=0)
    >>> tests[["condition", "difference", "t", "p_value", "adjusted_p_value"]].round(3)
      condition  difference      t  p_value  adjusted_p_value
    0       SAE         0.4  6.928     0.02              0.04
    1     dense         0.0  0.000     1.00              1.00
    """
    if reference not in values:
        raise ValueError(f"The reference {reference!r} is not among the conditions {list(values.columns)}.")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}.")
    rng = check_random_state(random_state)
    conditions = [name for name in values.columns if name != reference]
    rows = [
        {"condition": name} | _paired_test(values[name] - values[reference], confidence, n_bootstraps, rng)
        for name in conditions
    ]
    tests = pd.DataFrame(rows)
    adjusted = adjust_p_values(tests["p_value"], adjust)
    tests.insert(tests.columns.get_loc("p_value") + 1, "adjusted_p_value", adjusted)
    return tests.assign(stars=[next((star for level, star in _STARS if p < level), "") for p in adjusted])


def _paired_test(differences, confidence, n_bootstraps, rng):
    d = differences.dropna().to_numpy(dtype=np.float64)
    n = len(d)
    mean, sd = (d.mean() if n else np.nan), (d.std(ddof=1) if n > 1 else np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):  # equal differences: t is infinite, or NaN for 0/0
        cohen_d = np.float64(mean) / sd
    t = cohen_d * np.sqrt(n)
    low, high = _bootstrap_interval(d, confidence, n_bootstraps, rng)
    return {
        "n_pairs": n,
        "difference": mean,
        "low": low,
        "high": high,
        "t": t,
        "p_value": 2 * stats.t.sf(abs(t), n - 1) if n > 1 else np.nan,
        "cohen_d": cohen_d,
        "hedges_g": cohen_d * (1 - 3 / (4 * (n - 1) - 1)) if n > 1 else np.nan,
    }


def _bootstrap_interval(d, confidence, n_bootstraps, rng):
    """Percentile interval of the mean, expanded: plain percentiles are too narrow by sqrt((n - 1) / n) and t / z."""
    n = len(d)
    if n < 2:
        return np.nan, np.nan
    tail = stats.norm.cdf(np.sqrt(n / (n - 1)) * stats.t.ppf((1 - confidence) / 2, n - 1))
    means = d[rng.randint(n, size=(n_bootstraps, n))].mean(axis=1)
    return tuple(np.quantile(means, [tail, 1 - tail]))
