"""A report of a story model knows its runs: clocks, scans, delays, and the words heard at a scan."""

import numpy as np
import pytest
from report_cases import text_of
from sklearn.model_selection import LeaveOneOut
from story_cases import make_run

from sklearn_sae_encoding.encoder import SparseVoxelEncoder
from sklearn_sae_encoding.metrics import cross_val_voxel_scores
from sklearn_sae_encoding.report import encoder_report
from sklearn_sae_encoding.report._fitted import take_apart
from sklearn_sae_encoding.timing import RunwiseRegressor, WordsToScans


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
    row = 47 + 10  # scan 13 of the second run
    scan = 13 - 2
    times = runs[1].word_times("middle")
    heard = runs[1].words["word"][(times >= (scan - 1) * 2.0) & (times < (scan + 2) * 2.0)]
    assert fitted.text(row, column) == " ".join(heard)
    assert len(heard) > 5


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
