"""Scores and weights to the tables of the paper, the published numbers beside ours."""

import numpy as np
import pandas as pd

from lepori2026 import published
from lepori2026.study import FOLDS, PLACES, place_names
from sklearn_sae_encoding.analysis import (
    average_pairs,
    average_participants,
    bin_occupancy,
    compare_models,
    compare_regions,
    correlate_predictors,
    count_feature_use,
    mean_gain,
    paired_tests,
    partition_surprisal,
    prevalence_entropy,
    support_stability,
    surprisal_by_region,
    top_texts,
    typical_effects,
    within_and_across,
)
from sklearn_sae_encoding.metrics import adjust_p_values, mean_interval, voxel_score_table

LANGUAGE_PARCELS = range(1, 6)


class Report:
    """Tables in the order in which they are added: printed, written to one text file, and each to a CSV."""

    def __init__(self, folder):
        self.folder = folder
        self.file = (folder / "report.txt").open("w", encoding="utf-8")

    def say(self, text):
        print(text)
        self.file.write(f"{text}\n")
        self.file.flush()

    def add(self, name, title, table, note="", digits=3):
        self.say(f"\n{title}\n{'-' * len(title)}")
        formatters = {column: p_text for column in table.columns if _is_p_value(column)}
        self.say(table.to_string(float_format=lambda value: f"{value:.{digits}f}", formatters=formatters))
        if note:
            self.say(note)
        table.to_csv(self.folder / f"{name}.csv")


def _is_p_value(column):
    name = str(column[0] if isinstance(column, tuple) else column)
    return name.startswith("p ") or "p_value" in name


def p_text(p):
    """Write a p-value; what was published as text stays as it is."""
    if isinstance(p, str):
        return p
    return "<.001" if p < 0.001 else f"{p:.3f}"


def beside(ours, paper):
    """Put published columns beside ours."""
    return pd.concat({"here": ours, "paper": paper}, axis=1).swaplevel(axis=1).loc[:, _interleaved(ours, paper)]


def _interleaved(ours, paper):
    names = dict.fromkeys([*paper.columns, *ours.columns])
    return [(n, side) for n in names for side, t in (("here", ours), ("paper", paper)) if n in t.columns]


def table_of(results, voxels, names):
    return voxel_score_table({name: results[name] for name in names}, voxels)


def compared(results):
    """The models that are compared with surprisal: the paper's three, or those of them that there are."""
    return [name for name in published.MODELS if name in results]


def region_scores(results, voxels, models, paper):
    """Means over participants, the gain over surprisal, and adjusted p-values against it."""
    table, tested = table_of(results, voxels, models), compared(results)
    means = average_participants(table).groupby(level="region").mean()
    means = means.loc[[region for region in paper.index if region in means.index]]
    tests = compare_models(table, "Surprisal", models=tested, random_state=0)
    tests["holm_over_all"] = adjust_p_values(tests["p_value"], "holm")
    paper = paper.loc[means.index]
    gain = f"gain of {' and '.join(tested)}" if len(tested) < 3 else "gain of all three"
    means[gain] = mean_gain(tests)
    if gain not in paper:
        paper.insert(paper.columns.get_loc("gain of all three"), gain, paper[tested].mean(axis=1) - paper["Surprisal"])
    p = tests.pivot(index="region", columns="model", values="adjusted_p_value")
    return beside(means.join(p.add_prefix("p ")), paper), tests


def note_on_tests(results):
    """Say where gain and p-values differ from the published ones."""
    n, names = len(compared(results)), " and ".join(compared(results))
    if n == len(published.MODELS):
        return "Gain: mean of the three models over surprisal. p: Bonferroni over the three. Both as published."
    return (
        f"There is no JumpReLU SAE here. Gain: mean of {names} over surprisal, computed from its means for the paper, "
        f"which prints the gain of all three. p: Bonferroni over {n} tests here (x{n}), over three in the paper (x3)."
    )


def by_group(results, voxels, models, chosen_on, paper):
    """Mean and standard error over participants, apart for those on whom choices were made and the others."""
    means = average_participants(table_of(results, voxels, models))[models]
    participants = means.index.get_level_values("participant")
    chosen = participants.isin(chosen_on)
    groups = {_span(participants): np.ones(len(means), dtype=bool)}
    groups |= {_span(participants[mask]): mask for mask in (chosen, ~chosen) if 0 < mask.sum() < len(mask)}
    parts = {}
    for name, mask in groups.items():
        of_region = means[mask].groupby(level="region")
        parts[name] = pd.concat({"mean": of_region.mean(), "sem": of_region.sem()}, axis=1).swaplevel(axis=1)
    table = pd.concat(parts, names=["participants"]).swaplevel().sort_index(level=0, sort_remaining=False)
    for model in models:
        table[model, "paper"] = paper[model].reindex(table.index.get_level_values("region")).to_numpy()
    columns = [(model, what) for model in models for what in ("mean", "sem", "paper")]
    regions = [region for region in paper.index if region in table.index.get_level_values("region")]
    return table[columns].loc[regions]


def against_before(results, voxels, chosen_on, before, slack):
    """Scores of the participants on whom nothing was chosen, with intervals over them, beside those of before."""
    means = average_participants(table_of(results, voxels, ["Matryoshka"]))["Matryoshka"].unstack("region")
    means = means[~means.index.isin(chosen_on)]
    rows = {}
    for region in (region for region in before if region in means):
        now = mean_interval(means[region].dropna(), n_bootstraps=2)  # four participants are too few for a bootstrap
        limit = before[region] - slack
        interval = {"participants": now.n, "t_low": now.t_low, "t_high": now.t_high}
        known = {"now": now.mean, "before": before[region], "limit": limit}
        rows[region] = known | {"below the limit": "yes" if now.mean < limit else "no"} | interval
    return pd.DataFrame.from_dict(rows, orient="index")


def _span(participants):
    names = sorted(set(participants))
    return names[0] if len(names) == 1 else f"{names[0]}-{names[-1]}"


def as_good_as_dense(results, voxels, margin):
    """Test whether sparse features are as good as dense ones: within the margin, and not worse by more than it."""
    table = table_of(results, voxels, ["Dense", "Matryoshka"])
    tests = compare_models(table, "Dense", models=["Matryoshka"], margin=margin, random_state=0).set_index("region")
    return tests[["difference", "low", "high", "p_value", "p_equivalent", "p_not_worse"]]


def regions_at_3t(results, voxels, paper):
    """Scores of participants' averages, one number a region, the published ones beside them."""
    ours = pd.DataFrame({name: result.normalized_scores for name, result in results.items()}, index=voxels["region"])
    return beside(ours, paper.loc[ours.index, [name for name in paper if name in ours]])


def gains(results, voxels):
    """What the models gain over surprisal, over the ceiling (in two layers of the paper) and in plain r."""
    table = table_of(results, voxels, ["Surprisal", *compared(results)])
    over_ceiling, plain = (
        mean_gain(compare_models(table, "Surprisal", value=value, random_state=0))
        for value in ("normalized_score", "score")
    )
    paper = published.GAINS.loc[plain.index]
    return pd.DataFrame({"gain": over_ceiling, **paper[["layer 12", "layer 14"]], "in r": plain, "paper": paper["r"]})


def supports(result, coef, alpha, voxels):
    """Sizes as published, with surprisal; agreement of folds without it; ridge penalties of the fits to all texts."""
    with_surprisal = support_stability(result.estimators)
    stability = support_stability(result.estimators, full=coef, exclude=-1)
    table = with_surprisal[["mean_size", "n_intersection", "n_union"]].join(
        stability[["jaccard", "stability", "full_in_folds"]]
    )
    regions = voxels["region"].to_numpy()
    return (
        table.groupby(regions, sort=False).mean().assign(ridge=pd.Series(alpha).groupby(regions, sort=False).median())
    )


def signed_features(study, names, groups, texts, tokens, n_features=8, n_texts=2):
    """The features that most voxels of each group use, with the tokens and sentences that drive them most.

    `effect` is what a text gains that has the feature, in standard deviations of the voxels that use it.
    """
    rows = []
    effects = typical_effects(study.coef, study.X, target_scale=study.Y.std(axis=0))
    for group in dict.fromkeys(groups):
        members = np.flatnonzero(np.asarray(groups) == group)
        use = count_feature_use(study.coef[members], names)
        for row in use[names["kind"].to_numpy()[use["index"]] == "sae"].head(n_features).itertuples():
            effect = effects[members][:, [row.index]].toarray()
            rows.append(
                {
                    "group": group,
                    "feature": f"{'+' if row.sign > 0 else '-'}{row.index}",
                    "voxels": row.n_voxels,
                    "share": row.share,
                    "effect": effect[effect * row.sign > 0].mean(),
                    "tokens": tokens.of(row.index),
                    "sentences": " | ".join(top_texts(study.X, texts, row.index, n_texts=n_texts)["text"]),
                }
            )
    return pd.DataFrame(rows).set_index(["group", "feature"])


def pooled_scores(results, voxels, models, paper):
    """Means over participants of all voxels of a participant, whatever the region."""
    means = average_participants(table_of(results, voxels, models), region=None)
    return pd.DataFrame({"mean": means.mean(), "sem": means.sem(), "paper": paper.reindex(means.columns)})


def components(stimuli, Y, voxels):
    """How well the published components of the sentences alone follow the voxels, over the noise ceiling."""
    r = correlate_predictors(stimuli, Y, noise_ceiling=voxels["noise_ceiling"].to_numpy(), cv=FOLDS)
    return pd.Series(np.abs(r).mean(axis=1), index=stimuli.columns)


def places(labels, voxels, n_places=4):
    """Where the voxels of a cluster lie, beside all others: areas of Glasser's atlas, and language parcels."""
    inside = np.where(labels == 0, "largest cluster", "others")
    groups = voxels.reset_index(drop=True).groupby(inside)
    names = groups["parc_name_glasser"].agg(lambda area: _counts(area, n_places))
    outside = groups["parc_lang"].agg(lambda parcel: np.mean(~parcel.isin(LANGUAGE_PARCELS)))
    return pd.DataFrame({"voxels": groups.size(), "outside language parcels": outside, "areas": names})


def _counts(labels, n):
    return ", ".join(f"{name} {count}" for name, count in labels.value_counts().head(n).items())


def partition(results, Y, voxels, coef):
    """Surprisal against content by region, and the parts of each voxel."""
    named = {"surprisal": results["Surprisal"], "content": results["Content"], "both": results["Matryoshka"]}
    parts = partition_surprisal(named, Y, noise_ceiling=voxels["noise_ceiling"].to_numpy())
    return surprisal_by_region(parts, voxels["participant"], voxels["region"], weights=coef[:, [-1]]), parts


def frontal_against_temporal(means):
    """Test the ratio of surprisal alone to both, over the regions that every participant has, which all weigh the same.

    A participant without a region would otherwise be compared over other regions than the rest. Scores are averaged
    before they are divided, because the ratio of a badly predicted region can be anything.
    """
    n_participants = means.index.get_level_values("participant").nunique()
    n_having = means.groupby(level="region").size()
    everyone = [region for region in published.REGIONS.index if n_having.get(region, 0) == n_participants]
    groups = {
        "frontal": [region for region in everyone if region in published.FRONTAL],
        "temporal": [region for region in everyone if region not in published.FRONTAL],
    }
    ratios = {}
    for name, regions in groups.items():
        of_group = means[means.index.get_level_values("region").isin(regions)].groupby(level="participant").mean()
        ratios[name] = of_group["r_surprisal"] / of_group["r_both"]
    used = "; ".join(f"{name}: {', '.join(regions)}" for name, regions in groups.items())
    return paired_tests(
        pd.DataFrame(ratios), "temporal", random_state=0
    ), f"Regions that every participant has: {used}."


def bin_scores(results, voxels, widths, paper):
    """Mean over participants of each bin, prefix and rest, by its place, with the published bin in that place."""
    names = place_names(widths) | {"Matryoshka": "all"}
    table = table_of(results, voxels, [name for name in names if name in results])
    means = average_participants(table, region=None)
    ours = pd.DataFrame({"mean": means.mean(), "sem": means.sem()})
    ours.insert(0, "place", [names[name] for name in ours.index])
    ours["paper"] = [paper.get(place, np.nan) for place in ours["place"]]
    return ours


def bin_tests(results, voxels, widths):
    """The first bin against all the rest, and against all of the features."""
    first, rest = f"0-{widths[0]}", f"{widths[0]}+"
    table = table_of(results, voxels, [first, rest, "Matryoshka"])
    tests = [
        compare_models(table, reference, models=[first], region=None, random_state=0).assign(reference=reference)
        for reference in (rest, "Matryoshka")
    ]
    columns = ["model", "reference", "mean", "reference_mean", "difference", "low", "high", "t", "p_value", "hedges_g"]
    return pd.concat(tests, ignore_index=True)[columns]


def occupancy(coef, names, X):
    table = bin_occupancy(coef, names, X=X, random_state=0).set_index("bin")
    paper = published.LANGUAGE_OCCUPANCY.reindex(PLACES[: len(table)])
    return table.drop(columns=["lo", "hi"]).assign(
        paper_mean_count=paper["mean_count"].to_numpy(), paper_share=paper["share"].to_numpy()
    )


def prevalence(coef, names, voxels):
    """Entropy over participants, and over regions, of the most prevalent features."""
    by_participant = prevalence_entropy(coef, voxels["participant"], names)
    by_region = prevalence_entropy(coef, voxels["region"], names).set_index("index")["entropy"]
    table = by_participant.assign(entropy_over_regions=by_region.reindex(by_participant["index"]).to_numpy())
    return table[names["kind"].to_numpy()[table["index"]] == "sae"].reset_index(drop=True)


def transfer(scores, fair, Y, voxels, keep):
    """Transfer between voxels of the same and of other participants and regions, with direct correlation beside it.

    `fair` are the scores with features that were selected on training texts alone.

    Also returns the means over each combination of participants and regions.
    """
    voxels = voxels[keep]
    direct = correlate_predictors(Y[:, keep], Y[:, keep], noise_ceiling=voxels["noise_ceiling"].to_numpy())
    pairs = average_pairs(
        voxels["participant"].to_numpy(),
        voxels["region"].to_numpy(),
        transfer=scores.normalized_scores,
        transfer_fair=fair.normalized_scores,
        correlation=direct,
    )
    means = within_and_across(pairs)
    table = means.groupby(["same_participant", "same_region"])[["transfer", "transfer_fair", "correlation"]].mean()
    paper = [
        published.TRANSFER.loc[f"{'same' if p else 'other'} participant", f"{'same' if r else 'other'} region"]
        for p, r in table.index
    ]
    table[f"paper_transfer ({published.TRANSFER_PAIRS})"] = paper
    return table, pairs


def set_transfer(scores, fair, voxels):
    """Means over pairs of voxels of the same and of other participants and sets, by both ways of selecting."""
    named = {"published": scores.normalized_scores, "training": fair.normalized_scores}
    pairs = average_pairs(voxels["participant"].to_numpy(), voxels["region"].to_numpy(), **named)
    means = within_and_across(pairs).rename(columns={"same_region": "same_set"})
    return means.groupby(["same_participant", "same_set"])[list(named)].mean()


def same_against_other_region(pairs):
    """Balanced by regions, over target participants; sources are other participants."""
    comparison = compare_regions(pairs, "transfer")
    across = comparison[~comparison["same_participant"]]
    by_target = across.groupby("target_participant")[["same", "other"]].mean()
    columns = {"same": "same region", "other": "other region"}
    return by_target.rename(columns=columns), paired_tests(by_target, "other", random_state=0)


def clusters_by(labels, voxels, column):
    """Voxels and participants of each cluster, and its voxels by region or set."""
    cluster = pd.Series(labels, name="cluster (-1: none)")
    voxels = voxels.reset_index(drop=True)
    table = voxels.groupby(cluster)["participant"].agg(["size", "nunique"])
    table.columns = ["voxels", "participants"]
    return table.join(pd.crosstab(cluster, voxels[column]))


def best_half(result, voxels, whole=("p4", "p7")):
    """The better half (rounded down) of each participant's region, as published; these participants are kept whole."""
    score = pd.Series(result.normalized_scores)
    keep = np.zeros(len(score), dtype=bool)
    for (participant, _), rows in voxels.groupby(["participant", "region"], sort=False).groups.items():
        n = len(rows) if participant in whole else len(rows) // 2
        keep[score.loc[rows].sort_values(ascending=False, kind="stable").index[:n]] = True
    return keep
