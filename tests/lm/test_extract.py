"""Every text passes the model once, and what a pass gave outlives the process that made it."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from tiny_models import D_MODEL, N_LAYERS, SENTENCES

from sklearn_sae_encoding._lm import extract, store
from sklearn_sae_encoding._lm.loading import load_model
from sklearn_sae_encoding._lm.source import ModelSource
from sklearn_sae_encoding.activations import LMActivationTransformer
from sklearn_sae_encoding.language_model import LanguageModel
from sklearn_sae_encoding.sae import SAEProjector
from sklearn_sae_encoding.surprisal import SurprisalTransformer


@pytest.fixture(scope="module")
def many_texts():
    """200 different sentences."""
    words = " ".join(SENTENCES).split()
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(words, size=6).tolist()) + f" {i}" for i in range(200)]


def with_surprisal(content, model):
    """A pipeline whose last feature is surprisal."""
    surprisal = make_pipeline(SurprisalTransformer(model), StandardScaler())
    return Pipeline([("features", FeatureUnion([("c", content), ("s", surprisal)])), ("ridge", Ridge())])


def test_a_grid_search_over_layers_prefixes_and_alphas_passes_every_text_once(tiny_lm_dir, many_texts, count_passes):
    from sae_lens import StandardSAE, StandardSAEConfig

    counter = count_passes(tiny_lm_dir)
    sae = StandardSAE(StandardSAEConfig(d_in=D_MODEL, d_sae=24))
    content = make_pipeline(LMActivationTransformer(tiny_lm_dir, 0), SAEProjector(sae, check_match=False))
    grid = {
        "features__c__lmactivationtransformer__layer": [1, 3],
        "features__c__saeprojector__features": [4, 8, 16],
        "ridge__alpha": [0.1, 1.0, 10.0],
    }
    search = GridSearchCV(with_surprisal(content, tiny_lm_dir), grid, cv=5, error_score="raise")
    search.fit(many_texts, np.random.default_rng(1).normal(size=len(many_texts)))
    assert len(search.cv_results_["params"]) == 18
    assert set(counter.values()) == {1}
    assert len(counter) == len(many_texts)


def test_threads_that_want_the_same_texts_pass_them_once(tiny_lm_dir, many_texts, count_passes):
    counter = count_passes(tiny_lm_dir)
    content = LMActivationTransformer(tiny_lm_dir, 0, level="text")
    grid = {"features__c__layer": [1, 3]}
    with joblib.parallel_backend("threading"):
        search = GridSearchCV(with_surprisal(content, tiny_lm_dir), grid, cv=5, n_jobs=4, error_score="raise")
        search.fit(many_texts, np.random.default_rng(1).normal(size=len(many_texts)))
    assert set(counter.values()) == {1}
    assert len(counter) == len(many_texts)


class Broken(LMActivationTransformer):
    """Whatever is asked of it is an error, of a kind that nobody expects."""

    def __getattribute__(self, name):
        raise KeyError(name)


@pytest.fixture
def neighbours(tiny_lm_dir):
    """Estimators that are alive and none of whose business it is: broken, half built, wrong, and in another thread."""
    half = LMActivationTransformer.__new__(LMActivationTransformer)
    wrong = LMActivationTransformer(tiny_lm_dir, "no hook", site=3)
    stop, started, kept = threading.Event(), threading.Event(), [object.__new__(Broken), half, wrong]

    def live():
        while not stop.is_set():
            kept.append(LMActivationTransformer(tiny_lm_dir, 3))
            kept.append(SurprisalTransformer(tiny_lm_dir))
            started.set()
            time.sleep(0.001)

    thread = threading.Thread(target=live)
    thread.start()
    started.wait(60)
    yield kept
    stop.set()
    thread.join()


def test_what_a_pass_computes_does_not_depend_on_who_else_lives(tiny_lm_dir, texts, neighbours):
    counts, handles = count_blocks(tiny_lm_dir)
    alone = LanguageModel(tiny_lm_dir, keep=())
    acts = LMActivationTransformer(alone, 1).fit_transform(texts)
    assert counts.tolist() == [len(texts), len(texts), 0, 0]  # no layer of the others', and no surprisal
    for handle in handles:
        handle.remove()
    assert len(neighbours) > 3
    assert acts == LMActivationTransformer(alone, 1).fit_transform(texts)


def test_a_text_that_stands_twice_in_a_list_runs_once(tiny_lm_dir, texts, count_passes):
    counter = count_passes(tiny_lm_dir)
    acts = LMActivationTransformer(tiny_lm_dir, 1).fit_transform([texts[0], texts[1], texts[0]])
    assert sorted(counter.values()) == [1, 1]
    np.testing.assert_array_equal(acts[0], acts[2])


def count_blocks(folder):
    """Texts that reached each decoder block."""
    loaded, counts, handles = load_model(ModelSource(folder)), np.zeros(N_LAYERS, dtype=int), []

    def see(layer):
        def count(_module, args, kwargs):
            counts[layer] += len(args[0] if args else kwargs["hidden_states"])

        return count

    for layer, block in enumerate(loaded.blocks):
        handles.append(block.register_forward_pre_hook(see(layer), with_kwargs=True))
    return counts, handles


def test_layers_above_the_highest_asked_for_are_computed_only_for_surprisal(tiny_lm_dir, texts):
    counts, handles = count_blocks(tiny_lm_dir)
    n, alone = len(texts), LanguageModel(tiny_lm_dir, keep=())
    LMActivationTransformer(alone, 1).fit_transform(texts)
    assert counts.tolist() == [n, n, 0, 0]
    LMActivationTransformer(alone, 0).fit_transform(texts)  # passed on the way, and kept
    assert counts.tolist() == [n, n, 0, 0]
    LMActivationTransformer(alone, 3).fit_transform(texts)
    assert counts.tolist() == [2 * n, 2 * n, n, n]
    SurprisalTransformer(alone).fit_transform(texts)
    assert counts.tolist() == [3 * n, 3 * n, 2 * n, 2 * n]
    for handle in handles:
        handle.remove()


def test_a_pass_keeps_what_its_language_model_says(tiny_lm_dir, texts):
    counts, handles = count_blocks(tiny_lm_dir)
    n = len(texts)
    LMActivationTransformer(tiny_lm_dir, 1).fit_transform(texts)  # surprisal, and the layers below
    SurprisalTransformer(tiny_lm_dir).fit_transform(texts)
    LMActivationTransformer(tiny_lm_dir, [0, 2, 3]).fit_transform(texts)
    assert counts.tolist() == [n] * N_LAYERS
    store.forget_texts()
    asked = LanguageModel(tiny_lm_dir, keep_layers="asked")
    LMActivationTransformer(asked, 1).fit_transform(texts)
    SurprisalTransformer(asked).fit_transform(texts)
    assert counts.tolist() == [2 * n] * N_LAYERS
    LMActivationTransformer(asked, 0).fit_transform(texts)
    assert counts.tolist() == [3 * n] * N_LAYERS
    for handle in handles:
        handle.remove()


def stored(memory):
    """Names of the activations of each text on disk."""
    names = {}
    for path in Path(memory).rglob("*.npz"):
        with np.load(path) as archive:
            names.setdefault(path.parent, []).extend(name for name in archive.files if name.startswith("blocks"))
    return {tuple(sorted(kept)) for kept in names.values()}


def hooks(*layers):
    return tuple(f"blocks.{layer}.hook_resid_post" for layer in layers)


@pytest.mark.parametrize("memory", [None, "folder"])
def test_layers_nobody_asked_for_are_kept_only_where_they_take_little_room(
    tiny_lm_dir, texts, tmp_path, monkeypatch, memory
):
    counts, handles = count_blocks(tiny_lm_dir)
    where = None if memory is None else tmp_path / memory

    def run(layer):
        return LMActivationTransformer(LanguageModel(tiny_lm_dir, memory=where), layer).fit_transform(texts)

    run(3)
    run(1)
    assert counts.max() == len(texts)
    store.forget_texts()
    monkeypatch.setattr(extract, "_KEEP_BYTES", 1000)
    where = None if memory is None else tmp_path / "another"
    run(3)
    run(1)
    assert counts.max() == 3 * len(texts)
    for handle in handles:
        handle.remove()


def test_on_disk_are_the_layers_that_were_asked_for_and_no_others(tiny_lm_dir, texts, tmp_path):
    def run(layer):
        return LMActivationTransformer(LanguageModel(tiny_lm_dir, memory=tmp_path), layer).fit_transform(texts)

    three = run(3)
    assert stored(tmp_path) == {hooks(3)}
    one = run(1)  # from the same pass, and written as it is asked for
    assert stored(tmp_path) == {hooks(1, 3)}
    store.forget_texts()  # as in another process
    counts, handles = count_blocks(tiny_lm_dir)
    assert run(3) == three
    assert run(1) == one
    assert counts.max() == 0
    for handle in handles:
        handle.remove()


def test_settings_that_change_the_numbers_never_share_them(tiny_lm_dir, texts):
    def run(**params):
        return LMActivationTransformer(LanguageModel(tiny_lm_dir, **params), 3).fit_transform(texts)

    changes = [
        {"bos_token": None},
        {"bos_token": "</s>"},
        {"context": "Once"},
        {"dtype": "bfloat16"},
        {"weights": "random"},
        {"window": 8, "stride": 2},
        {"window": 8, "stride": 5},
    ]
    seen = [run(), *[run(**change) for change in changes]]
    for i, first in enumerate(seen):
        for second in seen[:i]:
            assert np.abs(first[3] - second[3]).max() > 1e-4


# Long texts --------------------------------------------------------------------------------------------------------


LONG = " ".join(SENTENCES * 3)


@pytest.mark.parametrize(("window", "stride"), [(16, 4), (16, 15), (64, None), (None, None), (33, 1)])
def test_a_token_of_a_long_text_has_the_left_context_of_its_first_window(tiny_lm_dir, window, stride):
    acts = LMActivationTransformer(LanguageModel(tiny_lm_dir, window=window, stride=stride), 3).fit_transform([LONG])
    surprisal = SurprisalTransformer(LanguageModel(tiny_lm_dir, window=window, stride=stride))
    frame = surprisal.fit([LONG]).by_token([LONG])[0]
    loaded = load_model(ModelSource(tiny_lm_dir))
    ids = loaded.tokenizer(LONG, add_special_tokens=False, verbose=False)["input_ids"]
    width = (window or 64) - 1
    step = stride or width // 2
    assert len(acts[0]) == len(frame) == len(ids) > 64
    states = []
    handle = loaded.blocks[3].register_forward_hook(lambda _m, _i, out: states.append(out))
    for t in [0, 1, width - 1, width, width + 1, width + step, len(ids) // 2, len(ids) - step - 1, len(ids) - 1]:
        # The first window that holds t: the k-th starts at k * step, the last one where it ends with the text.
        start = min(max(0, -(-(t - width + 1) // step)) * step, len(ids) - width)
        with torch.no_grad():
            logits = loaded.model(torch.tensor([[0, *ids[start : t + 1]]])).logits[0]
        np.testing.assert_allclose(acts[0][t], states[-1][0, -1].numpy(), rtol=1e-4, atol=1e-4)
        expected = -logits[-2].log_softmax(-1)[ids[t]].item()
        np.testing.assert_allclose(frame["surprisal"][t], expected, rtol=1e-4)
    handle.remove()


def test_windows_leave_texts_that_fit_in_one_as_they_are(tiny_lm_dir, texts):
    plain = LMActivationTransformer(tiny_lm_dir, 3).fit_transform(texts)
    windowed = LMActivationTransformer(LanguageModel(tiny_lm_dir, window=50, stride=7), 3).fit_transform(texts)
    np.testing.assert_allclose(windowed.concatenated(), plain.concatenated(), rtol=1e-5, atol=1e-5)


def test_a_long_text_among_short_ones_changes_none_of_them(tiny_lm_dir, texts):
    def run(some):
        store.forget_texts()
        return LMActivationTransformer(LanguageModel(tiny_lm_dir, window=16, batch_tokens=64), 3).fit_transform(some)

    mixed = run([*texts[:3], LONG, *texts[3:]])
    np.testing.assert_allclose(mixed[3], run([LONG])[0], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(mixed[[0, 1, 2, 4, 5]].concatenated(), run(texts[:5]).concatenated(), atol=1e-5)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"window": 65}, "window=65 is longer than the context of tiny-llama, which is 64"),
        ({"window": 10, "stride": 10}, "stride=10 must be between 1 and 9"),
    ],
)
def test_windows_that_the_model_cannot_have_are_refused(tiny_lm_dir, texts, params, message):
    with pytest.raises(ValueError, match=message):
        SurprisalTransformer(LanguageModel(tiny_lm_dir, **params)).fit_transform(texts)


# On disk -----------------------------------------------------------------------------------------------------------


RUN = """
import os, signal, sys
import numpy as np
from sklearn_sae_encoding._lm import extract
from sklearn_sae_encoding.activations import LMActivationTransformer
from sklearn_sae_encoding.language_model import LanguageModel
from sklearn_sae_encoding.surprisal import SurprisalTransformer

folder, memory, out, mode = sys.argv[1:5]
texts = sys.argv[5:]
if mode == "no model":
    def refuse(source):
        raise AssertionError("the model was loaded")
    extract.load_model = refuse
if mode == "killed":
    run_batch, done = extract.run_batch, []
    def run_some(*args):
        if len(done) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        done.append(1)
        return run_batch(*args)
    extract.run_batch = run_some
model = LanguageModel(folder, memory=memory, batch_tokens=1)
acts = LMActivationTransformer(model, 1).fit(texts)
surprisal = SurprisalTransformer(model).fit(texts)
np.savez(out, acts=acts.transform(texts).concatenated(), surprisal=surprisal.transform(texts))
"""


def start_process(folder, memory, out, mode, texts):
    return subprocess.Popen([sys.executable, "-c", RUN, folder, str(memory), str(out), mode, *texts])


def expected(folder, texts):
    acts = LMActivationTransformer(folder, 1).fit_transform(texts).concatenated()
    return acts, SurprisalTransformer(folder).fit_transform(texts)


def check_equal(out, folder, texts):
    acts, surprisal = expected(folder, texts)
    with np.load(out) as result:
        np.testing.assert_allclose(result["acts"], acts, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(result["surprisal"], surprisal, rtol=1e-5)


def test_a_second_process_finds_what_the_first_one_kept(tiny_lm_dir, texts, tmp_path):
    model, same = (
        LanguageModel(tiny_lm_dir, memory=memory)
        for memory in (tmp_path / "memory", joblib.Memory(tmp_path / "memory", verbose=0))
    )
    both = FeatureUnion([("a", LMActivationTransformer(model, 1, level="text")), ("s", SurprisalTransformer(same))])
    assert both.fit_transform(texts).shape == (len(texts), D_MODEL + 1)
    assert start_process(tiny_lm_dir, tmp_path / "memory", tmp_path / "out.npz", "no model", texts).wait() == 0
    check_equal(tmp_path / "out.npz", tiny_lm_dir, texts)


def test_a_killed_run_loses_at_most_one_batch(tiny_lm_dir, texts, tmp_path, count_passes):
    process = start_process(tiny_lm_dir, tmp_path / "memory", tmp_path / "out.npz", "killed", texts)
    assert process.wait() == -signal.SIGKILL
    counter = count_passes(tiny_lm_dir)
    rest = LMActivationTransformer(LanguageModel(tiny_lm_dir, memory=tmp_path / "memory"), 1).fit_transform(texts)
    assert sum(counter.values()) == len(texts) - 3  # with one text a batch, three were done
    np.testing.assert_allclose(rest.concatenated(), expected(tiny_lm_dir, texts)[0], rtol=1e-5, atol=1e-5)


def test_two_processes_may_share_a_cache(tiny_lm_dir, texts, tmp_path):
    outs = [tmp_path / "1.npz", tmp_path / "2.npz"]
    processes = [start_process(tiny_lm_dir, tmp_path / "memory", out, "plain", texts) for out in outs]
    assert [process.wait() for process in processes] == [0, 0]
    for out in outs:
        check_equal(out, tiny_lm_dir, texts)
    assert not list((tmp_path / "memory").rglob("*.tmp"))


def damage(path, how):
    content = bytearray(path.read_bytes())
    if how == "emptied":
        content = b""
    elif how == "cut short":
        content = content[: len(content) // 2]
    elif how == "flipped":  # in the middle of an array
        content[len(content) // 2] ^= 0xFF
    elif how == "shrunk":  # headers that tell of one token less
        content = re.sub(rb"(?<='shape': \()\d+", lambda n: b"%*d" % (len(n[0]), int(n[0]) - 1), content)
    elif how == "unknown compression":
        content = re.sub(rb"(PK\x01\x02.{6}).", rb"\1c", content, flags=re.DOTALL)
    elif how == "pickled":
        np.savez(path, **{"blocks.1.hook_resid_post": np.array([{"a": 1}], dtype=object)})
        return
    path.write_bytes(content)


@pytest.mark.parametrize("how", ["emptied", "cut short", "flipped", "shrunk", "unknown compression", "pickled"])
def test_a_damaged_entry_is_computed_again(tiny_lm_dir, texts, tmp_path, how, count_passes):
    counter = count_passes(tiny_lm_dir)
    transformer = LMActivationTransformer(LanguageModel(tiny_lm_dir, keep=(), memory=tmp_path), [0, 1, 2, 3]).fit(texts)
    before = transformer.transform(texts)
    entries = sorted(tmp_path.rglob("*.npz"))
    assert len(entries) == len(texts)
    for path in entries[:3]:
        damage(path, how)
    store.forget_texts()  # as in another process
    after = transformer.transform(texts)
    np.testing.assert_allclose(after.concatenated(), before.concatenated(), rtol=1e-5, atol=1e-5)
    assert sorted(counter.values()) == [1] * (len(texts) - 3) + [2] * 3
    store.forget_texts()
    assert transformer.transform(texts) == after  # the new entries stand beside the damaged ones
    assert sorted(counter.values()) == [1] * (len(texts) - 3) + [2] * 3


def test_what_is_known_in_memory_alone_is_still_written_to_disk(tiny_lm_dir, texts, tmp_path):
    LMActivationTransformer(tiny_lm_dir, 1).fit_transform(texts)
    for folder in ("one", "two"):
        LMActivationTransformer(LanguageModel(tiny_lm_dir, memory=tmp_path / folder), 1).fit_transform(texts)
        assert len(list((tmp_path / folder).rglob("*.npz"))) == len(texts)


@pytest.mark.parametrize("how", ["not a number", "a row short", "a number alone"])
def test_an_entry_of_a_wrong_shape_or_without_numbers_is_computed_again(tiny_lm_dir, texts, tmp_path, how):
    transformer = LMActivationTransformer(LanguageModel(tiny_lm_dir, memory=tmp_path), 1).fit(texts)
    before = transformer.transform(texts)
    for path in sorted(tmp_path.rglob("*.npz"))[:3]:
        with np.load(path) as archive:
            record = dict(archive)
        (name,) = (name for name in record if name.startswith("blocks"))
        wrong = {
            "not a number": record[name] * np.nan,
            "a row short": record[name][1:],
            "a number alone": np.array(1.0),
        }
        np.savez(path, **{**record, name: wrong[how]})
    store.forget_texts()  # as in another process
    np.testing.assert_allclose(transformer.transform(texts).concatenated(), before.concatenated(), rtol=1e-5, atol=1e-5)


def test_a_full_disk_costs_a_warning_and_not_the_result(tiny_lm_dir, texts, tmp_path, monkeypatch):
    expected = LMActivationTransformer(tiny_lm_dir, 1).fit_transform(texts)
    store.forget_texts()

    def fail(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("numpy.save", fail)
    with pytest.warns(UserWarning, match="Results can't be kept in memory=.*No space left"):
        assert LMActivationTransformer(LanguageModel(tiny_lm_dir, memory=tmp_path), 1).fit_transform(texts) == expected
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_the_store_in_memory_forgets_what_was_not_asked_for_longest():
    kept = store.MemoryStore(max_bytes=3 * 800)
    for name in "abc":
        kept.put("pass", name, {"x": np.zeros(100)})
    assert kept.get("pass", "a", ["x"]) is not None
    kept.put("pass", "d", {"x": np.zeros(100)})
    assert [name for name in "abcd" if kept.get("pass", name, ["x"]) is not None] == ["a", "c", "d"]
    kept.put("pass", "d", {"x": np.ones(100), "y": np.ones(1)})
    assert kept.n_bytes <= kept.max_bytes
    assert kept.get("pass", "d", ["x", "y"])["x"][0] == 1
    assert kept.get("pass", "d", ["x", "z"]) is None
    kept.clear()
    assert kept.n_bytes == 0


def test_progress_is_shown_on_request_only(tiny_lm_dir, texts, capsys):
    LMActivationTransformer(tiny_lm_dir, 1).fit_transform(texts)
    assert capsys.readouterr().err == ""
    store.forget_texts()
    LMActivationTransformer(LanguageModel(tiny_lm_dir, verbose=1), 1).fit_transform(texts)
    assert "Language model: 100%" in capsys.readouterr().err
    assert os.environ["HF_HUB_OFFLINE"] == "1"
