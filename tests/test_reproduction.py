"""The reproduction of the paper, from simulated voxels to tables and figures."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.model_selection import KFold
from sklearn.utils import Bunch
from tiny_gemma import D_MODEL, save_tiny_gemma

from sklearn_sae_encoding._cache import FORMATS
from sklearn_sae_encoding.analysis import correlate_predictors, restrict_encoder
from sklearn_sae_encoding.datasets import load_sentences, make_voxel_responses
from sklearn_sae_encoding.encoder import SparseVoxelEncoder
from sklearn_sae_encoding.fitted import feature_table

TOOLS = Path(__file__).parents[1] / "tools"
WIDTHS = (8, 24, 100)
PARTICIPANTS = ["p1", "p2", "p3"]
TEXTS = load_sentences()[:200]


@pytest.fixture
def tool(monkeypatch):
    pytest.importorskip("matplotlib")
    if not (TOOLS / "reproduce_lepori2026.py").exists():
        pytest.skip("the tools are not beside the tests")
    monkeypatch.syspath_prepend(str(TOOLS))
    import reproduce_lepori2026

    yield reproduce_lepori2026
    for name in [name for name in sys.modules if name.split(".")[0] in ("reproduce_lepori2026", "lepori2026")]:
        del sys.modules[name]


@pytest.fixture
def X():
    rng = np.random.default_rng(0)
    rates = np.linspace(0.6, 0.1, WIDTHS[-1])
    features = rng.exponential(size=(200, WIDTHS[-1])) * (rng.random((200, WIDTHS[-1])) < rates)
    return sparse.csr_array(np.hstack([features, rng.normal(9.0, 1.0, (200, 1))]))


def _voxels(X, regions, language, n_each=3, n_coarse=WIDTHS[0]):
    """Voxels of each participant and region; they respond to coarse features (True) or to surprisal (False)."""
    labels = [(p, r) for p in PARTICIPANTS for r in regions for _ in range(n_each)]
    voxels = pd.DataFrame(labels, columns=["participant", "region"])
    content = voxels["region"].map(regions).to_numpy()
    options = {"noise_ceiling": 0.9, "random_state": 0, "n_voxels": len(voxels)}
    coarse = make_voxel_responses(X[:, :n_coarse], n_informative=3, **options)
    surprisal = make_voxel_responses(X[:, [-1]], n_informative=0, forced_features=[0], **options)
    betas = np.where(content, coarse.betas, surprisal.betas)
    voxels["set"] = "langfroi12345" if language else voxels["region"]
    stimuli = pd.DataFrame(np.random.default_rng(1).normal(size=(200, 2)), columns=["PC1", "PC2"])
    betas[:, 0] += 2 * stimuli["PC1"]  # one voxel that the components do explain
    r = correlate_predictors(stimuli, betas)
    voxels = voxels.assign(noise_ceiling=0.9, ncsnr=0.5, corr_SentPC1=r[0], corr_SentPC2=r[1])
    voxels = voxels.assign(parc_name_glasser="PGi", parc_lang=np.arange(len(voxels)) % 7)
    return Bunch(texts=TEXTS, betas=betas, voxels=voxels, stimuli=stimuli)


@pytest.fixture
def run(tool, monkeypatch, tmp_path):
    """Function of the responses and further options that runs the script; returns the folder of its output."""

    def run(of_sets, language, *options, at_3t=None):
        from lepori2026 import study

        def fetch(*, sets):
            return of_sets if sets == tool.SETS else language

        def fetch_3t():
            if at_3t is None:
                raise OSError("not here")
            return at_3t

        monkeypatch.setattr(study, "fetch_lepori2026", fetch)
        monkeypatch.setattr(study, "fetch_lepori2026_3t", fetch_3t)
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        monkeypatch.setattr(sys, "argv", ["reproduce", "--output", str(tmp_path), "--jobs", "1", *options])
        tool.main()
        return tmp_path

    return run


def test_planted_voxels_come_out_of_the_tables_as_planted(tool, run, X, tmp_path, monkeypatch, capsys):
    sets = _voxels(X, {"hard_to_process": False, "abstract": True, "ghost": True}, language=False)
    language = _voxels(X, {"IFG": False, "MFG": False, "AntTemp": True, "PostTemp": True}, language=True)
    names = [*(f"sae_{j:05d}" for j in range(WIDTHS[-1])), "surprisal_mean"]
    names = feature_table(names, kinds=["sae"] * WIDTHS[-1] + ["surprisal"], widths=WIDTHS)
    features = {"sae": (X, names), "activations": (X.toarray(), names)}
    from lepori2026.study import Tokens

    # One token a text is active.
    tokens = Tokens([["a", "number", "."]] * 200, [sparse.csr_array(row * np.c_[[0, 1, 0]]) for row in X.toarray()])
    monkeypatch.setattr(tool, "load_features", lambda *_args: features)
    monkeypatch.setattr(tool, "load_tokens", lambda *_args: tokens)
    monkeypatch.setattr(tool.certainty, "N_PAIRS", 5)
    monkeypatch.setitem(tool.CONFIGURATIONS["smollm2"], "widths", WIDTHS)
    monkeypatch.setitem(tool.CONFIGURATIONS["smollm2"], "chosen_on", ["p1"])
    monkeypatch.setitem(tool.CONFIGURATIONS["smollm2"], "before", {"abstract": 1.2, "hard_to_process": 0.1})
    at_3t = _voxels(X, {"IFG": False, "AntTemp": True}, language=True, n_each=1)
    at_3t.betas, at_3t.voxels = at_3t.betas[:, 2:4], at_3t.voxels.iloc[2:4].assign(participant="average")
    run(sets, language, at_3t=at_3t)

    table = pd.read_csv(tmp_path / "sets.csv", header=[0, 1], index_col=0)
    assert table.loc["hard_to_process", ("Surprisal", "here")] > 0.8
    assert abs(table.loc["abstract", ("Surprisal", "here")]) < 0.25
    assert table.loc["abstract", ("Matryoshka", "here")] > 0.8
    assert table.loc["abstract", ("Shuffled", "here")] < 0.25
    assert table.loc["abstract", ("Matryoshka", "paper")] == 0.682
    assert table.loc["abstract", ("gain of Matryoshka and Dense", "paper")] == pytest.approx((0.682 + 0.700) / 2 - 0.2)
    assert table.loc["abstract", ("gain of all three", "paper")] == 0.459

    means = pd.read_csv(tmp_path / "sets_groups.csv", header=[0, 1], index_col=[0, 1])["Matryoshka"]
    assert means.loc["abstract"].index.tolist() == ["p1-p3", "p1", "p2-p3"]
    own = means.loc["abstract", "mean"]
    assert own["p1-p3"] == pytest.approx((2 * own["p2-p3"] + own["p1"]) / 3)
    assert own["p1-p3"] == pytest.approx(table.loc["abstract", ("Matryoshka", "here")])
    assert means.loc[("abstract", "p1-p3"), "paper"] == 0.682
    assert np.isnan(means.loc[("abstract", "p1"), "sem"])
    before = pd.read_csv(tmp_path / "sets_before.csv", index_col=0)
    assert before["below the limit"].to_dict() == {"abstract": "yes", "hard_to_process": "no"}
    assert before.loc["abstract", "limit"] == pytest.approx(1.17)
    now, sem = own["p2-p3"], means.loc[("abstract", "p2-p3"), "sem"]
    assert before.loc["abstract", ["now", "t_high"]].tolist() == pytest.approx([now, now + 12.706 * sem], rel=1e-3)
    replicated = pd.read_csv(tmp_path / "3t.csv", header=[0, 1], index_col=0)
    assert replicated.loc["IFG", ("Surprisal", "here")] > 0.8 > replicated.loc["AntTemp", ("Surprisal", "here")] + 0.3
    assert replicated.loc["AntTemp", ("Matryoshka", "here")] > 0.8
    assert replicated.loc["AntTemp", ("Matryoshka", "paper")] == 0.483

    bins = pd.read_csv(tmp_path / "regions_bins.csv", index_col=0)
    assert bins.loc["0-8", "mean"] > bins.loc["8+", "mean"] + 0.2
    occupancy = pd.read_csv(tmp_path / "regions_occupancy.csv", index_col=0)
    assert occupancy["ratio"].idxmax() == "0-8"
    surprisal = pd.read_csv(tmp_path / "regions_surprisal.csv", index_col=0)
    assert float(surprisal.loc["ratio", "IFG"]) > 0.9
    assert abs(float(surprisal.loc["ratio", "AntTemp"])) < 0.3

    readings = pd.read_csv(tmp_path / "sets_readings.csv", index_col=0)
    assert readings.loc["abstract", "rho"] > 0.3
    assert readings.loc["abstract", "p_value"] < 0.01
    assert readings.loc["ghost", "chosen by"] == "their responses to these texts"
    unexplained = pd.read_csv(tmp_path / "sets_unexplained.csv", index_col=0)
    assert unexplained["by metadata"].tolist() == unexplained["by data"].tolist()
    assert unexplained.loc["hard_to_process", "by data"] < unexplained.loc["hard_to_process", "voxels"]
    assert (tmp_path / "language_readings.csv").exists()

    left_out = pd.read_csv(tmp_path / "sets_left_out_populations.csv", index_col=[0, 1])
    assert left_out.loc["abstract"].index.tolist() == ["p1", "p2", "p3", "mean", *["chosen on p1-p1" + one for one in
                                                       ("", ", low", ", high")]]  # fmt: skip
    own, elsewhere = left_out.loc[("abstract", "mean"), ["rho", "rho elsewhere"]]
    assert own > elsewhere + 0.2
    prevalent = pd.read_csv(tmp_path / "language_left_out_prevalence.csv", index_col=0)
    assert prevalent.loc[PARTICIPANTS, "of its own ten"].min() >= 3  # three coarse features drive them all
    certain = pd.read_csv(tmp_path / "sets_certainty.csv", index_col=[0, 1])
    assert certain.loc[("all features", "found"), "abstract"] >= 10  # of three planted in each of six voxels
    assert certain.loc[("all features", "found"), "hard_to_process"] <= 2
    assert certain.loc[("all features", "halves of found"), "all"] > certain.loc[("all features", "halves of others"),
                                                                                 "all"]  # fmt: skip
    of_means = pd.read_csv(tmp_path / "sets_certainty_of_means.csv", index_col=0)
    assert of_means.loc["hard_to_process", "feature"] == "surprisal_mean"
    assert of_means.loc["abstract", "feature"] in names["feature"].tolist()[:-1]
    assert of_means.loc[["hard_to_process", "abstract"], "q_value"].max() < 0.001

    features = pd.read_csv(tmp_path / "sets_features.csv", index_col=0, dtype={"feature": str})
    assert set(features["tokens"]) == {"number"}
    assert np.all((features["effect"] > 0) == features["feature"].str.startswith("+"))
    report = (tmp_path / "report.txt").read_text()
    assert report.count("repeated with whole paths, 0 gave other weights") == 2

    written = {path.name for path in tmp_path.iterdir()}
    assert {"sets.png", "ghost_transfer.png", "regions_occupancy.png", "regions_prevalence.png"} <= written
    assert capsys.readouterr().out == report


def test_of_those_on_whom_choices_were_made_some_may_lack_a_region(tool):
    participants = np.repeat(["p1", "p3", "p4", "p5"], 2)
    rows = tool.left_out.leave_out(
        participants,
        lambda mask: set(participants[mask]),
        lambda chosen, own: {"n": len(chosen), "inside": participants[own][0] in chosen},
        ["p1", "p2", "p3"],
    )
    assert rows.loc[["p1", "p3", "p4", "p5"], "n"].tolist() == [3, 3, 3, 3]
    assert rows.loc["chosen on p1-p3", ["n", "inside"]].tolist() == [2, 0]


@pytest.fixture
def tiny_hub(tmp_path, monkeypatch):
    """Function of a layer that makes the hub's cache hold tiny models and SAEs under the names of Gemma's."""
    from huggingface_hub import constants
    from sae_lens.loading import pretrained_sae_loaders as loaders

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    # The one number about Gemma that sae-lens doesn't read from the files.
    config = loaders.get_gemma_2_config_from_hf
    monkeypatch.setattr(
        loaders, "get_gemma_2_config_from_hf", lambda *args, **kwargs: config(*args, **kwargs) | {"d_in": D_MODEL}
    )
    return lambda layer: save_tiny_gemma(tmp_path / "hub", TEXTS, layer)


@pytest.mark.parametrize(("configuration", "option"), [("gemma", "--jobs=1"), ("gemma-layer14", "--sets-only")])
def test_another_configuration_is_all_that_gemma_needs(
    tool, run, tiny_hub, tmp_path, monkeypatch, configuration, option
):
    tiny_hub(tool.CONFIGURATIONS[configuration]["layer"])
    monkeypatch.setattr(tool.certainty, "N_PAIRS", 2)
    # One large penalty takes up few features, each of which the test predicts from 32,768 others.
    monkeypatch.setattr(tool.certainty, "ENCODER", SparseVoxelEncoder(alphas=0.5, forced_features=[-1]))
    from lepori2026.study import load_features

    store = tool.Store(tmp_path / "scores")
    features = load_features(tool.CONFIGURATIONS[configuration], TEXTS, tmp_path, store)
    X = features["sae"][0]
    assert {name: values.shape[1] for name, (values, _) in features.items()} == {
        "sae": 32769,
        "activations": D_MODEL + 1,
        "jumprelu": 16385,
    }
    sets = _voxels(X, {"hard_to_process": False, "abstract": True, "ghost": True}, False, n_each=2, n_coarse=128)
    language = _voxels(X, {"IFG": False, "AntTemp": True}, True, n_each=2, n_coarse=128)
    run(sets, language, "--configuration", configuration, option)

    table = pd.read_csv(tmp_path / "sets.csv", header=[0, 1], index_col=0)
    assert table.loc["hard_to_process", ("Surprisal", "here")] > 0.8
    assert table.loc["abstract", ("Matryoshka", "here")] > table.loc["abstract", ("Surprisal", "here")] + 0.3
    gains = [table.loc["abstract", (name, "here")] for name in ("JumpReLU", "Matryoshka", "Dense")]
    expected = np.mean(gains) - table.loc["abstract", ("Surprisal", "here")]
    assert table.loc["abstract", ("gain of all three", "here")] == pytest.approx(expected)
    bins = pd.read_csv(tmp_path / "sets_bins.csv", index_col=0)
    assert set(bins["place"]) == {*tool.tables.PLACES, "first two", "rest", "rest after two", "all"}
    assert bins.loc["0-128", "mean"] > bins.loc["128+", "mean"]
    tokens = set(" / ".join(pd.read_csv(tmp_path / "sets_features.csv")["tokens"]).split(" / "))
    assert tokens <= {"(space)", *(word for text in TEXTS for word in _pieces(text))}
    report = (tmp_path / "report.txt").read_text()
    assert report.startswith(tool.CONFIGURATIONS[configuration]["title"])
    assert "Not reproduced: the 3T replication (its data can't be had)." in report
    assert "JumpReLU features and another layer" not in report
    assert (tmp_path / "regions.csv").exists() == (option != "--sets-only")


def _pieces(text):
    """All that a token of a text may be called: letters of a word, after what stands before them in parentheses."""
    for word in text.split():
        cuts = range(len(word) + 1)
        yield from (f"({word[:i]})" * (i > 0) + word[i:j] for i in cuts for j in cuts if j > i)


def test_a_second_run_reads_what_the_first_computed(tool, tmp_path):
    store = tool.Store(tmp_path)
    X = np.arange(6.0).reshape(3, 2)
    assert store("scores", lambda: "computed", X=X) == "computed"
    assert store("scores", lambda: "again", X=X.copy()) == "computed"
    assert tool.Store(tmp_path)("scores", lambda: "again", X=X) == "computed"


def test_a_changed_parameter_input_or_code_never_reads_what_was_stored_before(tool, tmp_path, monkeypatch):
    store = tool.Store(tmp_path)
    X = np.arange(6.0).reshape(3, 2)
    inputs = {"model": restrict_encoder(), "X": X, "cv": KFold(5, shuffle=True, random_state=19), "noise_ceiling": 0.8}
    assert store("scores", lambda: 0, **inputs) == 0
    changed = [
        {"model": restrict_encoder().set_params(encoder__alphas=[0.1])},
        {"model": restrict_encoder((0, 1))},
        {"X": X + 1},
        {"X": sparse.csr_array(X)},
        {"cv": KFold(5, shuffle=True, random_state=20)},
        {"noise_ceiling": 0.7},
    ]
    for i, change in enumerate(changed, start=1):
        assert store("scores", lambda i=i: i, **inputs | change) == i
    monkeypatch.setitem(FORMATS, "reproduction", FORMATS["reproduction"] + 1)
    assert store("scores", lambda: "of other code", **inputs) == "of other code"


def test_a_damaged_result_is_computed_again_and_a_full_disk_costs_a_warning(tool, tmp_path, monkeypatch):
    store = tool.Store(tmp_path)
    assert store("scores", lambda: "computed", X=1) == "computed"
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    for damaged in (b"", whole[:-1], whole[:40] + bytes([whole[40] ^ 1]) + whole[41:]):
        path.write_bytes(damaged)
        assert store("scores", lambda: "again", X=1) == "again"

    def fail(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lepori2026.store.write_whole", fail)
    with pytest.warns(UserWarning, match="can't be kept: .*No space left"):
        assert store("scores", lambda: "computed", X=2) == "computed"


def test_small_p_values_are_printed_as_such_and_published_text_as_it_is(tool, tmp_path, capsys):
    from lepori2026 import tables

    table = pd.DataFrame({("p Dense", "here"): [2e-5, 0.0421, np.nan], ("p Dense", "paper"): ["<.001", 1e-5, 1.0]})
    tables.Report(tmp_path).add("p", "Title", table)
    rows = [line.split()[1:] for line in capsys.readouterr().out.splitlines()[-3:]]
    assert rows == [["<.001", "<.001"], ["0.042", "<.001"], ["NaN", "1.000"]]


def test_feature_0_keeps_its_sign_in_the_table_of_signed_features(tool):
    from lepori2026 import tables
    from lepori2026.study import Tokens

    coef = sparse.csr_array([[-1.0, 0.5, 0.0], [-2.0, 0.0, 0.0]])
    names = feature_table(["sae_00000", "sae_00001", "surprisal_mean"], kinds=["sae", "sae", "surprisal"])
    tokens = Tokens([["One", "."], ["Two", "."]], [np.ones((2, 3)), np.ones((2, 3))])
    study = Bunch(coef=coef, X=np.ones((2, 3)), Y=np.array([[0.0, 1.0], [2.0, 5.0]]))
    table = tables.signed_features(study, names, ["abstract", "abstract"], ["One.", "Two."], tokens)
    assert table["tokens"].tolist() == ["One / . / Two"] * 2
    # The mean over voxels of the weight (of a feature that is 1 wherever it is active) over the voxel's deviation.
    assert table["effect"].tolist() == pytest.approx([(-1 / 1 - 2 / 2) / 2, 0.5])
    assert table.index.get_level_values("feature").tolist() == ["-0", "+1"]


def test_with_a_third_model_gain_and_adjustment_are_as_published(tool):
    from lepori2026 import published, tables

    rng = np.random.default_rng(0)
    voxels = pd.DataFrame({"participant": ["p1", "p2", "p3", "p4"], "region": "abstract"})
    names = ["Surprisal", "JumpReLU", "Matryoshka", "Dense"]
    results = {name: Bunch(scores=r, normalized_scores=r) for name, r in zip(names, rng.random((4, 4)), strict=True)}
    table, tests = tables.region_scores(results, voxels, names, published.SETS)
    expected = np.mean([results[name].scores.mean() for name in names[1:]]) - results["Surprisal"].scores.mean()
    assert table.loc["abstract", ("gain of all three", "here")] == pytest.approx(expected)
    assert np.allclose(tests["adjusted_p_value"], np.minimum(3 * tests["p_value"], 1))
    assert "Both as published" in tables.note_on_tests(results)


def test_the_better_half_of_each_region_is_kept_and_small_participants_whole(tool):
    from lepori2026 import tables

    voxels = pd.DataFrame({"participant": ["p1"] * 5 + ["p4"] * 3, "region": ["IFG"] * 3 + ["MFG"] * 2 + ["IFG"] * 3})
    result = Bunch(normalized_scores=np.array([0.1, 0.3, 0.2, 0.5, 0.4, 0.0, 0.1, 0.2]))
    assert np.flatnonzero(tables.best_half(result, voxels)).tolist() == [1, 3, 5, 6, 7]


def test_frontal_and_temporal_ratios_are_over_the_regions_that_everyone_has(tool):
    from lepori2026 import tables

    rows = [("p1", "IFGorb", 9.0, 1.0), ("p1", "IFG", 0.2, 0.4), ("p1", "MFG", 0.4, 0.4), ("p1", "AntTemp", 0.1, 0.5)]
    rows += [("p2", "IFG", 0.3, 0.4), ("p2", "MFG", 0.3, 0.4), ("p2", "AntTemp", 0.2, 0.5)]
    columns = ["participant", "region", "r_surprisal", "r_both"]
    test, note = tables.frontal_against_temporal(pd.DataFrame(rows, columns=columns).set_index(columns[:2]))
    assert "frontal: IFG, MFG; temporal: AntTemp" in note
    assert test.loc[0, "difference"] == pytest.approx(np.mean([0.75 - 0.2, 0.75 - 0.4]))


def test_dictionaries_of_gemma_are_compared_by_the_names_of_the_public_saes(tool, tiny_hub, tmp_path, monkeypatch):
    tiny_hub(12)
    import compare_dictionaries as compare
    from lepori2026.study import load_features

    X = load_features(tool.CONFIGURATIONS["gemma"], TEXTS, tmp_path, tool.Store(tmp_path / "scores"))["sae"][0]
    data = _voxels(X, dict.fromkeys(tool.SETS, True), False, n_each=2, n_coarse=128)
    monkeypatch.setattr(compare, "load_voxels", lambda sets, thin: (data, data.betas, data.voxels))
    monkeypatch.setattr(
        compare, "load_provo", lambda: Bunch(texts=[" ".join(TEXTS[i : i + 20]) for i in (0, 20, 40, 60, 80)])
    )
    monkeypatch.setattr(compare, "load_three_languages", lambda: Bunch(texts={"en": TEXTS[100:]}))
    rows = ["Matryoshka SAE", "JumpReLU SAE", "control: untrained model"]
    arguments = ["--configuration", "gemma", "--columns", "128", "--draws", "1", "--jobs", "1", "--only", *rows]
    monkeypatch.setattr(sys, "argv", ["compare", "--output", str(tmp_path), *arguments])
    compare.main()
    table = pd.read_csv(tmp_path / "dictionaries.csv", index_col=0)
    assert table.index.tolist() == ["Matryoshka SAE", "control: untrained model", "JumpReLU SAE"]
    assert (table["n_columns"] == 128).all()
    scores = table[tool.SETS].mean(axis=1)
    assert scores["Matryoshka SAE"] > scores["control: untrained model"] + 0.2
    assert table[["readings", "matched", "enriched", "semantic"]].stack().between(0, 1).all()


def test_saes_of_other_architectures_learn_to_explain_rows_by_few_features(tool):
    from lepori2026.training import SAELearner

    rng = np.random.default_rng(0)
    directions = rng.normal(size=(64, 24))
    rows = 5 + (rng.exponential(size=(2000, 64)) * (rng.random((2000, 64)) < 0.05)) @ directions
    explained = {}
    for architecture, steps in (("topk", 40), ("topk", 1), ("jumprelu", 40)):
        learner = SAELearner(architecture, 64, 4, n_steps=steps).fit(rows)
        found = learner.transform(rows)
        np.testing.assert_allclose(learner.transform(rows[:3]), found[:3], atol=1e-4)
        active = (found != 0).sum(axis=1)
        if architecture == "topk":
            assert (active == 4).all()
        assert active.mean() < 20
        design = np.column_stack([np.ones(2000), found])
        left = rows - design @ np.linalg.lstsq(design, rows, rcond=None)[0]
        explained[architecture, steps] = 1 - left.var() / (rows - rows.mean(axis=0)).var()
    print(explained)
    assert explained["topk", 40] > explained["topk", 1]
    assert explained["jumprelu", 40] > 0.5
