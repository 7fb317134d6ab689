"""Reproduce the tables and figures of Lepori, Kay and Tuckute (2026), every number beside the published one.

    python tools/reproduce_lepori2026.py [--output FOLDER] [--jobs N] [--thin N] [--configuration gemma]

writes ``report.txt`` (also printed), a CSV a table and a PNG a figure, and says how long each stage took. Features and
scores are kept in the folder, so that an interrupted run resumes; what they were computed from tells whether they serve
again. The language model is named in ``CONFIGURATIONS``: SmolLM2 and the SAE that ships with this library by default;
``gemma`` is the paper's own, where its weights can be downloaded.
"""

import argparse
from pathlib import Path

import joblib
import numpy as np
from lepori2026 import figures, populations, published, tables
from lepori2026.store import Store
from lepori2026.study import Study, for_language, load_features, load_voxels, models_of

from sklearn_sae_encoding.analysis import cluster_voxels, describe_population
from sklearn_sae_encoding.datasets import load_demo_sae, load_smollm2

CONFIGURATIONS = {
    "smollm2": {
        "title": "SmolLM2-135M, layer 15 of 30, the shipped Matryoshka SAE (2,048 features)",
        "model": load_smollm2,
        "layer": 15,
        "sae": (load_demo_sae, None),
        "jumprelu": None,
        "widths": (64, 256, 1024, 2048),
        "participants": ["p1", "p2", "p3", "p4"],
    },
    "gemma": {
        "title": "Gemma-2-2b, layer 12 of 26, gemma-2-2b-res-matryoshka-dc (32,768 features)",
        "model": "google/gemma-2-2b",
        "layer": 12,
        "sae": ("gemma-2-2b-res-matryoshka-dc", "blocks.12.hook_resid_post"),
        "jumprelu": ("gemma-scope-2b-pt-res-canonical", "layer_12/width_16k/canonical"),
        "widths": (128, 512, 2048, 8192, 32768),
        "participants": None,  # all eight
    },
}
SETS = ["hard_to_process", "easy_to_process", "abstract", "concrete", "ghost"]
LANGUAGE = "langfroi12345"
CHOSEN = {"sets": "their responses to these texts", "language": "a localizer"}


def report_sets(report, study, names, texts, widths):
    """Study 1 and 2: the five sets of voxels."""
    voxels, results = study.voxels, study.results
    models = ["Shuffled", "Surprisal", *tables.compared(results)]
    table, tests = tables.region_scores(results, voxels, models, published.SETS)
    note = tables.note_on_tests(results)
    report.add(
        "sets", "Score / noise ceiling by set, mean over participants; gain over surprisal; adjusted p", table, note
    )
    report.add("sets_tests", "The same: paired tests against surprisal", tests)
    report.add("sets_raw_gain", "Gain over surprisal in plain r", tables.raw_gains(results, voxels))
    supports = tables.supports(results["Matryoshka"], study.coef, voxels)
    supports["paper_size"] = published.SUPPORT_SIZE
    note = "mean_size, n_intersection and n_union count surprisal, as published; the rest leaves it out."
    report.add("sets_supports", "Features selected in the folds (Matryoshka)", supports, note, digits=2)
    bins = tables.bin_scores(results, voxels, widths, published.SET_BINS)
    report.add("sets_bins", "Matryoshka bins, all five sets; the paper's bin in the same place", bins)
    signed = tables.signed_features(study.coef, names, voxels, study.X, texts)
    note = "Published, in the SAE of Gemma (other features!): " + "; ".join(
        f"{name}: {counts}" for name, counts in published.SIGNED_FEATURES.items()
    )
    report.add("sets_features", "Signed features that most voxels of a set use (of 20 a participant)", signed, note)
    figures.region_bars(report.folder, "sets", results, voxels, models, published.SETS.index)
    figures.feature_heatmap(report.folder, "sets_features", study.coef, names, voxels["set"])


def report_set_clusters(report, study):
    """Do the sets come out of the transfer of features alone?"""
    scores = study.transfer(np.ones(len(study.voxels), dtype=bool), "transfer-all")
    clusters = cluster_voxels(scores.normalized_scores, min_size=10)
    table = tables.clusters_by(clusters.labels, study.voxels, "set")
    report.add("set_clusters", "Voxels of all five sets, clustered by the transfer of their features", table)
    figures.transfer_matrix(report.folder, "set_transfer", clusters, study.voxels["set"])


def report_ghosts(report, study, names, texts):
    """Study 2: which of the unexplained voxels share features?"""
    ghosts = (study.voxels["set"] == "ghost").to_numpy()
    scores = study.transfer(ghosts)
    clusters = cluster_voxels(scores.normalized_scores, min_size=5)
    voxels = study.voxels[ghosts].reset_index(drop=True)
    sizes = tables.clusters_by(clusters.labels, voxels, "participant")
    note = f"Mean silhouette {clusters.silhouette:.2f}. Published: {published.GHOST_CLUSTER}."
    report.add("ghost_clusters", "Ghost voxels, clustered by the transfer of their features", sizes, note)
    figures.transfer_matrix(report.folder, "ghost_transfer", clusters, voxels["participant"])
    figures.cluster_heatmap(report.folder, "ghost_features", study.coef[ghosts], names, clusters.labels)
    largest = np.zeros(len(study.voxels), dtype=bool)
    largest[ghosts] = clusters.labels == 0
    if largest.any():
        described = describe_population(study.coef[ghosts], largest[ghosts], names, X=study.X, texts=texts, n_texts=2)
        columns = ["sign", "n_voxels", "share", "share_elsewhere", "top_texts"]
        table = described.set_index("feature")[columns].head(10)
        report.add("ghost_features", "Features of the largest cluster of ghosts", table, digits=2)
    return largest


def report_populations(report, study, stimuli, others):
    """Which voxels do the components not explain, and do the readings of populations hold on held-out texts?"""
    table, mask = populations.unexplained(study, stimuli)
    note = "Reliable voxels (ncsnr > 0.4) with |r| < 0.1 with each of the two published components of the sentences."
    report.add(f"{study.name}_unexplained", "Voxels that two components don't explain", table, note)
    regions = study.voxels["region"]
    masks = {name: ((regions == name).to_numpy(), CHOSEN[study.name]) for name in dict.fromkeys(regions)}
    masks["unexplained voxels"] = mask, "small correlations with the components"
    note = (
        "rho: of the ten most used features' signed sum with held-out responses; matched_rho: of random features of "
        "the same firing rates, against which p_value_matched tests. Where voxels were chosen by how they respond to "
        "these texts, the test is circular."
    )
    table = populations.readings(study, masks | others)
    report.add(f"{study.name}_readings", "Do the features of a population pick its strongest texts?", table, note)


def report_language(report, study, names, widths):
    """Study 3: the language regions."""
    voxels, results = study.voxels, study.results
    models = ["Surprisal", *tables.compared(results)]
    table, tests = tables.region_scores(results, voxels, models, published.REGIONS)
    note = tables.note_on_tests(results)
    report.add("regions", "Score / noise ceiling by language region; gain; adjusted p", table, note)
    report.add("regions_tests", "The same: paired tests against surprisal", tests)
    size = tables.supports(results["Matryoshka"], study.coef, voxels)
    report.add("regions_supports", "Features selected in the folds", size, digits=2)

    by_region, means = tables.partition(results, study.Y, voxels, study.coef)
    by_region = by_region.loc[[region for region in published.REGIONS.index if region in by_region.index]]
    by_region["paper_ratio"] = published.SURPRISAL_OVER_MATRYOSHKA
    positive = (study.coef[:, [-1]].toarray() > 0).mean()
    paper = published.POSITIVE_SURPRISAL_WEIGHT
    note = f"Responses grow with surprisal in {positive:.1%} of all voxels pooled (published {paper:.1%})."
    report.add("regions_surprisal", "Surprisal against content, means over participants", by_region.T, note)
    report.add("regions_ratio", "Ratio by participant", (means["r_surprisal"] / means["r_both"]).unstack())
    test, note = tables.frontal_against_temporal(means)
    report.add("regions_ratio_test", "Is the ratio larger in frontal than in temporal regions?", test, note)
    figures.region_bars(report.folder, "regions", results, voxels, models, published.REGIONS.index)
    figures.surprisal_and_content(report.folder, "regions_surprisal", by_region)
    report_bins(report, study, widths)
    report_prevalence(report, study, names)
    report_transfer(report, study, names)


def report_bins(report, study, widths):
    results, voxels = study.results, study.voxels
    bins = tables.bin_scores(results, voxels, widths, published.LANGUAGE_BINS)
    report.add("regions_bins", "Matryoshka bins, language voxels; the paper's bin in the same place", bins)
    paper = published.FIRST_AGAINST_REST
    note = f"Published, first bin against the rest: t(7) = {paper['t']}, p = {paper['p_value']}; against all: p = .76."
    report.add("regions_bin_tests", "First bin against the rest", tables.bin_tests(results, voxels, widths), note)
    occupancy = tables.occupancy(study.coef, widths, study.X)
    report.add("regions_occupancy", "Where the selected features lie, against chance given firing rates", occupancy)
    figures.bin_bars(report.folder, "regions_bins", results, voxels, [n for n in bins.index if n != "Matryoshka"])
    figures.occupancy_bars(report.folder, "regions_occupancy", occupancy)


def report_prevalence(report, study, names):
    table = tables.prevalence(study.coef, names, study.voxels)
    note = (
        f"{len(table)} features are used at all (published {published.N_FEATURES_EVER_USED}), of {study.coef.shape[0]} "
        f"voxels. Published: {published.TOP_ENTROPY}."
    )
    report.add(
        "regions_prevalence", "Most prevalent features, entropy over participants and regions", table.head(10), note
    )
    figures.prevalence(report.folder, "regions_prevalence", table, study.voxels["participant"])


def report_transfer(report, study, names):
    keep = tables.best_half(study.results["Matryoshka"], study.voxels)
    scores = study.transfer(keep)
    table, pairs = tables.transfer(scores, study.Y, study.voxels, keep)
    note = (
        f"{keep.sum()} voxels. A voxel on itself, which is circular: {np.nanmean(scores.normalized_self_scores):.2f} "
        f"(published, {published.TRANSFER_PAIRS}: {published.SELF_TRANSFER}). Published direct correlation, "
        f"{published.TRANSFER_PAIRS}: {published.TRANSFER_DIRECT_CORRELATION}."
    )
    report.add("regions_transfer", "Transfer of features between language voxels, means over pairs", table, note)
    by_target, test = tables.same_against_other_region(pairs)
    note = (
        "Means over pairs of regions, each of which is a source once and a target once; other participants' features."
    )
    report.add("regions_transfer_balanced", "Same against other region, by target participant", by_target, note)
    report.add("regions_transfer_test", "Across participants: same region better than another?", test)
    clusters = cluster_voxels(scores.normalized_scores, min_size=20)
    voxels = study.voxels[keep]
    table = tables.clusters_by(clusters.labels, voxels, "region")
    note = f"Mean silhouette {clusters.silhouette:.2f}. Published: {published.REGION_CLUSTERS}."
    report.add("regions_clusters", "Language voxels, clustered by the transfer of their features", table, note)
    figures.transfer_matrix(report.folder, "regions_transfer", clusters, voxels["region"])
    figures.cluster_heatmap(report.folder, "regions_clusters", study.coef[keep], names, clusters.labels)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--configuration", choices=CONFIGURATIONS, default="smollm2")
    parser.add_argument("--output", type=Path, default=Path("reproduction_output"))
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument(
        "--thin", type=int, default=1, metavar="N", help="take every N-th voxel of the language regions"
    )
    parser.add_argument("--sets-only", action="store_true", help="leave out the language regions")
    options = parser.parse_args()
    store = Store(options.output / "scores")
    with joblib.parallel_config(n_jobs=options.jobs), store.stage("everything"):
        run(CONFIGURATIONS[options.configuration], options, store, tables.Report(options.output))


def run(configuration, options, store, report):
    widths, participants = configuration["widths"], configuration["participants"]
    data, Y, voxels = load_voxels(participants, SETS)
    loaded = load_features(configuration, data.texts, options.output, store)
    features, names = {name: X for name, (X, _) in loaded.items()}, loaded["sae"][1]
    models = models_of(widths, features)
    participants = ", ".join(voxels["participant"].unique())
    report.say(f"{configuration['title']}; participants {participants}, {len(data.texts)} sentences.")
    report.say("Published: Gemma-2-2b, layer 12, 32,768 features, eight participants.")
    study = Study("sets", features, Y, voxels, models, store)
    with store.stage("sets: tables and figures"):
        report_sets(report, study, names, data.texts, widths)
        report_set_clusters(report, study)
        largest = report_ghosts(report, study, names, data.texts)
        others = {"largest cluster of ghosts": (largest, "transfer between them, on these texts")}
        report_populations(report, study, data.stimuli, others)
    if not options.sets_only:
        _, Y, voxels = load_voxels(configuration["participants"], LANGUAGE, options.thin)
        if options.thin > 1:
            report.say(f"\nOf the language regions, every {options.thin}-th voxel: {len(voxels)}.")
        study = Study("language", features, Y, voxels, for_language(models, widths), store)
        with store.stage("language regions: tables and figures"):
            report_language(report, study, names, widths)
            report_populations(report, study, data.stimuli, {})
    missing = "" if "jumprelu" in features else "JumpReLU features and "
    report.say(f"\nNot reproduced: the 3T replication (no data), {missing}layer 14 (no SAE configured).")


if __name__ == "__main__":
    main()
