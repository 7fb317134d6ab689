"""What features follow."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold

from sklearn_sae_encoding.analysis import FeatureTaxonomy, classify_features, feature_enrichment
from sklearn_sae_encoding.analysis.kinds import _lemmas, _rank_sum, _tags, senses_of
from sklearn_sae_encoding.datasets import load_lancaster_norms, load_supersenses

PEOPLE = [
    "teacher",
    "doctor",
    "king",
    "queen",
    "sailor",
    "farmer",
    "nurse",
    "baker",
    "singer",
    "pilot",
    "child",
    "lawyer",
]
FOOD = ["bread", "soup", "cheese", "butter", "cake", "rice", "bacon", "salad", "pizza", "honey", "sugar", "sausage"]
VERBS = ["walk", "eat", "think", "speak", "carry", "throw", "sing", "write", "build", "swim", "jump", "climb"]


@pytest.fixture(scope="module")
def corpus():
    """150 texts of 12 words, nouns and verbs in turn at random, and features that follow one thing each."""
    rng = np.random.default_rng(0)
    rows = []
    for text in range(150):
        for position in range(12):
            is_verb = rng.random() < 0.4
            word = rng.choice(VERBS if is_verb else PEOPLE + FOOD)
            rows.append((text, word, position, "verb" if is_verb else "noun"))
    words = pd.DataFrame(rows, columns=["text", "word", "position", "pos"])
    planted = np.column_stack(
        [
            words["word"].isin(["bread", "king", "swim"]),  # these forms, whatever they mean
            words["position"] < 2,
            words["pos"] == "verb",
            words["word"].isin(PEOPLE),
            rng.random(len(words)) < 0.2,
            words.index < 3,
        ]
    ) * rng.uniform(0.8, 1.2, (len(words), 1))
    return words, planted + 0.05 * rng.random(planted.shape) * (planted > 0)


def test_planted_features_are_of_their_kind(corpus):
    words, features = corpus
    table = classify_features(sparse.csr_array(features), words)
    assert table["category"].tolist() == ["lexical", "positional", "syntactic", "semantic", "other", ""]
    taxonomy = FeatureTaxonomy(table[table["category"] != ""])
    assert taxonomy.counts().sum() == 5


def test_without_parts_of_speech_they_are_not_tested(corpus):
    words, features = corpus
    table = classify_features(features[:, :4], words.drop(columns="pos"))
    assert table["syntactic"].isna().all()
    assert table["category"].tolist()[:2] == ["lexical", "positional"]


def test_held_out_deviance_is_that_of_scikit_learns_ridge(corpus):
    words, features = corpus
    table = classify_features(features[:, :1], words.drop(columns="pos"), cv=3)
    bins = np.digitize(words["position"], (0, 1, 2, 3, 5, 8, 15, 30, 60))
    senses = load_supersenses().sort_values("count", ascending=False).drop_duplicates("word").set_index("word")
    X = np.hstack(
        [
            pd.get_dummies(words["word"]),
            pd.get_dummies(senses["supersense"][words["word"]]),
            pd.get_dummies(bins),
            (words["position"] == 11).to_numpy()[:, None],
        ]
    )
    y, errors, totals = stats.zscore(features[:, 0]), 0.0, 0.0
    for train, test in GroupKFold(3).split(X, groups=words["text"]):
        mean = y[train].mean()
        model = Ridge(1.0, fit_intercept=False).fit(X[train].astype(float), y[train] - mean)
        errors += np.sum((y[test] - mean - model.predict(X[test].astype(float))) ** 2)
        totals += np.sum((y[test] - mean) ** 2)
    assert table.loc[0, "r2"] == pytest.approx(1 - errors / totals)


def test_enrichment_finds_the_planted_supersense_by_scipys_rank_sum_test(corpus):
    words, features = corpus
    found = feature_enrichment(features[:, [2, 3, 4]], words)
    best = found.table.drop_duplicates("index").set_index("index")
    assert best.loc[1, "property"] == "noun.person"
    assert best.loc[1, "q_value"] < 0.001
    assert 2 not in set(found.table.loc[found.table["q_value"] < 0.05, "index"])  # noise
    means = pd.Series(features[:, 3]).groupby(words["word"]).mean()
    senses = load_supersenses().sort_values("count", ascending=False).drop_duplicates(["word", "pos"])
    pos = words.drop_duplicates("word").set_index("word")["pos"]
    kind = {(w, p): s for w, p, s in senses[["word", "pos", "supersense"]].itertuples(index=False)}
    is_person = np.array([kind[word, pos[word]] == "noun.person" for word in means.index])
    witness = stats.mannwhitneyu(means[is_person], means[~is_person], alternative="greater", method="asymptotic")
    assert witness.pvalue < best.loc[1, "p_value"] < 1e-4  # the normal approximation is too sure of itself
    assert best.loc[1, "effect"] == pytest.approx(witness.statistic / (is_person.sum() * (~is_person).sum()))


def test_p_values_of_sparse_features_and_small_categories_are_those_of_permutations():
    rng = np.random.default_rng(5)
    for n_in, active in ((6, 0.1), (20, 0.1), (80, 0.1), (20, 0.5)):
        values = rng.exponential(size=600) * (rng.random(600) < active)
        ranks = stats.rankdata(values)
        sums = np.array([ranks[rng.permutation(600)[:n_in]].sum() for _ in range(20_000)])
        for tail in (0.05, 0.005):
            reached = np.quantile(sums, 1 - tail, method="higher")
            # A category whose words have just this sum: those of the permutation that gave it.
            draw = np.random.default_rng(0)
            member = np.zeros(600)
            while member @ ranks < reached:
                member[:] = 0
                member[draw.permutation(600)[:n_in]] = 1
            true = (sums >= member @ ranks).mean()
            _, (p,) = _rank_sum(ranks[:, None], member)
            assert 0.5 * true - 1e-3 < p < 2.5 * true + 1e-3


def test_p_values_without_ties_and_of_half_the_words_are_scipys():
    values, member = np.random.default_rng(6).normal(size=60), np.repeat([1.0, 0.0], 30)
    effect, p = _rank_sum(stats.rankdata(values)[:, None], member)
    witness = stats.mannwhitneyu(values[:30], values[30:], alternative="greater", method="asymptotic")
    np.testing.assert_allclose(p, witness.pvalue, rtol=1e-6)
    np.testing.assert_allclose(effect, witness.statistic / 900)


def test_ratings_are_compared_by_scipys_spearman():
    norms = load_lancaster_norms().iloc[::400].reset_index(drop=True)
    rng = np.random.default_rng(1)
    features = np.maximum(norms[["gustatory"]].to_numpy() + rng.normal(size=(len(norms), 1)), 0)
    found = feature_enrichment(features, norms[["word"]], properties="lancaster").table.set_index("property")
    witness = stats.spearmanr(features[:, 0], norms["gustatory"])
    assert found.loc["gustatory", "effect"] == pytest.approx(witness.statistic)
    assert found.loc["gustatory", "p_value"] == pytest.approx(witness.pvalue)
    assert found.index[0] == "gustatory"


def test_categories_and_features_of_just_as_many_words_as_asked_for_are_tested():
    words = pd.DataFrame({"word": PEOPLE + FOOD})
    sizes = {"five": 5, "four": 4, "rest": 15}
    kinds = words.assign(category=np.repeat(list(sizes), list(sizes.values())))
    features = np.random.default_rng(0).random((24, 2)) + 0.1
    features[5:, 1] = 0.0  # active on five words
    table = feature_enrichment(features, words, properties=kinds, min_words=5).table
    assert set(map(tuple, table[["index", "property"]].to_numpy())) == {
        (i, p) for i in (0, 1) for p in ("five", "rest")
    }
    table = feature_enrichment(features, words, properties=kinds, min_words=6).table
    assert table[["index", "property"]].to_numpy().tolist() == [[0, "rest"]]


@pytest.mark.parametrize(
    ("word", "forms"),
    [
        ("cats,", ["cats", "cat"]),
        ("“ladies”", ["ladies", "lady", "ladi", "ladie"]),
        ("baked", ["baked", "bak", "bake"]),
        ("bus", ["bus"]),
        ("king", ["king"]),
        ("doing", ["doing"]),
        ("baking", ["baking", "bak", "bake"]),
    ],
)
def test_forms_of_a_word_are_looked_up_unless_little_would_be_left(word, forms):
    assert list(_lemmas(word)) == forms


def test_rates_of_false_discovery_hold_where_features_follow_nothing():
    rng = np.random.default_rng(2)
    words = pd.DataFrame({"word": rng.choice(PEOPLE + FOOD + VERBS, 3000)})
    features = sparse.random_array((3000, 300), density=0.05, rng=rng)
    found = feature_enrichment(features, words)
    assert found.n_testable == 300
    assert (found.table["p_value"] < 0.05).mean() < 0.07
    assert found.n_enriched <= 3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: classify_features(np.ones((2, 1)), pd.DataFrame({"word": ["a", "b"]})), "text, position is missing"),
        (lambda: feature_enrichment(np.ones((2, 1)), pd.DataFrame({"word": ["a"]})), "a row of words for each row"),
        (lambda: feature_enrichment(np.ones((1, 1)), pd.DataFrame({"word": ["dog"]})), "No feature is active on 5"),
        (
            lambda: classify_features(
                np.ones((2, 1)), pd.DataFrame({"text": [0, 1], "word": ["a", "b"], "position": [0, 0]})
            ),
            "5 folds need as many texts",
        ),
        (
            lambda: feature_enrichment(np.ones((1, 1)), pd.DataFrame({"word": ["a"]}), properties="x"),
            "must be 'supersenses'",
        ),
    ],
)
def test_what_does_not_fit_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_tagger_that_the_user_passes_fills_in_parts_of_speech():
    """TextBlob's tagger (MIT), which ships its lexicon and rules and reads words in their sentence."""
    english = pytest.importorskip("textblob.en")
    rng = np.random.default_rng(1)
    verbs, kinds = ["walked", "slept", "sang", "worked", "swam"], ["old", "red", "small", "quiet", "heavy", "strange"]
    slots = [["The"], PEOPLE, verbs, ["and"], ["the"], kinds, FOOD, ["was"], ["there"]]
    sentences = [[str(rng.choice(slot)) for slot in slots] for _ in range(150)]
    places = [(text, word, position) for text, one in enumerate(sentences) for position, word in enumerate(one)]
    words = pd.DataFrame(places, columns=["text", "word", "position"])
    nouns = words["word"].isin(PEOPLE + FOOD)

    def tagger(text):
        return english.tag(" ".join(text), tokenize=False)

    tags = _tags(words, tagger)
    assert tags[nouns].str.startswith("NN").mean() > 0.9
    assert tags[words["word"].isin(verbs)].str.startswith("VB").mean() > 0.9
    features = (nouns * rng.uniform(0.8, 1.2, len(words))).to_numpy()[:, None]
    words["position"] = words["position"] % 2  # nouns stand at both, so that places tell little
    table = classify_features(features, words.sample(frac=1, random_state=0).sort_index(), tagger=tagger)
    assert table["category"].tolist() == ["syntactic"]
    assert table["syntactic"][0] > 0.5


def test_a_tagger_reads_each_text_in_its_order_and_tags_stand_beside_their_words():
    words = pd.DataFrame({"text": [1, 0, 1, 0], "word": ["b", "y", "a", "x"], "position": [1, 1, 0, 0]})
    read = []

    def tagger(text):
        read.append(text)
        return [(word, word.upper()) for word in text]

    assert _tags(words, tagger).tolist() == ["B", "Y", "A", "X"]
    assert sorted(read) == [["a", "b"], ["x", "y"]]
    assert _tags(words, lambda text: [word * 2 for word in text]).tolist() == ["bb", "yy", "aa", "xx"]
    with pytest.raises(ValueError, match="gave 1 tags for the 2 words of text 0"):
        classify_features(np.ones((4, 1)), words, tagger=lambda text: text[: 2 - (text[0] == "x")])
    with pytest.raises(ValueError, match="has a column 'pos'"):
        classify_features(np.ones((4, 1)), words.assign(pos="NN"), tagger=tagger)


@pytest.mark.parametrize(
    ("noun", "verb"), [("NNS", "VBD"), ("NOUN", "VERB"), ("PROPN", "AUX"), ("noun", "verb"), ("NN", "VB")]
)
def test_the_supersense_is_that_of_the_part_of_speech_whatever_the_tags_are_called(noun, verb):
    table = pd.DataFrame(
        {"word": ["walk"] * 2, "pos": ["noun", "verb"], "supersense": ["noun.act", "verb.motion"], "count": [1, 9]}
    )
    words = pd.DataFrame({"word": ["walk", "walk", "walk"], "pos": [noun, verb, "JJ"]})
    assert senses_of(words, table).tolist() == ["noun.act", "verb.motion", "verb.motion"]
