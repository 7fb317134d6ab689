"""A report of a story model knows its runs: clocks, scans, delays, and the words heard at a scan."""

import re
from itertools import combinations

import numpy as np
import pytest
from nibabel import Nifti1Image
from nilearn.maskers import NiftiMasker
from report_cases import text_of
from sklearn.model_selection import LeaveOneOut
from story_cases import SENTENCE, make_run

from sklearn_sae_encoding.analysis import rank_band_features
from sklearn_sae_encoding.banded import BandedRidgeEncoder
from sklearn_sae_encoding.encoder import SparseVoxelEncoder
from sklearn_sae_encoding.masking import MaskedTargetRegressor
from sklearn_sae_encoding.metrics import cross_val_voxel_scores
from sklearn_sae_encoding.pipeline import make_story_features
from sklearn_sae_encoding.report import encoder_report
from sklearn_sae_encoding.report._fitted import take_apart
from sklearn_sae_encoding.report._passages import Passages
from sklearn_sae_encoding.timing import RunwiseRegressor, WordsToScans
from sklearn_sae_encoding.tokens import Spans

TEXT = " ".join([SENTENCE] * 3)


@pytest.fixture
def story():
    """Three runs, and responses that follow the letters two scans later; one voxel is absent."""
    runs = [
        make_run(n_scans=50, n_words=90, onset=shift, scans=slice(3, None), story="a") for shift in (0.0, 7.0, 20.0)
    ]
    rng = np.random.default_rng(0)
    letters = WordsToScans("letters", method="sum").fit_transform(runs)
    late = [np.roll(run, 2, axis=0)[3:] for run in letters]
    responses = [run + 0.5 * rng.normal(size=(47, 3)) for run in late]
    for run in responses:
        run[:, 1] = np.nan
    model = RunwiseRegressor(WordsToScans(["rate", "letters"], method="sum"), SparseVoxelEncoder(), delays=(1, 2, 3))
    return runs, responses, model


def test_the_page_prints_clocks_delays_and_runs(story):
    runs, responses, model = story
    scores = cross_val_voxel_scores(model, runs, responses, cv=LeaveOneOut())
    page = text_of(encoder_report(model.fit(runs, responses), runs, responses, scores=scores))
    assert "Responses of 2 voxels to 3 run(s) of a (141 scans) were analysed" in page
    assert "delayed inside it, in scans: features by 1, 2, 3" in page
    assert "50 scans of 2 s, stimulus from 7 s, scan time 0.5 t_r, 47 rows" in page
    assert "tested on run(s) held out in 3 outer folds (1 run(s) each" in page
    assert "Other data than those of the fit" not in page
    assert "Repeated texts" not in page
    assert "letters_delay2" in page


def test_a_feature_is_shown_with_the_words_heard_its_delay_before(story):
    runs, responses, model = story
    fitted = take_apart(model.fit(runs, responses), runs, responses, None)
    assert fitted.kept.tolist() == [True, False, True]
    column = fitted.view.column("letters_delay2")
    passages = Passages(fitted, n_passages=4).of(column)
    values = fitted.X[:, [column]].toarray().ravel()
    assert passages[0].value == values.max()
    for passage in passages:
        run, scan = re.fullmatch(r"a, run (\d), scan (-?\d+)", passage.place).groups()
        run, scan = runs[int(run)], int(scan)
        assert values[47 * runs.index(run) + scan + 2 - 3] == passage.value  # three scans have no responses
        times = run.word_times("middle")
        heard = run.words["word"][(times >= (scan - 1) * 2.0) & (times < (scan + 2) * 2.0)].tolist()
        assert passage.text.split() == heard
        worth = [len(word) for word in heard]
        assert passage.pieces.values.tolist() == worth
        assert [passage.text[start:end] for start, end in passage.pieces.offsets] == heard
    scans = [tuple(map(int, re.findall(r"\d+", passage.place))) for passage in passages]
    assert all(one[0] != other[0] or abs(one[1] - other[1]) > 2 for one, other in combinations(scans, 2))


def test_the_page_shades_words_tells_lags_and_regions_and_draws_a_course(story):
    runs, responses, model = story
    scores = cross_val_voxel_scores(model, runs, responses, cv=LeaveOneOut(), return_predictions=True)
    model.fit(runs, responses)
    report = encoder_report(model, runs, responses, scores=scores, regions=["STG", "", "AG"], n_features=2)
    page = text_of(report)
    assert "features 2 1, 2, 3 4 s 100%" in page  # the planted delay of two scans
    assert re.search(r"STG 1 0\.\d+ \+ letters at 2 scans", page)
    assert "Words that drive the features, heard their delay before a scan" in page
    assert re.search(r"in voxel 0 \(STG\), the one|in voxel 2 \(AG\), the one", page)
    assert re.search(r'<mark class="t5" title="9">beginning</mark>', report.get_standalone())
    with pytest.raises(ValueError, match="regions must name the region of each of the 3 voxels, got 2"):
        encoder_report(model, runs, responses, regions=["a", "b"])


def sections(report):
    """Give the text of each section, figures as a word."""
    parts = re.findall(r'<section[^>]*id="([^"]+)"[^>]*>(.*?)</section>', report.get_standalone(), re.DOTALL)
    return {name: " ".join(re.sub(r"<[^>]+>", " ", re.sub(r"<img[^>]*>", "IMG", part)).split()) for name, part in parts}


@pytest.mark.parametrize("encoder", [SparseVoxelEncoder(), BandedRidgeEncoder(candidates=3, cv=3)])
def test_a_masked_model_has_the_lags_regions_and_course_of_its_regressor(story, encoder):
    runs, responses, model = story
    model.set_params(regressor=encoder)
    mask = Nifti1Image(np.array([1, 1, 1, 0], dtype=np.int8).reshape(2, 2, 1), np.eye(4))
    masker = NiftiMasker(mask, standardize=None).fit()
    imgs = [masker.inverse_transform(run.astype(np.float32)) for run in responses]
    pages = []
    for one, Y in ((model, responses), (MaskedTargetRegressor(model, masker), imgs)):
        scores = cross_val_voxel_scores(one, runs, Y, cv=LeaveOneOut(), return_predictions=True)
        report = encoder_report(one.fit(runs, Y), runs, Y, scores=scores, regions=["STG", "", "AG"], n_features=2)
        pages.append(sections(report))
    plain, masked = pages
    assert masked["lags"] == plain["lags"]
    assert "IMG" in masked["lags"]  # lags and the course of the voxel that is predicted best
    assert "features 2 1, 2, 3 4 s 100%" in masked["lags"]  # the planted delay
    assert masked["regions"] == plain["regions"]
    assert re.search(r"STG 1 0\.\d+ \+ letters at 2 scans", masked["regions"])
    assert masked["features-used"] == plain["features-used"]
    assert "Scores of “model” above 0.1" in masked["scores"]  # a map
    assert "excluded: values not finite 1" in masked["data"]
    for page in pages:
        assert "(3 folds of whole runs; least mean squared error)" in page["methods"]
        assert "array(" not in page["methods"] + page["settings"]
        assert "runs held out 1, 1, 1" in page["settings"]


def test_the_methods_say_how_words_became_scans(tiny_lm_dir):
    runs = [make_run(n_scans=30, n_words=50, onset=shift, text=TEXT, story=f"s{shift:g}") for shift in (0.0, 6.0)]
    features = make_story_features(tiny_lm_dir, 1, content="activations", cutoff=0.25, word_time="onset")
    delays = {"activations": (1, 2), "surprisal": (1, 2), "rate": (0,)}
    model = RunwiseRegressor(features, BandedRidgeEncoder(candidates=2, cv=2), delays=delays)
    responses = [np.random.default_rng(0).normal(size=(30, 2)) for _ in runs]
    said = sections(encoder_report(model.fit(runs, responses), runs, responses))["methods"]
    assert "read each story as a whole" in said
    assert "averaged over the tokens of a word" in said
    filtered = "stood at the onset of words, and were resampled to scans by a Lanczos filter (window 3, cutoff 0.25 Hz)"
    assert said.count(filtered) == 2
    assert "Of words: rate; they stood at the offset of words, and were convolved with the haemodynamic" in said
    assert "2 folds of whole runs" in said
    one = RunwiseRegressor(features, BandedRidgeEncoder(candidates=2, cv=2), delays=delays)
    alone = encoder_report(one.fit(runs[:1], responses[:1]), runs[:1], responses[:1])
    assert "2 folds of scans that follow each other" in sections(alone)["methods"]


def test_a_language_models_features_are_shaded_word_by_word_in_the_running_text(tiny_lm_dir, sae_dir):
    runs = [make_run(n_scans=30, n_words=50, onset=shift, text=TEXT, story=f"s{shift:g}") for shift in (0.0, 6.0)]
    rng = np.random.default_rng(0)
    responses = [rng.normal(size=(30, 4)) for _ in runs]
    features = make_story_features(tiny_lm_dir, 2, sae_dir)
    model = RunwiseRegressor(features, BandedRidgeEncoder(candidates=3, cv=2), delays=(1, 2)).fit(runs, responses)
    fitted = take_apart(model, runs, responses, None)
    strongest = fitted.view.column(rank_band_features(model, "sae")["feature"][0] + "_delay1")
    passage = Passages(fitted, n_passages=1).of(strongest)[0]
    assert passage.text in TEXT
    words = [passage.text[start:end] for start, end in passage.pieces.offsets]
    assert words == passage.text.split()
    values = fitted.view.heard_by(strongest)[0].features_.transform(Spans.of_texts([TEXT], [runs[0].spans]))
    expected = values[:, [fitted.view.heard_by(strongest)[1]]].toarray().ravel()
    number, scan = map(int, re.search(r"run (\d), scan (-?\d+)", passage.place).groups())
    times = runs[number].word_times("middle")
    heard = (times >= (scan - 1) * 2.0) & (times < (scan + 2) * 2.0)
    np.testing.assert_allclose(passage.pieces.values, expected[heard], rtol=1e-5)
    page = text_of(encoder_report(model, runs, responses, n_features=3, n_texts=2))
    assert "Strongest word" in page
    assert re.search(r"surprisal \d\.\d+ \d+% [12] ", page)  # effect, share of voxels raised, delay
    rate = Passages(fitted, n_passages=1).of(fitted.view.column("rate_delay1"))[
        0
    ]  # convolved: heard some five seconds before
    row = int(np.argmax(fitted.X[:, [fitted.view.column("rate_delay1")]].toarray()))
    assert rate.place == f"s{6 * (row // 30)}, run {row // 30}, scan {row % 30 - 3}"
    assert "sae 40 1, 2" in page


def test_other_runs_and_responses_are_named(story):
    runs, responses, model = story
    model.fit(runs, responses)
    with pytest.raises(ValueError, match="A sample of the model is a run: give the list of runs"):
        encoder_report(model, ["A text."], responses)
    with pytest.raises(ValueError, match="fitted to runs of 141 scans in all, but those given have 94"):
        encoder_report(model, runs[:2], responses[:2])
    with pytest.raises(ValueError, match="Expected the responses to 3 runs"):
        encoder_report(model, runs, responses[:2])
    with pytest.raises(ValueError, match="fitted to 3 voxels, but Y has 2"):
        encoder_report(model, runs, [run[:, :2] for run in responses])
