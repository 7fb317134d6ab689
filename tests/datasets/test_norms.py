"""Norms of words that ship with the package."""

import pytest

from sklearn_sae_encoding.datasets import load_lancaster_norms, load_supersenses


def test_supersenses_are_wordnets_lexicographer_files_one_for_a_word_and_part_of_speech():
    table = load_supersenses()
    assert not table.duplicated(["word", "pos"]).any()
    assert table["supersense"].nunique() == 41
    assert (table["supersense"].str.split(".").str[0] == table["pos"]).all()
    known = {("dog", "noun"): "noun.animal", ("walk", "verb"): "verb.motion", ("london", "noun"): "noun.location"}
    senses = table.set_index(["word", "pos"])["supersense"]
    assert {key: senses[key] for key in known} == known


def test_lancaster_norms_are_ratings_of_every_published_word():
    table = load_lancaster_norms()
    assert len(table) == 39_707
    assert table["word"].is_unique
    assert (table["word"] != "").all()
    ratings = table.drop(columns="word")
    assert ratings.min().min() >= 0
    assert ratings.max().max() <= 5
    assert table.set_index("word").loc["a", "visual"] == pytest.approx(2.43)
