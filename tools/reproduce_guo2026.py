"""Go through the steps of Guo, Wu and Yiu (arXiv 2605.23035) on what can be had, each number beside the paper's.

    python tools/reproduce_guo2026.py [--output FOLDER] [--jobs N] [--draws N]

Labels: features of the shipped SAE for SmolLM2, classified on Provo's texts and the shipped sentences, which none of
the scored data hold; parts of speech need TextBlob (``pip install textblob``). Responses: Alice (27 listeners, six
regions; ships), and the published betas of arXiv 2606.06857 where SKLEARN_SAE_ENCODING_DATA names them. Topography: a
simulated cortex on fsaverage5 with a planted truth, since no published map of this kind can be had. Writes
``report.txt`` (also printed), six tables and four figures into the folder; results are kept there, so that an
interrupted run goes on.
"""

import argparse
import time
from importlib.metadata import version
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import textblob.en
from guo2026.errors import ERRORS, K, sentence_errors, story_errors, table_of_errors
from guo2026.figures import draw_figures
from lepori2026.store import Store
from scipy import sparse
from sklearn.model_selection import KFold, LeaveOneOut

from sklearn_sae_encoding.activations import LMActivationTransformer
from sklearn_sae_encoding.analysis import (
    FeatureTaxonomy,
    category_topography,
    classify_features,
    compare_with_matched,
    draw_matched_features,
    encode_by_category,
    feature_enrichment,
    parcel_centres,
    spin_places,
    spin_test,
    summarize_categories,
    topography_convergence,
)
from sklearn_sae_encoding.banded import BandedRidgeEncoder
from sklearn_sae_encoding.datasets import (
    fetch_lepori2026,
    load_alice,
    load_demo_sae,
    load_provo,
    load_sentences,
    load_smollm2,
)
from sklearn_sae_encoding.encoder import SparseVoxelEncoder
from sklearn_sae_encoding.language_model import LanguageModel
from sklearn_sae_encoding.pipeline import make_story_features
from sklearn_sae_encoding.sae import SAEProjector
from sklearn_sae_encoding.timing import RunwiseDelayer, RunwiseRegressor

mpl.use("Agg")
LAYER = 15
DELAYS = (2, 3, 4)  # scans of 2 s; chosen before any score was seen
STORY_ENCODER = RunwiseRegressor(None, BandedRidgeEncoder(candidates=10))
PAPER = {
    "kappa of labels and people": (">= .74", "no people labelled here: make_annotation_sheet asks them"),
    "peak r": (".303", "other model, voxels, ceiling and 6 h a listener instead of 12 minutes"),
    "semantic alone, fraction of peak in r": (".94", "labels by statistics instead of GPT-4 and people"),
    "semantic against variance-matched, p": (
        "< .001",
        "the rank among draws here, so that it can't be below 1 / (draws + 1)",
    ),
    "semantic against variance-matched, d": ("1.31", "over listeners and regions here, over 8 participants there"),
    "shared by categories, of what all explain": (
        ".22",
        "with 12 minutes of data, most categories predict much the same",
    ),
    "positional alone adds, of what all explain": (".02", "stories there, 12 minutes of one here"),
    "other alone adds, of what all explain": (".04", "what no statistic explains here, what GPT-4 calls so there"),
    "reconstruction error, r": (".031", "an SAE of 2,048 features leaves out more than one of 16,000 or 32,000"),
    "prediction error, r": ("not known", "features less those of the ten likeliest next tokens"),
    "convergence of topography, Spearman": (".72", "planted truth here: shows that the test finds it"),
    "convergence of topography, hypergeometric p": (".007", "planted truth here, other numbers of regions and cells"),
}


SHOWN = ["r", "low", "high", "r_without", "fraction_r", "fraction_r2", "unique", "shapley"]  # the files have all
SHARES = {
    "shared by categories, of what all explain": "shared",
    "positional alone adds, of what all explain": "unique_positional",
    "other alone adds, of what all explain": "unique_other",
}


CHOICES = f"""\
Choices, those that the paper does not tell among them
  features: SmolLM2-135M, output of block {LAYER} of 30, the shipped Matryoshka SAE (2,048 features), token by token
  labels: classify_features on Provo and the shipped sentences, 5 folds of texts and of words, penalty 1, features that
    are active on 20 words or more, "other" below .01 of variance; parts of speech by TextBlob {version("textblob")}
  categories with fewer than 5 features are left out, and unlabelled features too
  Alice: words to scans by make_story_features, delays of {DELAYS} scans of 2 s, six blocks with 10 scans between them,
    each held out once; banded ridge, 10 candidates, penalties chosen within the other blocks
  published betas: mean over tokens, lasso with 15 penalties, 5 folds of sentences (seed 19), divided by noise ceilings
  matched draws: as many other features, total variance within 10 %, seed 0; p is the rank of the category
  errors: {K} likeliest next tokens; the linear prediction is learnt on training words alone
  topography: simulated, 8 participants, 5 subcategories in 2 of 10 regions each; selectivity is the share of voxels;
    10,000 permutations of regions within subcategories; 999 spins of 180 parcels, each given exactly one other"""


class Report:
    """Lines that are printed and kept, and tables that go to files of their own."""

    def __init__(self, folder):
        self.folder, self.lines = folder, []

    def __call__(self, text=""):
        print(text, flush=True)
        self.lines.append(str(text))
        (self.folder / "report.txt").write_text("\n".join(self.lines) + "\n", encoding="utf-8")

    def table(self, name, title, table, shown=None):
        """Write a table, and print it or the columns that are shown."""
        table.to_csv(self.folder / f"{name}.csv")
        self(f"\n{title}\n{(table if shown is None else table[shown]).round(3).to_string()}")


def tagger(words):
    """Tag the words of a text by TextBlob, without the punctuation that sticks to them."""
    return textblob.en.tag(" ".join(word.strip(".,;:!?\"'()“”‘’–—-") or "-" for word in words), tokenize=False)


def label(model):
    """Classify the features on texts that no response belongs to."""
    texts = [*load_provo().texts, *load_sentences()]
    activations = LMActivationTransformer(model, LAYER).fit_transform(texts)
    table = SAEProjector(load_demo_sae(), level="word").fit_transform(activations)
    rows = [(text, word, at) for text, words in enumerate(table.tokens) for at, word in enumerate(words)]
    words = pd.DataFrame(rows, columns=["text", "word", "position"])
    words["word"] = words["word"].astype(str).str.strip()
    words["pos"] = [tag for text in table.tokens for _, tag in tagger([str(word).strip() for word in text])]
    features = table.concatenated()
    return classify_features(features, words), feature_enrichment(features, words).table


def alice_data(model):
    """Features of Alice and responses of each listener and region, in blocks.

    Features are delayed in the whole story and then cut into six blocks; five scans at both ends of each block are left
    out, so that ten lie between any two.
    """
    story = load_alice()
    runs, _ = story.cut(6, gap=10)
    features = make_story_features(model, layer=LAYER, sae=load_demo_sae(), surprisal=False)
    (whole,) = features.fit_transform([story.run])
    content = sparse.csr_array(whole)[:, features.bands_["sae"]]
    width = content.shape[1]
    (delayed,) = RunwiseDelayer(DELAYS).fit_transform([content])
    rows = [run.rows[5:-5] for run in runs]
    X, cut = [sparse.csr_array(delayed)[one] for one in rows], [content[one] for one in rows]
    by_listener = [story.cut(6, gap=10, listener=who)[1] for who in story.listeners]
    Y = [np.hstack(part)[5:-5] for part in zip(*by_listener, strict=True)]
    return X, cut, Y, np.repeat(story.listeners, len(story.regions)), width


def on_alice(data, groups):
    """Encode listeners and regions by category."""
    X, _, Y, _, width = data
    return encode_by_category(STORY_ENCODER, X, Y, groups=late(groups, width), cv=LeaveOneOut(), random_state=0)


def matched_on_alice(data, groups, n_draws):
    """Compare the semantic features with draws of others, matched in the whole of the features' variance."""
    X, cut, Y, who, width = data
    draws = draw_matched_features(cut, groups["semantic"], n_draws=n_draws, random_state=0, tolerance=0.1)
    (columns,) = late({"semantic": groups["semantic"]}, width).values()
    later = [late({0: draw}, width)[0] for draw in draws.columns]
    options = {"columns": columns, "draws": later, "participants": who, "cv": LeaveOneOut()}
    return compare_with_matched(STORY_ENCODER, X, Y, **options), draws.matches


def late(groups, width):
    """Columns of groups of features at every delay."""
    return {
        name: np.concatenate([np.asarray(columns) + k * width for k in range(len(DELAYS))])
        for name, columns in groups.items()
    }


def published_data():
    """Four sets of published voxels, or why they are absent."""
    try:
        return fetch_lepori2026(
            sets=["abstract", "concrete", "hard_to_process", "easy_to_process"], download_if_missing=False
        )
    except OSError as error:
        return str(error)


def on_published(model, data, groups, jobs):
    """Encode the published voxel sets by category."""
    activations = LMActivationTransformer(model, LAYER).fit_transform(data.texts)
    X = SAEProjector(load_demo_sae()).fit_transform(activations)
    return encode_by_category(
        SparseVoxelEncoder(alphas=15, early_stopping=True, n_jobs=jobs), X, data.betas, groups=groups,
        cv=KFold(5, shuffle=True, random_state=19), noise_ceiling=data.voxels["noise_ceiling"].to_numpy(),
    )  # fmt: skip


def matched_on_published(model, data, groups, n_draws, jobs):
    """Compare the semantic features with matched draws in each published set of voxels: a row a set."""
    X = SAEProjector(load_demo_sae()).fit_transform(LMActivationTransformer(model, LAYER).fit_transform(data.texts))
    columns, sets = groups["semantic"], data.voxels["set"].to_numpy()
    draws = draw_matched_features(X, columns, n_draws=n_draws, random_state=0, tolerance=0.1)
    whose, rows = data.voxels["participant"].to_numpy(), {}
    for name in dict.fromkeys(sets):
        found = compare_with_matched(
            SparseVoxelEncoder(alphas=15, early_stopping=True, n_jobs=jobs), X, data.betas[:, sets == name],
            columns=columns, draws=draws, participants=whose[sets == name], cv=KFold(5, shuffle=True, random_state=19),
        )  # fmt: skip
        low, high = found.g_interval
        mean = found.by_participant[["score", "matched"]].mean()
        rows[name] = {**mean, "p": found.p_value, "d": found.d, "g": found.hedges_g, "g low": low, "g high": high}
    return pd.DataFrame(rows).T


def simulated_topography(seed=0, n_participants=8):
    """Plant five subcategories in ten regions of fsaverage5, each participant with noise of its own."""
    from nilearn.datasets import load_fsaverage

    rng, n_regions, names = np.random.default_rng(seed), 10, ["emotion", "person", "action", "place", "object"]
    points = load_fsaverage("fsaverage5")["sphere"].parts["left"].coordinates.astype(float)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    seeds = points[rng.choice(len(points), n_regions, replace=False)]
    regions = np.array([f"r{i}" for i in (points @ seeds.T).argmax(axis=1)], dtype=object)
    planted = pd.DataFrame(0.0, names, [f"r{i}" for i in range(n_regions)])
    for name in names:
        planted.loc[name, rng.choice(planted.columns, 2, replace=False)] = 1.0
    chance = 0.02 + 0.06 * planted.loc[:, list(regions)].to_numpy().T  # (n_voxels, n_subcategories)
    weights = {
        f"s{i}": sparse.csr_array(rng.random((len(points), 5 * 6)) < np.repeat(chance, 6, axis=1)).astype(float)
        for i in range(n_participants)
    }
    groups = {name: np.arange(6 * i, 6 * i + 6) for i, name in enumerate(names)}
    topography = category_topography(weights, dict.fromkeys(weights, regions), groups)
    predicted = planted[topography.mean.columns]
    found = topography_convergence(topography.mean, predicted, random_state=0)
    elsewhere = predicted.sample(frac=1, axis=1, random_state=1).set_axis(predicted.columns, axis=1)
    nothing = topography_convergence(topography.mean, elsewhere, random_state=0)
    centres, parcels = parcel_centres((points @ fibonacci(180).T).argmax(axis=1) + 1, {"left": points})
    places = spin_places(centres, n_spins=999, assignment="unique", random_state=0)
    label_of = (points @ fibonacci(180).T).argmax(axis=1) + 1
    shares = {
        name: [np.mean([w[label_of == parcel][:, columns].mean() for w in weights.values()]) for parcel in parcels]
        for name, columns in groups.items()
    }
    truth = {name: [planted.loc[name, list(regions[label_of == p])].mean() for p in parcels] for name in names}
    spins = {name: spin_test(shares[name], truth[name], places, alternative="greater")._asdict() for name in names}
    spins = pd.DataFrame({name: {"r": s["statistic"], "p (spins)": s["p_value"]} for name, s in spins.items()}).T
    return topography.mean, predicted, found, nothing, spins


def fibonacci(n):
    """Points spread evenly over the unit sphere."""
    k = np.arange(n) + 0.5
    polar, azimuth = np.arccos(1 - 2 * k / n), np.pi * (1 + 5**0.5) * k
    return np.column_stack([np.cos(azimuth) * np.sin(polar), np.sin(azimuth) * np.sin(polar), np.cos(polar)])


def main():
    """Run all steps."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("guo2026"))
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--draws", type=int, default=100)
    options = parser.parse_args()
    store, report, start = Store(options.output), Report(options.output), time.perf_counter()
    model = LanguageModel(load_smollm2())
    report(CHOICES)
    kinds, enriched = store("kinds", lambda: label(model), layer=LAYER)
    taxonomy = FeatureTaxonomy(kinds[kinds["category"] != ""])
    groups = taxonomy.groups(np.arange(len(kinds)))
    unlabelled = groups.pop("unlabelled", np.zeros(0, dtype=int))
    groups = {name: columns for name, columns in groups.items() if len(columns) >= 5}
    counts = pd.Series({**{name: len(columns) for name, columns in groups.items()}, "unlabelled": len(unlabelled)})
    report.table(
        "table1_categories",
        "1. Features by category (held-out prediction on Provo and 200 sentences)",
        counts.to_frame("n"),
    )
    tested, hits = enriched["index"].nunique(), enriched.loc[enriched["q_value"] < 0.05, "index"].nunique()
    report(f"Enriched for a WordNet supersense at q < .05: {hits} of {tested} testable features")
    data = store("alice_data", lambda: alice_data(model), layer=LAYER, delays=DELAYS)
    by_category, who = store("alice", lambda: on_alice(data, groups), groups=groups), data[3]
    alice = summarize_categories(by_category, participants=who).set_index("category")
    title = "2. Alice, 27 listeners, six regions: score alone (95 % over listeners), unique and Shapley parts"
    report.table("table2_alice", title, alice, SHOWN)
    baseline, matches = store(
        "matched", lambda: matched_on_alice(data, groups, options.draws), groups=groups, draws=options.draws
    )
    report.table(
        "table3_matched", "3. Semantic features against as many of equal variance, by listener", baseline.by_participant
    )
    report(f"Draws matched: {matches.round(3).to_dict('index')}")
    report(f"p {baseline.p_value:.3f}, the rank among {options.draws} draws")
    report(f"d {baseline.d:.2f}, Hedges' g {baseline.hedges_g:.2f} over listeners")
    errors, covered = store("errors_alice", lambda: story_errors(model, LAYER, load_alice(), DELAYS), layer=LAYER, k=K)
    errors = table_of_errors(errors, who, ["Alice"] * len(who))
    published = published_data()
    if isinstance(published, str):
        report(f"\n4. The published betas are absent: {published}")
    else:
        whose, sets = published.voxels["participant"].to_numpy(), published.voxels["set"].to_numpy()
        found = store(
            "published", lambda: on_published(model, published, groups, options.jobs), groups=groups, Y=published.betas
        )
        table = summarize_categories(found, participants=whose, regions=sets).set_index(["region", "category"])
        report.table("table4_published", "4. Published betas, eight participants, normalised by ceilings", table, SHOWN)
        against = store(
            "matched_published",
            lambda: matched_on_published(model, published, groups, options.draws, options.jobs),
            groups=groups,
            draws=options.draws,
            Y=published.betas,
        )
        report.table("table4_matched", "Semantic features against as many of equal variance, raw r", against)
        more, _ = store(
            "errors_published", lambda: sentence_errors(model, LAYER, published), layer=LAYER, k=K, Y=published.betas
        )
        errors = pd.concat([errors, table_of_errors(more, whose, sets)])
    report.table("table6_errors", "Errors as bands: r alone, and what they add (± 95 % over participants)", errors)
    report(f"{K} next tokens have {covered:.2f} of the probability at a word of Alice on average")
    topography, planted, convergence, nothing, spins = store("topography", simulated_topography)
    report.table("table5_topography", "5. Simulated cortex: share of voxels by subcategory and region", topography)
    overlap = f"overlap {convergence.n_overlap} of {convergence.n_predicted}, p {convergence.p_overlap:.4f}"
    report(f"Convergence with the planted truth: Spearman {convergence.spearman:.2f}, p {convergence.p_spearman:.4f}")
    report(f"  {overlap}; with regions in another order: Spearman {nothing.spearman:.2f}, p {nothing.p_spearman:.2f}")
    report.table("table5_spins", "Maps on 180 parcels against the planted ones", spins)
    draw_figures(options.output, alice, baseline, topography, planted, by_category)
    parts = by_category.parts.mean()
    shares = parts / (parts["shared"] + parts.filter(like="unique_").sum())
    ours = {
        "peak r": alice.loc[:, "r"].max() / alice.loc[alice["r"].idxmax(), "fraction_r"],
        "semantic alone, fraction of peak in r": alice["fraction_r"].get("semantic", np.nan),
        "semantic against variance-matched, p": baseline.p_value,
        "semantic against variance-matched, d": baseline.d,
        **{name: shares[part] for name, part in SHARES.items() if part in shares},
        "reconstruction error, r": errors.loc[("Alice", ERRORS[0]), "r"],
        "prediction error, r": errors.loc[("Alice", ERRORS[1]), "r"],
        "convergence of topography, Spearman": convergence.spearman,
        "convergence of topography, hypergeometric p": convergence.p_overlap,
    }
    report("\nBeside the paper")
    for name, (value, why) in PAPER.items():
        report(
            f"  {name}: paper {value}, ours {ours[name]:.3f}; {why}"
            if name in ours
            else f"  {name}: paper {value}; {why}"
        )
    report(f"\n{time.perf_counter() - start:.0f} s in all; what was found in the folder took none")


if __name__ == "__main__":
    main()
