"""The numbers, features, texts, tokens and maps on the page are those of the model."""

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from report_cases import FEATURES, NAMES, Page, given, make_texts, text_of
from scipy import sparse
from sklearn.linear_model import Lasso, Ridge
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import StandardScaler

from sklearn_sae_encoding.activations import LMActivationTransformer
from sklearn_sae_encoding.analysis import count_feature_use, stability_selection
from sklearn_sae_encoding.encoder import SparseVoxelEncoder
from sklearn_sae_encoding.pipeline import make_augmented_encoder
from sklearn_sae_encoding.report import encoder_report
from sklearn_sae_encoding.report._fitted import parts_of_predictions, take_apart
from sklearn_sae_encoding.report._passages import values_on_tokens
from sklearn_sae_encoding.sae import SAEProjector
from sklearn_sae_encoding.surprisal import SurprisalTransformer


def test_scores_are_summarised_without_voxels_below_the_noise_floor(report, case):
    scores = case[3]["SAE + surprisal"].scores[1:] / 0.9
    page = text_of(report)
    expected = f"SAE + surprisal 11 {scores.mean():.3f} {np.quantile(scores, 0.25):.3f} {np.median(scores):.3f}"
    assert expected in page
    assert "In 1 voxel of 12 the noise ceiling is below r = 0.1" in page


def test_the_model_with_surprisal_alone_is_compared_but_not_the_one_reported(report, case):
    shown = case[3]["SAE + surprisal"].scores[1:] / 0.9
    assert f"Median score / noise ceiling {np.median(shown):.2f}" in text_of(report)
    assert "Scatter of voxels. SAE + surprisal predicts" in report.html


def test_features_are_counted_and_their_effect_is_in_sd_of_the_response(case):
    X, Y, encoder, _ = case
    page = Page(encoder_report(encoder, make_texts(), Y, **given(X), n_features=3).html)
    coef = encoder.coef_.toarray()
    signed = {(j, s): (coef[:, j] * s > 0) for j in range(31) for s in (1, -1)}
    (column, sign), voxels = max(signed.items(), key=lambda item: (item[1].sum(), -item[0][0]))
    effect = np.median(coef[voxels, column] * X.to_numpy()[:, column].std() / Y[:, voxels].std(axis=0))
    first = page.cells[:6]
    active = (X.to_numpy()[:, column] != 0).mean()
    shown = [NAMES[column], "+" if sign > 0 else "−", str(voxels.sum()), f"{voxels.mean():.1%}"]
    assert first == [*shown, f"{effect:.3f}", f"{active:.0%}"]


def test_with_a_stability_features_are_listed_by_how_often_halves_of_the_texts_select_them(case):
    X, Y, encoder, _ = case
    stability = stability_selection(Lasso(0.2), X, Y, n_pairs=3, random_state=1)
    order, coefs = np.random.RandomState(1), []
    for _ in range(3):
        drawn = order.permutation(60)
        halves = map(np.sort, (drawn[:30], drawn[30:]))
        coefs += [Lasso(0.2).fit(X.iloc[half], Y[half]).coef_ for half in halves]
    report = encoder_report(encoder, make_texts(), Y, **given(X), n_features=3, stability=stability)
    shares = {(j, s): np.mean([coef[:, j] * s > 0 for coef in coefs], axis=0) for j in range(31) for s in (1, -1)}
    (column, sign), share = max(shares.items(), key=lambda item: (item[1].mean(), -item[0][0]))
    shown = [NAMES[column], "+" if sign > 0 else "−", str((share > 0.9).sum()), f"{share.mean():.1%}"]
    assert Page(report.html).cells[:4] == shown
    assert "Features, by how often voxels select them" in text_of(report)
    assert "fitted to 6 random halves of the texts" in text_of(report)
    drawn = stability_selection(Lasso(0.2), X, Y, n_pairs=3, resampling="bootstrap", random_state=1)
    report = encoder_report(encoder, make_texts(), Y, **given(X), n_features=3, stability=drawn)
    assert f"{drawn.positive.toarray().mean(axis=0).max():.1%}" in Page(report.html).cells
    assert "fitted to 6 bootstrap samples of the texts" in text_of(report)


def test_the_texts_of_a_feature_are_those_where_it_is_largest(case):
    X, Y, encoder, _ = case
    texts = [f"text {i}" for i in range(60)]
    page = Page(encoder_report(encoder, texts, Y, **given(X), n_features=62, n_texts=2).html)
    drivers = np.array(page.cells)
    for name in NAMES:
        best = texts[int(np.argmax(X[name]))]
        rows = [i for i, cell in enumerate(drivers) if cell == name and drivers[i + 2 : i + 3].tolist() == [best]]
        used = np.any(encoder.coef_[:, [NAMES.index(name)]].toarray() != 0)
        assert bool(rows) == used


def test_parts_of_predictions_are_those_of_surprisal_and_of_the_rest(case):
    X, Y, encoder, _ = case
    fitted = take_apart(encoder, make_texts(), Y, X, FEATURES)
    surprisal, content = parts_of_predictions(fitted)
    coef = encoder.coef_.toarray()
    np.testing.assert_allclose(surprisal, np.abs(coef[:, -1]) * X["surprisal_mean"].std(ddof=0) / Y.std(axis=0))
    np.testing.assert_allclose(content, (X.to_numpy()[:, :-1] @ coef[:, :-1].T).std(axis=0) / Y.std(axis=0))


def test_any_linear_regressor_and_a_single_voxel_can_be_reported(case):
    X, Y, *_ = case
    ridge = Ridge().fit(X.to_numpy(), Y[:, 0])
    page = text_of(encoder_report(ridge, make_texts(), Y[:, 0], features=sparse.csr_array(X.to_numpy()), n_features=2))
    assert "regressed on the features by Ridge" in page
    assert re.search(r"x\d+ ", page)


@pytest.mark.parametrize("as_given", [np.array, pd.Series, lambda texts: pd.DataFrame({"text": texts}), tuple])
def test_texts_come_in_any_container(case, as_given):
    X, Y, encoder, _ = case
    texts = [f"text {i}" for i in range(60)]
    shown = Page(encoder_report(encoder, as_given(texts), Y, **given(X), n_features=1).html).cells
    assert shown == Page(encoder_report(encoder, texts, Y, **given(X), n_features=1).html).cells


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
    page = Page(report.html)
    assert set(texts) <= set(page.cells)
    fitted = take_apart(model, texts, Y, None)
    (tokens,) = values_on_tokens(fitted, [0], 40)
    start, end = tokens.offsets[np.argmax(tokens.values)]
    row = page.cells.index(texts[0])  # surprisal or another feature; find the row of surprisal
    rows = [i for i, cell in enumerate(page.cells) if cell == texts[0] and page.cells[i - 3] == "surprisal_mean"]
    assert row <= rows[0]
    assert page.cells[rows[0] - 1] == texts[0][start:end].strip()
    assert 'class="t5"' in report.html


def test_images_give_maps_and_missing_voxels_are_counted(image_case):
    X, images, model, scores = image_case
    report = encoder_report(model, make_texts(), images, scores=scores, **given(X), n_features=2)
    page = text_of(report)
    assert "excluded: values not finite 1" in page
    assert "voxels fitted 119" in page
    assert "Voxels were taken from images by nilearn's NiftiMasker." in page
    alts = [value for _, name, value in Page(report.html).attributes if name == "alt"]
    n_above = int(np.sum(scores["SAE + surprisal"].scores > 0.1))
    assert f"Map of the scores of SAE + surprisal: {n_above} voxels above 0.1." in alts
    assert any(alt.startswith("Map of differences") for alt in alts)
    assert any(alt.startswith("Two-colour map") for alt in alts)


def test_images_may_come_at_the_end_of_a_pipeline(image_case):
    from sklearn.preprocessing import FunctionTransformer

    X, images, model, scores = image_case
    look_up = FunctionTransformer(lambda texts: X, feature_names_out=lambda *_: NAMES).fit(make_texts())
    whole = make_pipeline(look_up, model)
    direct = encoder_report(model, make_texts(), images, scores=scores, **given(X), n_features=2)
    piped = encoder_report(whole, make_texts(), images, scores=scores, n_features=2)
    assert Page(piped.html).cells == Page(direct.html).cells


def test_a_voxel_without_a_score_counts_neither_way():
    from sklearn_sae_encoding.report._report import share_larger

    assert share_larger(np.array([2.0, 0.0, np.nan, 5.0]), np.array([1.0, 1.0, 0.0, np.nan])) == 0.5
    assert np.isnan(share_larger(np.array([np.nan]), np.array([1.0])))


def test_word_surprisal_is_surprisal_and_nothing_is_called_standardised_without_it(tiny_lm_dir, pipeline_case):
    _, texts, Y = pipeline_case
    content = LMActivationTransformer(tiny_lm_dir, 2, level="text")
    words = make_pipeline(SurprisalTransformer(tiny_lm_dir, over="word"), StandardScaler())
    model = make_pipeline(make_union(content, words), Ridge()).fit(texts, Y)
    report = encoder_report(model, texts, Y, n_features=1)
    assert "Surprisal has a positive weight in" in text_of(report)
    assert "given what came before, standardised over texts, was a feature" in text_of(report)
    alone = make_pipeline(LMActivationTransformer(tiny_lm_dir, 2, level="text"), Ridge()).fit(texts, Y)
    assert "standardised" not in text_of(encoder_report(alone, texts, Y, n_features=1))


def test_names_that_say_surprisal_are_not_believed(case):
    X, Y, encoder, _ = case
    assert "Surprisal and content" not in text_of(encoder_report(encoder, make_texts(), Y, features=X, n_features=1))


def test_values_on_tokens_are_those_of_the_estimator_that_made_the_feature(tiny_lm_dir, sae_dir, pipeline_case):
    _, texts, Y = pipeline_case
    other = SAEProjector(n_features=8, widths=[8], n_steps=2, random_state=0)
    readers = LMActivationTransformer(tiny_lm_dir, 1), LMActivationTransformer(tiny_lm_dir, 2)
    first, second = make_pipeline(readers[0], other), make_pipeline(readers[1], SAEProjector(sae_dir))
    surprisal = SurprisalTransformer(tiny_lm_dir, pooling=["max", "mean"])
    model = make_pipeline(make_union(first, second, surprisal), Ridge()).fit(texts, Y)
    fitted = take_apart(model, texts, Y, None)
    for column in (3, 8 + 3, 8 + 40 + 1):
        values = [tokens.values.mean() for tokens in values_on_tokens(fitted, range(len(texts)), column)]
        np.testing.assert_allclose(values, fitted.X[:, [column]].toarray().ravel(), rtol=1e-5, atol=1e-6)


def test_labels_link_to_the_page_of_their_feature(pipeline_case):
    model, texts, Y = pipeline_case
    report = encoder_report(
        model, texts, Y, feature_labels={3: "<people>"}, feature_pages="https://www.neuronpedia.org/toy/2-res/{index}"
    )
    section = report.get_standalone().split('id="features"')[1]
    links = re.findall(r'<a href="https://www.neuronpedia.org/toy/2-res/(\d+)" rel="noreferrer">([^<]*)</a>', section)
    names = re.findall(r">sae_(\d+)</button>", section)
    assert links
    assert {int(index) for index, _ in links} == {int(index) for index in names}
    assert all(label == ("&lt;people&gt;" if index == "3" else "page") for index, label in links)


def test_an_sae_that_says_where_it_is_shown_links_by_itself_in_tables_of_features_and_of_regions(
    tiny_lm_dir, sae_dir, tmp_path
):
    from tiny_models import SENTENCES

    sae = shutil.copytree(sae_dir, tmp_path / "shown")
    config = json.loads((sae / "cfg.json").read_text())
    config["metadata"]["neuronpedia_id"] = "toy/2-res"
    (sae / "cfg.json").write_text(json.dumps(config))
    Y = np.random.default_rng(0).normal(3.0, 2.0, (len(SENTENCES), 4))
    model = make_augmented_encoder(tiny_lm_dir, 2, sae, encoder=SparseVoxelEncoder(alphas=[0.1], forced_features=[-1]))
    model.fit(SENTENCES, Y)
    page = encoder_report(model, SENTENCES, Y, regions=["IFG", "IFG", "ATL", ""]).get_standalone()
    link = re.compile(r'<a href="https://www.neuronpedia.org/toy/2-res/(\d+)" rel="noreferrer">([^<]*)</a>')
    in_regions = link.findall(page.split('id="regions"')[1].split("</section>")[0])
    assert in_regions
    assert all(int(name.removeprefix("sae_")) == int(index) for index, name in in_regions)
    assert link.search(page.split('id="features"')[1])
    assert "surprisal" not in "".join(name for _, name in in_regions)
    assert "neuronpedia" not in encoder_report(model, SENTENCES, Y, feature_pages=None).get_standalone()


def test_pages_in_a_given_table_of_features_are_linked_if_they_are_addresses(case):
    X, Y, encoder, _ = case
    most_used = count_feature_use(encoder)["index"][0]
    pages = ["https://example.org/1" if i == most_used else "javascript:alert(1)" for i in range(31)]
    page = encoder_report(encoder, make_texts(), Y, features=X, feature_table=FEATURES.assign(page=pages))
    assert set(re.findall('<a [^>]*href="([^"#]*)"', page.get_standalone())) == {"https://example.org/1"}


@pytest.mark.parametrize("pages", ["javascript:alert({index})", "https://www.neuronpedia.org/toy"])
def test_pages_that_are_no_address_of_a_feature_are_refused(pipeline_case, pages):
    model, texts, Y = pipeline_case
    with pytest.raises(ValueError, match="need an https address with the place"):
        encoder_report(model, texts, Y, feature_pages=pages)
