"""What others found out about the features of an SAE: folders of Neuronpedia's exports and of delphi's results."""

from __future__ import annotations

import gzip
import heapq
import json
import re
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.utils import check_random_state

from sklearn_sae_encoding._sae.columns import page_of

_SIGNS = str.maketrans({"▁": " ", "Ġ": " ", "↵": "\n", "Ċ": "\n"})  # of white space in tokens
_LATENT = re.compile(r"(?P<module>.*?)_?latent(?P<index>[0-9]{1,18})\.txt")


class FeatureExport(NamedTuple):
    """What :func:`read_feature_export` finds; tables without rows where a folder holds nothing of the kind."""

    explanations: pd.DataFrame  # a row an explanation: `index`, `label`, `source` (who explains), `method`, `page`
    features: pd.DataFrame  # a row a feature: `index`, `density`, `max_activation`, `page`
    contexts: pd.DataFrame  # as feature_contexts gives them
    scores: pd.DataFrame  # a row a feature and kind of score: `index`, `kind`, `score`, `n_texts`, `n_unparsed`
    page: str | None  # the address of a feature's page, with the place {index}


def read_feature_export(folder, *, features=None, n_contexts=10, module=None, random_state=None):
    """Read all that a folder says of an SAE's features: an export of Neuronpedia, or results of delphi.

    Parameters
    ----------
    folder : path-like
        Of Neuronpedia: the folder of one source, such as ``v1/gpt2-small/8-res-jb`` of its exports, with some of the
        folders ``explanations``, ``features`` and ``activations``, or one of these; files are
        ``batch-*.jsonl.gz`` (or ``.jsonl``). Of delphi: a folder of results, with ``explanations`` and ``scores``,
        whose files are ``*_latent123.txt``.

    features : array-like of int, default=None
        Features whose texts are read from ``activations``; None reads none, as exports hold gigabytes of them.

    n_contexts : int, default=10
        Texts of each kind a feature: the strongest, others at random, and silent ones, where the export has them.

    module : str, default=None
        Which hook point, where delphi's results are of several.

    random_state : int, RandomState instance or None, default=None
        Seed of the random texts.

    Returns
    -------
    export : FeatureExport
        A named tuple of the tables ``explanations``, ``features``, ``contexts`` and ``scores``, and ``page``. Scores
        are balanced accuracies (.5 is chance) of each kind that delphi has tested, such as "detection" and "fuzz".

    Raises
    ------
    ValueError
        If the folder holds no such files, a file is cut short or has other fields, or features are of several SAEs.

    Examples
    --------
    >>> import json, pathlib, tempfile
    >>> from sklearn_sae_encoding.analysis import read_feature_export
    >>> folder = pathlib.Path(tempfile.mkdtemp()) / "explanations"
    >>> folder.mkdir()
    >>> line = {"modelId": "gpt2-small", "layer": "8-res-jb", "index": "79", "description": "scenery",
    ...         "explanationModelName": "gpt-4o-mini", "typeName": "oai_token-act-pair"}
    >>> _ = (folder / "batch-0.jsonl").write_text(json.dumps(line))
    >>> export = read_feature_export(folder.parent)
    >>> export.explanations[["index", "label", "source"]].values.tolist()
    [[79, 'scenery', 'gpt-4o-mini']]
    >>> export.page.format(index=79)
    'https://www.neuronpedia.org/gpt2-small/8-res-jb/79'
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"There is no folder {folder}.")
    if any(_LATENT.fullmatch(path.name) for path in folder.rglob("*latent*.txt")):
        return _of_delphi(folder, module)
    paths = sorted(path for path in folder.rglob("batch-*") if path.name.endswith((".jsonl", ".jsonl.gz")))
    if not paths:
        raise ValueError(
            f"{folder} holds neither batch-*.jsonl.gz, as Neuronpedia exports them, nor *_latent123.txt, as delphi "
            "writes them."
        )
    wanted = None if features is None else {int(one) for one in features}
    return _of_neuronpedia(paths, wanted, n_contexts, check_random_state(random_state))


def _of_neuronpedia(paths, wanted, n_contexts, rng):
    explanations, known, texts, sources = [], [], {}, set()
    for path in paths:
        if path.parent.name == "activations" and wanted is None:
            continue
        for number, record in _lines(path):
            try:
                index = int(record["index"])
                sources.add((str(record.get("modelId", "")), str(record.get("layer", ""))))
                if "tokens" in record:
                    if wanted is not None and index in wanted:
                        kept = texts.setdefault(index, _Texts(n_contexts, rng))
                        kept.add([str(one) for one in record["tokens"]], [float(one) for one in record["values"]])
                elif "description" in record:
                    who = (record.get("explanationModelName") or "unknown", record.get("typeName") or "")
                    explanations.append((index, str(record["description"] or "").strip(), *map(str, who)))
                else:
                    known.append((index, record.get("frac_nonzero"), record.get("maxActApprox")))
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(f"{path}, line {number}, is none of Neuronpedia's export: {error!r}.") from None
    if len(sources) > 1:
        named = ", ".join("/".join(source) for source in sorted(sources)[:4])
        raise ValueError(f"The folder holds features of several SAEs: {named}. Give the folder of one.")
    model, layer = next(iter(sources), ("", ""))
    page = page_of(f"{model}/{layer}") if model and layer else None
    explained = pd.DataFrame(explanations, columns=["index", "label", "source", "method"])
    explained = explained[explained["label"].ne("")].drop_duplicates().sort_values("index", kind="stable")
    table = pd.DataFrame(known, columns=["index", "density", "max_activation"]).drop_duplicates("index")
    table = table.astype({"density": float, "max_activation": float}).sort_values("index", kind="stable")
    rows = [row for index in sorted(texts) for row in texts[index].rows(index)]
    contexts = pd.DataFrame(rows, columns=["feature", "index", "kind", "activation", "text", "marks", "corpus"])
    return FeatureExport(_with_page(explained, page), _with_page(table, page), contexts, _no_scores(), page)


class _Texts:
    """Texts of one feature: the strongest, a random sample of the others, and silent ones."""

    def __init__(self, n, rng):
        self.n, self.rng, self.count, self.n_others = n, rng, 0, 0
        self.top, self.others, self.silent = [], [], []

    def add(self, tokens, values):
        if len(tokens) != len(values):
            raise ValueError(f"{len(tokens)} tokens, but {len(values)} values")
        text, marks = "", []
        for token, value in zip(tokens, values, strict=True):
            piece = token.translate(_SIGNS)
            first = len(text) + len(piece) - len(piece.lstrip())
            text += piece
            if value > 0:
                marks.append((first, len(text), value))
        peak, self.count = max(values, default=0.0), self.count + 1
        one = (peak, self.count, text, marks)
        if peak <= 0:
            self.silent = [*self.silent, one][: self.n]
            return
        pushed = heapq.heappushpop(self.top, one) if len(self.top) >= self.n else heapq.heappush(self.top, one)
        if pushed is None:
            return
        self.n_others += 1
        if len(self.others) < self.n:
            self.others.append(pushed)
        elif (place := self.rng.randint(self.n_others)) < self.n:
            self.others[place] = pushed

    def rows(self, index):
        kinds = {"top": sorted(self.top, reverse=True), "random": self.others, "silent": self.silent}
        for kind, own in kinds.items():
            for peak, _, text, marks in own:
                about = {"feature": f"sae_{index:05d}", "index": index, "kind": kind, "activation": max(peak, 0.0)}
                yield {**about, "text": text, "marks": marks, "corpus": "neuronpedia"}


def _of_delphi(folder, module):
    found = [(path, _LATENT.fullmatch(path.name)) for path in sorted(folder.rglob("*latent*.txt"))]
    found = [(path, match["module"], int(match["index"])) for path, match in found if match]
    modules = sorted({name for _, name, _ in found})
    if module is None and len(modules) > 1:
        raise ValueError(f"The results are of several hook points: {', '.join(modules[:6])}. Choose one with module=.")
    if module is not None and module not in modules:
        raise ValueError(f"There are no results of the hook point {module!r}, but of {', '.join(modules)}.")
    explanations, scores = [], []
    for path, name, index in found:
        if module in (None, name):
            content = _json_of(path)
            if isinstance(content, list):
                scores.append((index, path.parent.name, *_balanced_accuracy(content, path)))
            else:
                explanations.append((index, str(content).strip(), "delphi", ""))
    explained = pd.DataFrame(explanations, columns=["index", "label", "source", "method"])
    table = pd.DataFrame(scores, columns=_no_scores().columns)
    order = ["index", "kind"]
    nothing = pd.DataFrame(columns=["feature", "index", "kind", "activation", "text", "marks", "corpus"])
    known = pd.DataFrame(columns=["index", "density", "max_activation"])
    return FeatureExport(
        _with_page(explained.sort_values("index"), None),
        _with_page(known, None),
        nothing,
        table.sort_values(order, ignore_index=True),
        None,
    )


def _balanced_accuracy(answers, path):
    """Mean of the shares of active and of silent texts that were told right, and how many there are."""
    try:
        read = [(bool(one["activating"]), one.get("prediction")) for one in answers]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} holds no scores of delphi: {error!r}.") from None
    active = np.array([is_active for is_active, said in read if said is not None], dtype=bool)
    said = np.array([float(said) >= 0.5 for _, said in read if said is not None], dtype=bool)
    both = active.any() and not active.all()
    score = (said[active].mean() + (~said[~active]).mean()) / 2 if both else np.nan
    return float(score), len(active), len(read) - len(active)


def _json_of(path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no file of delphi: {error}.") from None


def _lines(path):
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as file:
        try:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, json.loads(line)
        except (OSError, EOFError, zlib.error, ValueError) as error:
            raise ValueError(f"{path} cannot be read to its end: {error}.") from error


def _with_page(table, page):
    pages = [None if page is None else page.format(index=index) for index in table["index"]]
    return table.reset_index(drop=True).assign(page=pd.Series(pages, dtype=object))


def _no_scores():
    return pd.DataFrame(columns=["index", "kind", "score", "n_texts", "n_unparsed"])
