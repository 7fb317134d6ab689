"""Which features does a voxel use, and how sure? Frequencies over samples of the sentences, and a test of each."""

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.preprocessing import scale

from sklearn_sae_encoding.analysis import feature_use_test, stability_selection
from sklearn_sae_encoding.encoder import SparseVoxelEncoder

LEVEL = 0.1
PENALTY = 0.2  # of all halves, for the bound on errors
N_PAIRS = 50  # of halves, or of bootstrap samples
THRESHOLD = 0.9  # share of the resamples
ENCODER = SparseVoxelEncoder(alphas=10, cv=3, forced_features=[-1])


def standardised(X):
    """Features as they are, surprisal standardised."""
    X = sparse.csc_array(X)
    return sparse.csr_array(sparse.hstack([X[:, :-1], scale(X[:, [-1]].toarray())]))


def frequencies(X, Y, resampling, n_jobs):
    """A hundred halves at one penalty, or bootstrap samples of the encoder that is tested."""
    encoder = ENCODER if resampling == "bootstrap" else SparseVoxelEncoder(alphas=PENALTY, forced_features=[-1])
    options = {"n_pairs": N_PAIRS, "resampling": resampling, "random_state": 0, "n_jobs": n_jobs}
    return stability_selection(encoder, standardised(X), Y, **options)


def use_of_each(X, Y, candidates, n_jobs):
    """Each feature that the lasso takes up, given all the others and surprisal."""
    return feature_use_test(ENCODER, standardised(X), Y, candidates=candidates, n_jobs=n_jobs)


def tests_of_means(X, Y, regions, names, n_jobs):
    """The mean response of a region's voxels, which has far less noise: its features, surprisal among them."""
    kinds = list(dict.fromkeys(regions))
    means = np.stack([scale(Y)[:, regions == kind].mean(axis=1) for kind in kinds], axis=1)
    table = use_of_each(X, means, None, n_jobs).table
    table = table.assign(region=np.asarray(kinds)[table["voxel"]], feature=names["feature"].to_numpy()[table["group"]])
    return table.sort_values("p_value").drop_duplicates("region").set_index("region").drop(columns=["voxel", "group"])


def often_used(coef, share=0.1):
    """Features of the SAE that at least a share of these voxels uses."""
    return np.flatnonzero((coef.tocsr() != 0).mean(axis=0)[:-1] >= share)


def summary(tests, halves, bootstrap, regions):
    """By region: what tests find, what halves agree on, and how often what the first test finds is selected."""
    regions = np.asarray(regions)
    often, boot = (one.frequency.toarray()[:, :-1] for one in (halves, bootstrap))
    frequent, bound, rows = often >= THRESHOLD, halves.error_bound(THRESHOLD), {}
    parts = {name: _with_frequencies(test, halves=often, bootstrap=boot) for name, test in tests.items()}
    for region in [*dict.fromkeys(regions), "all"]:
        mask = np.ones(len(regions), dtype=bool) if region == "all" else regions == region
        row = {"voxels": mask.sum(), "halves >= .9": frequent[mask].sum(), "bound": bound[mask].sum()}
        row["bootstrap >= .9"] = (boot[mask] >= THRESHOLD).sum()
        for name, table in parts.items():
            own = table[mask[table["voxel"]]]
            found = own[own["found"]]
            row[name, "taken up"], row[name, "found"] = len(own), len(found)
            row[name, "voxels"], row[name, "features"] = found["voxel"].nunique(), found["group"].nunique()
            row[name, "and halves >= .9"] = (found["halves"] >= THRESHOLD).sum()
            for frequency in ("halves", "bootstrap"):
                row[name, f"{frequency} of found"] = found[frequency].median()
                row[name, f"{frequency} of others"] = own.loc[~own["found"], frequency].median()
        rows[region] = {key if isinstance(key, tuple) else ("", key): value for key, value in row.items()}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(index="region")


def _with_frequencies(test, **frequencies):
    where = test.table["voxel"].to_numpy(), test.table["group"].to_numpy()
    columns = {name: values[where] for name, values in frequencies.items()}
    return test.table.assign(found=test.table["q_value"] <= LEVEL, **columns)


def add_to(report, study, names, chosen_on):
    """Which features do voxels use, and how sure is it? In participants on whom nothing was chosen."""
    chosen = study.voxels["participant"].isin(chosen_on).to_numpy()
    Y, regions, X, n_jobs = study.Y[:, ~chosen], study.voxels["region"].to_numpy()[~chosen], study.X, study.n_jobs
    inputs = {"X": X, "Y": Y, "encoder": ENCODER, "penalty": PENALTY, "n_pairs": N_PAIRS}
    halves, bootstrap = (
        study.store(f"{study.name}-{how}", lambda how=how: frequencies(X, Y, how, n_jobs), how=how, **inputs)
        for how in ("halves", "bootstrap")
    )
    candidates = {"all features": np.arange(X.shape[1] - 1)}
    if chosen.any():
        candidates["features of the others"] = often_used(study.coef[chosen])
    tests = {
        name: study.store(
            f"{study.name}-use-of-{name.split()[0]}",
            lambda few=few: use_of_each(X, Y, few, n_jobs),
            candidates=few,
            **inputs,
        )
        for name, few in candidates.items()
    }
    offered = {name: test.n_tests // Y.shape[1] for name, test in tests.items()}
    note = (
        f"Participants {', '.join(study.voxels['participant'][~chosen].unique())}. found: pairs of a voxel and a "
        f"feature at a false discovery rate of {LEVEL}, given all other features and surprisal; features "
        f"offered: {offered}, the others' being those that a tenth of the other participants' voxels use. halves: "
        f"share of 100 half samples, at a penalty of {PENALTY}, with the bound on chance selections at .9 "
        "summed over voxels; bootstrap: share of 100 bootstrap samples, penalty by three folds; medians over pairs."
    )
    table = summary(tests, halves, bootstrap, regions)
    report.add(f"{study.name}_certainty", "Which features do voxels use, and how sure is it?", table.T, note, digits=2)
    means = tests_of_means(X, Y, regions, names, n_jobs)
    note = (
        "For each region the feature, or surprisal, with the smallest p-value; q_value: over all regions and features."
    )
    report.add(f"{study.name}_certainty_of_means", "The same of mean responses", means, note)
