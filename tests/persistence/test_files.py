"""Saved encoders are whole or not there, whoever saves, and whenever a process is killed."""

import multiprocessing
import os
import signal
import stat
import threading
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from sklearn_sae_encoding.persistence import SavedEncoderError, load_encoder, save_encoder

context = multiprocessing.get_context("fork")
X = np.random.default_rng(0).random((20, 3))


def model(alpha=1.0):
    return Ridge(alpha=alpha).fit(X, X[:, 0])


def _save(folder, alpha, overwrite, barrier, answers):
    fitted = model(alpha)
    barrier.wait()
    try:
        save_encoder(fitted, folder, overwrite=overwrite)
        answers.put("saved")
    except Exception as error:
        answers.put(f"{type(error).__name__}: {error}")


def save_at_once(folder, overwrite):
    barrier, answers = context.Barrier(4), context.Queue()
    savers = [context.Process(target=_save, args=(folder, 1.0 + i, overwrite, barrier, answers)) for i in range(4)]
    for saver in savers:
        saver.start()
    given = [answers.get(timeout=60) for _ in savers]
    for saver in savers:
        saver.join()
    return given


def test_of_four_processes_on_one_name_one_saves_and_three_are_told_so(tmp_path):
    for attempt in range(5):
        folder = tmp_path / f"m{attempt}"
        answers = save_at_once(folder, overwrite=False)
        assert answers.count("saved") == 1
        assert sum("FileExistsError" in one and "is there already. Set overwrite=True" in one for one in answers) == 3
        assert load_encoder(folder).alpha in (1.0, 2.0, 3.0, 4.0)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"m{attempt}" for attempt in range(5)]


def test_four_processes_that_replace_an_encoder_leave_one_of_theirs(tmp_path):
    save_encoder(model(9.0), tmp_path / "m")
    for _ in range(5):
        assert save_at_once(tmp_path / "m", overwrite=True) == ["saved"] * 4
        assert load_encoder(tmp_path / "m").alpha in (1.0, 2.0, 3.0, 4.0)
        assert len(list((tmp_path / "m").iterdir())) == 2


def _save_and_die(folder, n_calls):
    """Save, and be killed at the call of the file system that has this number."""
    left = [n_calls]

    def dying(function):
        def called(*args, **kwargs):
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
            return function(*args, **kwargs)

        return called

    for name in ("open", "replace", "rename", "fsync", "mkdir", "unlink", "chmod", "rmdir", "scandir"):
        setattr(os, name, dying(getattr(os, name)))
    save_encoder(model(2.0), folder, overwrite=True)
    os._exit(0)


@pytest.mark.parametrize("was_there", [False, True])
def test_killed_at_any_moment_of_saving_the_old_or_the_new_encoder_is_whole(tmp_path, was_there):
    for n_calls in range(100):
        folder = tmp_path / str(n_calls) / "m"
        folder.parent.mkdir()
        if was_there:
            save_encoder(model(1.0), folder)
        saver = context.Process(target=_save_and_die, args=(folder, n_calls))
        saver.start()
        saver.join()
        if folder.exists() or was_there:
            assert load_encoder(folder).alpha in (1.0, 2.0)
        if saver.exitcode == 0:
            break
        save_encoder(model(3.0), folder, overwrite=True)
        assert load_encoder(folder).alpha == 3.0
        assert len(list(folder.iterdir())) == 2, "what the killed process left in it is gone"
    assert 4 < n_calls < 99
    assert load_encoder(folder).alpha == 2.0


def test_a_reader_meets_whole_encoders_alone_while_one_is_replaced(tmp_path):
    save_encoder(model(0.0), tmp_path / "m")
    stop = threading.Event()

    def replace():
        alpha = 0.0
        while not stop.is_set():
            alpha += 1
            save_encoder(model(alpha), tmp_path / "m", overwrite=True)

    writer = threading.Thread(target=replace)
    writer.start()
    try:
        for _ in range(60):
            loaded = load_encoder(tmp_path / "m")
            np.testing.assert_allclose(loaded.coef_, model(loaded.alpha).coef_)
    finally:
        stop.set()
        writer.join()


@pytest.mark.parametrize("kind", ["file", "folder", "empty folder", "link to nothing", "someone's manifest"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_no_saved_encoder_is_never_replaced(tmp_path, kind, overwrite):
    folder = tmp_path / "m"
    if kind == "file":
        folder.write_text("thesis")
    elif kind == "link to nothing":
        folder.symlink_to(tmp_path / "nowhere")
    else:
        folder.mkdir()
    if kind == "folder":
        (folder / "thesis.tex").write_text("thesis")
    elif kind == "someone's manifest":
        (folder / "manifest.json").write_text('{"name": "a web page"}')
    before = sorted((path, path.is_file() and path.read_text()) for path in tmp_path.rglob("*"))
    with pytest.raises(FileExistsError, match="It holds something else; choose another folder"):
        save_encoder(model(), folder, overwrite=overwrite)
    assert sorted((path, path.is_file() and path.read_text()) for path in tmp_path.rglob("*")) == before


def test_a_folder_that_appears_while_the_data_are_hashed_stays(tmp_path, monkeypatch):
    folder = tmp_path / "m"

    def slow_hash(_data):
        folder.mkdir(exist_ok=True)
        (folder / "thesis.tex").write_text("thesis")
        return "0" * 64

    monkeypatch.setattr("sklearn_sae_encoding.persistence._folder.hash_data", slow_hash)
    for overwrite in (False, True):
        with pytest.raises(FileExistsError, match="It holds something else"):
            save_encoder(model(), folder, X=X, overwrite=overwrite)
    assert (folder / "thesis.tex").read_text() == "thesis"
    assert [path.name for path in tmp_path.rglob("*")] == ["m", "thesis.tex"]


@pytest.mark.parametrize("was_there", [False, True])
def test_a_full_disk_leaves_what_was_there_and_nothing_else(tmp_path, monkeypatch, was_there):
    if was_there:
        save_encoder(model(1.0), tmp_path / "m")

    def fail(_handle):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="No space left on device"):
            save_encoder(model(2.0), tmp_path / "m", overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["m"] * was_there
    if was_there:
        assert load_encoder(tmp_path / "m").alpha == 1.0


@pytest.mark.parametrize(
    ("umask", "modes"), [(0o022, (0o755, 0o644)), (0o077, (0o700, 0o600)), (0o002, (0o775, 0o664))]
)
def test_saved_encoders_have_the_modes_of_the_umask(tmp_path, umask, modes):
    (tmp_path / "own").mkdir(mode=0o700)
    before = os.umask(umask)
    try:
        save_encoder(model(), tmp_path / "own" / "m")
    finally:
        os.umask(before)
    found = [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "own").rglob("*")]
    assert found == [modes[0], modes[1], modes[1]]


def test_extra_files_are_refused_and_what_a_killed_process_left_is_not(tmp_path):
    save_encoder(model(), tmp_path / "m")
    for name in ("arrays-0123456789abcdef.safetensors", ".manifest.json." + "a" * 32 + ".tmp"):
        Path(tmp_path / "m" / name).write_text("half")
    assert load_encoder(tmp_path / "m").alpha == 1.0
    (tmp_path / "m" / "arrays.pkl").write_text("")
    with pytest.raises(SavedEncoderError, match=r"holds more than a saved encoder: arrays\.pkl"):
        load_encoder(tmp_path / "m")
