"""Ask whether SAE features mean the same in English, French and Chinese: parallel sentences, and words by category.

    python tools/compare_languages.py --data FOLDER [--memory FOLDER] [--only sentences|words]

FOLDER has ``parallel_pud/pud_en_fr_zh.tsv``, the 1,000 sentences of Parallel Universal Dependencies (CC BY-SA 3.0; the
columns `en`, `fr` and `zh_hans`), and ``wordlists_wordnet/wordnet_categories_strict_en_fr_zh.tsv``, a row a synset with
its `category` and its words in the same columns, joined by ``|``. Neither ships with this library, and nothing that is
derived from Gemma does: Gemma 3 270M comes with the extra ``[gemma]`` and its terms, and the SAE is trained here, on
the 1,800 sentences of ``load_three_languages``. Without Gemma, SmolLM2 stands in, which has read little but English.

Responses are simulated for the table of training and test: voxels that follow features alike in all languages, voxels
that follow other features in each, and noise. Beside them stands one that is not: the English states' own principal
components, to be told from each language's features.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA

from sklearn_sae_encoding.activations import LMActivationTransformer
from sklearn_sae_encoding.analysis import (
    across_languages,
    category_agreement,
    category_selectivity,
    feature_correspondence,
    language_shares,
    translation_retrieval,
)
from sklearn_sae_encoding.datasets import load_gemma3_270m, load_smollm2, load_three_languages
from sklearn_sae_encoding.encoder import SparseVoxelEncoder
from sklearn_sae_encoding.language_model import LanguageModel
from sklearn_sae_encoding.sae import SAEProjector

COLUMNS = {"en": "en", "fr": "fr", "zh": "zh_hans"}
LAYER, N_FEATURES, K, SEED = 9, 1024, 32, 0
MIN_WORDS = 30  # of a category in every language
N_SHUFFLES = 499
N_VOXELS, N_PLANTED, N_COMPONENTS = 40, 5, 20


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--memory", type=Path, default=Path("languages_output"))
    parser.add_argument("--only", choices=["sentences", "words"])
    parser.add_argument("--per-category", type=int, default=120, help="words of a category and language, at most")
    args = parser.parse_args()
    pd.set_option("display.width", 200)
    read, sae = reader_and_sae(args.memory)
    if args.only != "words":
        sentences(read, sae, args.data / "parallel_pud" / "pud_en_fr_zh.tsv")
    if args.only != "sentences":
        table = args.data / "wordlists_wordnet" / "wordnet_categories_strict_en_fr_zh.tsv"
        words(read, sae, table, args.per_category)


def reader_and_sae(memory):
    """The model, and an SAE of it that is trained once and kept."""
    try:
        model = load_gemma3_270m()
    except ImportError as error:
        print(f"SmolLM2 stands in. {error}")
        model = load_smollm2()
    read = LMActivationTransformer(LanguageModel(model, keep=(), memory=memory / "cache"), layer=LAYER, level="token")
    folder = memory / f"sae-{Path(str(model)).name}-{N_FEATURES}"
    if folder.exists():
        return read, SAEProjector(folder).fit(read.fit_transform(["A text."]))
    start = time.process_time()
    tokens = read.fit_transform([text for texts in load_three_languages().texts.values() for text in texts])
    sae = SAEProjector(n_features=N_FEATURES, k=K, random_state=SEED).fit(tokens)
    print(
        f"An SAE of {N_FEATURES} features, on {tokens.n_tokens.sum():,} tokens: {time.process_time() - start:.0f} CPU s"
    )
    sae.learnt_.save(folder)
    return read, sae


def sentences(read, sae, path):
    """Parallel sentences: reconstruction, correspondence, retrieval, and models from one language to another."""
    table, start = pd.read_csv(path, sep="\t", quoting=3), time.process_time()
    states = {name: read.transform(table[column].tolist()) for name, column in COLUMNS.items()}
    explained = sae.set_params(reconstruction=["explained_variance"])
    for name, values in states.items():
        share = explained.transform(values)[:, [-1]].mean()
        print(
            f"{name}: {values.n_tokens.sum():,} tokens of {len(table):,} sentences, {share:.0%} of variance explained"
        )
    sae.set_params(reconstruction=())
    features = {name: sae.transform(values) for name, values in states.items()}
    dense = {name: values.pool() for name, values in states.items()}

    found = translation_retrieval(features)
    found["dense"] = translation_retrieval(dense)["top_1"]
    show("Translations found, of 1,000", found)
    rng = np.random.default_rng(SEED)
    same = feature_correspondence(features, min_share=0.01)
    other = feature_correspondence(
        {name: values[rng.permutation(len(table))] for name, values in features.items()}, min_share=0.01
    )
    pairs = {"phi": same, "of other sentences": other}
    medians = {name: one.groupby(["first", "second"])["phi"].median() for name, one in pairs.items()}
    counts = same.groupby(["first", "second"]).size()
    show("Median correlation of firing, sentence and translation", pd.DataFrame({"features": counts, **medians}))
    show("Features by language", language_shares(features)["kind"].value_counts(normalize=True).to_frame())
    ids = dict.fromkeys(COLUMNS, table["sent_id"].tolist())
    components = PCA(N_COMPONENTS, random_state=SEED).fit_transform(dense["en"])
    responses = planted(features, rng) | {"components of the English states": dict.fromkeys(COLUMNS, components)}
    encoder = SparseVoxelEncoder(alphas=10, refit="ridge", early_stopping=True)
    for name, Y in responses.items():
        transfer = across_languages(encoder, features, Y, ids=ids, random_state=SEED)
        show(f"{name}: trained (rows) and tested (columns), mean r over {Y['en'].shape[1]}", transfer.table)
    print(f"({time.process_time() - start:.0f} CPU s)")


def planted(features, rng):
    """Simulated voxels: the same features in all languages, other ones in each, and none; signal and noise alike."""
    fires = np.min([np.asarray((values != 0).mean(axis=0)).ravel() for values in features.values()], axis=0)
    often = np.flatnonzero(fires > 0.05)

    def weights():
        rows = np.zeros((features["en"].shape[1], N_VOXELS))
        for voxel in range(N_VOXELS):
            rows[rng.choice(often, N_PLANTED, replace=False), voxel] = rng.choice([-1.0, 1.0], N_PLANTED)
        return rows

    def responses(of_language):
        Y = {}
        for name, values in features.items():
            scale = np.sqrt(np.maximum(values.multiply(values).mean(axis=0) - values.mean(axis=0) ** 2, 1e-12))
            signal = values @ (of_language[name] / scale[:, None])
            Y[name] = signal / np.maximum(signal.std(axis=0), 1e-12) + rng.normal(size=signal.shape)
        return Y

    alike = weights()
    return {
        "shared features": responses(dict.fromkeys(features, alike)),
        "other features in each language": responses({name: weights() for name in features}),
        "noise": {name: rng.normal(size=(values.shape[0], N_VOXELS)) for name, values in features.items()},
    }


def words(read, sae, path, per_category):
    """Words by themselves: which features follow a category in each language, and do they agree?"""
    start, selectivity = time.process_time(), {}
    shuffled = [{} for _ in range(N_SHUFFLES)]
    rng = np.random.default_rng(SEED)
    lists = {name: words_of(path, column, per_category) for name, column in COLUMNS.items()}
    sizes = pd.DataFrame({name: known["category"].value_counts() for name, known in lists.items()})
    kept = sizes.index[(sizes >= MIN_WORDS).all(axis=1)]
    for name, known in lists.items():
        known = known[known["category"].isin(kept)]
        features = sae.transform(read.transform(known["word"].tolist()))
        selectivity[name] = category_selectivity(features, known["category"])
        for one in shuffled:
            one[name] = category_selectivity(features, rng.permutation(known["category"]))
        best, chance = selectivity[name].max().mean(), np.mean([one[name].max().mean() for one in shuffled])
        print(f"{name}: {len(known):,} words; the best feature of a category tells its words with an area of "
              f"{best:.2f}, of shuffled categories {chance:.2f}")  # fmt: skip
    agreement = category_agreement(selectivity, shuffled=shuffled)
    pairs = agreement["first"] + "-" + agreement["second"]
    overlap = agreement.pivot_table(index="category", columns=pairs, values="overlap")
    show("Of the 20 best features of a category in one language, those among the 20 best of the other", overlap)
    agreement["significant"] = agreement["p_adjusted"] < 0.05
    columns = ["overlap", "expected", "spearman", "significant"]
    show("Means over categories; expected: of shuffled ones", agreement.groupby(pairs)[columns].mean())
    print(f"({time.process_time() - start:.0f} CPU s)")


def words_of(path, column, per_category):
    """A row a word: the first word of each synset, those of several categories left out."""
    table = pd.read_csv(path, sep="\t", quoting=3, keep_default_na=False)
    table = pd.DataFrame({"word": table[column].str.split("|").str[0], "category": table["category"]})
    table = table[table["word"] != ""].drop_duplicates()
    table = table[~table["word"].duplicated(keep=False)]
    mixed = table.sample(frac=1, random_state=SEED)
    return mixed.groupby("category").head(per_category).sort_index().reset_index(drop=True)


def show(title, table):
    print(f"\n{title}\n{table.round(3).to_string()}", flush=True)


if __name__ == "__main__":
    main()
