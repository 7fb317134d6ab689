"""Which model predicts better, over participants?"""

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.utils import check_random_state

from sklearn_sae_encoding.metrics import adjust_p_values, mean_interval

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
        Passed to :func:`paired_tests`: ``adjust``, ``margin``, ``confidence``, ``n_bootstraps``, ``random_state``.

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


def paired_tests(
    values,
    reference,
    *,
    adjust="bonferroni",
    margin=None,
    confidence=0.95,
    n_bootstraps=10_000,
    random_state=None,
):
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

    margin : float, default=None
        The largest difference that does not matter, such as 0.02 in units of the noise ceiling. It adds tests of the
        opposite claims, since "not significant" is no evidence of "equal": that the difference lies within the margin
        on both sides (equivalence, by two one-sided tests), and that the condition is not worse than the reference by
        more than the margin. State it before looking.

    confidence : float, default=0.95
        Of the intervals.

    n_bootstraps : int, default=10_000
        Resamples of the participants, see :func:`~sklearn_sae_encoding.metrics.mean_interval`. With fewer than six the
        bootstrap cannot reach its level.

    random_state : int, RandomState instance or None, default=None
        Seed of the resamples.

    Returns
    -------
    tests : pandas.DataFrame
        A row a condition, in order: `condition`, `n_pairs`, `difference` (mean of condition minus reference), `low`
        and `high` (its bootstrap interval), `t_low` and `t_high` (that of Student's t), `t`, `p_value` (two-sided
        paired t-test), `adjusted_p_value`, `cohen_d` (mean over standard deviation of the differences), `hedges_g` (the
        same, corrected for the bias of few participants) and `stars` (of the adjusted p-value: ``.`` < .1, ``*`` < .05,
        ``**`` < .01, ``***`` < .001). NaN where there are fewer than two pairs. With a
        `margin`, `p_equivalent` and `p_not_worse`, and both adjusted: small ones are evidence *for* equality within the
        margin, and for being as good.

    Raises
    ------
    ValueError
        If the reference is no column, the margin is not positive, or an option is unknown.

    References
    ----------
    Schuirmann (1987), "A comparison of the two one-sided tests procedure and the power approach for assessing the
    equivalence of average bioavailability", J Pharmacokinet Biopharm 15, 657-680.

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
    if margin is not None and not margin > 0:
        raise ValueError(f"margin must be a positive difference, got {margin}.")
    rng = check_random_state(random_state)
    conditions = [name for name in values.columns if name != reference]
    rows = [
        {"condition": name} | _paired_test(values[name] - values[reference], margin, confidence, n_bootstraps, rng)
        for name in conditions
    ]
    tests = pd.DataFrame(rows)
    for name in [column for column in tests if column.startswith("p_")][::-1]:
        adjusted = adjust_p_values(tests[name], adjust)
        tests.insert(tests.columns.get_loc(name) + 1, f"adjusted_{name}", adjusted)
    stars = [next((star for level, star in _STARS if p < level), "") for p in tests["adjusted_p_value"]]
    return tests.assign(stars=stars)


def _paired_test(differences, margin, confidence, n_bootstraps, rng):
    interval = mean_interval(differences, confidence=confidence, n_bootstraps=n_bootstraps, random_state=rng)
    n, mean = interval.n, interval.mean
    with np.errstate(divide="ignore", invalid="ignore"):  # equal differences: t is infinite, or NaN for 0/0
        cohen_d = np.float64(mean) / (interval.sem * np.sqrt(n))
        t = cohen_d * np.sqrt(n)
    test = {
        "n_pairs": n,
        "difference": mean,
        "low": interval.low,
        "high": interval.high,
        "t_low": interval.t_low,
        "t_high": interval.t_high,
        "t": t,
        "p_value": 2 * stats.t.sf(abs(t), n - 1) if n > 1 else np.nan,
        "cohen_d": cohen_d,
        "hedges_g": cohen_d * (1 - 3 / (4 * (n - 1) - 1)) if n > 1 else np.nan,
    }
    if margin is None:
        return test
    with np.errstate(divide="ignore", invalid="ignore"):
        above = stats.t.sf((mean + margin) / interval.sem, n - 1) if n > 1 else np.nan  # of "worse by the margin"
        below = stats.t.cdf((mean - margin) / interval.sem, n - 1) if n > 1 else np.nan
    return test | {"p_equivalent": np.maximum(above, below), "p_not_worse": above}
