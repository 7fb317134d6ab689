"""Tables of features to the pages that show each feature, such as Neuronpedia's."""

from __future__ import annotations

import re

import pandas as pd

from sklearn_sae_encoding._fitted.parts import is_estimator
from sklearn_sae_encoding._fitted.tables import find_feature, pages_of
from sklearn_sae_encoding.fitted import features_of, fitted_view

_NAME = re.compile(r"(?:.*__)?sae_(\d+)")  # as SAEProjector names features, with the prefix of a FeatureUnion


def link_features(table, source):
    """Put the page of each feature beside it.

    Parameters
    ----------
    table : DataFrame
        Features by the SAE's own index (`sae_index`), by name (`feature`), or, without these, by `index`, which then is
        the SAE's own: tables of a fitted model's features, of :func:`count_feature_use`, :func:`classify_features`,
        ``FeatureTaxonomy`` and so on.

    source : str, SAEProjector, fitted model, FittedView, FeatureExport or None
        Who says where features are shown: an address with the place ``{index}``; what was fitted with an SAE whose
        metadata name its page (sae-lens knows that of many releases, as ``neuronpedia_id``); or the export of one.
        None is nobody.

    Returns
    -------
    linked : DataFrame
        With the column `page`, None where a feature is no SAE's, or nobody says where it is shown.

    Raises
    ------
    ValueError
        If the address is none of the web or has no place for an index, or the table has no features, or names one that
        the model lacks.

    See Also
    --------
    sklearn_sae_encoding.report.encoder_report : Links its features by itself.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_sae_encoding.analysis import link_features
    >>> labels = pd.DataFrame({"index": [79, 40], "label": ["scenery", "people"]})
    >>> link_features(labels, "https://www.neuronpedia.org/gemma-2-2b/12-toy/{index}")["page"].tolist()
    ['https://www.neuronpedia.org/gemma-2-2b/12-toy/79', 'https://www.neuronpedia.org/gemma-2-2b/12-toy/40']
    """
    if not {"sae_index", "feature", "index"} & set(table):
        raise ValueError(f"A table of features has a column sae_index, feature or index, got {list(table)}.")
    address, known = _told(source)
    by_name = "sae_index" not in table and "feature" in table and table["feature"].fillna("").ne("").any()
    if by_name and known is not None:
        rows = [find_feature(known, str(name)) for name in table["feature"]]
        pages = known["page"].iloc[rows] if "page" in known else [None] * len(table)
    else:
        own = table["feature"].map(_index_of) if by_name else table["sae_index" if "sae_index" in table else "index"]
        pages = pages_of(own.mask(own < 0), address) if address is not None else own.map(_by_own_index(known))
    pages = [None if pd.isna(page) else page for page in pages]
    return table.assign(page=pd.Series(pages, index=table.index, dtype=object))


def _told(source):
    """The address, if one serves all features, and the features of a model."""
    if source is None or isinstance(source, str):
        # Nothing else: a page that is linked must not run anything.
        if source is not None and not (source.startswith(("https://", "http://")) and "{index}" in source):
            raise ValueError(f"Pages of features need an https address with the place {{index}}, got {source!r}.")
        return source, None
    if hasattr(source, "explanations"):
        return source.page, None
    is_model = is_estimator(source) and not hasattr(source, "transform")
    return getattr(source, "page_", None), features_of(fitted_view(source) if is_model else source)


def _by_own_index(known):
    """Pages by the SAE's own index; none where it belongs to features of several SAEs."""
    if known is None or "page" not in known:
        return {}
    pages = known.dropna(subset=["sae_index"])[["sae_index", "page"]].drop_duplicates()
    return pages.drop_duplicates("sae_index", keep=False).set_index("sae_index")["page"].to_dict()


def _index_of(name):
    match = _NAME.fullmatch(str(name))
    return int(match[1]) if match else -1
