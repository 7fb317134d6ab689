"""What does a feature follow: word forms, places in the text, parts of speech, or what words mean?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse, stats
from scipy.linalg import cho_factor, cho_solve
from sklearn.model_selection import GroupKFold

from sklearn_sae_encoding.datasets import load_lancaster_norms, load_supersenses
from sklearn_sae_encoding.metrics import adjust_p_values

KINDS = ("lexical", "positional", "syntactic", "semantic")
_PLACES = (0, 1, 2, 3, 5, 8, 15, 30, 60)  # first positions of the bins in which words are counted from the start


class Enrichment(NamedTuple):
    """What :func:`feature_enrichment` gives."""

    table: (
        pd.DataFrame
    )  # a row a testable feature and property: `index`, `property`, `effect`, `p_value`, `q_value`, `n_words`
    n_testable: int  # features that are active on enough words
    n_enriched: int  # features with a q-value of at most `level` for any property


def classify_features(
    features, words, *, tagger=None, supersenses=None, cv=5, alpha=1.0, min_active=20, threshold=0.01
):
    """Sort features by what predicts their activation on texts that were held out.

    A ridge regression predicts each feature from sets of indicators: the word's form (lexical), its place in the text
    (positional), its part of speech (syntactic) and its WordNet supersense (semantic). A set's unique deviance is how
    much of the held-out variance it adds. Forms and places are tested on *texts* that were held out, beyond all other
    sets. A known form tells part of speech and meaning as well, so these are tested on *words* that were held out: part
    of speech beyond place, and meaning beyond both.

    Parameters
    ----------
    features : {ndarray, sparse array} of shape (n_words, n_features)
        Activations by word, such as ``SAEProjector(level="word").transform(...).concatenated()``.

    words : DataFrame of n_words rows
        `text` (which text), `word` (its form), `position` (from 0 in its text) and, if known, `pos` (part of speech).

    tagger : callable, default=None
        Makes the parts of speech where `words` has no `pos`: takes the list of a text's words and gives a tag a word,
        or pairs of word and tag, as the taggers of NLTK and TextBlob do.

    supersenses : DataFrame, default=None
        `word`, `supersense` and, if parts of speech are known, `pos` ("noun", "verb": what Penn's tags and universal
        ones are taken for); of several rows of a word the one with the largest `count`. None is
        :func:`~sklearn_sae_encoding.datasets.load_supersenses`.

    cv : int, default=5
        Folds of texts, and of words.

    alpha : float, default=1.0
        Ridge penalty; an indicator of n words is shrunk by n / (n + alpha).

    min_active : int, default=20
        Features that are active on fewer words are of no kind.

    threshold : float, default=0.01
        Unique deviance below which a feature is "other". Raising it leaves more features there.

    Returns
    -------
    table : pandas.DataFrame
        A row a feature: `index`, `n_active`, held-out `r2` of all sets together, `lexical`, `positional`, `syntactic`
        and `semantic` (unique deviances; NaN without parts of speech, or below `min_active`), and
        `category`: the largest of them, "other" below the threshold, "" below `min_active`. With `source` it makes a
        :class:`FeatureTaxonomy` of what has a category.

    Raises
    ------
    ValueError
        If a column is missing, there isn't a row for each word or fewer texts than folds, or a tagger is given beside a
        `pos` or doesn't give a tag a word.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from sklearn_sae_encoding.analysis import classify_features
    >>> rng = np.random.default_rng(0)
    >>> words = pd.DataFrame({"text": np.repeat(range(60), 10), "position": np.tile(range(10), 60),
    ...                       "word": rng.choice(["dog", "cat", "house", "walk", "tree", "sea"], 600)})
    >>> features = np.column_stack([words["position"] == 0, words["word"] == "dog"]).astype(float)
    >>> classify_features(features, words)["category"].tolist()
    ['positional', 'lexical']
    """
    words = _checked(features, words, ("text", "word", "position"))
    words = words if tagger is None else words.assign(pos=_tags(words, tagger))
    forms = words["word"].str.lower()
    if words["text"].nunique() < cv or forms.nunique() < cv:
        raise ValueError(
            f"{cv} folds need as many texts and as many different words, but there are {words['text'].nunique()} texts "
            f"and {forms.nunique()} words."
        )
    form, place, meaning = _indicators(forms), _places(words), _indicators(senses_of(words, supersenses))
    grammar = [_indicators(words["pos"].astype(str))] if "pos" in words else []
    Y = sparse.csr_array(features).astype(np.float64)
    n_active = np.asarray((Y != 0).sum(axis=0)).ravel()
    used = np.flatnonzero(n_active >= min_active)
    Y = Y[:, used].toarray()
    Y = (Y - Y.mean(axis=0)) / np.where(Y.std(axis=0) > 0, Y.std(axis=0), 1.0)
    texts, types = (list(GroupKFold(cv).split(Y, groups=one)) for one in (words["text"], forms))

    def on_texts(*sets):
        return _held_out_r2(sets, Y, texts, alpha)

    def on_words(*sets):
        return _held_out_r2(sets, Y, types, alpha)

    table = pd.DataFrame({"index": np.arange(len(n_active)), "n_active": n_active})
    table[["r2", *KINDS]] = np.nan
    table.loc[used, "r2"] = whole = on_texts(form, place, *grammar, meaning)
    table.loc[used, "lexical"] = whole - on_texts(place, *grammar, meaning)
    table.loc[used, "positional"] = whole - on_texts(form, *grammar, meaning)
    if grammar:
        table.loc[used, "syntactic"] = on_words(place, *grammar) - on_words(place)
    table.loc[used, "semantic"] = on_words(place, *grammar, meaning) - on_words(place, *grammar)
    unique = table.loc[used, list(KINDS)].fillna(-np.inf)
    table["category"] = ""
    table.loc[used, "category"] = np.where(unique.max(axis=1) >= threshold, unique.idxmax(axis=1), "other")
    return table.assign(source="held-out prediction")


def feature_enrichment(features, words, *, properties="supersenses", min_words=5, level=0.05):
    """Test whether features are more active on words of a kind, or on words that rate high on a norm.

    The unit is the word, not its occurrence: a feature's activation is averaged over a word's occurrences, and words
    are ranked. Categories are compared by the rank sum, whose null distribution gets the mean, variance and skewness
    that it has over permutations (Pearson's type III), ratings by Spearman's correlation; q-values hold the false
    discovery rate over all features and properties (Benjamini and Hochberg).

    Parameters
    ----------
    features : {ndarray, sparse array} of shape (n_words, n_features)
        Activations by word, in running text.

    words : DataFrame of n_words rows
        `word` and, if known, `pos`.

    properties : {"supersenses", "lancaster"} or DataFrame, default="supersenses"
        What words are: WordNet's supersenses, the Lancaster sensorimotor ratings, or a table of `word` and either a
        column `category` or columns of ratings.

    min_words : int, default=5
        Different words on which a feature must be active, and a category must have, to be tested.

    level : float, default=0.05
        False discovery rate for ``n_enriched``.

    Returns
    -------
    enrichment : Enrichment
        A named tuple. `effect` is the probability that a word of the category ranks above another (.5 is chance), or
        the correlation; p-values are one-sided for categories, two-sided for ratings.

    Raises
    ------
    ValueError
        If a column is missing, or no feature and property can be tested.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from sklearn_sae_encoding.analysis import feature_enrichment
    >>> animals, tools = ["dog", "cat", "cow", "hen", "pig", "fox"], ["axe", "saw", "drill", "hammer", "spade", "knife"]
    >>> words = pd.DataFrame({"word": animals + tools})
    >>> found = feature_enrichment(np.repeat([[1.0], [0.0]], 6, axis=0), words)
    >>> found.n_enriched, found.table["property"][0], float(found.table["effect"][0])
    (1, 'noun.animal', 1.0)
    """
    words = _checked(features, words, ("word",))
    forms, types = pd.factorize(words["word"].str.lower())
    member = sparse.csr_array((1 / np.bincount(forms)[forms], (forms, np.arange(len(forms)))))
    means = (member @ sparse.csr_array(features).astype(np.float64)).toarray()  # (n_types, n_features)
    first = words.assign(word=words["word"].str.lower()).drop_duplicates("word").reset_index(drop=True)
    values, is_category = _properties(properties, first, pd.Index(types))
    rows = []
    for name, value in values.items():
        known = ~np.isnan(value)
        active = (means[known] > 0).sum(axis=0)
        testable = np.flatnonzero((active >= min_words) & (np.ptp(means[known], axis=0) > 0))
        if (is_category and min(value[known].sum(), (1 - value[known]).sum()) < min_words) or not len(testable):
            continue
        ranks = stats.rankdata(means[known][:, testable], axis=0)
        test = _rank_sum if is_category else _spearman
        effect, p = test(ranks, value[known])
        rows.append(
            pd.DataFrame(
                {"index": testable, "property": name, "effect": effect, "p_value": p, "n_words": active[testable]}
            )
        )
    if not rows:
        raise ValueError(f"No feature is active on {min_words} different words that have a property to be tested.")
    table = pd.concat(rows, ignore_index=True)
    table["q_value"] = adjust_p_values(table["p_value"].to_numpy())
    table = table.sort_values("p_value", kind="stable", ignore_index=True)
    enriched = table.loc[table["q_value"] <= level, "index"].nunique()
    return Enrichment(table, int(table["index"].nunique()), int(enriched))


def senses_of(words, supersenses=None):
    """Give the supersense of each word, "" for words without one; plurals and -s forms go by their lemma."""
    table = load_supersenses() if supersenses is None else supersenses
    table = table.sort_values("count", ascending=False, kind="stable") if "count" in table else table
    by_word = table.drop_duplicates("word").set_index("word")["supersense"].to_dict()
    by_pos = (
        {(w, p): s for w, p, s in table[["word", "pos", "supersense"]].itertuples(index=False)}
        if "pos" in table
        else {}
    )
    tags = words["pos"].astype(str).map(_noun_or_verb) if "pos" in words else pd.Series("", index=words.index)
    return pd.Series(
        [
            next((by_pos.get((form, tag)) or by_word[form] for form in _lemmas(word) if form in by_word), "")
            for word, tag in zip(words["word"].str.lower(), tags, strict=True)
        ],
        index=words.index,
    )


def _noun_or_verb(tag):
    """What WordNet calls a part of speech; tags of Penn's Treebank and universal ones have names of their own."""
    tag = tag.lower()
    nouns, verbs = tag in ("noun", "propn") or tag.startswith("nn"), tag in ("verb", "aux") or tag.startswith("vb")
    return "noun" if nouns else "verb" if verbs else tag


def _tags(words, tagger):
    """Parts of speech by a tagger, which reads a text at a time."""
    if "pos" in words:
        raise ValueError("words has a column 'pos': leave it out for the tagger to make it, or give no tagger.")
    tags = pd.Series("", index=words.index, dtype=object)
    for text, own in words.sort_values("position", kind="stable").groupby("text", sort=False):
        given = list(tagger(own["word"].tolist()))
        if len(given) != len(own):
            raise ValueError(
                f"The tagger gave {len(given)} tags for the {len(own)} words of text {text!r}. It must take the words "
                "as they are, and give one tag for each."
            )
        tags[own.index] = [tag if isinstance(tag, str) else tag[-1] for tag in given]
    return tags


def _lemmas(word):
    word = word.strip(".,;:!?\"'()“”‘’")
    yield word
    for ending, other in (("ies", "y"), ("es", ""), ("s", ""), ("ed", ""), ("ed", "e"), ("ing", ""), ("ing", "e")):
        if word.endswith(ending) and len(word) > len(ending) + 2:
            yield word.removesuffix(ending) + other


def _checked(features, words, columns):
    if missing := [name for name in columns if name not in words]:
        raise ValueError(f"words need the columns {', '.join(columns)}; {', '.join(missing)} is missing.")
    if len(words) != features.shape[0]:
        raise ValueError(f"Expected a row of words for each row of features, got {len(words)} and {features.shape[0]}.")
    return words.reset_index(drop=True)


def _indicators(labels):
    codes, known = pd.factorize(labels)
    return sparse.csr_array((np.ones(len(codes)), (np.arange(len(codes)), codes)), shape=(len(codes), len(known)))


def _places(words):
    """Bins of the place from the start, and whether a word is the last."""
    bins = np.digitize(words["position"], _PLACES)
    last = words["position"] == words.groupby("text")["position"].transform("max")
    return sparse.csr_array(sparse.hstack([_indicators(pd.Series(bins)), last.to_numpy(dtype=float)[:, None]]))


def _held_out_r2(sets, Y, folds, alpha):
    X = sparse.csr_array(sparse.hstack(sets)) if sets else sparse.csr_array((len(Y), 0))
    errors, totals = np.zeros(Y.shape[1]), np.zeros(Y.shape[1])
    for train, test in folds:
        mean = Y[train].mean(axis=0)
        predicted = np.broadcast_to(mean, (len(test), Y.shape[1]))
        if X.shape[1]:
            product = (X[train].T @ X[train]).toarray()
            product[np.diag_indices_from(product)] += alpha
            predicted = mean + X[test] @ cho_solve(cho_factor(product), X[train].T @ (Y[train] - mean))
        errors += ((Y[test] - predicted) ** 2).sum(axis=0)
        totals += ((Y[test] - mean) ** 2).sum(axis=0)
    return 1 - errors / np.where(totals > 0, totals, np.nan)


def _properties(properties, words, types):
    """Values of each property by word, NaN where a word has none, and whether they are categories."""
    if isinstance(properties, str) and properties == "supersenses":
        labels = senses_of(words).to_numpy()
    elif isinstance(properties, pd.DataFrame) and "category" in properties:
        labels = types.map(properties.drop_duplicates("word").set_index("word")["category"]).fillna("").to_numpy()
    else:
        table = load_lancaster_norms() if isinstance(properties, str) and properties == "lancaster" else properties
        if not isinstance(table, pd.DataFrame) or "word" not in table:
            raise ValueError(
                f"properties must be 'supersenses', 'lancaster' or a table with a column 'word', got {table!r}."
            )
        ratings = table.drop_duplicates("word").set_index("word").reindex(types)
        return {name: ratings[name].to_numpy(dtype=float) for name in ratings}, False
    known = np.where(labels == "", np.nan, 0.0)
    return {name: np.where(labels == name, 1.0, known) for name in sorted(set(labels) - {""})}, True


def _rank_sum(ranks, member):
    """Probability of superiority and one-sided p of the rank-sum test, by the first three moments over permutations.

    Most words leave a feature silent, and most categories have few words: the null distribution is then so skewed that
    a normal one makes p-values of its tail far too small. One of Pearson's type III has its skewness, too.
    """
    n, n_in = len(ranks), int(member.sum())
    u = member @ ranks - n_in * (n_in + 1) / 2
    centred = ranks - (n + 1) / 2
    variance = n_in * (n - n_in) * (centred**2).sum(axis=0) / (n * (n - 1))
    third = n_in * (n - n_in) * (n - 2 * n_in) * (centred**3).sum(axis=0) / (n * (n - 1) * (n - 2))
    z = (u - n_in * (n - n_in) / 2 - 0.5) / np.sqrt(variance)
    return u / (n_in * (n - n_in)), stats.pearson3.sf(z, third / variance**1.5)


def _spearman(ranks, values):
    rated = stats.rankdata(values)
    rated, ranks = rated - rated.mean(), ranks - ranks.mean(axis=0)
    r = rated @ ranks / np.sqrt((rated @ rated) * (ranks**2).sum(axis=0))
    r = np.clip(r, -1, 1)
    with np.errstate(divide="ignore"):
        t = r * np.sqrt((len(rated) - 2) / (1 - r**2))
    return r, 2 * stats.t.sf(np.abs(t), len(rated) - 2)
