"""From events and scans to one response a stimulus, on runs simulated with nilearn's own response function."""

import hypothesis.strategies as st
import nibabel
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from nibabel import Nifti1Image
from nilearn.datasets import load_fsaverage
from nilearn.glm.first_level import FirstLevelModel, make_first_level_design_matrix
from nilearn.maskers import NiftiMasker
from nilearn.surface import SurfaceImage
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import Ridge

from sklearn_sae_encoding.betas import average_repeats, events_by_trial, trial_betas
from sklearn_sae_encoding.encoder import SparseVoxelEncoder
from sklearn_sae_encoding.masking import MaskedTargetRegressor
from sklearn_sae_encoding.metrics import cross_val_voxel_scores, noise_ceiling_from_repeats

pytestmark = [
    pytest.mark.filterwarnings("ignore:boolean values for 'standardize':FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*mean of 0 observed:UserWarning"),
]

TR, SHAPE = 1.5, (4, 4, 3)
AFFINE = np.diag([4.0, 4, 4, 1])


def make_events(stimuli, seed=0, n_buttons=2):
    """Events of one run in BIDS' columns, trials about 6 s apart, with some button presses between."""
    rng = np.random.default_rng(seed)
    onsets = 4 + 6.0 * np.arange(len(stimuli)) + rng.uniform(0, 1, len(stimuli))
    trials = pd.DataFrame({"onset": onsets, "duration": 2.0, "trial_type": "listen", "sentence": stimuli})
    presses = onsets[rng.choice(len(onsets), n_buttons, replace=False)] + 3
    buttons = pd.DataFrame({"onset": presses, "duration": 0.5, "trial_type": "button", "sentence": None})
    return pd.concat([trials, buttons]).sort_values("onset", ignore_index=True)


def make_run(events, responses, baseline=100.0, noise=0.0, seed=0):
    """Scans of one run: trials times nilearn's response function, and a button press in all voxels."""
    by_trial = events_by_trial(events, "sentence")
    times = np.arange(0, events["onset"].max() + 25, TR)
    design = make_first_level_design_matrix(times, by_trial, hrf_model="spm", drift_model=None)
    weights = np.zeros((design.shape[1], responses.shape[1]))
    weights[[design.columns.get_loc(name) for name in by_trial["trial_type"] if "@trial" in name]] = responses
    weights[design.columns.get_loc("button")] = 3.0
    weights[design.columns.get_loc("constant")] = baseline
    scans = design.to_numpy() @ weights
    return scans + noise * np.random.default_rng(seed).standard_normal(scans.shape)


def to_img(scans):
    return Nifti1Image(scans.T.reshape(*SHAPE, -1).astype(np.float32), AFFINE)


def fit_glm(runs, events, **params):
    masker = NiftiMasker(Nifti1Image(np.ones(SHAPE, dtype=np.int8), AFFINE))
    params = {"noise_model": "ols", "hrf_model": "spm", "drift_model": None, "signal_scaling": False, **params}
    glm = FirstLevelModel(t_r=TR, mask_img=masker.mask_img, slice_time_ref=0.0, **params)
    return glm.fit(runs, events=[events_by_trial(event, "sentence") for event in events])


@pytest.fixture(scope="module")
def two_runs():
    """Two runs of eight sentences, each twice a run, in different orders."""
    rng = np.random.default_rng(0)
    orders = [rng.permutation(np.repeat(np.arange(8), 2)) for _ in range(2)]
    events = [make_events([f"sentence {i}." for i in order], seed=run) for run, order in enumerate(orders)]
    return orders, events


def test_without_noise_every_trial_gets_its_own_response_back(two_runs):
    orders, events = two_runs
    responses = [np.random.default_rng(run).normal(size=(16, 48)) for run in range(2)]
    runs = [to_img(make_run(event, response)) for event, response in zip(events, responses, strict=True)]
    trials = trial_betas(fit_glm(runs, events))
    assert trials.betas.dtype == np.float32
    assert_allclose(trials.betas, np.concatenate(responses), atol=2e-3)
    assert trials.trials["stimulus"].tolist() == [f"sentence {i}." for i in np.concatenate(orders)]
    assert trials.trials["run"].tolist() == [0] * 16 + [1] * 16
    assert trials.trials["trial"].tolist() == [*range(16), *range(16)]


@pytest.mark.parametrize("noise_model", ["ols", "ar1"])
def test_betas_are_the_effect_sizes_that_nilearn_computes(noise_model, two_runs):
    _, events = two_runs
    scans = make_run(events[0], np.random.default_rng(0).normal(size=(16, 48)), noise=0.5)
    glm = fit_glm(
        [to_img(scans)], events[:1], noise_model=noise_model, hrf_model="spm + derivative", drift_model="cosine",
        signal_scaling=0,
    )  # fmt: skip
    betas = trial_betas(glm).betas
    columns = list(glm.design_matrices_[0].columns)
    names = [name for name in events_by_trial(events[0], "sentence")["trial_type"] if "@trial" in name]
    for trial in (0, 7, 15):
        contrast = np.array([name == names[trial] for name in columns], dtype=float)
        effect = glm.compute_contrast(contrast, output_type="effect_size")
        assert_allclose(betas[trial], effect.get_fdata().ravel(), rtol=1e-4, atol=1e-5)


def test_repeats_are_averaged_and_their_reliability_is_that_of_the_metrics():
    rng = np.random.default_rng(0)
    signal = rng.normal(size=(50, 1, 6)) * np.arange(6)
    repeats = signal + rng.normal(size=(50, 3, 6))
    stimuli = np.repeat(np.arange(50), 3)
    shuffled = rng.permutation(150)
    responses = average_repeats(repeats.reshape(150, 6)[shuffled], stimuli[shuffled], order=range(50))
    assert_allclose(responses.betas, repeats.mean(axis=1), rtol=1e-5, atol=1e-6)
    assert_allclose(responses.noise_ceiling, noise_ceiling_from_repeats(repeats.swapaxes(0, 1)), rtol=1e-4)
    assert_allclose(responses.ncsnr[1:], np.arange(1, 6), rtol=0.35)
    assert responses.betas.dtype == np.float32


def test_two_repeats_are_enough_to_tell_signal_from_noise():
    repeats = np.random.default_rng(0).normal(size=(40, 1, 6)) + 0.5 * np.random.default_rng(1).normal(size=(40, 2, 6))
    responses = average_repeats(repeats.reshape(80, 6), np.repeat(np.arange(40), 2))
    assert_allclose(responses.noise_ceiling, noise_ceiling_from_repeats(repeats.swapaxes(0, 1)), rtol=1e-4)


def test_unequal_numbers_of_repeats_are_allowed_and_counted():
    rng = np.random.default_rng(0)
    stimuli = ["a", "b", "a", "c", "a", "b"]
    betas = rng.normal(size=(6, 5000))  # more voxels than a block
    responses = average_repeats(betas, stimuli)
    assert responses.stimuli == ["a", "b", "c"]
    assert_array_equal(responses.n_repeats, [3, 2, 1])
    repeats = np.full((3, 3, 5000), np.nan)
    repeats[:, 0], repeats[:2, 1], repeats[0, 2] = betas[[0, 2, 4]], betas[[1, 5]], betas[3]
    assert_allclose(responses.noise_ceiling, noise_ceiling_from_repeats(repeats), rtol=1e-3, atol=1e-3)


def test_missing_voxels_are_left_out_counted_and_reported():
    rng = np.random.default_rng(0)
    stimuli = np.tile(["a", "b", "c", "d"], 3)
    betas = rng.normal(size=(12, 9)) + 3 * np.arange(12)[:, None] % 4
    whole = average_repeats(betas, stimuli)
    gaps = betas.copy()
    gaps[:, 5], gaps[7, 2] = np.nan, np.inf
    with pytest.warns(UserWarning, match="2 of 9 voxels are NaN or infinite in at least one trial, .* voxel 2"):
        responses = average_repeats(gaps, stimuli)
    assert_array_equal(np.flatnonzero(responses.missing), [2, 5])
    for found, expected in zip(responses, whole, strict=True):
        if np.shape(found)[-1:] == (9,) and found is not responses.missing:
            assert np.isnan(found[..., responses.missing]).all()
            assert_array_equal(found[..., ~responses.missing], expected[..., ~responses.missing])

    X = rng.random((4, 2))
    with pytest.warns(UserWarning, match="2 of 9 voxels are left out of the fit"):
        MaskedTargetRegressor(Ridge(), NiftiMasker()).fit(X, responses.betas)


def test_a_gap_in_a_trial_that_is_left_out_does_not_count():
    betas = np.ones((3, 2))
    betas[1] = np.nan
    assert not average_repeats(betas, ["a", "b", "c"], order=["c", "a"]).missing.any()
    with pytest.raises(ValueError, match=r"No voxel is finite in all 3 trials: trial\(s\) 1 hold no finite value"):
        average_repeats(betas, ["a", "b", "c"])


def test_without_repeats_reliability_is_unknown():
    responses = average_repeats(np.eye(3), ["a", "b", "c"])
    assert np.isnan(responses.ncsnr).all()
    assert np.isnan(responses.noise_ceiling).all()


def test_the_way_from_bids_events_and_scans_ends_at_the_planted_voxels(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    sentences = [f"sentence {i}" for i in range(40)]
    X = rng.random((40, 12)) * (rng.random((40, 12)) < 0.5)
    planted = np.zeros(SHAPE, dtype=bool)
    planted[1:3, 1:3, 1] = True
    weights = np.zeros((12, 48))
    weights[5, planted.ravel()] = 4.0
    for run in (1, 2, 3):
        order = rng.permutation(40)
        events = make_events([sentences[i] for i in order], seed=run)
        events.to_csv(f"run-{run}_events.tsv", sep="\t", na_rep="n/a", index=False)
        nibabel.save(to_img(make_run(events, X[order] @ weights, noise=0.3, seed=run)), f"run-{run}_bold.nii.gz")
    nibabel.save(Nifti1Image(np.ones(SHAPE, dtype=np.int8), AFFINE), "mask.nii.gz")
    encoder = SparseVoxelEncoder(alphas=[0.1])
    # The documentation shows the lines from here (doc/images.rst) ...
    events = [events_by_trial(f"run-{run}_events.tsv", stimulus="sentence") for run in (1, 2, 3)]
    glm = FirstLevelModel(t_r=1.5, slice_time_ref=0.0, hrf_model="spm", mask_img="mask.nii.gz")
    glm.fit([f"run-{run}_bold.nii.gz" for run in (1, 2, 3)], events=events)
    trials = trial_betas(glm)  # betas (n_trials, n_voxels), and a table of the trials
    responses = average_repeats(trials.betas, trials.trials["stimulus"], order=sentences)

    model = MaskedTargetRegressor(encoder, glm.masker_).fit(X, responses.betas)
    scores = cross_val_voxel_scores(model, X, responses.betas, noise_ceiling=responses.noise_ceiling)
    score_img = model.to_img(scores.normalized_scores)
    # ... to here.
    assert_array_equal(responses.n_repeats, 3)
    assert responses.noise_ceiling.reshape(SHAPE)[planted].min() > 0.8
    assert_array_equal(model.coef_img(5).get_fdata() > 1, planted)
    assert_array_equal(score_img.get_fdata() > 0.8, planted)


def test_events_may_be_a_file_of_bids(tmp_path):
    events = make_events(["a", "b", "a"])
    events.to_csv(tmp_path / "events.tsv", sep="\t", na_rep="n/a", index=False)
    read = events_by_trial(tmp_path / "events.tsv", "sentence")
    pd.testing.assert_frame_equal(read, events_by_trial(events, "sentence"))
    assert sorted(read["trial_type"]) == ["a @trial0", "a @trial2", "b @trial1", "button", "button"]


def test_words_of_a_file_that_look_like_missing_values_or_numbers_are_stimuli(tmp_path):
    words = ["null", "None", "NA", "nan", "NULL", "N/A", "007", "1.50"]
    rows = [f"{6 * i}\t2\t{word}" for i, word in enumerate([*words, "n/a", ""])]
    (tmp_path / "events.tsv").write_text("\n".join(["onset\tduration\tword", *rows]) + "\n")
    read = events_by_trial(tmp_path / "events.tsv", "word")
    assert read["trial_type"].tolist() == [f"{word} @trial{i}" for i, word in enumerate(words)] + ["other", "other"]


def test_surface_runs_give_betas_of_their_vertices():
    mesh = load_fsaverage("fsaverage5")["pial"]
    events = make_events(["a", "b", "c"])
    responses = np.random.default_rng(0).normal(size=(3, 60))
    scans = make_run(events, responses).T.astype(np.float32)
    mask = SurfaceImage(mesh, {side: np.arange(10242) < 30 for side in ("left", "right")})
    data = {side: np.zeros((10242, scans.shape[1]), dtype=np.float32) for side in ("left", "right")}
    data["left"][:30], data["right"][:30] = scans[:30], scans[30:]
    glm = FirstLevelModel(
        t_r=TR, mask_img=mask, noise_model="ols", hrf_model="spm", drift_model=None, signal_scaling=False,
        slice_time_ref=0.0,
    )  # fmt: skip
    glm.fit(SurfaceImage(mesh, data), events=events_by_trial(events, "sentence"))
    assert_allclose(trial_betas(glm).betas, responses, atol=2e-3)


def test_trials_that_cannot_be_told_apart_are_warned_of():
    events = make_events(["a", "b", "c"], n_buttons=0)
    with_twin = pd.concat([events, events.iloc[[1]]], ignore_index=True)
    scans = np.random.default_rng(0).normal(size=(40, 48)) + 100
    glm = fit_glm([to_img(scans)], [with_twin])
    with pytest.warns(UserWarning, match=r"The 5 regressors of run 0 are linearly dependent \(rank 4\)"):
        trial_betas(glm)


def trials_alone(stimuli):
    """Events without button presses, and the scans of one run for responses to them."""
    events = make_events(stimuli)
    responses = np.random.default_rng(0).normal(size=(len(stimuli), 48))
    return events[events["sentence"].notna()].reset_index(drop=True), responses, make_run(events, responses)


def test_a_flash_is_a_trial_like_any_other():
    _, responses, _ = trials_alone(["a", "b", "c"])
    events = make_events(["a", "b", "c"]).assign(duration=0.05)
    trials = trial_betas(fit_glm([to_img(make_run(events, responses))], [events]))
    assert_allclose(trials.betas, responses, atol=2e-2)


@pytest.mark.parametrize("shift", [500.0, -500.0])
def test_trials_outside_the_scans_are_left_out_and_take_nothing_from_their_stimulus(shift):
    events, _, scans = trials_alone(["a", "b", "c", "a"])
    moved = events.copy()
    moved.loc[3, "onset"] += shift
    without = trial_betas(fit_glm([to_img(scans)], [events[:3]]))
    glm = fit_glm([to_img(scans)], [moved])
    with pytest.warns(UserWarning, match=r"1 of 4 trials lie outside the scans and are left out: 'a' \(run 0, trial"):
        trials = trial_betas(glm)
    assert_allclose(trials.betas, without.betas, atol=0.1)  # the end of an early response takes a little
    assert trials.trials["stimulus"].tolist() == ["a", "b", "c"]
    averaged = average_repeats(trials.betas, trials.trials["stimulus"])
    assert_array_equal(averaged.n_repeats, 1)
    assert_array_equal(averaged.betas, trials.betas)


@pytest.mark.parametrize("wrong", [lambda onset: onset * 1000, lambda onset: onset - 500])
def test_onsets_in_milliseconds_or_of_another_run_are_refused(wrong):
    events, _, scans = trials_alone(["a", "b", "c"])
    glm = fit_glm([to_img(scans)], [events.assign(onset=wrong(events["onset"]))])
    with pytest.raises(
        ValueError, match=r"All 3 trials of run 0 lie outside its scans, .* 0 to [\d.]+ s. .* in seconds"
    ):
        trial_betas(glm)


def test_a_run_that_ends_during_a_trial_is_warned_of():
    events, _, scans = trials_alone(["a", "b", "c"])
    until = int((events["onset"].iloc[2] + 5) / TR)
    glm = fit_glm([to_img(scans[:until])], [events])
    with pytest.warns(UserWarning, match=r"1 of 3 trials have their response's peak after the last scan.*'c' \(run 0"):
        assert len(trial_betas(glm).betas) == 3


IDS = [[73, 2, 73], [73.0, 2.0, 73.0], ["73", "2", "73"], ["73.0", "2.0", "73.0"], np.array([73, 2, 73], np.float32)]


@pytest.mark.parametrize("ids", [*IDS, pd.array([73, 2, 73], "Int64"), pd.Categorical([73, 2, 73])])
@pytest.mark.parametrize("absent", [False, True])
def test_a_number_names_the_same_stimulus_whatever_its_column_is(ids, absent, tmp_path):
    events = pd.DataFrame({"onset": [1.0, 9.0, 17.0], "duration": 1.0, "stim": ids})
    if absent:
        events = pd.concat([events, pd.DataFrame({"onset": [25.0], "duration": [1.0]})], ignore_index=True)
    expected = ["73 @trial0", "2 @trial1", "73 @trial2"] + ["other"] * absent
    assert events_by_trial(events, "stim")["trial_type"].tolist() == expected
    events.to_csv(tmp_path / "events.tsv", sep="\t", index=False, na_rep="n/a")
    assert events_by_trial(tmp_path / "events.tsv", "stim")["trial_type"].tolist() == expected


@pytest.mark.parametrize("absent", ["n/a", " n/a ", "", " ", None, np.nan, pd.NA, pd.NaT])
def test_a_row_without_a_stimulus_is_no_trial(absent):
    events = pd.DataFrame({"onset": [1.0, 9.0], "duration": 1.0, "stim": ["a", "b"]}).astype({"stim": object})
    events.loc[1, "stim"] = absent
    assert events_by_trial(events, "stim")["trial_type"].tolist() == ["a @trial0", "other"]


words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\x00\ufeff"), min_size=1, max_size=8)


@settings(deadline=None, derandomize=True, database=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(st.lists(words, min_size=1, max_size=5), st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]))
def test_stimuli_come_out_of_a_file_as_they_went_in_whatever_they_say(tmp_path, texts, encoding):
    events = pd.DataFrame({"onset": 6.0 * np.arange(len(texts)), "duration": 2.0, "stim": texts})
    if any(text.strip() in ("", "n/a") for text in texts) or any("\t" in text and "\n" in text for text in texts):
        return
    content = events.to_csv(sep="\t", index=False, na_rep="n/a")
    (tmp_path / "events.tsv").write_bytes(content.encode(encoding))
    found = events_by_trial(tmp_path / "events.tsv", "stim")
    assert found["trial_type"].tolist() == events_by_trial(events, "stim")["trial_type"].tolist()


def test_files_that_are_no_table_are_named(tmp_path):
    path = tmp_path / "events.tsv"
    path.write_bytes("onset\tduration\tstim\n1\t1\tcafé\n".encode("latin-1"))
    with pytest.raises(
        ValueError, match=r"events.tsv is not in UTF-8: line 2 holds the byte 0xe9. If it is in Latin-1"
    ):
        events_by_trial(path, "stim")
    path.write_text('onset\tduration\tstim\n1\t1\t"No\n2\t1\t"yes"\n')
    with pytest.raises(ValueError, match=r"Row 0 of .*events.tsv goes over several lines.*no partner"):
        events_by_trial(path, "stim")
    path.write_text("")
    with pytest.raises(ValueError, match=r"events.tsv is no table with tabs"):
        events_by_trial(path, "stim")


def test_bad_events_and_models_are_named():
    events = make_events(["a", "b"])
    with pytest.raises(ValueError, match="no column 'stim_file'; they have onset, duration, trial_type, sentence"):
        events_by_trial(events, "stim_file")
    with pytest.raises(ValueError, match="have 2 columns 'sentence'"):
        events_by_trial(pd.concat([events, events[["sentence"]]], axis=1), "sentence")
    with pytest.raises(TypeError, match=r"events of one run.*got list. For several runs: \[events_by_trial"):
        events_by_trial([events, events], "sentence")
    with pytest.raises(ValueError, match="No row of the events has a sentence"):
        events_by_trial(events.assign(sentence=" "), "sentence")
    events.loc[1, "onset"] = np.nan
    with pytest.raises(ValueError, match=r"Row 1 of the events has the onset .*nan.*: no number"):
        events_by_trial(events, "sentence")
    with pytest.raises(ValueError, match="FirstLevelModel is not fitted"):
        trial_betas(FirstLevelModel())
    plain = make_events(["a", "b"])
    glm = FirstLevelModel(t_r=TR, mask_img=Nifti1Image(np.ones(SHAPE, dtype=np.int8), AFFINE), drift_model=None)
    scans = np.random.default_rng(0).normal(size=(40, 48)) + 100
    glm.fit([to_img(scans)], events=[plain.drop(columns="sentence")])
    with pytest.raises(ValueError, match=r"No regressor of the GLM belongs to a trial.*button, listen, constant"):
        trial_betas(glm)


def test_bad_repeats_are_named():
    with pytest.raises(TypeError, match=r"expected what was presented .* stimuli=trials\['stimulus'\]"):
        average_repeats(np.ones((1, 2)), pd.DataFrame({"stimulus": ["a"], "run": 0, "trial": 0}))
    with pytest.raises(ValueError, match="Trial 1 has no stimulus: it is nan"):
        average_repeats(np.ones((2, 2)), ["a", np.nan])
    with pytest.raises(ValueError, match=r"betas of shape \(3, 2\), 4 trials"):
        average_repeats(np.ones((3, 2)), ["a", "b", "c", "d"])
    with pytest.raises(ValueError, match="'d' was presented in none of the 3 trials"):
        average_repeats(np.ones((3, 2)), ["a", "b", "c"], order=["a", "d"])
