"""Asking people what features are: a sheet for raters who have a browser and no Python, and what they saved."""

from __future__ import annotations

import hashlib
import json
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.utils import check_random_state

from sklearn_sae_encoding.analysis.categories import DEFAULT_CATEGORIES, Category
from sklearn_sae_encoding.analysis.explanations import check_contexts

_OPENING = '<script id="sheet" type="application/json">'


def sample_features(features, n, *, by="random", random_state=None):
    """Draw features to be rated: at random within each category, or with a chance that grows with their use.

    Parameters
    ----------
    features : DataFrame
        A row a feature with `index`; with `category`, `n` are drawn of each; with ``by="use"`` also `n_voxels`, such as
        ``count_feature_use`` gives.

    n : int
        Features in all, or of each category; all of a category that has fewer.

    by : {"random", "use"}, default="random"
        Equal chances, or chances proportional to `n_voxels`.

    random_state : int, RandomState instance or None, default=None
        Seed.

    Returns
    -------
    sample : pandas.DataFrame
        The rows drawn, by category.

    Raises
    ------
    ValueError
        If a column is missing, or nothing is used.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_sae_encoding.analysis import sample_features
    >>> features = pd.DataFrame({"index": range(9), "category": ["lexical"] * 6 + ["semantic"] * 3})
    >>> sample_features(features, 2, random_state=0)["category"].tolist()
    ['lexical', 'lexical', 'semantic', 'semantic']
    """
    wanted = {"index", *(["n_voxels"] if by == "use" else [])}
    if by not in ("random", "use") or not wanted <= set(features):
        raise ValueError(
            f"by must be 'random' or 'use', and features need {sorted(wanted)}; got {by!r}, {list(features)}."
        )
    rng, drawn = check_random_state(random_state), []
    groups = [own for _, own in features.groupby("category", sort=False)] if "category" in features else [features]
    for own in groups:
        if by == "use":
            own = own[own["n_voxels"] > 0]
            if not len(own):
                raise ValueError("No feature of a category is used by any voxel. Draw by='random'.")
        chances = own["n_voxels"] / own["n_voxels"].sum() if by == "use" else None
        drawn.append(own.iloc[rng.choice(len(own), size=min(n, len(own)), replace=False, p=chances)])
    return pd.concat(drawn)


def make_annotation_sheet(
    contexts,
    path,
    *,
    categories=None,
    n_contexts=8,
    duplicates=0.1,
    title="What are these features?",
    random_state=None,
):
    """Write a sheet on which a person sorts features into categories, in a browser, and saves the answers to a file.

    The page needs nothing but itself: definitions, contexts with marked tokens, choices by keyboard. Features come in
    random order, and some of them twice, unannounced, which shows how consistent a rater is. Beside it a CSV holds the
    same items for a spreadsheet.

    Parameters
    ----------
    contexts : DataFrame
        What :func:`feature_contexts` gives, of the features to be rated.

    path : path-like
        Where the page is written, such as ``sheet.html``; the CSV gets the same name with ``.csv``.

    categories : dict of str to Category or str, default=None
        What raters choose from, nine at most. None is `DEFAULT_CATEGORIES`.

    n_contexts : int, default=8
        Active texts a feature, the strongest first.

    duplicates : float, default=0.1
        Share of the features that come twice.

    title : str
        Heading of the page.

    random_state : int, RandomState instance or None, default=None
        Seed of the order and the duplicates.

    Returns
    -------
    path : pathlib.Path
        The page. :func:`read_annotations` checks what raters saved against it.

    Raises
    ------
    ValueError
        If `contexts` lack a column or hold no active text, there are more than nine categories, or the folder does not
        exist.

    Examples
    --------
    >>> import pandas as pd, tempfile
    >>> from sklearn_sae_encoding.analysis import make_annotation_sheet
    >>> contexts = pd.DataFrame([{"feature": "sae_00003", "index": 3, "kind": "top", "activation": 2.0,
    ...                           "text": "a cat", "marks": [(2, 5, 2.0)], "corpus": "toy"}])
    >>> path = make_annotation_sheet(contexts, tempfile.mkdtemp() + "/sheet.html", random_state=0)
    >>> sorted(one.name for one in path.parent.iterdir())
    ['sheet.csv', 'sheet.html']
    """
    check_contexts(contexts)
    given = DEFAULT_CATEGORIES if categories is None else categories
    if not 0 < len(given) <= 9:
        raise ValueError(f"A sheet has one to nine categories, one a key, got {len(given)}.")
    path = Path(path)
    if not path.parent.is_dir():
        raise ValueError(f"There is no folder {path.parent} to write the sheet to.")
    definitions = {key: one if isinstance(one, Category) else Category(str(one)) for key, one in given.items()}
    items = _items(contexts, n_contexts, duplicates, check_random_state(random_state))
    sheet = {
        "title": title,
        "categories": {
            key: {"definition": one.definition, "subcategories": dict(one.subcategories)}
            for key, one in definitions.items()
        },
        "items": items,
    }
    text = json.dumps(sheet, ensure_ascii=False, sort_keys=True)
    sheet["sheet"] = hashlib.sha256(text.encode()).hexdigest()[:16]
    page = (files("sklearn_sae_encoding.analysis") / "annotation_sheet.html").read_text(encoding="utf-8")
    # Nothing in a text can end the element that holds the data.
    data = json.dumps(sheet, ensure_ascii=False).replace("<", "\\u003c")
    path.write_text(page.replace("@SHEET@", data), encoding="utf-8")
    rows = [
        {
            "sheet": sheet["sheet"],
            "item": item["item"],
            "texts": " | ".join(_marked(**context) for context in item["contexts"]),
            **dict.fromkeys(("category", "subcategory", "comment"), ""),
        }
        for item in items
    ]
    pd.DataFrame(rows).to_csv(path.with_suffix(".csv"), index=False, encoding="utf-8-sig")
    return path


def read_annotations(answers, sheet, *, allow_missing=False):
    """Read what raters saved, and check it against the sheet that they were given.

    Parameters
    ----------
    answers : path-like or list of these
        Files that raters saved from the page (JSON), or the sheet's CSV filled in, named after the rater.

    sheet : path-like
        The page of :func:`make_annotation_sheet`.

    allow_missing : bool, default=False
        Whether raters may leave items open.

    Returns
    -------
    annotations : pandas.DataFrame
        A row an answer: `rater`, `item`, `index`, `feature`, `category`, `subcategory`, `comment`, `seconds` and
        `duplicate` (True for the second time that a rater saw a feature). Without duplicates, pivoted by rater, they
        go to :func:`compare_raters` and :func:`krippendorff_alpha`.

    Raises
    ------
    ValueError
        If a file is of another sheet or is none, an item or category is unknown, an item is answered twice, items are
        open, or a rater's name comes twice.

    Examples
    --------
    >>> import json, pandas as pd, pathlib, tempfile
    >>> from sklearn_sae_encoding.analysis import make_annotation_sheet, read_annotations
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> contexts = pd.DataFrame([{"feature": "sae_00003", "index": 3, "kind": "top", "activation": 2.0,
    ...                           "text": "a cat", "marks": [(2, 5, 2.0)], "corpus": "toy"}])
    >>> sheet = make_annotation_sheet(contexts, folder / "sheet.html", random_state=0)
    >>> filled = pd.read_csv(folder / "sheet.csv").assign(category="lexical")
    >>> filled.to_csv(folder / "ann.csv", index=False)
    >>> read_annotations(folder / "ann.csv", sheet)[["rater", "feature", "category"]].values.tolist()
    [['ann', 'sae_00003', 'lexical']]
    """
    given = _sheet_of(Path(sheet))
    paths = [Path(one) for one in ([answers] if isinstance(answers, (str, Path)) else answers)]
    frames = [_read_answers(path, given, allow_missing) for path in paths]
    raters = [frame["rater"].iloc[0] if len(frame) else path.stem for frame, path in zip(frames, paths, strict=True)]
    if twice := sorted({rater for rater in raters if raters.count(rater) > 1}):
        raise ValueError(f"There are several files of the rater {', '.join(map(repr, twice))}. Give each its own name.")
    return pd.concat(frames, ignore_index=True)


def _items(contexts, n_contexts, duplicates, rng):
    features = []
    for index, own in contexts[contexts["activation"] > 0].groupby("index", sort=True):
        strongest = own.sort_values("activation", ascending=False).head(n_contexts)
        shown = [
            {"text": text, "marks": sorted([int(start), int(end)] for start, end, _ in marks)}
            for text, marks in zip(strongest["text"], strongest["marks"], strict=True)
        ]
        features.append({"index": int(index), "feature": str(own["feature"].iloc[0]), "contexts": shown})
    if not features:
        raise ValueError("contexts hold no text in which a feature is active: there is nothing to show.")
    n = len(features)
    order = rng.permutation(n).tolist()
    for again in rng.permutation(n)[: round(duplicates * n)].tolist():
        # Half of the features later, where there are as many: not to be recognised, and not all at the end.
        earliest = min(order.index(again) + 1 + n // 2, len(order))
        order.insert(rng.randint(earliest, len(order) + 1), again)
    return [{"item": item, **features[i]} for item, i in enumerate(order)]


def _marked(text, marks):
    for start, end in reversed(marks):
        text = f"{text[:start]}«{text[start:end]}»{text[end:]}"
    return text.replace("»«", "")


def _sheet_of(path):
    page = path.read_text(encoding="utf-8")
    start = page.find(_OPENING)
    if start < 0:
        raise ValueError(f"{path} is no sheet of make_annotation_sheet.")
    return json.loads(page[start + len(_OPENING) : page.index("</script>", start)])


def _read_answers(path, sheet, allow_missing):
    rater, number, answers = _saved(path)
    if number != sheet["sheet"]:
        raise ValueError(f"{path} belongs to the sheet {number!r}, not to {sheet['sheet']!r}.")
    items = {item["item"]: item for item in sheet["items"]}
    seen, rows, features = set(), [], set()
    for answer in sorted(answers, key=lambda one: one["item"]):
        item, category, sub = answer["item"], answer["category"], answer.get("subcategory", "")
        if item not in items or item in seen:
            raise ValueError(
                f"{path} answers item {item} {'twice' if item in seen else 'which the sheet does not have'}."
            )
        if category not in sheet["categories"] or (sub and sub not in sheet["categories"][category]["subcategories"]):
            raise ValueError(f"{path}, item {item}: {category!r} {sub!r} is none of the sheet's categories.")
        seen.add(item)
        index, feature = items[item]["index"], items[item]["feature"]
        about = {"comment": answer.get("comment", ""), "seconds": answer.get("seconds", np.nan)}
        found = {"rater": rater, "item": item, "index": index, "feature": feature, "category": category}
        rows.append({**found, "subcategory": sub, **about, "duplicate": index in features})
        features.add(index)
    if (missing := sorted(set(items) - seen)) and not allow_missing:
        raise ValueError(f"{path} leaves {len(missing)} of {len(items)} items open, such as item {missing[0]}.")
    columns = ["rater", "item", "index", "feature", "category", "subcategory", "comment", "seconds", "duplicate"]
    return pd.DataFrame(rows, columns=columns)


def _saved(path):
    """Rater, sheet and answers of a file."""
    if path.suffix == ".csv":
        table = pd.read_csv(path, keep_default_na=False, encoding="utf-8-sig", dtype={"sheet": str})
        if not {"sheet", "item", "category"} <= set(table):
            raise ValueError(f"{path} is no filled-in sheet: it has the columns {list(table)}.")
        numbers = table["sheet"].unique().tolist()
        rows = [
            {str(key): value for key, value in row.items()} for row in table[table["category"] != ""].to_dict("records")
        ]
        return path.stem, numbers[0] if len(numbers) == 1 else str(numbers), rows
    try:
        saved = json.loads(path.read_text(encoding="utf-8-sig"))
        return str(saved["rater"]), saved["sheet"], [dict(one, item=int(one["item"])) for one in saved["answers"]]
    except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is no file that an annotation sheet saved: {error!r}.") from None
