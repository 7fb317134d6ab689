"""Language models to what the surprisal of each adds to one model of reading times."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.utils import check_random_state

from sklearn_sae_encoding.language_model import as_language_model, release_models
from sklearn_sae_encoding.reading._delta import delta_log_likelihood
from sklearn_sae_encoding.reading._rows import checked_table, join_words
from sklearn_sae_encoding.reading._words import add_word_features


class LanguageModelComparison(NamedTuple):
    """What the surprisal of several language models adds."""

    #: DataFrame with a row a model: ``perplexity`` (exp of the mean surprisal of the same words, in nats), and the
    #: columns of :class:`DeltaLogLikelihood`'s table.
    table: pd.DataFrame
    #: DataFrame with a row a model and one a column a held-out unit: gains over the base.
    by_unit: pd.DataFrame
    #: DataFrame with a row an ordered pair of models: ``model``, ``reference``, ``difference`` of the held-out gains,
    #: ``low`` and ``high``, its bootstrap interval over units, paired.
    differences: pd.DataFrame


def compare_language_models(
    words,
    times,
    models,
    *,
    base,
    previous=1,
    item="item",
    word="word",
    by="text",
    order="number",
    line=None,
    texts=None,
    separator=" ",
    punctuation=True,
    n_folds=10,
    n_bootstrap=2000,
    confidence=0.95,
    random_state=0,
):
    """Compare language models by what their surprisal adds to one model of reading times.

    One model is in memory at a time. All are asked for the same words, so that perplexities compare across tokenizers,
    and judged on the same rows and folds.

    Parameters
    ----------
    words : DataFrame
        A row a word, with ``item``, ``word``, ``by`` and ``order``.

    times : DataFrame
        Reading times, with ``item``, ``by`` and the columns of ``base``.

    models : dict from str to str or LanguageModel
        The models by the names they get in the tables. A loaded model stays in memory, a name does not.

    base : ReadingTimeModel
        Without surprisal. To it, ``surprisal`` and that of the words before are added.

    previous : int or sequence of int, default=1
        How many words back spillover of surprisal goes; 0 or ``()`` for none.

    item, word, by, order, line, texts, separator, punctuation
        As in :func:`add_word_features`.

    n_folds, n_bootstrap, confidence
        As in :func:`delta_log_likelihood`.

    random_state : int, default=0
        The same folds for all models.

    Returns
    -------
    comparison : :class:`LanguageModelComparison`

    Raises
    ------
    ValueError
        If no model is given, ``random_state`` is no integer, or input is as refused by the functions above.
    """
    if not models:
        raise ValueError("models holds no language model.")
    if not isinstance(random_state, int | np.integer):
        raise ValueError(
            f"random_state must be an integer, so that all models get the same folds, got {random_state!r}."
        )
    checked_table(words, [item, word, by, order], "words")
    places = words[list(dict.fromkeys([item, word, by, order, *([line] if line else [])]))]
    steps = [step for step in np.atleast_1d(previous).tolist() if step]
    terms = ["surprisal", *(f"surprisal_previous_{step}" for step in steps)]
    full = clone(base).set_params(formula=f"{base.formula} + {' + '.join(terms)}")
    rows, gains = [], {}
    for name, model in models.items():
        table = add_word_features(
            places, model=as_language_model(model), word=word, by=by, order=order, line=line, texts=texts,
            separator=separator, punctuation=punctuation, previous=steps,
        )  # fmt: skip
        release_models()
        result = delta_log_likelihood(
            base, {name: full}, join_words(times.drop(columns=terms, errors="ignore"), table[[item, *terms]], on=item),
            by=by, n_folds=n_folds, n_bootstrap=n_bootstrap, confidence=confidence, random_state=random_state,
        )  # fmt: skip
        perplexity = float(np.exp(table.loc[~table["no_spelling"], "surprisal"].mean()))
        rows.append(result.table.assign(perplexity=perplexity))
        gains[name] = result.by_unit.set_index("unit")["held_out"]
    by_unit = pd.DataFrame(gains).T.rename_axis(index="model")
    table = pd.concat(rows).rename_axis(index="model")
    table.insert(0, "perplexity", table.pop("perplexity"))
    return LanguageModelComparison(table, by_unit, _differences(by_unit, n_bootstrap, confidence, random_state))


def _differences(by_unit, n_bootstrap, confidence, random_state):
    n_units = by_unit.shape[1]
    drawn = check_random_state(random_state).randint(n_units, size=(n_bootstrap, n_units))
    tail, rows = (1 - confidence) / 2, []
    for model in by_unit.index:
        for reference in by_unit.index:
            if model != reference:
                paired = (by_unit.loc[model] - by_unit.loc[reference]).to_numpy()
                low, high = np.quantile(paired[drawn].sum(axis=1), [tail, 1 - tail])
                rows.append((model, reference, paired.sum(), low, high))
    return pd.DataFrame(rows, columns=["model", "reference", "difference", "low", "high"])
