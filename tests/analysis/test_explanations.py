"""Explanations of features by any annotator."""

import json

import pandas as pd
import pytest

from sklearn_sae_encoding.analysis import FeatureTaxonomy, explain_features


@pytest.fixture
def contexts():
    rows = [
        (3, "top", 2.0, "a cat and a catfish", [(2, 5, 2.0), (12, 15, 1.0), (15, 19, 1.0)]),
        (3, "random", 1.0, "the cat", [(4, 7, 1.0)]),
        (3, "silent", 0.0, "a dog", []),
        (7, "top", 1.0, "on Monday", [(3, 9, 1.0)]),
    ]
    columns = ["index", "kind", "activation", "text", "marks"]
    return pd.DataFrame(rows, columns=columns).assign(
        feature=lambda t: [f"sae_{i:05}" for i in t["index"]], corpus="toy"
    )


def say(label, category="lexical", **changes):
    return json.dumps({"label": label, "category": category, "subcategory": "", "confidence": 0.5, **changes})


def test_the_annotator_sees_marked_active_texts_silent_ones_and_the_definitions(contexts):
    prompts = []
    explain_features(contexts, lambda prompt: prompts.append(prompt) or say("x"), name="me")
    assert len(prompts) == 2
    assert "1. a «cat» and a «catfish»" in prompts[0]
    assert "2. the «cat»" in prompts[0]
    assert "1. a dog" in prompts[0]
    assert "- lexical: The feature is active for particular words" in prompts[0]
    assert "  - emotion: " in prompts[0]


def test_answers_that_were_parsed_make_a_taxonomy(contexts):
    answers = iter([say("cats", "semantic", subcategory="object"), "I think it is about weekdays."])
    explained = explain_features(contexts, lambda prompt: next(answers), name="me")
    assert explained["parsed"].tolist() == [True, False]
    assert explained["answer"].tolist()[1] == "I think it is about weekdays."
    taxonomy = FeatureTaxonomy(explained[explained["parsed"]])
    assert taxonomy.categories_of([3, 7], level="subcategory").tolist() == ["semantic/object", "unlabelled"]


@pytest.mark.parametrize(
    "answer",
    [
        "lexical",
        "[1]",
        say("x") + " ",
        say(""),
        say("x", "magic"),
        say("x", "lexical", subcategory="emotion"),
        say("x", confidence=1.5),
        say("x", confidence=True),
        say("x", extra=1),
        say(1),
    ],
)
def test_only_the_answer_that_was_asked_for_is_parsed(contexts, answer):
    explained = explain_features(contexts.iloc[:1], lambda prompt: answer, name="me")
    strict = explained["parsed"].tolist()[0]
    assert strict == (answer == say("x") + " ")  # white space around JSON is JSON
    assert explained["label"].tolist() == ["x" if strict else ""]


def test_a_run_that_was_killed_goes_on_and_keeps_every_raw_answer(contexts, tmp_path):
    path, asked = tmp_path / "answers.jsonl", []

    def dies_at_the_second(prompt):
        asked.append(prompt)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return say("first")

    with pytest.raises(KeyboardInterrupt):
        explain_features(contexts, dies_at_the_second, name="me", path=path)
    with path.open("a") as file:
        file.write('{"index": 7, "sou')  # cut short
    explained = explain_features(contexts, lambda prompt: asked.append(prompt) or say("second"), name="me", path=path)
    assert len(asked) == 3
    assert explained["label"].tolist() == ["first", "second"]
    kept = [json.loads(line) for line in path.read_text().splitlines()]
    assert [record["source"] for record in kept] == ["me", "me"]
    assert all({"date", "version", "answer"} <= set(record) for record in kept)
    explain_features(contexts, lambda prompt: asked.append(prompt) or say("other"), name="someone else", path=path)
    assert len(asked) == 5  # another annotator is asked


def test_a_file_of_something_else_and_tables_without_contexts_are_refused(contexts, tmp_path):
    path = tmp_path / "other.jsonl"
    path.write_text('{"a": 1}\n{"b": 2}\n')
    with pytest.raises(ValueError, match="line 1 lacks some field"):
        explain_features(contexts, say, name="me", path=path)
    path.write_text("no json\n{}\n{}\n")
    with pytest.raises(ValueError, match="line 1 is no JSON"):
        explain_features(contexts, say, name="me", path=path)
    with pytest.raises(ValueError, match="the columns corpus, marks are missing"):
        explain_features(contexts.drop(columns=["marks", "corpus"]), say, name="me")


def test_a_model_of_transformers_is_an_annotator_and_what_it_says_is_kept(contexts, tiny_lm_dir):
    from transformers import pipeline

    generate = pipeline("text-generation", tiny_lm_dir)
    options = {"max_new_tokens": 4, "do_sample": False, "return_full_text": False}
    explained = explain_features(contexts, lambda p: generate(p[-40:], **options)[0]["generated_text"], name="tiny")
    assert explained["answer"].str.len().gt(0).all()
    assert not explained["parsed"].any()  # its weights are random
    assert explained["source"].eq("tiny").all()
