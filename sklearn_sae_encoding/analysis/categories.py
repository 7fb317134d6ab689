"""Kinds of features: what the literature says, with how we know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

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
