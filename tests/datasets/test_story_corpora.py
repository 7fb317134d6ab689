"""Published stories are read from the layouts that datalad puts on disk."""

import json
import shutil
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
from nibabel import Nifti1Image
from pycortex_cases import make_subject

from sklearn_sae_encoding.datasets import (
    get_data_home,
    load_lebel2023,
    load_lepetitprince,
    load_story_list,
    read_narratives_story,
)
from sklearn_sae_encoding.masking import read_pycortex_rois
from sklearn_sae_encoding.timing import StoryRun

DATA = Path(__file__).parent.parent / "data"
GRID = """File type = "ooTextFile"
Object class = "TextGrid"

0
20
<exists>
2
"IntervalTier"
"phone"
0
20
1
0
20
"AE"
"IntervalTier"
"word"
0
20
3
0
1.5
"sp"
1.5
2
"I"
2
20
"RECLINED"
"""


@pytest.fixture
def lebel(tmp_path):
    derivative = tmp_path / "derivative"
    responses = derivative / "preprocessed_data" / "UTS01"
    (derivative / "TextGrids").mkdir(parents=True)
    responses.mkdir(parents=True)
    for story, n_scans in (("alpha", 50), ("beta", 41)):
        (derivative / "TextGrids" / f"{story}.TextGrid").write_text(GRID)
        with h5py.File(responses / f"{story}.hf5", "w") as file:
            file["data"] = np.random.default_rng(0).normal(size=(n_scans - 20, 7))
    (derivative / "respdict.json").write_text(json.dumps({"alpha": 50, "beta": 41}))
    return tmp_path


def test_moth_stories_have_a_row_of_responses_for_each_scan_that_the_clock_leaves(lebel):
    pytest.importorskip("tgt")
    data = load_lebel2023(lebel, "UTS01")
    assert [run.story for run in data.runs] == ["alpha", "beta"]
    assert [run.n_rows for run in data.runs] == [len(Y) for Y in data.responses] == [30, 21]
    run = data.runs[0]
    assert run.words["word"].tolist() == ["I", "RECLINED"]
    assert run.marks["sp"] == 1
    assert run.word_times("onset").tolist() == [11.5, 12.0]  # the sound begins ten seconds after the first scan
    # As the authors' code has it: scans of 2 s from 0, five too many, then [5 + 5 : -5].
    np.testing.assert_allclose(run.scan_times()[run.rows], (np.arange(50 - 5) * 2.0)[10:-5])
    assert load_lebel2023(lebel, "UTS01", ["beta"], texts={"beta": "I reclined."}).runs[0].text == "I reclined."


def test_repeats_of_the_test_story_are_runs_whose_mean_is_the_published_one(lebel):
    pytest.importorskip("tgt")
    with h5py.File(lebel / "derivative/preprocessed_data/UTS01/wheretheressmoke.hf5", "w") as file:
        file["individual_repeats"] = np.random.default_rng(1).normal(size=(3, 21, 7))
        file["data"] = np.mean(file["individual_repeats"], axis=0)
    (lebel / "derivative/TextGrids/wheretheressmoke.TextGrid").write_text(GRID)
    (lebel / "derivative/respdict.json").write_text(json.dumps({"wheretheressmoke": 41}))
    together = load_lebel2023(lebel, "UTS01", "test")
    apart = load_lebel2023(lebel, "UTS01", "test", repeats=True)
    assert [len(data.runs) for data in (together, apart)] == [1, 3]
    assert apart.runs[0] is apart.runs[2]
    np.testing.assert_allclose(np.mean(apart.responses, axis=0), together.responses[0], atol=1e-6)
    with pytest.raises(ValueError, match="stories must be names, 'train' or 'test', got 'all'"):
        load_lebel2023(lebel, "UTS01", "all")


def test_regions_come_in_the_order_of_the_responses_with_their_mask(lebel):
    pytest.importorskip("tgt")
    pytest.importorskip("svgelements")
    data = load_lebel2023(lebel, "UTS01", ["alpha"])
    assert data.mask_img is None
    assert data.rois is None
    with pytest.raises(FileNotFoundError, match=r"overlays.svg is not there.*datalad get derivative/pycortex-db/UTS01"):
        load_lebel2023(lebel, "UTS01", ["alpha"], rois=True)
    folder = make_subject(lebel / "derivative" / "pycortex-db" / "UTS01")
    with pytest.raises(ValueError, match=r"responses have 7 voxels, but .*mask_thick.nii.gz 1699"):
        load_lebel2023(lebel, "UTS01", ["alpha"])
    mask = nibabel.load(folder / "transforms/UTS01_auto/mask_thick.nii.gz")
    with h5py.File(lebel / "derivative/preprocessed_data/UTS01/alpha.hf5", "w") as file:
        file["data"] = np.zeros((30, np.count_nonzero(mask.dataobj)))
    data = load_lebel2023(lebel, "UTS01", ["alpha"], rois=True)
    expected = read_pycortex_rois(folder, order="pycortex")
    assert list(data.rois) == ["AC", "Broca"]
    assert all(np.array_equal(data.rois[name], expected[name]) for name in expected)
    assert data.rois["AC"].shape == (data.responses[0].shape[1],)
    assert data.mask_img.name == "mask_thick.nii.gz"


def test_what_is_not_on_disk_or_of_another_version_is_named(lebel):
    pytest.importorskip("tgt")
    with pytest.raises(FileNotFoundError, match=r"gamma.TextGrid is not there.*datalad clone .*ds003020.git"):
        load_lebel2023(lebel, "UTS01", ["gamma"])
    with pytest.raises(FileNotFoundError, match="datalad get derivative/preprocessed_data/UTS09"):
        load_lebel2023(lebel, "UTS09")
    (lebel / "derivative" / "respdict.json").write_text(json.dumps({"alpha": 52, "beta": 41}))
    with pytest.raises(ValueError, match="holds 30 scans, but the story's clock leaves 32 of 47"):
        load_lebel2023(lebel, "UTS01", ["alpha"])


@pytest.mark.filterwarnings("ignore:In the text")
def test_sections_of_the_little_prince_are_runs(tmp_path):
    table = tmp_path / "annotation" / "EN" / "lppEN_word_information.csv"
    table.parent.mkdir(parents=True)
    lines = (DATA / "lepetitprince_EN.csv").read_text(encoding="utf-8").splitlines()
    columns = lines[0].split(",")
    place = columns.index("section")
    second = [",".join([*line.split(",")[:place], "2", *line.split(",")[place + 1 :]]) for line in lines[1:4]]
    table.write_text("\n".join([*lines, *second]), encoding="utf-8")
    func = tmp_path / "derivatives" / "sub-EN057" / "func"
    func.mkdir(parents=True)
    for run, n_scans in ((10, 30), (9, 40)):
        name = f"sub-EN057_task-lppEN_run-{run}_space-MNIColin27_desc-preproc_bold.nii.gz"
        Nifti1Image(np.zeros((2, 2, 2, n_scans), dtype=np.float32), np.eye(4)).to_filename(func / name)
    data = load_lepetitprince(tmp_path, "EN057", onset=0.0)
    assert [run.story for run in data.runs] == ["section 1", "section 2"]
    assert [run.n_scans for run in data.runs] == [40, 30]  # run 9 stands before run 10
    assert len(data.runs[1].words) == 3
    assert data.imgs[0].name.endswith("run-9_space-MNIColin27_desc-preproc_bold.nii.gz")
    next(func.glob("*run-10*")).unlink()
    with pytest.raises(ValueError, match="holds 1 preprocessed images, but the words 2 sections"):
        load_lepetitprince(tmp_path, "EN057", onset=0.0)


@pytest.mark.published_data
@pytest.mark.filterwarnings("ignore:In the text", "ignore:.*rows of")
@pytest.mark.parametrize(("language", "suffix"), [("EN", ""), ("FR", ""), ("CN", "_sent_info")])
def test_the_whole_word_tables_make_nine_runs_in_which_every_word_has_its_place(tmp_path, language, suffix):
    name = f"lpp{language}_word_information"
    source = get_data_home() / "lepetitprince_words" / f"{name}{suffix}.csv"
    if not source.exists():
        pytest.skip("needs the word tables of ds003643 in the data home")
    (tmp_path / "annotation" / language).mkdir(parents=True)
    shutil.copy(source, tmp_path / "annotation" / language / f"{name}.csv")
    func = tmp_path / "derivatives" / f"sub-{language}001" / "func"
    func.mkdir(parents=True)
    sections = load_story_list("lepetitprince", language)
    for run, last in enumerate(sections["last_word"], start=1):
        img = Nifti1Image(np.zeros((1, 1, 1, int(last / 2) + 5), dtype=np.float32), np.eye(4))
        img.to_filename(func / f"sub-{language}001_task-lpp{language}_run-{run}_desc-preproc_bold.nii.gz")
    runs = load_lepetitprince(tmp_path, f"{language}001", onset=0.0).runs
    assert [len(run.words) + sum(run.marks.values()) for run in runs] == sections["n_words"].tolist()
    assert all(run.placed.all() for run in runs)
    assert [run.words["offset"].max() for run in runs] == pytest.approx(sections["last_word"].tolist(), abs=1e-3)


def test_words_that_gentle_did_not_find_stay_in_the_text_alone(tmp_path):
    folder = tmp_path / "stimuli" / "gentle" / "pieman"
    folder.mkdir(parents=True)
    (folder / "transcript.txt").write_text("I began my illustrious career, null and all.\n")
    rows = ["I,i,0.5,0.7", "began,began,0.7,1.0", "my,my,1.0,1.2", "illustrious,<unk>,,", "career,career,1.9,2.3"]
    (folder / "align.csv").write_text("\n".join([*rows, "null,null,2.5,2.8"]))
    with pytest.warns(UserWarning, match=r"1 of 6 words of 'pieman' have no time.*: 'illustrious' in row 3. They stay"):
        stimulus = read_narratives_story(tmp_path, "pieman")
    run = StoryRun(**stimulus, n_scans=5, t_r=1.5, onset=0.0)
    assert run.words["word"].tolist() == ["I", "began", "my", "career", "null"]
    assert run.placed.all()
    assert "illustrious" in run.text
    with pytest.raises(FileNotFoundError, match=r"ds002345.git, then in it datalad get stimuli/gentle/tunnel"):
        read_narratives_story(tmp_path, "tunnel")
