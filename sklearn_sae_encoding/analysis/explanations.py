"""What do features mean, in words: explanations by any annotator, every raw answer kept."""

from __future__ import annotations

import datetime
import hashlib
import json
from pathlib import Path

import pandas as pd

from sklearn_sae_encoding.analysis.categories import DEFAULT_CATEGORIES, Category

PROMPT_VERSION = "2"

_EXPLAIN = """\
A feature of a language model is active on the tokens between « and » in the texts below, strongest first.
It is silent in the texts of the last list.

Active:
{active}

Silent:
{silent}

What makes the feature active? Answer with one JSON object and nothing else:
{{"label": "a few words", "category": one of {categories}, "subcategory": "" or one of that category's, \
"confidence": a number from 0 to 1}}

Categories:
{definitions}
"""


def explain_features(
    contexts, annotator, *, name, categories=None, path=None, prompt=_EXPLAIN, n_contexts=10, verbose=0
):
    """Ask an annotator what makes each feature active.

    Parameters
    ----------
    contexts : DataFrame
        What :func:`feature_contexts` gives.

    annotator : callable of str to str
        Takes a prompt, gives an answer: a person, a local model, or a client of a service, which sees to retries and
        rate limits itself.

    name : str
        Who the annotator is, such as the model and its version; kept with every answer.

    categories : dict of str to Category or str, default=None
        What the annotator chooses from. None is `DEFAULT_CATEGORIES`.

    path : path-like, default=None
        A file of JSON lines that keeps every raw answer with its prompt's version, date and annotator. Features that
        it holds an answer of this annotator and version for are not asked again. None keeps nothing.

    prompt : str, default=the one in this module, of version `PROMPT_VERSION`
        The prompt, with the places ``{active}``, ``{silent}``, ``{categories}`` and ``{definitions}``.

    n_contexts : int, default=10
        Active texts that are shown, and half as many silent ones. The others are left for :func:`score_explanations`.

    verbose : int, default=0
        1 prints a line a feature.

    Returns
    -------
    explanations : pandas.DataFrame
        A row a feature: `index`, `feature`, `category`, `subcategory`, `label`, `confidence`, `source`, `parsed`
        (False where the answer was not as asked; its label is then empty) and `answer`, as it was. The rows that were
        parsed make a :class:`FeatureTaxonomy`.

    Raises
    ------
    ValueError
        If `contexts` lack a column, or the file holds something else.

    References
    ----------
    Bills et al., "Language models can explain neurons in language models" (2023); Paulo et al., "Automatically
    interpreting millions of features in large language models", arXiv:2410.13928.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_sae_encoding.analysis import explain_features
    >>> contexts = pd.DataFrame([{"feature": "sae_00003", "index": 3, "kind": "top", "activation": 2.0,
    ...                           "text": "a cat", "marks": [(2, 5, 2.0)], "corpus": "toy"}])
    >>> annotator = lambda prompt: '{"label": "cats", "category": "lexical", "subcategory": "", "confidence": 0.9}'
    >>> explain_features(contexts, annotator, name="me")[["index", "label", "category"]].values.tolist()
    [[3, 'cats', 'lexical']]
    """
    check_contexts(contexts)
    categories = {
        key: one if isinstance(one, Category) else Category(str(one))
        for key, one in (DEFAULT_CATEGORIES if categories is None else categories).items()
    }
    version = PROMPT_VERSION if prompt == _EXPLAIN else hashlib.sha256(prompt.encode()).hexdigest()[:12]
    known = {} if path is None else _known(Path(path), name, version)
    rows = []
    for number, (index, own) in enumerate(contexts.groupby("index", sort=True)):
        record = known.get(int(index))
        if record is None:
            answer = annotator(_explain_prompt(own, categories, prompt, n_contexts))
            date = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
            record = {"index": int(index), "source": name, "version": version, "date": date, "answer": str(answer)}
            if path is not None:
                with Path(path).open("a", encoding="utf-8") as file:
                    file.write(json.dumps(record) + "\n")
        if verbose:
            print(f"feature {number + 1} of {contexts['index'].nunique()}: {record['answer'][:80]!r}")
        rows.append({"feature": own["feature"].iloc[0], **record, **_parsed(record["answer"], categories)})
    columns = ["index", "feature", "category", "subcategory", "label", "confidence", "source", "parsed", "answer"]
    return pd.DataFrame(rows, columns=columns)


def check_contexts(contexts):
    """Refuse what is no table of contexts."""
    if missing := sorted({"feature", "index", "kind", "activation", "text", "marks", "corpus"} - set(contexts)):
        raise ValueError(f"contexts must be what feature_contexts gives; the columns {', '.join(missing)} are missing.")


def _explain_prompt(own, categories, prompt, n_contexts):
    active = own[own["activation"] > 0].sort_values("activation", ascending=False).head(n_contexts)
    silent = own[own["activation"] == 0].head(n_contexts // 2)
    definitions = [
        f"- {name}: {one.definition}" + "".join(f"\n  - {sub}: {text}" for sub, text in one.subcategories.items())
        for name, one in categories.items()
    ]
    return prompt.format(
        active="\n".join(
            f"{i}. {text}" for i, text in enumerate(map(_marked, active["text"], active["marks"]), start=1)
        ),
        silent="\n".join(f"{i}. {text}" for i, text in enumerate(silent["text"], start=1)) or "(none)",
        categories=" ".join(f'"{name}"' for name in categories),
        definitions="\n".join(definitions),
    )


def _marked(text, marks):
    for start, end, _ in sorted(marks, reverse=True):
        text = f"{text[:start]}«{text[start:end]}»{text[end:]}"
    return text.replace("»«", "")


def _parsed(answer, categories):
    """Read an answer strictly: one JSON object with a label, a known category, a subcategory of it, a confidence."""
    nothing = {"label": "", "category": "", "subcategory": "", "confidence": float("nan"), "parsed": False}
    try:
        found = json.loads(answer)
    except json.JSONDecodeError:
        return nothing
    if not isinstance(found, dict) or set(found) != {"label", "category", "subcategory", "confidence"}:
        return nothing
    texts = [found[name] for name in ("label", "category", "subcategory")]
    number = found["confidence"]
    fits = all(isinstance(text, str) for text in texts) and type(number) in (int, float) and 0 <= number <= 1
    if not fits or not found["label"].strip() or found["category"] not in categories:
        return nothing
    if found["subcategory"] and found["subcategory"] not in categories[found["category"]].subcategories:
        return nothing
    return {**found, "confidence": float(number), "parsed": True}


def _known(path, name, version):
    """Answers of this annotator to this prompt that a file holds. A line cut short by a kill is asked again."""
    known = {}
    lines = path.read_text(encoding="utf-8").split("\n") if path.exists() else []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            if number >= len(lines) - 1:
                path.write_text("\n".join(lines[: number - 1]) + "\n" * (number > 1), encoding="utf-8")
                break
            raise ValueError(f"{path} holds no answers of explain_features: line {number} is no JSON.") from None
        if not isinstance(record, dict) or not {"index", "source", "version", "answer"} <= set(record):
            raise ValueError(f"{path} holds no answers of explain_features: line {number} lacks some field.")
        if (record["source"], record["version"]) == (name, version):
            known[record["index"]] = record
    return known
