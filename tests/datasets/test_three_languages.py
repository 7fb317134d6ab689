"""Shipped sentences of three languages: as many of each, and letters of their own scripts."""

import pandas as pd

from sklearn_sae_encoding.datasets import load_three_languages

LANGUAGES = ["en", "fr", "zh"]


def test_every_topic_has_as_many_sentences_and_every_sentence_its_translations():
    data = load_three_languages()
    assert data.parallel.columns.tolist() == ["topic", *LANGUAGES]
    assert data.parallel["topic"].value_counts().tolist() == [12] * 10
    assert not data.parallel.isna().any().any()
    for language in LANGUAGES:
        assert data.parallel[language].is_unique
        assert data.parallel[language].str[-1].isin([".", "。"]).all()


def test_texts_are_written_in_the_script_of_their_language_and_no_sentence_is_among_the_parallel_ones():
    data = load_three_languages()
    assert {name: len(texts) for name, texts in data.texts.items()} == dict.fromkeys(LANGUAGES, 600)
    chinese = pd.Series(data.texts["zh"]).str.count(r"[\u4e00-\u9fff]")
    assert (chinese > 0).all()
    for language in ("en", "fr"):
        assert not pd.Series(data.texts[language]).str.contains(r"[\u4e00-\u9fff]").any()
    assert pd.Series(data.texts["fr"]).str.contains("[éèàçù]").mean() > 0.5
    for language in LANGUAGES:
        assert not set(data.texts[language]) & set(data.parallel[language])
    assert "CC0" in data.DESCR
