"""Does an explanation tell texts in which its feature is active from those in which it is silent?"""

from __future__ import annotations

import json
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.utils import check_random_state

from sklearn_sae_encoding.analysis.explanations import check_contexts

_JUDGE = """\
A feature of a language model is described as: {explanation}

In which of these texts is the feature active on some token?
{texts}

Answer with a JSON list of {n} numbers and nothing else, 1 for active and 0 for silent, in the order of the texts.
"""


class ExplanationScores(NamedTuple):
    """What :func:`score_explanations` gives."""

    table: pd.DataFrame  # a row a feature: `index`, `label`, `score`, `low`, `high`, `shuffled`, `n_contexts`, `parsed`
    score: float  # mean balanced accuracy; .5 is chance
    shuffled: float  # the same with another feature's explanation
    n_unparsed: int  # answers of the judge that could not be read, which score .5


def score_explanations(
    explanations, contexts, judge, *, stimuli=(), n_contexts=10, n_bootstraps=1000, confidence=0.95, random_state=None
):
    """Score explanations by detection: does a judge tell active from silent texts by the explanation alone?

    Texts are shown without marks, in random order, those that the explainer saw left out; each explanation is scored
    on its own feature, and as a control on the texts of another one.

    Parameters
    ----------
    explanations : Series, or dict, of SAE index to str
        A text a feature.

    contexts : DataFrame
        What :func:`feature_contexts` gives, with kinds "random" or "quantile", and "silent".

    judge : callable of str to str
        Takes a prompt, answers with a JSON list of 0 and 1.

    stimuli : sequence of str, default=()
        Texts of the experiment. Scores from these alone say nothing of the feature elsewhere and are refused.

    n_contexts : int, default=10
        Active and silent texts of a feature, at most, half of each.

    n_bootstraps, confidence : int, float, default=1000, 0.95
        Resamples of the texts, and the share of them that an interval holds.

    random_state : int, RandomState instance or None, default=None
        Seed of orders, shuffled explanations and resamples.

    Returns
    -------
    scores : ExplanationScores
        A named tuple of the ``table``, the mean ``score`` and ``shuffled`` score (balanced accuracies, .5 is chance)
        and ``n_unparsed``.

    Raises
    ------
    ValueError
        If no feature has both active and silent texts, or all texts are stimuli.

    References
    ----------
    Paulo et al., arXiv:2410.13928, section 3.2 (detection).

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_sae_encoding.analysis import score_explanations
    >>> contexts = pd.DataFrame([
    ...     {"feature": "f", "index": 1, "kind": kind, "activation": a, "text": text, "marks": [], "corpus": "toy"}
    ...     for kind, a, text in [("random", 1.0, "a cat"), ("silent", 0.0, "a dog")]
    ... ])
    >>> judge = lambda prompt: str([int("cat" in line) for line in prompt.splitlines() if line[:1].isdigit()])
    >>> float(score_explanations({1: "cats"}, contexts, judge, random_state=0).score)
    1.0
    """
    check_contexts(contexts)
    contexts = contexts[contexts["kind"] != "top"]
    outside = ~contexts["text"].isin([str(text) for text in stimuli]) & (contexts["corpus"] != "stimuli")
    if len(contexts) and not outside.any():
        raise ValueError(
            "All texts are stimuli of the experiment. An explanation is scored on a corpus that is not what was "
            "encoded: collect contexts from another one."
        )
    rng = check_random_state(random_state)
    examples = {
        index: _examples(contexts[outside & (contexts["index"] == index)], n_contexts, rng)
        for index in sorted(pd.Series(explanations).index)
    }
    examples = {index: own for index, own in examples.items() if len(own)}
    if not examples:
        raise ValueError("No explained feature has both active and silent texts among the contexts.")
    others = _others(list(examples), rng)
    rows = []
    for index, own in examples.items():
        answers, shuffled = (
            _asked(judge, explanations[which], own["text"].tolist()) for which in (index, others[index])
        )
        active = (own["activation"] > 0).to_numpy()
        low, high = _interval(answers, active, n_bootstraps, confidence, rng)
        rows.append(
            {
                "index": index,
                "label": explanations[index],
                "score": _balanced_accuracy(answers, active),
                "low": low,
                "high": high,
                "shuffled": _balanced_accuracy(shuffled, active) if others[index] != index else np.nan,
                "n_contexts": len(own),
                "parsed": answers is not None,
            }
        )
    table = pd.DataFrame(rows)
    return ExplanationScores(
        table, float(table["score"].mean()), float(table["shuffled"].mean()), int((~table["parsed"]).sum())
    )


def _examples(own, n_contexts, rng):
    """As many active as silent texts, in random order; nothing if there are none of either."""
    active, silent = own[own["activation"] > 0], own[own["activation"] == 0]
    n = min(n_contexts // 2, len(active), len(silent))
    chosen = pd.concat([part.iloc[rng.permutation(len(part))[:n]] for part in (active, silent)])
    return chosen.iloc[rng.permutation(len(chosen))]


def _others(indices, rng):
    """Another feature for each, at random: its neighbour in a random circle."""
    order = [indices[i] for i in rng.permutation(len(indices))]
    return dict(zip(order, order[1:] + order[:1], strict=True))


def _asked(judge, explanation, texts):
    """The judge's answers as an array of bool, or None if they can't be read."""
    listed = "\n".join(f"{i}. {text}" for i, text in enumerate(texts, start=1))
    answer = judge(_JUDGE.format(explanation=explanation, texts=listed, n=len(texts)))
    try:
        found = json.loads(answer)
    except (json.JSONDecodeError, TypeError):
        return None
    is_list = isinstance(found, list) and len(found) == len(texts) and all(one in (0, 1) for one in found)
    return np.array(found, dtype=bool) if is_list else None


def _balanced_accuracy(answers, active):
    if answers is None:
        return 0.5
    return float((answers[active].mean() + (~answers[~active]).mean()) / 2)


def _interval(answers, active, n_bootstraps, confidence, rng):
    if answers is None:
        return np.nan, np.nan
    hits = [answers[active].astype(float), (~answers[~active]).astype(float)]
    means = [part[rng.randint(len(part), size=(n_bootstraps, len(part)))].mean(axis=1) for part in hits]
    return np.quantile((means[0] + means[1]) / 2, [0.5 - confidence / 2, 0.5 + confidence / 2])
