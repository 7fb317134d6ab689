"""The reproduction of Guo, Wu and Yiu (2026), from small data to its report, tables and figures."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.utils import Bunch

from sklearn_sae_encoding.banded import BandedRidgeEncoder
from sklearn_sae_encoding.timing import RunwiseRegressor
from sklearn_sae_encoding.tokens import TokenTable

TOOLS = Path(__file__).parents[1] / "tools"
KINDS = ("semantic", "syntactic", "lexical", "positional", "other")
N_FEATURES, N_TEXTS, N_SCANS = 50, 60, 24


@pytest.fixture
def tool(monkeypatch):
    pytest.importorskip("matplotlib")
    pytest.importorskip("textblob")
    if not (TOOLS / "reproduce_guo2026.py").exists():
        pytest.skip("the tools are not beside the tests")
    monkeypatch.syspath_prepend(str(TOOLS))
    import reproduce_guo2026

    yield reproduce_guo2026
    names = ("reproduce_guo2026", "guo2026", "lepori2026")
    for name in [name for name in sys.modules if name.split(".")[0] in names]:
        del sys.modules[name]


def features(rng, n):
    return rng.exponential(size=(n, N_FEATURES)) * (rng.random((n, N_FEATURES)) < 0.4)


class Gives:
    """Stands for a transformer of texts."""

    def __init__(self, values):
        self.values = values

    def __call__(self, *args, **kwargs):
        return self

    def fit_transform(self, texts):
        return self.values


def fake(tool, monkeypatch):
    """Features, listeners and voxels in the place of those of the language model and the data."""
    import guo2026.errors as errors

    rng = np.random.default_rng(0)
    kinds = pd.DataFrame({"index": range(N_FEATURES + 5), "category": [*np.repeat(KINDS, 10), *[""] * 5]})
    enriched = pd.DataFrame({"index": range(10), "q_value": np.linspace(0, 0.1, 10)})
    cut = [features(rng, N_SCANS) for _ in range(6)]
    delayed = [np.hstack([one, np.roll(one, 1, axis=0), np.roll(one, 2, axis=0)]) for one in cut]
    weights = rng.normal(size=(N_FEATURES, 6))
    Y = [one @ weights + rng.normal(size=(N_SCANS, 6)) for one in cut]
    X = features(rng, N_TEXTS)
    words = [features(rng, 4) for _ in range(N_TEXTS)]
    voxels = pd.DataFrame(
        {"participant": ["p1", "p2"] * 4, "set": np.repeat(["abstract", "concrete"], 4), "noise_ceiling": 0.9}
    )
    published = Bunch(texts=["text"] * N_TEXTS, voxels=voxels, betas=X @ rng.normal(size=(N_FEATURES, 8)))
    models = [(*before, one) for one in errors.ERRORS for before in ((), ("surprisal",), ("features", "surprisal"))]
    models = [("features",), ("surprisal",), ("features", "surprisal"), *models]
    scores = pd.DataFrame(rng.random((len(models), 6)), index=[" + ".join(model) for model in models])
    made = {name: rng.normal(size=(N_TEXTS, 3)) for name in ("features", "surprisal", *errors.ERRORS[:2])}
    for module, name, value in (
        (tool, "load_smollm2", lambda: "toy"),
        (tool, "STORY_ENCODER", RunwiseRegressor(None, BandedRidgeEncoder(candidates=2))),
        (errors, "CANDIDATES", 2),
        (tool, "label", lambda model: (kinds, enriched)),
        (tool, "alice_data", lambda model: (delayed, cut, Y, np.repeat(["s1", "s2"], 3), N_FEATURES)),
        (tool, "story_errors", lambda *args: (scores, 0.6)),
        (tool, "published_data", lambda: published),
        (tool, "LMActivationTransformer", Gives(None)),
        (tool, "SAEProjector", Gives(X)),
        (errors, "LMActivationTransformer", Gives(None)),
        (errors, "SAEProjector", Gives(TokenTable(words))),
        (errors, "bands_of", lambda *args: (made, None, 0.5)),
    ):
        monkeypatch.setattr(module, name, value)


@pytest.mark.filterwarnings("ignore:.*smallest")
def test_the_steps_go_from_data_to_report_tables_and_figures_and_again_without_computing(tool, monkeypatch, tmp_path):
    fake(tool, monkeypatch)
    monkeypatch.setattr(sys, "argv", ["tool", "--output", str(tmp_path), "--draws", "3"])
    tool.main()
    written = {path.name for path in tmp_path.iterdir()}
    tables = {"table1_categories", "table2_alice", "table3_matched", "table4_published", "table5_topography"}
    assert {f"{name}.csv" for name in (*tables, "table4_matched", "table5_spins", "table6_errors")} <= written
    figures = {"figure1_alone", "figure2_parts", "figure3_matched", "figure4_topography"}
    assert {f"{name}.png" for name in figures} <= written
    report = (tmp_path / "report.txt").read_text()
    assert "Choices" in report
    for name, (paper, _) in tool.PAPER.items():  # each of the paper's numbers, and ours where there is one
        assert f"{name}: paper {paper}" in report
    assert report.count(", ours ") == len(tool.PAPER) - 1
    errors = pd.read_csv(tmp_path / "table6_errors.csv")
    assert errors["where"].unique().tolist() == ["Alice", "abstract", "concrete"]
    assert errors["r"].notna().all()
    matched = pd.read_csv(tmp_path / "table4_matched.csv", index_col=0)
    assert matched.index.tolist() == ["abstract", "concrete"]
    assert matched["p"].between(1 / 4, 1).all()
    for name in ("label", "alice_data", "on_alice", "on_published", "simulated_topography"):
        monkeypatch.setattr(tool, name, None)  # nothing is called again
    tool.main()
    again = (tmp_path / "report.txt").read_text()
    assert again.splitlines()[:-1] == report.splitlines()[:-1]
