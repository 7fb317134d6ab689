"""Reproduce the tables and figures of Lepori, Kay and Tuckute (2026), every number beside the published one.

    python tools/reproduce_lepori2026.py [--output FOLDER] [--jobs N] [--thin N] [--configuration gemma]
        [--whole-paths]

writes ``report.txt`` (also printed), a CSV a table and a PNG a figure, and says how long each stage took. Features and
scores are kept in the folder, so that an interrupted run resumes; what they were computed from tells whether they serve
again. The language model is named in ``CONFIGURATIONS``: SmolLM2 and the SAE that ships with this library by default;
``gemma`` is the paper's own, where its weights can be downloaded.
"""

import argparse
import os
from pathlib import Path

import joblib
import numpy as np
from lepori2026 import certainty, figures, left_out, populations, published, tables
from lepori2026.store import Store
from lepori2026.study import (
    Study,
    at_3t,
    for_language,
    load_3t,
    load_features,
    load_tokens,
    load_voxels,
    make_encoder,
    models_of,
)

from sklearn_sae_encoding.analysis import bin_firing, cluster_voxels
from sklearn_sae_encoding.datasets import load_demo_sae, load_smollm2

CONFIGURATIONS = {
    "smollm2": {
        "title": "SmolLM2-135M, layer 15 of 30, the shipped Matryoshka SAE (2,048 features)",
        "model": load_smollm2,
        "layer": 15,
        "sae": (load_demo_sae, None),
        "jumprelu": None,
        "widths": (64, 256, 1024, 2048),
        "chosen_on": ["p1", "p2", "p3", "p4"],  # model, layer and SAE, by their scores
        # of the others, before the right token stood before sentences and the SAE was trained again (commit ca2b902)
        "before": {"hard_to_process": 0.48, "easy_to_process": 0.27, "abstract": 0.63, "concrete": 0.57, "ghost": 0.07},
    },
    "gemma": {
        "title": "Gemma-2-2b, layer 12 of 26, gemma-2-2b-res-matryoshka-dc (32,768 features)",
        "model": "google/gemma-2-2b",
        "layer": 12,
        "sae": ("gemma-2-2b-res-matryoshka-dc", "blocks.12.hook_resid_post"),
        "jumprelu": ("gemma-scope-2b-pt-res-canonical", "layer_12/width_16k/canonical"),
        "widths": (128, 512, 2048, 8192, 32768),
        "chosen_on": [],
        "before": {},
    },
}
CONFIGURATIONS["gemma-layer14"] = CONFIGURATIONS["gemma"] | {
    "title": "Gemma-2-2b, layer 14 of 26, gemma-2-2b-res-matryoshka-dc (32,768 features)",
    "layer": 14,
    "sae": ("gemma-2-2b-res-matryoshka-dc", "blocks.14.hook_resid_post"),
    "jumprelu": ("gemma-scope-2b-pt-res-canonical", "layer_14/width_16k/canonical"),
}
SETS = ["hard_to_process", "easy_to_process", "abstract", "concrete", "ghost"]
LANGUAGE = "langfroi12345"
ABOUT_FEATURES = (
    "effect: of a text that has the feature, in standard deviations of the responses, mean over voxels that use it. "
    "tokens: those on which it is most active; what stands before in their word is in parentheses."
)
ABOUT_TESTS = "adjusted_p_value: Bonferroni over models of a region, as published; holm_over_all: over the whole table."
MARGIN = 0.02  # within which scores over the noise ceiling count as equal
SLACK = 0.03  # how far scores may be below those of before
CHOSEN = {"sets": "their responses to these texts", "language": "a localizer"}


def report_groups(report, study, models, chosen_on, paper):
    """Tell participants on whom choices were made from those on whom none was; and is sparse as good as dense?"""
    by_group = tables.by_group(study.results, study.voxels, models, chosen_on, paper)
    chosen = ", ".join(chosen_on) or "none"
    note = f"Model, layer and SAE were chosen on: {chosen}. paper: all eight participants, Gemma-2-2b."
    report.add(f"{study.name}_groups", "The same by group of participants, mean and SEM over them", by_group, note)
    table = tables.as_good_as_dense(study.results, study.voxels, MARGIN)
    note = f"Matryoshka minus dense. p_equivalent: within {MARGIN}; p_not_worse: not below by more than {MARGIN}."
    report.add(f"{study.name}_equivalence", "Are sparse features as good as dense ones?", table, note)


def report_before(report, study, chosen_on, before):
    """Are scores of participants on whom nothing was chosen below those of an earlier version?"""
    if not before:
        return
    table = tables.against_before(study.results, study.voxels, chosen_on, before, SLACK)
    note = (
        f"limit: the score before, minus {SLACK}. t_low, t_high: interval of 95% over participants of the score now; "
        "their scores before were not kept, so that the difference has none."
    )
    report.add(f"{study.name}_before", "Participants on whom nothing was chosen: now and before", table, note)


def report_3t(report, configuration, options, store, encoder):
    """The replication: averages of five participants, 1,000 sentences, five regions."""
    loaded = load_3t()
    if loaded is None:
        return report.say("\nNot reproduced: the 3T replication (its data can't be had).")
    data, Y, voxels = loaded
    features = {name: X for name, (X, _) in load_features(configuration, data.texts, options.output, store).items()}
    models = at_3t(models_of(configuration["widths"], features, encoder))
    study = Study("3t", features, Y, voxels, models, encoder, store, options.jobs)
    table = tables.regions_at_3t(study.results, voxels, published.AT_3T)
    note = f"{len(data.texts)} sentences, five participants whose responses were averaged: there is no error over them."
    return report.add("3t", "Replication at 3T: score / noise ceiling by language region", table, note)


def report_sets(report, study, names, texts, tokens, configuration):
    """Study 1 and 2: the five sets of voxels."""
    widths, chosen_on = configuration["widths"], configuration["chosen_on"]
    voxels, results = study.voxels, study.results
    models = ["Shuffled", "Surprisal", *tables.compared(results)]
    table, tests = tables.region_scores(results, voxels, models, published.SETS)
    note = tables.note_on_tests(results)
    report.add(
        "sets", "Score / noise ceiling by set, mean over participants; gain over surprisal; adjusted p", table, note
    )
    report.add("sets_tests", "The same: paired tests against surprisal", tests, ABOUT_TESTS)
    report_groups(report, study, models, chosen_on, published.SETS)
    report_before(report, study, chosen_on, configuration["before"])
    note = "gain: over the ceiling, beside those of two layers of Gemma; in r: plain, beside that of layer 12."
    report.add("sets_gain", "Gain over surprisal", tables.gains(results, voxels), note)
    supports = tables.supports(results["Matryoshka"], study.coef, study.alpha, voxels)
    supports["paper_size"] = published.SUPPORT_SIZE
    note = (
        "mean_size, n_intersection and n_union count surprisal, as published; the rest leaves it out. ridge: median "
        "penalty of the fits to all texts."
    )
    report.add("sets_supports", "Features selected in the folds (Matryoshka)", supports, note, digits=2)
    bins = tables.bin_scores(results, voxels, widths, published.SET_BINS)
    report.add("sets_bins", "Matryoshka bins, all five sets; the paper's bin in the same place", bins)
    report.add("sets_bin_tests", "First bin against the rest, all five sets", tables.bin_tests(results, voxels, widths))
    firing = bin_firing(study.X, names).set_index("bin")
    note = f"Published: {published.FIRING} of the others."
    report.add("bin_firing", "Features that fire on at least so many sentences", firing, note)
    signed = tables.signed_features(study, names, voxels["set"], texts, tokens)
    note = f"{ABOUT_FEATURES} Published, in the SAE of Gemma (other features!): " + "; ".join(
        f"{name}: {counts}" for name, counts in published.SIGNED_FEATURES.items()
    )
    report.add("sets_features", "Signed features that most voxels of a set use", signed, note, digits=2)
    figures.region_bars(report.folder, "sets", results, voxels, models, published.SETS.index)
    figures.feature_heatmap(report.folder, "sets_features", study.coef, names, voxels["set"])


def report_set_clusters(report, study):
    """Do the sets come out of the transfer of features alone?"""
    everything = np.ones(len(study.voxels), dtype=bool)
    scores = study.transfer(everything, "transfer-all")
    table = tables.set_transfer(scores, study.transfer(everything, "transfer-all", "training"), study.voxels)
    note = "Features and signs selected on all texts (published), or on each fold's training texts alone (training)."
    report.add("sets_transfer", "Transfer of features between voxels of the sets, means over pairs", table, note)
    clusters = cluster_voxels(scores.normalized_scores, min_size=10)
    table = tables.clusters_by(clusters.labels, study.voxels, "set")
    report.add("set_clusters", "Voxels of all five sets, clustered by the transfer of their features", table)
    figures.transfer_matrix(report.folder, "set_transfer", scores, clusters, study.voxels["set"])


def report_ghosts(report, study, names, texts, tokens):
    """Study 2: which of the unexplained voxels share features?"""
    ghosts = (study.voxels["set"] == "ghost").to_numpy()
    scores = study.transfer(ghosts)
    clusters = cluster_voxels(scores.normalized_scores, min_size=5)
    voxels = study.voxels[ghosts].reset_index(drop=True)
    sizes = tables.clusters_by(clusters.labels, voxels, "participant")
    note = f"Mean silhouette {clusters.silhouette:.2f}. Published: {published.GHOST_CLUSTER}."
    report.add("ghost_clusters", "Ghost voxels, clustered by the transfer of their features", sizes, note)
    areas = tables.places(clusters.labels, voxels)
    report.add("ghost_places", "Where they lie", areas, f"Published: {published.GHOST_PLACES}.", digits=2)
    figures.transfer_matrix(report.folder, "ghost_transfer", scores, clusters, voxels["participant"])
    figures.cluster_heatmap(report.folder, "ghost_features", study.coef[ghosts], names, clusters.labels)
    membership = np.full(len(study.voxels), "other voxels", dtype=object)
    membership[ghosts] = np.where(clusters.labels == 0, "cluster 0", "other ghosts")
    largest = membership == "cluster 0"
    if largest.any():
        table = tables.signed_features(study, names, membership, texts, tokens, n_features=10)
        table = table.drop(index="other voxels", level="group", errors="ignore")
        report.add("ghost_features", "Features of the ghosts", table, ABOUT_FEATURES, digits=2)
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


def report_language(report, study, names, data, tokens, widths, chosen_on):
    """Study 3: the language regions."""
    voxels, results = study.voxels, study.results
    models = ["Surprisal", *tables.compared(results)]
    table, tests = tables.region_scores(results, voxels, models, published.REGIONS)
    note = tables.note_on_tests(results)
    report.add("regions", "Score / noise ceiling by language region; gain; adjusted p", table, note)
    report.add("regions_tests", "The same: paired tests against surprisal", tests, ABOUT_TESTS)
    report_groups(report, study, models, chosen_on, published.REGIONS)
    pooled = tables.pooled_scores(results, voxels, models, published.POOLED)
    report.add("regions_pooled", "All language voxels of a participant alike", pooled)
    size = tables.supports(results["Matryoshka"], study.coef, study.alpha, voxels)
    report.add("regions_supports", "Features selected in the folds", size, digits=2)
    everywhere = np.full(len(voxels), "all regions", dtype=object)
    signed = tables.signed_features(study, names, everywhere, data.texts, tokens, n_features=12)
    note = f"{ABOUT_FEATURES} Published, in the SAE of Gemma: {published.LANGUAGE_FEATURES}."
    report.add("regions_features", "Signed features that most language voxels use", signed, note, digits=2)

    by_region, parts = tables.partition(results, study.Y, voxels, study.coef)
    by_region = by_region.loc[[region for region in published.REGIONS.index if region in by_region.index]]
    by_region["paper_ratio"] = published.SURPRISAL_OVER_MATRYOSHKA
    positive = (study.coef[:, [-1]].toarray() > 0).mean()
    paper = published.POSITIVE_SURPRISAL_WEIGHT
    note = f"Responses grow with surprisal in {positive:.1%} of all voxels pooled (published {paper:.1%})."
    report.add("regions_surprisal", "Surprisal against content, means over participants", by_region.T, note)
    means = parts[["r_surprisal", "r_both"]].groupby([voxels["participant"], voxels["region"]]).mean()
    report.add("regions_ratio", "Ratio by participant", (means["r_surprisal"] / means["r_both"]).unstack())
    test, note = tables.frontal_against_temporal(means)
    report.add("regions_ratio_test", "Is the ratio larger in frontal than in temporal regions?", test, note)
    figures.region_bars(report.folder, "regions", results, voxels, models, published.REGIONS.index)
    figures.surprisal_and_content(report.folder, "regions_surprisal", parts, voxels, published.REGIONS.index)
    report_bins(report, study, names, widths)
    report_prevalence(report, study, names)
    report_transfer(report, study, names, data.stimuli)


def report_bins(report, study, names, widths):
    results, voxels = study.results, study.voxels
    bins = tables.bin_scores(results, voxels, widths, published.LANGUAGE_BINS)
    report.add("regions_bins", "Matryoshka bins, language voxels; the paper's bin in the same place", bins)
    paper = published.FIRST_AGAINST_REST
    note = f"Published, first bin against the rest: t(7) = {paper['t']}, p = {paper['p_value']}; against all: p = .76."
    report.add("regions_bin_tests", "First bin against the rest", tables.bin_tests(results, voxels, widths), note)
    occupancy = tables.occupancy(study.coef, names, study.X)
    report.add("regions_occupancy", "Where the selected features lie, against chance given firing rates", occupancy)
    figures.bin_bars(report.folder, "regions_bins", results, voxels, [n for n in bins.index if n != "Matryoshka"])
    figures.occupancy_bars(report.folder, "regions_occupancy", occupancy)
    figures.selected_indices(report.folder, "regions_indices", study.coef, widths)


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


def report_transfer(report, study, names, stimuli):
    keep = tables.best_half(study.results["Matryoshka"], study.voxels)
    scores = study.transfer(keep)
    fair = study.transfer(keep, selection="training")
    table, pairs = tables.transfer(scores, fair, study.Y, study.voxels, keep)
    alone = tables.components(stimuli[populations.COMPONENTS], study.Y[:, keep], study.voxels[keep])
    note = (
        f"{keep.sum()} voxels. A voxel on itself, which is circular: {np.nanmean(scores.normalized_self_scores):.2f} "
        f"(published, {published.TRANSFER_PAIRS}: {published.SELF_TRANSFER}). Published direct correlation, "
        f"{published.TRANSFER_PAIRS}: {published.TRANSFER_DIRECT_CORRELATION}. The published components of the "
        f"sentences correlate with the voxels by {', '.join(f'{r:.2f} ({name})' for name, r in alone.items())}, "
        "magnitudes over the ceiling. transfer_fair: features and signs selected on each fold's training texts alone."
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
    figures.transfer_matrix(report.folder, "regions_transfer", scores, clusters, voxels["region"])
    figures.cluster_heatmap(report.folder, "regions_clusters", study.coef[keep], names, clusters.labels)


def report_early_stopping(report, study):
    """Say what stopping the paths early changed, in a sample of the voxels."""
    other, n = study.compare_whole_paths()
    report.say(
        "\nPaths were ended where the held-out error had clearly turned up: of "
        f"{n} fits (a voxel in a fold) repeated with whole paths, {other} gave other weights."
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--configuration", choices=CONFIGURATIONS, default="smollm2")
    parser.add_argument("--output", type=Path, default=Path("reproduction_output"))
    parser.add_argument("--jobs", type=int, default=joblib.cpu_count(), help="threads, as many as cores by default")
    parser.add_argument(
        "--thin", type=int, default=1, metavar="N", help="take every N-th voxel of the language regions"
    )
    parser.add_argument("--sets-only", action="store_true", help="leave out the language regions")
    parser.add_argument("--whole-paths", action="store_true", help="never stop a voxel's path early: slower")
    options = parser.parse_args()
    # Threads share one copy of everything, and voxels keep them busy to the end of a fit; the encoder asks for the
    # number here. Folds in processes of their own, five of them on two cores, would leave one core idle at the end.
    os.environ["OMP_NUM_THREADS"] = str(options.jobs)
    store = Store(options.output / "scores")
    with store.stage("everything"):
        run(CONFIGURATIONS[options.configuration], options, store, tables.Report(options.output))


def run(configuration, options, store, report):
    widths, chosen_on = configuration["widths"], configuration["chosen_on"]
    data, Y, voxels = load_voxels(SETS)
    loaded = load_features(configuration, data.texts, options.output, store)
    tokens = load_tokens(configuration, data.texts, options.output, store)
    features, names = {name: X for name, (X, _) in loaded.items()}, loaded["sae"][1]
    encoder = make_encoder(options.whole_paths)
    models = models_of(widths, features, encoder)
    participants = ", ".join(voxels["participant"].unique())
    report.say(f"{configuration['title']}; participants {participants}, {len(data.texts)} sentences.")
    report.say("Published: Gemma-2-2b, layer 12, 32,768 features, eight participants.")
    study = Study("sets", features, Y, voxels, models, encoder, store, options.jobs)
    with store.stage("sets: tables and figures"):
        report_sets(report, study, names, data.texts, tokens, configuration)
        report_set_clusters(report, study)
        largest = report_ghosts(report, study, names, data.texts, tokens)
        others = {"largest cluster of ghosts": (largest, "transfer between them, on these texts")}
        report_populations(report, study, data.stimuli, others)
        ghosts = (voxels["set"] == "ghost").to_numpy()
        left_out.add_to(report, study, names, data.texts, chosen_on, ghosts)
    with store.stage("sets: which features, and how sure"):
        certainty.add_to(report, study, names, chosen_on)
    if not options.whole_paths:
        report_early_stopping(report, study)
    with store.stage("3T: all"):
        report_3t(report, configuration, options, store, encoder)
    if not options.sets_only:
        _, Y, voxels = load_voxels(LANGUAGE, options.thin)
        if options.thin > 1:
            report.say(f"\nOf the language regions, every {options.thin}-th voxel: {len(voxels)}.")
        study = Study("language", features, Y, voxels, for_language(models, widths), encoder, store, options.jobs)
        with store.stage("language regions: tables and figures"):
            report_language(report, study, names, data, tokens, widths, chosen_on)
            report_populations(report, study, data.stimuli, {})
            left_out.add_to(report, study, names, data.texts, chosen_on)
        if not options.whole_paths:
            report_early_stopping(report, study)
    if "jumprelu" not in features:
        report.say("\nNot reproduced: JumpReLU features and another layer (no such SAE of this model).")


if __name__ == "__main__":
    main()
