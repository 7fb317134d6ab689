"""Folders of Neuronpedia's exports and of delphi's results."""

import gzip
import json

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from sklearn_sae_encoding.analysis import (
    make_annotation_sheet,
    read_feature_export,
    read_feature_labels,
    score_explanations,
)

SOURCE = {"modelId": "gpt2-small", "layer": "8-res-jb"}


def write(folder, kind, batches):
    (folder / kind).mkdir(parents=True, exist_ok=True)
    for number, records in enumerate(batches):
        with gzip.open(folder / kind / f"batch-{number}.jsonl.gz", "wt", encoding="utf-8") as file:
            file.writelines(json.dumps({**SOURCE, **record}, ensure_ascii=False) + "\n" for record in records)


def explanation(index, text, who="gpt-4o-mini"):
    method = "oai_token-act-pair"
    return {"index": str(index), "description": text, "explanationModelName": who, "typeName": method}


def activation(index, tokens, values):
    return {"index": str(index), "tokens": tokens, "values": values, "maxValue": max(values)}


@pytest.fixture
def export(tmp_path):
    folder = tmp_path / "8-res-jb"
    write(folder, "explanations", [[explanation(79, "scenery"), explanation(3, " cats")], [explanation(3, "felines")]])
    write(folder, "features", [[{"index": "79", "frac_nonzero": 0.01, "maxActApprox": 22.5}], [{"index": "3"}]])
    texts = [activation(3, ["A", "Ġcat", "▁sat", "↵"], [0, v, 0, 0]) for v in (1.0, 9.0, 5.0, 3.0, 2.0, 4.0)]
    write(folder, "activations", [texts, [activation(3, ["No", " dog"], [0, 0]), activation(79, [" hill"], [1])]])
    return folder


def test_explanations_densities_and_pages_are_those_of_the_lines(export):
    found = read_feature_export(export)
    assert found.explanations[["index", "label"]].values.tolist() == [[3, "cats"], [3, "felines"], [79, "scenery"]]
    assert found.explanations["page"][0] == "https://www.neuronpedia.org/gpt2-small/8-res-jb/3"
    assert found.features["index"].tolist() == [3, 79]
    assert found.features["density"].tolist()[1] == 0.01
    assert np.isnan(found.features["max_activation"][0])
    assert found.contexts.empty
    assert read_feature_labels(export).to_dict() == {3: "cats; felines", 79: "scenery"}


def test_texts_are_the_strongest_some_others_and_silent_ones_with_marks_on_their_characters(export):
    found = read_feature_export(export, features=[3], n_contexts=2, random_state=0).contexts
    assert found["kind"].tolist() == ["top", "top", "random", "random", "silent"]
    assert found["activation"].tolist()[:2] == [9.0, 5.0]
    assert set(found["activation"][2:4]) < {1.0, 2.0, 3.0, 4.0}
    assert found["text"][0] == "A cat sat\n"
    (start, end, value) = found["marks"][0][0]
    assert (found["text"][0][start:end], value) == ("cat", 9.0)
    assert set(found["index"]) == {3}


def test_texts_serve_to_score_explanations_and_to_ask_people(export, tmp_path):
    contexts = read_feature_export(export, features=[3], n_contexts=2, random_state=0).contexts
    judge = lambda prompt: str([int("cat" in line) for line in prompt.splitlines() if line[:2] in ("1.", "2.")])  # noqa: E731
    assert score_explanations({3: "cats"}, contexts, judge, random_state=0).score == 1.0
    assert make_annotation_sheet(contexts, tmp_path / "sheet.html", random_state=0).exists()


def test_explainers_are_kept_apart(export):
    write(export, "explanations", [[explanation(3, "cats")], [explanation(3, "pets", "claude")]])
    with pytest.raises(ValueError, match=r"several explainers: claude, gpt-4o-mini\. Choose one"):
        read_feature_labels(export)
    assert read_feature_labels(export, explainer="claude").to_dict() == {3: "pets"}
    with pytest.raises(ValueError, match="no label of 'me', but of claude"):
        read_feature_labels(export, explainer="me")


@pytest.fixture
def delphi(tmp_path):
    rng = np.random.default_rng(0)
    truth = rng.random((2, 30)) < 0.4
    said = truth ^ (rng.random((2, 30)) < [[0.1], [0.4]])
    (tmp_path / "explanations").mkdir()
    for name, right in (("detection", said), ("fuzz", truth)):
        (tmp_path / "scores" / name).mkdir(parents=True)
        for i, index in enumerate((7, 12)):
            answers = [
                {"str_tokens": ["a"], "activating": bool(t), "prediction": bool(s), "correct": bool(t == s)}
                for t, s in zip(truth[i], right[i], strict=True)
            ]
            answers.append({"str_tokens": ["a"], "activating": True, "prediction": None, "correct": None})
            (tmp_path / "scores" / name / f"layers.5_latent{index}.txt").write_text(json.dumps(answers))
            (tmp_path / "explanations" / f"layers.5_latent{index}.txt").write_text(json.dumps(f"topic {index}"))
    return tmp_path, truth, said


def test_scores_of_delphi_are_scikit_learns_balanced_accuracies(delphi):
    folder, truth, said = delphi
    scores = read_feature_export(folder).scores.set_index(["index", "kind"])
    for i, index in enumerate((7, 12)):
        expected = balanced_accuracy_score(truth[i], said[i])
        assert scores.loc[(index, "detection"), "score"] == pytest.approx(expected)
        assert scores.loc[(index, "fuzz"), "score"] == 1
        assert scores.loc[(index, "fuzz"), ["n_texts", "n_unparsed"]].tolist() == [30, 1]
    assert read_feature_labels(folder).to_dict() == {7: "topic 7", 12: "topic 12"}


def test_results_of_several_hook_points_are_told_apart(delphi):
    folder, _, _ = delphi
    (folder / "explanations" / "layers.6_latent7.txt").write_text('"else"')
    with pytest.raises(ValueError, match=r"several hook points: layers\.5, layers\.6"):
        read_feature_export(folder)
    assert read_feature_export(folder, module="layers.6").explanations["label"].tolist() == ["else"]
    with pytest.raises(ValueError, match="no results of the hook point 'mlp'"):
        read_feature_export(folder, module="mlp")


def test_what_is_no_export_is_refused(export, tmp_path):
    with pytest.raises(ValueError, match="There is no folder"):
        read_feature_export(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds neither batch"):
        read_feature_export(tmp_path / "empty")
    write(export, "features", [[{"index": "1"}], [{"index": "2", "layer": "9-res-jb"}]])
    with pytest.raises(ValueError, match="several SAEs: gpt2-small/8-res-jb, gpt2-small/9-res-jb"):
        read_feature_export(export)
    write(export, "features", [[{"description": "x"}], []])
    with pytest.raises(ValueError, match=r"line 1, is none of Neuronpedia's export: KeyError\('index'"):
        read_feature_export(export)
    write(export, "features", [[{"index": str(i)} for i in range(500)]])
    path = export / "features" / "batch-0.jsonl.gz"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match="cannot be read to its end"):
        read_feature_export(export)
