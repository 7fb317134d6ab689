"""Kinds of features: what the literature says, with how we know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

UNLABELLED = "unlabelled"


class Category(NamedTuple):
    """What a category is."""

    definition: str
    subcategories: Mapping[str, str] = {}  # name to definition
    evidence: str = ""  # how we know that a paper used it and its subcategories


# The scheme of Guo, Wu and Yiu (arXiv:2605.23035), as far as it could be recovered.
DEFAULT_CATEGORIES = {
    "semantic": Category(
        "The feature is active for what words mean: a topic, kind of thing, event or attitude.",
        {
            "emotion": "Feelings, moods and attitudes.",
            "person": "People, their roles and relations.",
            "action": "Actions and events.",
            "place": "Places, spaces and directions.",
            "object": "Concrete things that can be seen or handled.",
        },
        "Named in the paper's abstract. Of its subcategories the paper names emotion; person, action, place and object "
        "are inferred from a third party's list.",
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
