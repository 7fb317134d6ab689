"""Files of datalad are compared with the sizes and checksums that their links name."""

import hashlib
import os

import pytest

from sklearn_sae_encoding._annex import annex_key, require_file
from sklearn_sae_encoding.datasets import check_annexed, load_lebel2023

CONTENT = b"onset\tword\n0.1\tonce\n"


def annexed(clone, name, content=CONTENT, *, algorithm="md5", extended=True, fetched=True, stored=None):
    """Put a file into a clone as git-annex does: a link to an object whose name says size and hash."""
    digest = hashlib.new(algorithm, content).hexdigest()
    backend = algorithm.upper() + "E" * extended
    ending = "".join((clone / name).suffixes) if extended else ""
    key = f"{backend}-s{len(content)}--{digest}{ending}"
    objects = clone / ".git" / "annex" / "objects" / name.replace("/", "-") / key
    objects.mkdir(parents=True, exist_ok=True)
    if fetched:
        (objects / key).write_bytes(content if stored is None else stored)
    path = clone / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(os.path.relpath(objects / key, path.parent))
    return path


def test_each_file_has_the_state_that_its_content_has(tmp_path):
    annexed(tmp_path, "a/whole.tar.gz")
    annexed(tmp_path, "a/sha.tsv", algorithm="sha256", extended=False)
    annexed(tmp_path, "a/absent.hf5", b"elsewhere", fetched=False)
    annexed(tmp_path, "b/short.hf5", stored=CONTENT[:-1])
    annexed(tmp_path, "b/flipped.hf5", stored=CONTENT.replace(b"once", b"Once"))
    (tmp_path / "b" / "README").write_text("in git itself")
    (tmp_path / "b" / "unlocked.nii").write_bytes(b"/annex/objects/MD5E-s20--0123456789abcdef.nii\n")
    table = check_annexed(tmp_path).set_index("file")
    assert table["state"].to_dict() == {
        "a/absent.hf5": "not fetched",
        "a/sha.tsv": "whole",
        "a/whole.tar.gz": "whole",
        "b/README": "unknown",
        "b/flipped.hf5": "damaged",
        "b/short.hf5": "damaged",
        "b/unlocked.nii": "not fetched",
    }
    assert table.loc["a/sha.tsv", ["size", "checksum"]].tolist() == [len(CONTENT), "sha256"]
    assert table["size"].isna().tolist() == [False, False, False, True, False, False, False]
    sizes = check_annexed(tmp_path, "b/*.hf5", hashes=False)
    assert sizes["state"].tolist() == ["whole", "damaged"]  # the same size with other letters
    with pytest.raises(FileNotFoundError, match=r"holds no file '\*.nii.gz'"):
        check_annexed(tmp_path, "*.nii.gz")


def test_a_key_tells_size_and_hash_whatever_its_other_fields(tmp_path):
    link = tmp_path / "link"
    link.symlink_to("../.git/annex/objects/a/b/K/SHA256E-s12-m1287765018-S3-C1--ABCdef.nii.gz")
    assert annex_key(link)[1:] == (12, "sha256", "abcdef")
    link.unlink()
    link.symlink_to("../.git/annex/objects/a/b/K/URL--http&c%%example.org")
    assert annex_key(link)[1:] == (None, None, None)
    link.unlink()
    link.symlink_to(tmp_path / "elsewhere")
    assert annex_key(link) is None


def test_content_that_is_not_there_or_damaged_is_told_with_what_to_do(tmp_path):
    absent = annexed(tmp_path, "derivative/absent.hf5", fetched=False)
    short = annexed(tmp_path, "derivative/short.hf5", stored=CONTENT[:-1])
    with pytest.raises(FileNotFoundError, match=r"its content is not there.*: datalad get derivative.absent.hf5"):
        require_file(absent)
    with pytest.raises(OSError, match=r"holds 19 bytes, but git-annex 20: the copy is damaged"):
        require_file(short)
    pointer = tmp_path / "table.csv"
    pointer.write_text("/annex/objects/MD5E-s20--0123456789abcdef.csv\n")
    with pytest.raises(FileNotFoundError, match=r"content is not there.*: datalad get table.csv"):
        require_file(pointer)
    pointer.write_text("../../.git/annex/objects/q1/w2/MD5E-s20--0123.csv/MD5E-s20--0123.csv")  # a disk without links
    with pytest.raises(FileNotFoundError, match=r"datalad get table.csv"):
        require_file(pointer)
    pointer.write_text("word,onset\n/annex/objects/,0.1\n")
    assert require_file(pointer) == pointer
    with pytest.raises(FileNotFoundError, match=r"nothing.hf5 is not there. Look elsewhere."):
        require_file(tmp_path / "nothing.hf5", "Look elsewhere.")


def test_stories_that_datalad_did_not_fetch_are_named_with_its_command(tmp_path):
    (tmp_path / ".git").mkdir()
    annexed(tmp_path, "derivative/respdict.json", b"{}", fetched=False)
    with pytest.raises(FileNotFoundError, match=r"datalad get derivative.respdict.json"):
        load_lebel2023(tmp_path, "UTS01")
