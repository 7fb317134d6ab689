"""Chosen on all participants but one, tested on that one: populations, the people-tuned ghosts, prevalence."""

import re

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.preprocessing import scale

from lepori2026 import published
from sklearn_sae_encoding.analysis import cluster_voxels, leave_one_participant_out
from sklearn_sae_encoding.datasets import load_supersenses

PRONOUNS = set(
    "i you he she we they me him her us them his my your our their who everyone someone nobody".split()  # noqa: SIM905
)
N_FEATURES = 10  # of a population, of its reading, and of the most prevalent ones
MIN_TRANSFER = 0.3  # of what the noise allows: where the tree of voxels is cut
MIN_SIZE = 5  # voxels of a cluster


def leave_out(participants, choose, test, chosen_on):
    """Choose without each participant and, for an interval, on some alone; a row a participant, means below."""
    left_out = leave_one_participant_out(participants, choose, test, n_bootstraps=2)
    rows = left_out.results.copy()
    rows.loc["mean"] = left_out.summary["mean"]
    chosen_on = [one for one in chosen_on if one in participants]  # not everybody has every region
    tested = set(participants) - set(chosen_on)
    if chosen_on and len(tested) > 1:
        some = leave_one_participant_out(participants, choose, test, choose_on=chosen_on, n_bootstraps=2).summary
        name = f"chosen on {chosen_on[0]}-{chosen_on[-1]}"
        for row, column in {name: "mean", f"{name}, low": "t_low", f"{name}, high": "t_high"}.items():
            rows.loc[row] = some[column]
    return rows


class Signs:
    """Which voxels use which features with which sign; surprisal, the last column, left out."""

    def __init__(self, study):
        self.signs = study.coef.tocsr()[:, :-1].sign().toarray().astype(np.int8)
        values = scale(study.X.tocsr()[:, :-1].toarray())
        self.values, self.responses = values, scale(study.Y)

    def most_used(self, mask):
        """The features that most voxels of a mask use, net of those that use them with the other sign, and signs."""
        net = self.signs[mask].sum(axis=0, dtype=int)
        features = np.argsort(-np.abs(net), kind="stable")[:N_FEATURES]
        return features[net[features] != 0], np.sign(net[features][net[features] != 0])

    def share(self, reading, mask):
        """How often voxels use the features of a reading with its signs, on average over the features."""
        features, signs = reading
        return np.mean(self.signs[np.ix_(mask, features)] == signs) if np.any(mask) else np.nan

    def rho(self, reading, mask):
        """Spearman's correlation over texts of a reading, the signed sum of its features, with the mean response."""
        features, signs = reading
        return stats.spearmanr(self.values[:, features] @ signs, self.responses[:, mask].mean(axis=1)).statistic


def populations(study, chosen_on):
    """Features of a population, chosen on the others' voxels of it: does the one left out use and follow them?"""
    use, regions = Signs(study), study.voxels["region"].to_numpy()
    participants, tables = study.voxels["participant"].to_numpy(), {}
    for name in dict.fromkeys(regions):
        inside = regions == name

        def test(reading, own, inside=inside):
            shares = {"share": use.share(reading, own & inside), "share elsewhere": use.share(reading, own & ~inside)}
            return shares | {"rho": use.rho(reading, own & inside), "rho elsewhere": use.rho(reading, own & ~inside)}

        kept = np.isin(participants, np.unique(participants[inside]))  # who has the region
        rows = np.flatnonzero(kept)

        def everywhere(function, rows=rows):
            """Give a function of masks of the kept voxels the masks of all voxels."""

            def of_all(*arguments):
                *others, mask = arguments
                whole = np.zeros(len(regions), dtype=bool)
                whole[rows[mask]] = True
                return function(*others, whole)

            return of_all

        choose = everywhere(lambda mask, inside=inside: use.most_used(mask & inside))
        tables[name] = leave_out(participants[kept], choose, everywhere(test), chosen_on)
    return pd.concat(tables, names=["population"])


def people_in(texts):
    """Share of each text's words that are persons: pronouns, and nouns that WordNet mostly calls persons."""
    senses = load_supersenses().sort_values("count", kind="stable").drop_duplicates("word", keep="last")
    persons = PRONOUNS | set(senses.loc[senses["supersense"] == "noun.person", "word"])
    words = [re.findall(r"[a-z]+", text.lower()) for text in texts]
    return np.array(
        [np.mean([word in persons or word.rstrip("s") in persons for word in of_text]) for of_text in words]
    )


def ghost_cluster(study, ghosts, transfer, texts, chosen_on):
    """The largest cluster of the others' ghosts: who of the one left out joins it, and are they tuned to people?

    `transfer` holds the scores among ghosts, with features of training texts alone. A ghost joins if the cluster's
    features explain it by the share of the ceiling at which clusters are cut.
    """
    use, scores, people = Signs(study), transfer.normalized_scores, scale(people_in(texts))
    rows, participants = np.flatnonzero(ghosts), study.voxels["participant"].to_numpy()[ghosts]

    def tuning(members):
        return people @ use.responses[:, rows[members]].mean(axis=1) / len(people) if len(members) else np.nan

    def choose(others):
        others = np.flatnonzero(others)
        labels = cluster_voxels(scores[np.ix_(others, others)], min_size=MIN_SIZE).labels
        members = others[labels == 0]
        return members, use.most_used(rows[members]), tuning(members)

    def test(choice, own):
        members, reading, tuned = choice
        own = np.flatnonzero(own)
        explained = np.nanmean(scores[np.ix_(members, own)], axis=0) if len(members) else np.zeros(len(own))
        joins = explained >= MIN_TRANSFER
        return {
            "cluster of the others": len(members),
            "its r with people": tuned,
            "joining": joins.sum(),
            "r with people, joining": tuning(own[joins]),
            "r with people, not": tuning(own[~joins]),
            "share of features, joining": use.share(reading, rows[own[joins]]),
            "share of features, not": use.share(reading, rows[own[~joins]]),
            "rho of all": use.rho(reading, rows[own]),
        }

    return leave_out(participants, choose, test, chosen_on)


def prevalence(study, names, chosen_on):
    """The others' most prevalent features: are they those of the one left out?"""
    used, participants = study.coef.tocsr().astype(bool).toarray(), study.voxels["participant"].to_numpy()
    used[:, names["kind"].to_numpy() != "sae"] = False

    def choose(others):
        each = np.unique(participants[others])
        return np.mean([used[others & (participants == one)].mean(axis=0) for one in each], axis=0)

    def test(rates, own):
        own, top = used[own].mean(axis=0), np.argsort(-rates, kind="stable")[:N_FEATURES]
        either = (rates > 0) | (own > 0)
        return {
            "rate of the others": rates[top].mean(),
            "rate": own[top].mean(),
            "of its own ten": np.isin(np.argsort(-own, kind="stable")[:N_FEATURES], top).sum(),
            "rho of rates": stats.spearmanr(rates[either], own[either]).statistic,
        }

    return leave_out(participants, choose, test, chosen_on)


def add_to(report, study, names, texts, chosen_on, ghosts=None):
    """Is what was chosen on all participants but one right about that one?"""
    some = (
        f"; or on {', '.join(chosen_on)}, tested on the others, with an interval of 95% over them" if chosen_on else ""
    )
    how = f"Chosen on all participants but one, tested on that one{some}."
    note = (
        f"{how} share: of a population's voxels that use the ten features that the others' use most, with their signs; "
        "rho: of their signed sum with its mean response, over all texts; elsewhere: the voxels of other populations."
    )
    table = populations(study, chosen_on)
    report.add(f"{study.name}_left_out_populations", "Populations, the participant left out", table, note)
    table = prevalence(study, names, chosen_on)
    note = (
        f"{how} rate: share of voxels that use one of the others' ten most prevalent features; of its own ten: how "
        "many are among these; rho: of the rates of all features that either uses."
    )
    report.add(f"{study.name}_left_out_prevalence", "Prevalence, the participant left out", table, note)
    if ghosts is not None:
        scores = study.transfer(ghosts, selection="training")
        table = ghost_cluster(study, ghosts, scores, texts, chosen_on)
        note = (
            f"{how} Features of training texts alone. joining: ghosts that the cluster's features explain by "
            f"{MIN_TRANSFER} of the ceiling or more; people: share of a sentence's words that are pronouns of "
            f"persons or nouns that WordNet mostly calls persons. Published: {published.GHOST_CLUSTER}."
        )
        report.add("ghost_left_out", "The largest cluster of ghosts, the participant left out", table, note)
