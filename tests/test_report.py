"""The report says what is so, shows texts as texts, and works in a real browser without a network."""

import pickle
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from browser import needs_browser, open_browser, print_to_pdf, requested_urls, set_dark
from scipy import sparse
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold, KFold
from sklearn.pipeline import make_pipeline, make_union

from sklearn_sae_encoding._data_hash import hash_data
from sklearn_sae_encoding.activations import LMActivationTransformer
from sklearn_sae_encoding.encoder import SparseVoxelEncoder
from sklearn_sae_encoding.metrics import cross_val_voxel_scores
from sklearn_sae_encoding.persistence import read_manifest, save_encoder
from sklearn_sae_encoding.pipeline import make_augmented_encoder
from sklearn_sae_encoding.report import encoder_report
from sklearn_sae_encoding.report._fitted import parts_of_predictions, take_apart, values_on_tokens
from sklearn_sae_encoding.sae import SAEProjector
from sklearn_sae_encoding.surprisal import SurprisalTransformer

mpl.use("Agg")
pytest.importorskip("nilearn")

HOSTILE = [
    "<script>window.hacked = 1</script>",
    '<img src="x" onerror="window.hacked = 1">',
    '"><svg onload="window.hacked = 1">',
    "</script></style></title><script>window.hacked = 1</script>",
    "<!-- <a href='javascript:window.hacked=1'>click</a>",
    "$body ${script} {{ 7 * 7 }} %s \\ &amp; & &#60;",
    "\x00\x1b[31m \ud83d lone surrogate",
    "\u202eright to left\u202c and 日本語 🧠",
    "A" * 400,
    "<iframe src='https://example.org'></iframe><meta http-equiv=refresh content='0;url=https://example.org'>",
]
NAMES = [f"sae_{i:05d}" for i in range(30)] + ["surprisal_mean"]


def _features(n_texts=60, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.gamma(1.0, 1.0, (n_texts, 31)) * (rng.random((n_texts, 31)) < 0.3)
    X[:, -1] = rng.standard_normal(n_texts)
    return pd.DataFrame(X, columns=NAMES)


def _responses(X, n_voxels=12, seed=0):
    rng = np.random.default_rng(seed)
    weights = np.zeros((31, n_voxels))
    for voxel in range(n_voxels):
        weights[rng.choice(30, 3, replace=False), voxel] = rng.choice([-1.0, 1.0], 3)
        weights[-1, voxel] = 0.5 if voxel % 3 else -0.5
    return X.to_numpy() @ weights + 0.3 * rng.standard_normal((len(X), n_voxels)) + 5.0


def _texts(n_texts=60):
    return HOSTILE + [f"Sentence number {i} is plain." for i in range(n_texts - len(HOSTILE))]


def _encoder(**changes):
    return SparseVoxelEncoder(**{"alphas": 12, "eps": 1e-3, "cv": 3, "forced_features": ["surprisal_mean"], **changes})


def _scores(X, Y, ceiling=None):
    folds = KFold(4, shuffle=True, random_state=0)
    columns = {"surprisal": NAMES[-1:], "SAE + surprisal": NAMES}
    return {
        name: cross_val_voxel_scores(Ridge(), X[chosen], Y, cv=folds, noise_ceiling=ceiling)
        for name, chosen in columns.items()
    }


@pytest.fixture(scope="module")
def case():
    X = _features()
    Y = _responses(X)
    return X, Y, _encoder().fit(X, Y), _scores(X, Y)


@pytest.fixture(scope="module")
def report(case):
    X, Y, encoder, scores = case
    labels = {"surprisal_mean": "<b onclick='window.hacked=1'>people</b>", 7: "places"}
    ceiling = np.r_[0.05, np.full(Y.shape[1] - 1, 0.9)]
    return encoder_report(
        encoder,
        _texts(),
        Y,
        scores=scores,
        noise_ceiling=ceiling,
        features=X,
        feature_labels=labels,
        title="<i>Sentences</i> & voxels",
    )


class _Page(HTMLParser):
    """Elements, attributes and visible text of a page."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.attributes, self.open, self.unbalanced = [], [], [], []
        self.cells, self.text = [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in ("meta", "link", "img", "input"):
            self.open.append(tag)
        if tag == "td":
            self.cells.append("")

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data):
        if "style" not in self.open and "script" not in self.open:
            self.text.append(data)
        if "td" in self.open:
            self.cells[-1] += data


def _text(report):
    return " ".join(" ".join(_Page(report.html).text).split())


def test_labels_by_the_saes_own_index_stand_beside_their_features(report):
    assert "places" in _Page(report.html).cells


def test_texts_and_labels_are_text_whatever_they_hold(report):
    page = _Page(report.html)
    assert page.elements.count("script") == 1
    assert not {"svg", "iframe", "b", "i"} & set(page.elements)
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert not page.unbalanced
    assert not page.open
    shown = set(page.cells)
    assert "<b onclick='window.hacked=1'>people</b>" in shown
    assert {text for text in HOSTILE if text in shown}  # those that drive a shown feature, letter for letter
    hostile_shown = [cell for cell in shown if "hacked" in cell or "$body" in cell]
    assert set(hostile_shown) <= {*HOSTILE, "<b onclick='window.hacked=1'>people</b>"}


def test_all_hostile_texts_survive_letter_for_letter_but_for_what_no_page_can_hold():
    X = _features()
    X.loc[: len(HOSTILE) - 1, "sae_00000"] = 100.0
    Y = _responses(X)
    Y += 2 * X[["sae_00000"]].to_numpy()
    report = encoder_report(_encoder().fit(X, Y), _texts(), Y, features=X, n_texts=len(HOSTILE), n_features=31)
    cells = set(_Page(report.html).cells)
    for text in HOSTILE:
        assert re.sub("[\x00\x1b\ud83d]", "\ufffd", text) in cells


def test_nothing_in_the_page_points_outside_of_it(report):
    page = _Page(report.html)
    for tag, name, value in page.attributes:
        if name in ("src", "href", "srcset", "action", "data", "poster"):
            assert value.startswith(("data:", "#")), (tag, name, value)
    style = re.search("<style>(.*?)</style>", report.html, re.DOTALL).group(1)
    assert "url(" not in style
    assert "@import" not in style


def test_ids_are_unique_links_lead_somewhere_and_images_have_words(report):
    page = _Page(report.html)
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert {v[1:] for _, name, v in page.attributes if name == "href" and v.startswith("#")} <= set(ids)
    assert page.elements.count("img") == len([1 for _, name, value in page.attributes if name == "alt" and value])


def test_it_is_nilearns_report_and_its_file_is_the_page(report, tmp_path):
    from nilearn.reporting import HTMLReport

    assert isinstance(report, HTMLReport)
    report.save_as_html(tmp_path / "report.html")
    saved = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert saved == report.html == str(report)
    assert saved.startswith("<!DOCTYPE html>")
    assert "iframe" in report._repr_html_()[:10]


def test_it_opens_the_file_that_it_saves(report, tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    report.open_in_browser(tmp_path / "a b.html")
    assert opened == [(tmp_path / "a b.html").as_uri()]
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    report.open_in_browser()
    assert opened[1].startswith((tmp_path / "encoder_report_").as_uri())


def test_scores_are_summarised_without_voxels_below_the_noise_floor(report, case):
    scores = case[3]["SAE + surprisal"].scores[1:] / 0.9
    page = _text(report)
    expected = f"SAE + surprisal 11 {scores.mean():.3f} {np.quantile(scores, 0.25):.3f} {np.median(scores):.3f}"
    assert expected in page
    assert "In 1 voxel of 12 the noise ceiling is below r = 0.1" in page


def test_the_model_with_surprisal_alone_is_compared_but_not_the_one_reported(report, case):
    shown = case[3]["SAE + surprisal"].scores[1:] / 0.9
    assert f"Median score / noise ceiling {np.median(shown):.2f}" in _text(report)
    assert "Scatter of voxels. SAE + surprisal predicts" in report.html


def test_the_methods_name_what_was_fitted_and_what_is_not_known(report, case):
    page = _text(report)
    encoder = case[2]
    assert "Responses of 12 voxels to 60 texts" in page
    assert "the lasso" in page
    assert "12 log-spaced values from the smallest that empties its model to 0.001 of it" in page
    assert "(3 contiguous folds; least mean squared error)" in page
    assert "Always in the model: surprisal_mean." in page
    folds = "KFold(n_splits=4, random_state=0, shuffle=True)"
    assert f"4 outer folds (15 texts each; {folds}), on features made beforehand, the regression being fitted" in page
    assert f"splitter {folds}" in page
    assert "Pearson's correlation, averaged over folds by Fisher's z and divided by the voxel's noise ceiling" in page
    assert "Not known to this report" in page
    for name in encoder.get_params():
        if name not in ("n_jobs", "verbose", "memory", "block_size"):
            assert f" {name} " in page


def test_r2_is_told_from_correlations(case):
    X, Y, encoder, _ = case
    scores = cross_val_voxel_scores(Ridge(), X, Y, cv=4, metric="r2")
    page = _text(encoder_report(encoder, _texts(), Y, scores=scores, features=X, n_features=1))
    assert "a voxel's score is R², averaged over folds." in page
    assert "Cross-validated R²" in page


def test_r2_of_one_fold_between_0_and_1_is_not_taken_for_a_correlation(case):
    # Here no number tells: one fold's average is the fold, whatever the metric.
    X, Y, encoder, _ = case
    split = [(np.arange(40), np.arange(40, 60))]
    scores = cross_val_voxel_scores(encoder, X, Y, cv=split, metric="r2")
    assert scores.metric == "r2"
    assert np.abs(scores.scores).max() < 1
    page = _text(encoder_report(encoder, _texts(), Y, scores=scores, features=X, n_features=1))
    assert "Cross-validated R²" in page


def test_features_are_counted_and_their_effect_is_in_sd_of_the_response(case):
    X, Y, encoder, _ = case
    page = _Page(encoder_report(encoder, _texts(), Y, features=X, n_features=3).html)
    coef = encoder.coef_.toarray()
    signed = {(j, s): (coef[:, j] * s > 0) for j in range(31) for s in (1, -1)}
    (column, sign), voxels = max(signed.items(), key=lambda item: (item[1].sum(), -item[0][0]))
    effect = np.median(coef[voxels, column] * X.to_numpy()[:, column].std() / Y[:, voxels].std(axis=0))
    first = page.cells[:6]
    active = (X.to_numpy()[:, column] != 0).mean()
    shown = [NAMES[column], "+" if sign > 0 else "−", str(voxels.sum()), f"{voxels.mean():.1%}"]
    assert first == [*shown, f"{effect:.3f}", f"{active:.0%}"]


def test_the_texts_of_a_feature_are_those_where_it_is_largest(case):
    X, Y, encoder, _ = case
    texts = [f"text {i}" for i in range(60)]
    page = _Page(encoder_report(encoder, texts, Y, features=X, n_features=62, n_texts=2).html)
    drivers = np.array(page.cells)
    for name in NAMES:
        best = texts[int(np.argmax(X[name]))]
        rows = [i for i, cell in enumerate(drivers) if cell == name and drivers[i + 3 : i + 4].tolist() == [best]]
        used = np.any(encoder.coef_[:, [NAMES.index(name)]].toarray() != 0)
        assert bool(rows) == used


def test_parts_of_predictions_are_those_of_surprisal_and_of_the_rest(case):
    X, Y, encoder, _ = case
    fitted = take_apart(encoder, _texts(), Y, X)
    surprisal, content = parts_of_predictions(fitted)
    coef = encoder.coef_.toarray()
    np.testing.assert_allclose(surprisal, np.abs(coef[:, -1]) * X["surprisal_mean"].std(ddof=0) / Y.std(axis=0))
    np.testing.assert_allclose(content, (X.to_numpy()[:, :-1] @ coef[:, :-1].T).std(axis=0) / Y.std(axis=0))


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        (_encoder(alphas=[0.5, 0.4]), r"12 voxels? chose the smallest penalty tried"),
        (_encoder(alphas=[1e-3, 1e-4]), r"\d+ voxels? chose the largest penalty tried, and still use features"),
    ],
)
def test_penalties_at_the_edge_of_the_grid_are_warned_of(case, encoder, message):
    X, Y, *_ = case
    assert re.search(message, _text(encoder_report(encoder.fit(X, Y), _texts(), Y, features=X, n_features=1)))


def test_empty_models_are_counted_and_no_reason_to_extend_the_grid(case):
    X, Y, *_ = case
    page = _text(encoder_report(_encoder(alphas=[50.0, 49.0]).fit(X, Y), _texts(), Y, features=X, n_features=1))
    assert "voxels without a content feature 12" in page
    assert "chose the largest penalty" not in page


@pytest.mark.parametrize("make", [_encoder, lambda: _encoder(refit="ridge"), Ridge])
def test_features_or_responses_that_are_not_those_of_the_fit_are_noticed(case, make):
    X, Y, _, scores = case
    model = make().fit(X, Y)
    message = "In 12 voxels predictions and responses have different means"
    assert message not in _text(encoder_report(model, _texts(), Y, scores=scores, features=X, n_features=1))
    assert message in _text(encoder_report(model, _texts(), Y, scores=scores, features=X + 1, n_features=1))
    assert message in _text(encoder_report(model, _texts(), Y + 1, scores=scores, features=X, n_features=1))


def test_voxels_that_did_not_converge_are_counted(case):
    X, Y, encoder, scores = case
    late = _encoder().fit(X, Y)
    late.dual_gap_ = late.dual_gap_.copy()
    late.dual_gap_[:3] = 2 * late.tol * Y[:, :3].var(axis=0)
    page = _text(encoder_report(late, _texts(), Y, scores=scores, features=X, n_features=1))
    assert "Not converged. In 3 voxels the duality gap exceeds tol = 0.0001" in page
    assert "Not converged" not in _text(encoder_report(encoder, _texts(), Y, features=X, n_features=1))


def test_missing_scores_repeated_texts_and_constant_voxels_are_warned_of(case):
    X, Y, *_ = case
    Y = Y.copy()
    Y[:, 4] = 7.0
    with pytest.warns(UserWarning, match="1 are constant"):
        encoder = _encoder().fit(X, Y)
    texts = ["same"] * 3 + _texts()[3:]
    page = _text(encoder_report(encoder, texts, Y, features=X, n_features=1))
    assert "No cross-validated scores." in page
    assert "2 of 60 texts equal an earlier one" in page
    assert "1 voxel never changed" in page


def test_a_report_without_findings_says_what_was_looked_at(case):
    X, Y, encoder, scores = case
    page = _text(encoder_report(encoder, [f"text {i}" for i in range(60)], Y, scores=scores, features=X, n_features=1))
    assert "Warnings 0" in page
    assert "Nothing was found. Looked at, as far as the model tells: convergence" in page


def test_any_linear_regressor_and_a_single_voxel_can_be_reported(case):
    X, Y, *_ = case
    ridge = Ridge().fit(X.to_numpy(), Y[:, 0])
    page = _text(encoder_report(ridge, _texts(), Y[:, 0], features=sparse.csr_array(X.to_numpy()), n_features=2))
    assert "regressed on the features by Ridge" in page
    assert "feature_00" in page


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features": None}, "takes 31 features, not texts. Pass features="),
        ({"features": np.zeros((60, 3))}, r"features of shape \(60, 31\), a row a text, got \(60, 3\)"),
        ({"texts": _texts()[:5]}, "5 texts, but 60 rows or images"),
        ({"texts": "one text"}, "single string: 'one text'"),
        ({"texts": [*_texts()[:59], None]}, "text 59 is None"),
        ({"texts": []}, "There is no text"),
        ({"Y": np.zeros((60, 3))}, "fitted to 12 voxels, but Y has 3"),
        ({"scores": np.zeros(12)}, "what cross_val_voxel_scores gives"),
        ({"scores": {"a": np.zeros(12)}}, "got ndarray for 'a'"),
    ],
)
def test_what_does_not_belong_together_is_refused(case, changes, message):
    X, Y, encoder, _ = case
    arguments = {"texts": _texts(), "Y": Y, "features": X, **changes}
    with pytest.raises((ValueError, TypeError), match=message):
        encoder_report(encoder, **arguments)


@pytest.mark.parametrize("as_given", [np.array, pd.Series, lambda texts: pd.DataFrame({"text": texts}), tuple])
def test_texts_come_in_any_container(case, as_given):
    X, Y, encoder, _ = case
    texts = [f"text {i}" for i in range(60)]
    shown = _Page(encoder_report(encoder, as_given(texts), Y, features=X, n_features=1).html).cells
    assert shown == _Page(encoder_report(encoder, texts, Y, features=X, n_features=1).html).cells


def test_noise_ceilings_of_other_voxels_are_refused(case):
    X, Y, encoder, scores = case
    with pytest.raises(ValueError, match=r"a noise ceiling a voxel, \(12,\), got shape \(3,\)"):
        encoder_report(encoder, _texts(), Y, features=X, scores=scores, noise_ceiling=[0.5, 0.5, 0.5])


def test_scores_of_other_voxels_are_refused(case):
    X, Y, encoder, _ = case
    scores = cross_val_voxel_scores(Ridge(), X, Y[:, :3], cv=3)
    with pytest.raises(ValueError, match="a score a voxel, 12, but 'model' has 3"):
        encoder_report(encoder, _texts(), Y, features=X, scores=scores)


def test_a_model_that_is_not_fitted_is_refused(case):
    with pytest.raises(NotFittedError):
        encoder_report(_encoder(), _texts(), case[1], features=case[0])


def test_the_figures_and_settings_of_the_session_stay_as_they_were(case):
    import matplotlib.pyplot as plt

    X, Y, encoder, scores = case
    with mpl.rc_context({"font.size": 23}):
        figure = plt.figure()
        encoder_report(encoder, _texts(), Y, scores=scores, features=X, n_features=1)
        assert mpl.rcParams["font.size"] == 23
        assert plt.get_fignums() == [figure.number]
    plt.close("all")


def test_importing_the_report_loads_no_images_models_or_figures():
    heavy = {"nilearn", "torch", "transformers", "sae_lens", "matplotlib"}
    code = f"import sys, sklearn_sae_encoding.report; print({heavy} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


# The whole pipeline: tokens --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sae_dir(tmp_path_factory):
    """A random SAE for the tiny language model, in a folder."""
    import torch
    from sae_lens import SAE, StandardSAEConfig

    sae = SAE.from_dict(StandardSAEConfig(d_in=32, d_sae=40, dtype="float32", device="cpu").to_dict())
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in sae.parameters():
            parameter.normal_(std=0.5, generator=generator)
    sae.cfg.metadata.hook_name = "blocks.2.hook_resid_post"
    folder = tmp_path_factory.mktemp("sae")
    sae.save_model(folder)
    return str(folder)


@pytest.fixture(scope="module")
def pipeline_case(tiny_lm_dir, sae_dir):
    from tiny_models import SENTENCES

    texts = [*SENTENCES, "Naïve 🧠 café <script>window.hacked = 1</script>", "日本語 ok"]
    Y = np.random.default_rng(0).normal(3.0, 2.0, (len(texts), 4))
    encoder = SparseVoxelEncoder(alphas=[0.3, 0.1], cv=2, forced_features=[-1], refit="ridge")
    return make_augmented_encoder(tiny_lm_dir, 2, sae_dir, encoder=encoder).fit(texts, Y), texts, Y


def test_values_on_tokens_pool_to_the_features_of_the_text(pipeline_case):
    model, texts, Y = pipeline_case
    fitted = take_apart(model, texts, Y, None)
    for column in (0, 7, 39):
        on_tokens = values_on_tokens(fitted, range(len(texts)), column)
        np.testing.assert_allclose(
            [t.values.mean() for t in on_tokens], fitted.X[:, [column]].toarray().ravel(), rtol=1e-5
        )
    surprisal = [t.values.mean() for t in values_on_tokens(fitted, range(len(texts)), 40)]
    np.testing.assert_allclose(
        (surprisal - np.mean(surprisal)) / np.std(surprisal), fitted.X[:, [40]].toarray().ravel(), atol=1e-5
    )


def test_looking_at_tokens_leaves_the_model_as_it_was(pipeline_case):
    model, texts, Y = pipeline_case
    before = model.predict(texts)
    encoder_report(model, texts, Y, n_features=3)
    np.testing.assert_array_equal(model.predict(texts), before)


def test_shaded_texts_are_whole_and_the_deepest_token_is_the_strongest(pipeline_case):
    model, texts, Y = pipeline_case
    report = encoder_report(model, texts, Y, n_features=50, n_texts=len(texts))
    page = _Page(report.html)
    assert set(texts) <= set(page.cells)
    fitted = take_apart(model, texts, Y, None)
    (tokens,) = values_on_tokens(fitted, [0], 40)
    start, end = tokens.offsets[np.argmax(tokens.values)]
    row = page.cells.index(texts[0])  # surprisal or another feature; find the row of surprisal
    rows = [i for i, cell in enumerate(page.cells) if cell == texts[0] and page.cells[i - 3] == "surprisal_mean"]
    assert row <= rows[0]
    assert page.cells[rows[0] - 1] == texts[0][start:end].strip()
    assert 'class="t5"' in report.html


def test_the_methods_name_model_hook_sae_and_surprisal(pipeline_case, tiny_lm_dir, sae_dir):
    model, texts, Y = pipeline_case
    scores = cross_val_voxel_scores(Ridge(), np.arange(len(texts))[:, None], Y, cv=2)
    page = _text(encoder_report(model, texts, Y, scores=scores, n_features=1))
    assert "The language model tiny-llama (a local copy) read each text on its own, preceded by its beginning" in page
    assert "Activations of every token were taken at blocks.2.hook_resid_post." in page
    assert "all 40 features were averaged over the tokens of a text" in page
    assert "negative log probability in nats given what came before, standardised over texts" in page
    assert "refitted by ridge regression, each voxel's penalty chosen among 8 values from 0.01 to 100,000" in page
    assert "all that is fitted being fitted anew in each; a voxel's score" in page
    assert f"SHA-256 of the texts {hash_data(texts)}" in page
    assert str(tiny_lm_dir) not in page  # where files lie on somebody's disk is not for the co-author
    assert sae_dir not in page


@pytest.mark.parametrize(
    ("pooling", "sentence"),
    [
        ("last", "The activation of each text's last token was taken at blocks.2.hook_resid_post."),
        ("mean", "Activations at blocks.2.hook_resid_post were averaged over the tokens of a text."),
        ("max", "Activations at blocks.2.hook_resid_post were reduced to their maximum over the tokens of a text."),
        ("sum", "Activations at blocks.2.hook_resid_post were summed over the tokens of a text."),
    ],
)
def test_the_methods_say_how_pooled_activations_were_encoded(pooling, sentence, pipeline_case, tiny_lm_dir, sae_dir):
    _, texts, Y = pipeline_case
    activations = LMActivationTransformer(tiny_lm_dir, 2, pooling=pooling)
    encoder = SparseVoxelEncoder(alphas=[0.1])
    for steps in ([activations], [activations, SAEProjector(sae_dir)]):
        page = _text(encoder_report(make_pipeline(*steps, encoder).fit(texts, Y), texts, Y, n_features=1))
        assert sentence in page
        assert "Activations of every token" not in page
        assert "Each token's activation" not in page
        assert f"pooling of activations {pooling}" in page
        assert ("Each text's one activation vector was encoded by the sparse auto" in page) == (len(steps) == 2)


def test_the_methods_name_every_language_model_and_site(pipeline_case, tiny_lm_dir, sae_dir, tmp_path):
    _, texts, Y = pipeline_case
    shutil.copytree(tiny_lm_dir, tmp_path / "other-llama")
    first, second = LMActivationTransformer(tiny_lm_dir, 2), LMActivationTransformer(tiny_lm_dir, 1, pooling="mean")
    surprisal = SurprisalTransformer(str(tmp_path / "other-llama"))
    union = make_union(make_pipeline(first, SAEProjector(sae_dir)), second, surprisal)
    model = make_pipeline(union, SparseVoxelEncoder(alphas=[0.1])).fit(texts, Y)
    page = _text(encoder_report(model, texts, Y, n_features=1))
    assert "Activations of every token were taken at blocks.2.hook_resid_post of tiny-llama (a local copy)." in page
    assert "Activations at blocks.1.hook_resid_post were averaged over the tokens of a text of tiny-llama" in page
    assert "Surprisal of other-llama (a local copy), the mean over a text's tokens" in page
    assert page.count("read each text on its own") == 2
    assert page.count("Language model name") == 2


# Images: maps ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def image_case():
    from nibabel import Nifti1Image
    from nilearn.maskers import NiftiMasker

    from sklearn_sae_encoding.masking import MaskedTargetRegressor

    X = _features()
    shape = (5, 6, 4)
    Y = _responses(X, n_voxels=int(np.prod(shape))).astype(np.float32)
    Y[3, 10] = np.nan
    affine = np.diag([20.0, 20.0, 20.0, 1.0])
    affine[:3, 3] = [-40.0, -60.0, -20.0]
    images = Nifti1Image(Y.T.reshape(*shape, len(X)), affine)
    mask = Nifti1Image(np.ones(shape, dtype="int8"), affine)
    with pytest.warns(UserWarning, match="1 of 120 voxels"):
        model = MaskedTargetRegressor(_encoder(), NiftiMasker(mask)).fit(X, images)
    finite = np.nan_to_num(Y)
    return X, images, model, _scores(X, finite)


def test_images_give_maps_and_missing_voxels_are_counted(image_case):
    X, images, model, scores = image_case
    report = encoder_report(model, _texts(), images, scores=scores, features=X, n_features=2)
    page = _text(report)
    assert "excluded: values not finite 1" in page
    assert "voxels fitted 119" in page
    assert "Voxels were taken from images by nilearn's NiftiMasker." in page
    alts = [value for _, name, value in _Page(report.html).attributes if name == "alt"]
    n_above = int(np.sum(scores["SAE + surprisal"].scores > 0.1))
    assert f"Map of the scores of SAE + surprisal: {n_above} voxels above 0.1." in alts
    assert any(alt.startswith("Map of differences") for alt in alts)
    assert any(alt.startswith("Two-colour map") for alt in alts)


def test_images_may_come_at_the_end_of_a_pipeline(image_case):
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    X, images, model, scores = image_case
    look_up = FunctionTransformer(lambda texts: X, feature_names_out=lambda *_: NAMES).fit(_texts())
    whole = make_pipeline(look_up, model)
    direct = encoder_report(model, _texts(), images, scores=scores, features=X, n_features=2)
    piped = encoder_report(whole, _texts(), images, scores=scores, n_features=2)
    assert _Page(piped.html).cells == _Page(direct.html).cells


def test_data_have_the_hashes_of_the_saved_encoder(case, image_case, tmp_path):
    X, Y, encoder, _ = case
    images, masked = image_case[1], image_case[2]
    for name, model, responses in (("array", encoder, Y), ("images", masked, images)):
        page = _text(encoder_report(model, _texts(), responses, features=X, n_features=1))
        save_encoder(model, tmp_path / name, X=X, Y=responses)
        data = read_manifest(tmp_path / name)["data"]
        assert f"SHA-256 of the features {data['X']['sha256']}" in page
        assert f"SHA-256 of the responses {data['Y']['sha256']}" in page
    again = _text(encoder_report(encoder, _texts(), np.asfortranarray(Y), features=X.to_numpy(), n_features=1))
    assert hash_data(Y) in again
    assert hash_data(Y + 1e-9) not in again


@pytest.mark.parametrize(
    ("cv", "words"),
    [
        (4, "KFold(n_splits=4, random_state=None, shuffle=False)"),
        ([(np.arange(40), np.arange(40, 60))], "folds given one by one"),
        (GroupKFold(3), "GroupKFold(n_splits=3, random_state=None, shuffle=False) by groups"),
    ],
)
def test_scores_remember_their_splitter_also_after_pickling(cv, words, case):
    X, Y, _, _ = case
    groups = np.arange(60) // 6 if isinstance(cv, GroupKFold) else None
    scores = pickle.loads(pickle.dumps(cross_val_voxel_scores(Ridge(), X, Y, cv=cv, groups=groups)))
    assert scores.splits.made_by == words
    assert len(scores.splits) == len(scores.fold_scores)


# In a real browser -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with open_browser(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture(scope="module")
def page_url(report, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    report.save_as_html(path)
    return path.as_uri()


@pytest.fixture
def page(browser, page_url):
    browser.get("about:blank")
    browser.get_log("browser")
    requested_urls(browser)
    browser.get(page_url)
    return browser


def _column(driver, table, column):
    return driver.execute_script(
        "return [...document.getElementById(arguments[0]).tBodies[0].rows].filter(r => r.offsetParent)"
        ".map(r => r.cells[arguments[1]].dataset.value ?? r.cells[arguments[1]].textContent)",
        table,
        column,
    )


@needs_browser
def test_the_page_loads_nothing_complains_of_nothing_and_runs_nothing(page, page_url):
    from selenium.webdriver.common.by import By

    assert page.get_log("browser") == []
    assert requested_urls(page) == [page_url]
    assert page.execute_script("return window.hacked") is None
    assert page.title == "<i>Sentences</i> & voxels"
    shown = page.find_element(By.TAG_NAME, "body").text
    assert "<script>window.hacked = 1</script>" in shown
    images = "return [...document.images].filter(i => !i.complete || !i.naturalWidth).length"
    assert page.execute_script(images) == 0


@needs_browser
def test_a_script_that_gets_into_the_page_is_not_run(page):
    page.execute_script(
        "const s = document.createElement('script'); s.textContent = 'window.hacked = 2'; document.body.append(s);"
        "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.hacked = 3\">');"
    )
    assert page.execute_async_script("setTimeout(() => arguments[0](window.hacked ?? null), 300)") is None
    assert any("Content Security Policy" in entry["message"] for entry in page.get_log("browser"))
    assert not [url for url in requested_urls(page) if not url.startswith("file:")]


@needs_browser
def test_headings_sort_their_table_in_both_directions(page):
    from selenium.webdriver.common.by import By

    heads = page.find_elements(By.CSS_SELECTOR, "#features th")
    names = [head.text.strip() for head in heads]
    voxels = names.index("Voxels")
    for direction, sign in (("descending", -1), ("ascending", 1)):
        heads[voxels].find_element(By.TAG_NAME, "button").click()
        values = [float(v) for v in _column(page, "features", voxels)]
        assert values == sorted(values, key=lambda v: sign * v)
        assert heads[voxels].get_attribute("aria-sort") == direction
    assert len(set(values)) > 1
    heads[0].find_element(By.TAG_NAME, "button").click()
    values = _column(page, "features", 0)
    assert values == sorted(values)
    assert heads[voxels].get_attribute("aria-sort") is None
    effect = names.index("Effect")
    heads[effect].find_element(By.TAG_NAME, "button").click()
    values = [float(v) for v in _column(page, "features", effect)]
    assert values == sorted(values, reverse=True)
    assert min(values) < 0 < max(values)


@needs_browser
def test_search_shows_the_rows_that_hold_all_words(page):
    from selenium.webdriver.common.by import By

    box = page.find_element(By.CSS_SELECTOR, "[data-search=drivers]")
    texts = _column(page, "drivers", 4)
    box.send_keys("NUMBER plain")
    found = _column(page, "drivers", 4)
    assert found == [text for text in texts if "number" in text and "plain" in text]
    assert 0 < len(found) < len(texts)
    status = page.find_element(By.CSS_SELECTOR, "[data-count=drivers]")
    assert status.text == f"{len(found)} of {len(texts)} rows"
    box.send_keys(" nothing-like-this")
    assert _column(page, "drivers", 4) == []
    box.clear()
    page.execute_script("arguments[0].dispatchEvent(new Event('input'))", box)
    assert len(_column(page, "drivers", 4)) == len(texts)


@needs_browser
def test_everything_works_by_keyboard_alone_and_the_focus_is_seen(page):
    from selenium.webdriver.common.keys import Keys

    def press(key):
        page.switch_to.active_element.send_keys(key)
        return page.switch_to.active_element

    focused, outlines = [], []
    element = press(Keys.TAB)
    assert element.text == "Skip to the content"
    for _ in range(40):
        element = press(Keys.TAB)
        focused.append((element.tag_name, element.text.strip()))
        outlines.append(page.execute_script("return getComputedStyle(arguments[0]).outlineStyle", element))
        if element.text.strip() == "Voxels":
            break
    assert ("button", "Voxels") in focused
    assert "none" not in outlines
    press(Keys.ENTER)
    assert page.execute_script("return document.activeElement.closest('th').ariaSort") == "descending"
    while not page.switch_to.active_element.get_attribute("data-find"):
        press(Keys.TAB)
    name = page.switch_to.active_element.text
    element = press(Keys.ENTER)
    assert element.get_attribute("data-search") == "drivers"
    assert set(_column(page, "drivers", 0)) == {name}


_CONTRAST = """
const rgba = (c) => { const v = c.match(/[\\d.]+/g).map(Number); return v.length < 4 ? [...v, 1] : v; };
const over = (top, below) => [0, 1, 2].map((i) => top[3] * top[i] + (1 - top[3]) * below[i]).concat(1);
const luminance = (c) => [0, 1, 2].map((i) => c[i] / 255)
  .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const worst = [];
for (const element of document.querySelectorAll("body *")) {
  const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
  if (!own || !element.offsetParent) continue;
  const layers = [];
  for (let e = element; e; e = e.parentElement) layers.push(rgba(getComputedStyle(e).backgroundColor));
  const back = layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 1]);
  const [a, b] = [luminance(rgba(getComputedStyle(element).color)), luminance(back)];
  worst.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), element.tagName + " " + element.className]);
}
return worst.sort((x, y) => x[0] - y[0])[0];
"""


@needs_browser
@pytest.mark.parametrize("dark", [False, True])
def test_all_text_has_the_contrast_that_wcag_asks_for_in_light_and_dark(page, dark):
    set_dark(page, dark)
    background = page.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") is not dark
    page.execute_script(
        "document.querySelector('details').open = true;"
        "document.querySelector('#drivers td.passage bdi').insertAdjacentHTML('beforeend',"
        "[1, 2, 3, 4, 5].map((i) => `<mark class=t${i}>x</mark>`).join(''))"
    )
    ratio, where = page.execute_script(_CONTRAST)
    assert ratio >= 4.5, where
    shown = page.execute_script("return [...document.images].filter(i => i.offsetParent).map(i => i.className)")
    assert set(shown) == {"on-dark" if dark else "on-light"}
    set_dark(page, False)


@needs_browser
def test_it_prints_with_light_figures_all_settings_and_no_controls(page):
    from selenium.webdriver.common.by import By

    page.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"media": "print", "features": [{"name": "prefers-color-scheme", "value": "dark"}]},
    )
    assert page.execute_script("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    visible = page.execute_script("return [...document.images].filter(i => i.offsetParent).map(i => i.className)")
    assert set(visible) == {"on-light"}
    assert not page.find_element(By.CSS_SELECTOR, "[data-search=drivers]").is_displayed()
    assert not page.find_element(By.TAG_NAME, "nav").is_displayed()
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
    page.execute_script(
        "addEventListener('beforeprint', () => { window.unfolded = document.querySelector('details').open; })"
    )
    pdf = print_to_pdf(page)
    assert pdf.startswith(b"%PDF")
    assert page.execute_script("return [window.unfolded, document.querySelector('details').open]") == [True, False]


@needs_browser
def test_without_scripts_the_page_is_whole_and_offers_no_dead_controls(page, page_url):
    from selenium.webdriver.common.by import By

    page.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        page.get(page_url)
        assert not page.find_element(By.CSS_SELECTOR, "[data-search=drivers]").is_displayed()
        assert page.find_element(By.CSS_SELECTOR, "#drivers td").is_displayed()
    finally:
        page.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


@needs_browser
def test_a_narrow_screen_scrolls_tables_but_not_the_page(page):
    metrics = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": False}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    width = page.execute_script("return document.documentElement.scrollWidth")
    page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert width <= 360


@needs_browser
def test_in_a_notebook_it_shows_itself_in_a_frame(browser, report, tmp_path):
    from selenium.webdriver.common.by import By

    path = tmp_path / "notebook.html"
    path.write_bytes(b"<!DOCTYPE html><meta charset=utf-8>" + report._repr_html_().encode("utf-8"))
    browser.get("about:blank")
    browser.get_log("browser")
    browser.get(path.as_uri())
    browser.switch_to.frame(0)
    try:
        assert browser.find_element(By.CSS_SELECTOR, "[data-count=features]").text.endswith("rows")
        assert browser.execute_script("return window.hacked") is None
    finally:
        browser.switch_to.default_content()
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_a_voxel_without_a_score_counts_neither_way():
    from sklearn_sae_encoding.report._report import share_larger

    assert share_larger(np.array([2.0, 0.0, np.nan, 5.0]), np.array([1.0, 1.0, 0.0, np.nan])) == 0.5
    assert np.isnan(share_larger(np.array([np.nan]), np.array([1.0])))
