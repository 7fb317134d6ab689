"""Kinds of features and where they are expected: what the literature says, with how we know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

UNLABELLED = "unlabelled"


class Category(NamedTuple):
    """What a category is."""

    definition: str
    subcategories: Mapping[str, str] = {}  # name to definition
    evidence: str = ""  # how we know that a paper used it


# The scheme of Guo, Wu and Yiu (arXiv:2605.23035), as far as it could be recovered.
DEFAULT_CATEGORIES = {
    "semantic": Category(
        "The feature is active for what words mean: a topic, kind of thing, event or attitude.",
        {
            "emotion": "Feelings, moods and attitudes. (Named by the paper.)",
            "person": "People, their roles and relations. (Inferred from a third party's list.)",
            "action": "Actions and events. (Inferred from a third party's list.)",
            "place": "Places, spaces and directions. (Inferred from a third party's list.)",
            "object": "Concrete things that can be seen or handled. (Inferred from a third party's list.)",
        },
        "Named in the paper's abstract.",
    ),
    "syntactic": Category(
        "The feature is active for a grammatical role, construction or part of speech, whatever the words mean.",
        evidence="Inferred: a class of the paper's five.",
    ),
    "lexical": Category(
        "The feature is active for particular words, word forms or spellings.",
        evidence="Inferred: a class of the paper's five.",
    ),
    "positional": Category(
        "The feature is active at a place in the text: its beginning, its end, after a mark.",
        evidence="Inferred: a class of the paper's five, of which a fragment shows the end of the name.",
    ),
    "other": Category(
        "None of these, or several of them.",
        evidence="Inferred: the last of the paper's five.",
    ),
}

# What arXiv:2605.23035 expected of a subcategory, as far as it could be recovered; the paper names Binder et al. 2009,
# Huth et al. 2016 and Deniz et al. 2019 as its sources. Of its other four rows nothing certain is known.
_PREDICTED = [("emotion", "anterior temporal"), ("emotion", "dorsomedial prefrontal")]


def load_predicted_topography():
    """Load where subcategories of semantic features are expected in cortex, as far as it is known.

    Returns
    -------
    table : pandas.DataFrame of shape (n_subcategories, n_regions)
        1 where a subcategory is expected; NaN where nothing is known, which is everywhere but in one row. Fill in the
        rest from the literature, with 0 where a subcategory is not expected, for
        :func:`~sklearn_sae_encoding.analysis.topography_convergence`.

    References
    ----------
    Guo, Wu and Yiu, arXiv:2605.23035, who cite Binder, Desai, Graves and Conant (2009), Huth, de Heer, Griffiths,
    Theunissen and Gallant (2016) and Deniz, Nunez-Elizalde, Huth and Gallant (2019).

    Examples
    --------
    >>> from sklearn_sae_encoding.analysis import load_predicted_topography
    >>> load_predicted_topography().loc["emotion"].to_dict()
    {'anterior temporal': 1.0, 'dorsomedial prefrontal': 1.0}
    """
    rows, columns = list(DEFAULT_CATEGORIES["semantic"].subcategories), list(dict.fromkeys(r for _, r in _PREDICTED))
    table = pd.DataFrame(np.nan, index=rows, columns=columns)
    for subcategory, region in _PREDICTED:
        table.loc[subcategory, region] = 1.0
    return table
