"""Fetching the published betas: made-up files from a local server, and the published files where they are."""

import hashlib
import http.server
import os
import threading

import numpy as np
import pandas as pd
import pytest

from sklearn_sae_encoding.datasets import _base, _lepori2026, fetch_lepori2026, fetch_lepori2026_3t, get_data_home
from sklearn_sae_encoding.metrics import voxelwise_pearson

N_TEXTS = 6
VOXELS = [30, 4, 21, 5]  # as the columns of the betas; 21 repeats 4
ALL_FILES = _lepori2026._remote_files


def _csv_files(participant, seed):
    rng = np.random.default_rng(seed)
    item_id = np.arange(1.0, N_TEXTS + 1)
    sentences = [f"Sentence number {i:.0f} is about music." for i in item_id]
    stimuli = pd.DataFrame({"Unnamed: 0": [f"x.{participant}"] * N_TEXTS, "sentence": sentences, "item_id": item_id})
    stimuli = stimuli.assign(subject_id=participant, PC1=rng.normal(size=N_TEXTS), PC2=1.0)
    betas = pd.DataFrame(rng.normal(size=(N_TEXTS, len(VOXELS))), columns=VOXELS)
    betas[21] = betas[4]
    ncsnr = pd.Series(np.array(VOXELS) / 50)  # tells which row belongs to which voxel
    meta = pd.DataFrame({"neuroid_id": VOXELS, "parc_lang": [1, 2, 2, 5], "ncsnr": ncsnr, "corr_SentPC1": 0.1})
    meta["nc"] = 100 * ncsnr**2 / (ncsnr**2 + 1 / 3)
    meta["top10_tstat_langloc_SN_parc_lang_int"] = [1, 2, 2, 5]
    files = {"stimset": stimuli}
    for name in _lepori2026.SETS:
        files[f"{name}_betas"] = betas.rename(columns=str).assign(item_id=item_id).set_index("item_id").reset_index()
        visf = {} if name == "langfroi12345" else {"visfAtlas_name": [None, "MTG-bodies", None, None]}
        files[f"{name}_meta"] = meta.assign(**visf).iloc[::-1]
    return files, stimuli[["item_id", "sentence"]]


@pytest.fixture
def published(tmp_path, monkeypatch):
    """Made-up files of p1 and p2 in a folder, their checksums expected, and no waiting between tries."""
    folder = tmp_path / "source" / _lepori2026.FOLDER
    for seed, participant in enumerate(["p1", "p2"]):
        (folder / participant).mkdir(parents=True)
        files, baseline = _csv_files(participant, seed)
        for name, table in files.items():
            table.to_csv(folder / participant / f"{name}.csv", index=name == "langfroi12345_meta")
    baseline.astype({"item_id": int}).to_csv(folder / "baseline200.csv", index=False)
    _save_averages(folder / _lepori2026.AVERAGES, baseline)
    _expect(monkeypatch, tmp_path / "source")
    monkeypatch.setattr(_base, "_RETRY_DELAYS", (0.0, 0.0))
    return tmp_path / "source"


def _save_averages(folder, stimuli):
    """Save two regions, in another order in the betas than in the metadata."""
    folder.mkdir()
    stimuli.to_csv(folder / "stimset.csv", index=False)
    betas = stimuli[["item_id"]].assign(**{"4": np.arange(N_TEXTS), "2": 0.0})
    betas.to_csv(folder / "langfroi12345_betas.csv", index=False)
    meta = pd.DataFrame({"neuroid_id": [2, 4], "parc_name_glasser": "lang", "nc": [25.0, 64.0], "corr_SentPC1": np.nan})
    meta.to_csv(folder / "langfroi12345_meta.csv", index=False)


def _expect(monkeypatch, source):
    """Expect the files as they are now."""
    checksums = dict.fromkeys(_lepori2026._checksums(), "0" * 64)
    for path in source.rglob("*.csv"):
        checksums[path.relative_to(source).as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(_lepori2026, "_checksums", lambda: checksums)


@pytest.fixture
def server(published, monkeypatch):
    """Serve the made-up files; ``trouble`` maps the end of a path to what goes wrong, once or always."""

    class Handler(http.server.BaseHTTPRequestHandler):
        requests, trouble = [], {}

        def do_GET(self):
            self.requests.append(self.path)
            what = next((w for end, w in self.trouble.items() if self.path.endswith(end)), None)
            if callable(what):
                what = what()
            file = published / self.path.lstrip("/")
            if what == "404" or not file.exists():
                return self.send_error(404)
            if what == "503":
                return self.send_error(503)
            body = file.read_bytes()
            self.send_response(200)
            length = {"no number": "many", "endless": None}.get(what, str(len(body)))
            if length is not None:
                self.send_header("Content-Length", length)
            self.end_headers()
            while what == "endless":
                self.wfile.write(b"x" * 65536)
            body = {"cut": body[: len(body) // 2], "corrupt": b"x" + body[1:]}.get(what, body)
            return self.wfile.write(body)

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        monkeypatch.setattr(_lepori2026, "BASE_URL", f"http://127.0.0.1:{httpd.server_port}/")
        thread = threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield Handler
        httpd.shutdown()
        thread.join()


@pytest.fixture
def home(published, tmp_path):
    """A data home that holds all the made-up files."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "lepori2026").symlink_to(published)
    return tmp_path / "home"


def _files_below(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


# Data home


def test_the_data_home_is_the_argument_then_the_variable_then_a_folder_of_the_user(tmp_path, monkeypatch):
    monkeypatch.setenv("SKLEARN_SAE_ENCODING_DATA", str(tmp_path))
    assert get_data_home("~/x") == get_data_home(os.path.expanduser("~/x"))
    assert get_data_home() == tmp_path
    monkeypatch.delenv("SKLEARN_SAE_ENCODING_DATA")
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    assert get_data_home() == tmp_path / "user" / "sklearn_sae_encoding_data"
    assert not get_data_home().exists()


# Reading


def test_columns_of_betas_and_rows_of_metadata_are_joined_by_their_id(home):
    data = fetch_lepori2026("p1", "ghost", data_home=home)
    assert data.voxels["neuroid_id"].tolist() == [30, 4, 5]
    np.testing.assert_allclose(data.voxels["ncsnr"] * 50, data.voxels["neuroid_id"])
    assert data.voxels["visfAtlas_name"].tolist() == [None, "MTG-bodies", None]


def test_of_identical_voxels_the_first_is_kept(home):
    data = fetch_lepori2026(["p1", "p2"], data_home=home)
    source = pd.read_csv(home / "lepori2026" / _lepori2026.FOLDER / "p1" / "ghost_betas.csv")
    ghost = data.betas[:, (data.voxels["participant"] == "p1") & (data.voxels["set"] == "ghost")]
    np.testing.assert_array_equal(ghost, source[["30", "4", "5"]])
    assert (data.n_duplicates == 1).all()
    assert data.n_duplicates.loc["p2", "ghost"] == 1
    assert len(data.n_duplicates) == 2 * 6


def test_regions_are_named_in_the_language_set_and_are_the_set_elsewhere(home):
    data = fetch_lepori2026("p1", ["langfroi12345", "abstract"], data_home=home)
    assert data.voxels["region"].tolist() == ["IFGorb", "IFG", "PostTemp"] + ["abstract"] * 3
    assert "Unnamed: 0" not in data.voxels
    assert data.betas.shape == (N_TEXTS, len(data.voxels))


def test_participants_and_sets_come_in_the_order_asked_for(home):
    data = fetch_lepori2026(["p2", "p1"], ["ghost", "abstract"], data_home=home)
    order = data.voxels[["participant", "set"]].drop_duplicates().to_numpy().tolist()
    assert order == [["p2", "ghost"], ["p2", "abstract"], ["p1", "ghost"], ["p1", "abstract"]]


def test_the_description_says_that_no_licence_is_stated(home):
    data = fetch_lepori2026("p1", "ghost", data_home=home)
    assert "The source states no licence." in data.DESCR
    assert data.texts == data.stimuli["sentence"].tolist()
    assert len(data.texts) == N_TEXTS


def test_the_averages_at_3t_are_regions_with_the_ceilings_of_the_source(home):
    data = fetch_lepori2026_3t(data_home=home, download_if_missing=False)
    assert data.voxels["region"].tolist() == ["AntTemp", "IFG"]
    assert data.voxels["noise_ceiling"].tolist() == [0.8, 0.5]
    assert set(data.voxels["participant"]) == {"average"}
    assert data.betas[:, 0].tolist() == list(range(N_TEXTS))
    assert data.texts == data.stimuli["sentence"].tolist()
    assert "3T" in data.DESCR


def test_averages_of_other_items_are_refused(home, published, monkeypatch):
    path = published / _lepori2026.FOLDER / _lepori2026.AVERAGES / "stimset.csv"
    pd.read_csv(path).iloc[::-1].to_csv(path, index=False)
    _expect(monkeypatch, published)
    with pytest.raises(ValueError, match=r"rows of .*S3T_baseline_avg.langfroi12345_betas\.csv \(item_id\) are not"):
        fetch_lepori2026_3t(data_home=home)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"participants": ["p1", "p9"]}, r"Unknown participant\(s\) \['p9'\]; choose one or more of \['p1', 'p2'"),
        ({"sets": "phantom"}, r"Unknown set\(s\) \['phantom'\]; choose one or more of \['hard_to_process'"),
        ({"participants": []}, "choose one or more of"),
        ({"sets": ["ghost", "ghost"]}, "Each set can be asked for once"),
    ],
)
def test_unknown_names_are_answered_with_the_valid_ones(home, arguments, message):
    with pytest.raises(ValueError, match=message):
        fetch_lepori2026(data_home=home, **arguments)


def test_sentences_in_another_order_are_refused(home, published, monkeypatch):
    path = published / _lepori2026.FOLDER / "p2" / "stimset.csv"
    pd.read_csv(path).iloc[::-1].to_csv(path, index=False)
    _expect(monkeypatch, published)
    with pytest.raises(ValueError, match=r"sentences of .*p2.stimset\.csv are not those of baseline200\.csv"):
        fetch_lepori2026(["p1", "p2"], "ghost", data_home=home)


def test_betas_of_other_items_are_refused(home, published, monkeypatch):
    path = published / _lepori2026.FOLDER / "p1" / "ghost_betas.csv"
    pd.read_csv(path).iloc[::-1].to_csv(path, index=False)
    _expect(monkeypatch, published)
    with pytest.raises(ValueError, match=r"rows of .*ghost_betas\.csv \(item_id\) are not the sentences"):
        fetch_lepori2026("p1", "ghost", data_home=home)


def test_metadata_of_other_voxels_are_refused(home, published, monkeypatch):
    path = published / _lepori2026.FOLDER / "p1" / "ghost_meta.csv"
    pd.read_csv(path).iloc[1:].to_csv(path, index=False)
    _expect(monkeypatch, published)
    with pytest.raises(ValueError, match=r"ghost_betas\.csv and ghost_meta\.csv beside it do not hold the same voxels"):
        fetch_lepori2026("p1", "ghost", data_home=home)


# Files


def test_a_read_only_data_home_serves_when_the_files_are_there(home, published, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("nothing is to be downloaded or created")

    monkeypatch.setattr(_base, "urlopen", refuse)
    monkeypatch.setattr(_base.Path, "mkdir", refuse)
    before = _files_below(published)
    monkeypatch.setenv("SKLEARN_SAE_ENCODING_DATA", str(home))
    assert fetch_lepori2026(["p1", "p2"], "ghost").betas.shape == (N_TEXTS, 6)
    assert _files_below(published) == before


def test_a_changed_file_is_refused_with_both_checksums_and_kept(home, published):
    path = published / _lepori2026.FOLDER / "p1" / "ghost_betas.csv"
    expected = hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_bytes(path.read_bytes() + b"\n")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(OSError, match=rf"ghost_betas\.csv is not the.*{found}, expected {expected}.*Delete it"):
        fetch_lepori2026("p1", "ghost", data_home=home)
    assert path.exists()


def test_missing_files_without_download_name_the_file_and_the_variable(tmp_path):
    with pytest.raises(OSError, match=r"baseline200\.csv and 3 more files are not there.*SKLEARN_SAE_ENCODING_DATA"):
        fetch_lepori2026("p1", "ghost", data_home=tmp_path, download_if_missing=False)


def test_a_missing_participant_is_answered_with_the_complete_ones(home):
    with pytest.raises(OSError, match=r"complete there: participants=\['p1', 'p2'\]"):
        fetch_lepori2026(["p1", "p2", "p3"], "ghost", data_home=home, download_if_missing=False)


def test_missing_files_are_downloaded_once(server, tmp_path, caplog):
    home = tmp_path / "new" / "home"
    first = fetch_lepori2026("p1", ["ghost", "langfroi12345"], data_home=home)
    assert "Downloading 6 file(s)" in caplog.text
    assert "states no licence" in caplog.text
    assert len(server.requests) == 6
    again = fetch_lepori2026("p1", ["ghost", "langfroi12345"], data_home=home, download_if_missing=False)
    assert len(server.requests) == 6
    np.testing.assert_array_equal(first.betas, again.betas)
    fetch_lepori2026("p1", "abstract", data_home=home)
    assert [r.rsplit("/", 1)[1] for r in server.requests[6:]] == ["abstract_betas.csv", "abstract_meta.csv"]


def test_a_long_download_tells_the_time_left(server, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(_base, "_REPORT_EVERY", -1.0)
    fetch_lepori2026("p1", "ghost", data_home=tmp_path / "home")
    assert "Downloaded 3 of 4 files, about 0 s to go." in caplog.text


def test_downloaded_files_are_readable_like_any_new_file(server, tmp_path):
    fetch_lepori2026("p1", "ghost", data_home=tmp_path / "home")
    (tmp_path / "plain").touch()
    path = tmp_path / "home" / "lepori2026" / _lepori2026.FOLDER / "baseline200.csv"
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize(
    ("trouble", "message"),
    [
        ("404", r"Downloading http://.*ghost_meta\.csv failed: HTTP Error 404.*place the file by hand at .*home"),
        ("503", r"Downloading http://.*ghost_meta\.csv failed: HTTP Error 503"),
        ("cut", r"ghost_meta\.csv failed: the connection closed after \d+ of \d+ bytes"),
        ("endless", r"http://.*ghost_meta\.csv gave more than 1 MiB, which none of the files has"),
        ("corrupt", r"http://.*ghost_meta\.csv gave other content than expected: SHA-256 \w+, expected \w+"),
    ],
)
def test_a_failed_download_names_the_url_and_leaves_nothing_behind(server, tmp_path, monkeypatch, trouble, message):
    monkeypatch.setattr(_base, "_MOST_BYTES", 1 << 20)
    server.trouble["ghost_meta.csv"] = trouble
    with pytest.raises(OSError, match=message):
        fetch_lepori2026("p1", "ghost", data_home=tmp_path / "home")
    left = _files_below(tmp_path / "home")
    assert [path.rsplit("/", 1)[1] for path in left] == ["baseline200.csv", "ghost_betas.csv", "stimset.csv"]
    server.trouble.clear()
    assert fetch_lepori2026("p1", "ghost", data_home=tmp_path / "home").betas.shape == (N_TEXTS, 3)


def test_a_content_length_that_is_no_number_tells_nothing(server, tmp_path):
    server.trouble["ghost_meta.csv"] = "no number"
    assert fetch_lepori2026("p1", "ghost", data_home=tmp_path / "home").betas.shape == (N_TEXTS, 3)


@pytest.mark.parametrize("trouble", ["503", "cut"])
def test_a_passing_trouble_is_tried_again(server, tmp_path, trouble):
    once = iter([trouble])
    server.trouble["ghost_meta.csv"] = lambda: next(once, None)
    fetch_lepori2026("p1", "ghost", data_home=tmp_path / "home")
    assert sum(request.endswith("ghost_meta.csv") for request in server.requests) == 2


def test_a_file_that_is_not_there_is_asked_for_once(server, tmp_path):
    server.trouble["ghost_meta.csv"] = "404"
    with pytest.raises(OSError, match="HTTP Error 404"):
        fetch_lepori2026("p1", "ghost", data_home=tmp_path / "home")
    assert sum(request.endswith("ghost_meta.csv") for request in server.requests) == 1


def test_an_interrupted_download_leaves_nothing_behind(server, tmp_path, monkeypatch):
    def interrupt(url, destination):
        destination.write_bytes(b"half a file")
        raise KeyboardInterrupt("at half")

    monkeypatch.setattr(_base, "_retrieve", interrupt)
    with pytest.raises(KeyboardInterrupt, match="at half"):
        fetch_lepori2026("p1", "ghost", data_home=tmp_path / "home")
    assert _files_below(tmp_path / "home") == []


def test_a_folder_that_cannot_be_written_is_named(server, tmp_path):
    (tmp_path / "home").write_text("a file where a folder should be")
    with pytest.raises(OSError, match=r"Cannot write to .*home.*Choose another folder by data_home="):
        fetch_lepori2026("p1", "ghost", data_home=tmp_path / "home")


def test_a_checksum_is_known_for_every_file(tmp_path):
    files = ALL_FILES(tmp_path, _lepori2026.PARTICIPANTS, _lepori2026.SETS)
    assert len(files) == 1 + 8 * (1 + 2 * 6)
    assert len({file.sha256 for file in files}) == len(files)
    assert {len(file.sha256) for file in files} == {64}


# The published data

FROI_COUNTS = {
    "p1": {"IFGorb": 104, "IFG": 108, "MFG": 129, "AntTemp": 68, "PostTemp": 430},
    "p2": {"IFGorb": 78, "IFG": 85, "MFG": 197, "AntTemp": 95, "PostTemp": 475},
    "p3": {"IFGorb": 79, "IFG": 107, "MFG": 50, "AntTemp": 22, "PostTemp": 255},
    "p4": {"IFG": 9, "MFG": 7, "AntTemp": 21, "PostTemp": 80},
    "p5": {"IFGorb": 33, "IFG": 1, "MFG": 118, "AntTemp": 77, "PostTemp": 345},
    "p6": {"IFGorb": 48, "IFG": 97, "MFG": 22, "AntTemp": 158, "PostTemp": 420},
    "p7": {"IFG": 16, "MFG": 16, "AntTemp": 28, "PostTemp": 53},
    "p8": {"IFGorb": 42, "IFG": 29, "MFG": 119, "AntTemp": 56, "PostTemp": 298},
}


@pytest.fixture(scope="module")
def everyone():
    try:
        return fetch_lepori2026(download_if_missing=False)
    except OSError as error:
        pytest.skip(f"the published betas are not here: {error}")


@pytest.mark.published_data
def test_published_counts_of_language_voxels(everyone):
    language = everyone.voxels.query("set == 'langfroi12345'")
    for participant, counts in FROI_COUNTS.items():
        of_participant = language[language["participant"] == participant]
        assert of_participant["region"].value_counts().to_dict() == counts
    removed = everyone.n_duplicates.xs("langfroi12345", level="set")
    assert removed[["p1", "p2", "p3", "p4"]].tolist() == [124, 113, 103, 26]
    assert (removed.sum(), len(language)) == (5021 - 4375, 4375)


@pytest.mark.published_data
def test_published_sets_hold_twenty_voxels_each(everyone):
    counts = everyone.voxels.query("set != 'langfroi12345'").groupby(["participant", "set"]).size()
    assert (counts == 20).all()
    assert len(counts) == 40


@pytest.mark.published_data
def test_published_ceilings_are_those_of_three_repeats(everyone):
    voxels = everyone.voxels
    np.testing.assert_allclose(100 * voxels["noise_ceiling"] ** 2, voxels["nc"], rtol=1e-13)


@pytest.mark.published_data
@pytest.mark.parametrize("component", ["PC1", "PC2"])
def test_published_correlations_with_the_components_come_out(everyone, component):
    # Would fail if columns, rows or metadata were out of step.
    scores = np.broadcast_to(everyone.stimuli[component].to_numpy()[:, None], everyone.betas.shape)
    r = voxelwise_pearson(everyone.betas, scores)
    np.testing.assert_allclose(r, everyone.voxels[f"corr_Sent{component}"], atol=1e-12)


@pytest.mark.published_data
def test_published_averages_at_3t_follow_surprisal_in_every_region():
    try:
        data = fetch_lepori2026_3t(download_if_missing=False)
    except OSError as error:
        pytest.skip(f"the published averages are not here: {error}")
    assert data.voxels["region"].tolist() == ["IFGorb", "IFG", "MFG", "AntTemp", "PostTemp"]
    assert (data.betas.shape, len(set(data.texts))) == ((1000, 5), 1000)
    surprisal = np.broadcast_to(data.stimuli["surprisal-gpt2-xl_mean"].to_numpy()[:, None], data.betas.shape)
    # Would be 0, with a standard deviation of .03, if rows were out of step.
    assert np.all(voxelwise_pearson(data.betas, surprisal) > 0.1)
