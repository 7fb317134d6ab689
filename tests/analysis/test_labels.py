import gzip
import json

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings

from sklearn_sae_encoding.analysis import describe_population
from sklearn_sae_encoding.analysis.labels import label_features, promoted_tokens, read_feature_labels
from sklearn_sae_encoding.fitted import feature_table

EXPORT = [
    {"modelId": "gemma-2-2b", "layer": "12-res", "index": "79", "description": " scenery"},
    {"modelId": "gemma-2-2b", "layer": "12-res", "index": "40", "description": "people"},
    {"modelId": "gemma-2-2b", "layer": "12-res", "index": "79", "description": "places"},
    {"modelId": "gemma-2-2b", "layer": "12-res", "index": "5", "description": None},
]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("labels.csv", 'index,label\n79,"scenery"\n40,people\n79,places\n'),
        ("labels.tsv", "Feature\tDescription\n79\tscenery\n40\tpeople\n79\tplaces\n"),
        ("labels.json", json.dumps(EXPORT)),
        ("old.json", json.dumps({"explanations": EXPORT})),
        ("mapping.json", json.dumps({"79": "scenery; places", "40": "people"})),
        ("export.jsonl", "\n".join(map(json.dumps, EXPORT))),
        ("export.jsonl.gz", gzip.compress("\n".join(map(json.dumps, EXPORT)).encode())),
    ],
)
def test_labels_of_every_format_are_joined_by_the_saes_own_index(name, content, tmp_path):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    labels = read_feature_labels(path)
    assert labels.to_dict() == {40: "people", 79: "scenery; places"}
    names = ["content__sae_00040", "other", "sae_00080", "sae_00079"]
    table = feature_table(names, kinds=["sae", "sae", "sae", "control"], sae_index=[40, 79, 80])
    assert label_features(table, labels) == [
        "content__sae_00040: people",
        "other: scenery; places",
        "sae_00080",
        "sae_00079",  # a control, whatever it is called
    ]


@pytest.mark.parametrize(
    "labels",
    [
        pd.Series({79: "scenery", 80: "people"}),
        {np.int64(79): "scenery", 80: "people"},
        {"sae_00079": "scenery", "content__sae_00080": "people"},
        pd.Series({79: "scenery", "content__sae_00080": "people", 81: np.nan}),
    ],
)
def test_a_population_is_labelled_by_index_or_by_name(labels):
    names = ["sae_00079", "content__sae_00080", "sae_00081", "surprisal_mean"]
    known = feature_table(names, kinds=["sae"] * 3 + ["surprisal"], sae_index=[79, 80, 81])
    table = describe_population(np.array([[4.0, 3.0, 2.0, 1.0]]), [True], known, labels=labels).set_index("feature")
    assert table["label"].to_dict() == dict(zip(names, ["scenery", "people", "", ""], strict=True))


def test_a_label_by_something_else_is_an_error():
    with pytest.raises(ValueError, match=r"index \(int\) or by name \(str\), got 79.5"):
        label_features(["sae_00079"], {79.5: "scenery"})


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "number,label\n1,x\n", "entry without an index.*Expected one of index, feature"),
        ("a.csv", "index,label\nx7,y\n", "holds the index 'x7', which is no whole number"),
        ("a.json", "{", "is no valid JSON"),
        ("a.json", '{"3": ["people"]}', "a label that is no text"),
        ("a.json", "5", "holds 5; expected a list of objects"),
        ("a.json", "null", "holds None; expected a list"),
        ("a.json", '{"explanations": 7}', "holds 7; expected a list"),
        ("a.json", "[3]", "entry without an index"),
        ("a.jsonl", "5", "entry without an index"),
        ("a.json", "[" * 100_000, "is no valid JSON"),
        ("a.json", '[{"index": true, "label": "x"}]', "holds the index True"),
        ("a.json", '[{"index": -1, "label": "x"}]', "holds the index -1"),
        ("a.json", '[{"index": "1_0", "label": "x"}]', "holds the index '1_0'"),
        ("a.csv", "", "is no table"),
        ("a.csv.gz", "index,label\n1,x\n", "is no whole gzip file"),
    ],
)
def test_a_file_that_holds_no_labels_is_an_error(name, content, message, tmp_path):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        read_feature_labels(tmp_path / name)


def test_latin_1_is_not_guessed(tmp_path):
    (tmp_path / "a.csv").write_bytes("index,label\n1,café\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"a.csv is not in UTF-8: line 2 holds the byte 0xe9"):
        read_feature_labels(tmp_path / "a.csv")


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\ufeff\r"), min_size=1, max_size=12)
labels_of_features = st.dictionaries(st.integers(0, 10**6), texts.map(str.strip).filter(bool), max_size=4)


@settings(deadline=None, derandomize=True, database=None, max_examples=50, suppress_health_check=list(HealthCheck))
@given(
    labels_of_features,
    st.sampled_from(["csv", "tsv", "json", "mapping.json", "jsonl", "jsonl.gz"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
    st.sampled_from(["int64", "float64", "str", "Int64", "object"]),
)
def test_any_label_comes_out_as_it_went_in(tmp_path, labels, kind, encoding, dtype):
    path = tmp_path / f"labels.{kind}"
    table = pd.DataFrame(
        {"index": pd.Series(list(labels), dtype="int64").astype(dtype), "label": list(labels.values())}
    )
    records = [{"index": index, "label": label} for index, label in labels.items()]
    if kind in ("csv", "tsv"):
        text = table.to_csv(sep="\t" if kind == "tsv" else ",", index=False)
    elif kind == "json":
        text = json.dumps(records, ensure_ascii=False)
    elif kind == "mapping.json":
        text = json.dumps({str(index): label for index, label in labels.items()})
    else:
        text = "\n".join(json.dumps(record, ensure_ascii=False) for record in records)
    content = text.encode(encoding)
    path.write_bytes(gzip.compress(content) if kind.endswith("gz") else content)
    assert read_feature_labels(path).to_dict() == labels


def test_a_label_may_be_as_long_as_a_book(tmp_path):
    (tmp_path / "a.csv").write_text(f"index,label\n1,{'x' * 300_000}\n")
    assert len(read_feature_labels(tmp_path / "a.csv")[1]) == 300_000


def sae_that_writes(directions):
    from sae_lens import StandardSAE, StandardSAEConfig

    sae = StandardSAE(StandardSAEConfig(d_in=directions.shape[1], d_sae=len(directions)))
    sae.W_dec.data.copy_(directions)
    return sae.requires_grad_(False)


@pytest.mark.parametrize("family", ["llama", "gpt2", "gpt_neox", "gemma2", "opt"])
def test_a_feature_that_adds_to_the_stream_raises_the_tokens_it_is_said_to_promote(family, tmp_path):
    import torch
    from tiny_models import save_tiny_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = save_tiny_model(tmp_path / family, family)
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    width = model.get_output_embeddings().weight.shape[1]
    directions = torch.randn(3, width, generator=torch.Generator().manual_seed(0))
    sae = sae_that_writes(directions)
    table = promoted_tokens(folder, sae, [2, 0], n_tokens=4)
    assert table["index"].tolist() == [2] * 4 + [0] * 4
    assert table["feature"].tolist() == ["sae_00002"] * 4 + ["sae_00000"] * 4
    assert promoted_tokens(folder, sae, ["sae_00002", "sae_00000"], n_tokens=4).equals(table)

    # The witness: what the model predicts when its last block's output is nearly all that direction.
    final = ("model.norm", "ln_f", "decoder.final_layer_norm", "gpt_neox.final_layer_norm")
    norm = next(module for name, module in model.named_modules() if name.endswith(final))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    handle = norm.register_forward_pre_hook(lambda module, args: (1e6 * directions[2].expand_as(args[0]),))
    with torch.inference_mode():
        logits = model(torch.tensor([[1, 5]])).logits[0, -1]
    handle.remove()
    bias = norm.bias if getattr(norm, "bias", None) is not None else torch.zeros(width)
    logits = logits - model.get_output_embeddings().weight @ bias
    expected = [tokenizer.decode([token]) for token in logits.topk(4).indices.tolist()]
    assert table.token[:4].tolist() == expected
    assert np.all(np.diff(table.logit[:4]) <= 0)


def test_features_and_models_that_do_not_fit_are_errors(tiny_lm_dir):
    import torch

    sae = sae_that_writes(torch.randn(3, 32))
    with pytest.raises(ValueError, match="a column from -3 to 2, got 3"):
        promoted_tokens(tiny_lm_dir, sae, [3])
    with pytest.raises(ValueError, match="stream of width 16, but the model's has 32"):
        promoted_tokens(tiny_lm_dir, sae_that_writes(torch.randn(3, 16)), [0])
