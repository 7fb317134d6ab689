"""Reading times that are downloaded: the authors' own tables of Provo and Natural Stories."""

from __future__ import annotations

import pandas as pd
from sklearn.utils import Bunch

from sklearn_sae_encoding.datasets._base import RemoteFile, ensure_files, get_data_home
from sklearn_sae_encoding.datasets._provo import item_names

# The SHA-256 that several projects recorded for these public files; the repository's at the commit in the address.
PROVO = (
    "provo/Provo_Corpus-Eyetracking_Data.csv",
    "https://osf.io/download/a32be/",
    "38aedcb29bc9171009916eb2bcc2375729f104a2a1005c64a563da94b611b9e7",
)
NATURAL_STORIES = (
    "naturalstories/naturalstories_RTS/processed_RTs.tsv",
    "https://raw.githubusercontent.com/languageMIT/naturalstories/4700daad696e942f5aba23c957a7423d0de66612/"
    "naturalstories_RTS/processed_RTs.tsv",
    "208ee6c451f3827734d5b2de32b91e2cf3bd76aa177c412cb426373fa7d50b22",
)
_PROVO_TIMES = {
    "IA_FIRST_FIXATION_DURATION": "first",
    "IA_FIRST_RUN_DWELL_TIME": "gaze",
    "IA_REGRESSION_PATH_DURATION": "go_past",
    "IA_DWELL_TIME": "total",
}
_PROVO_COLUMNS = {"Participant_ID": str, "Text_ID": int, "IA_ID": int, "IA_LABEL": str} | dict.fromkeys(
    _PROVO_TIMES, float
)
_STORY_COLUMNS = {"WorkerId": str, "item": int, "zone": int, "RT": float, "correct": int, "word": str}


def fetch_provo(*, data_home=None, download_if_missing=True):
    """Load the Provo corpus' own table of eye movements (84 readers, 55 English paragraphs).

    The file of 70 MB is downloaded from osf.io/sjefs and compared with its SHA-256 at every call. It is by Luke and
    Christianson (2018), CC BY 4.0. :func:`load_provo` needs no download and is in the same form; its times were parsed
    anew from the recordings and differ a little.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder of the data sets; the file lies in its ``provo``. None is as for :func:`get_data_home`.

    download_if_missing : bool, default=True
        False raises an ``OSError`` instead of going to the network.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        With ``times`` (a row a reader and word: ``participant``, ``item``, ``text``, ``number``, and in ms ``first``,
        ``gaze``, ``go_past`` and ``total``, 0 where the word was not fixated so), ``words`` (a row a word: ``item``,
        ``text``, ``number``, ``word``), ``texts`` (a list, ``texts[0]`` is text 1) and ``DESCR``.

    Raises
    ------
    OSError
        If the file is missing and can't be downloaded, or isn't the expected one.
    """
    path = _ensured(PROVO, data_home, download_if_missing, "Provo corpus, osf.io/sjefs, CC BY 4.0, 70 MB.")
    source = pd.read_csv(
        path, usecols=list(_PROVO_COLUMNS), dtype=_PROVO_COLUMNS, na_values=["NA", "."], encoding="cp1252"
    )
    table = pd.DataFrame(
        {"participant": source["Participant_ID"], "text": source["Text_ID"], "number": source["IA_ID"]}
    )
    table.insert(1, "item", item_names(table["text"], table["number"]))
    for column, name in _PROVO_TIMES.items():
        table[name] = source[column].fillna(0).astype(int)
    return _bunch(
        table,
        source["IA_LABEL"],
        "Provo corpus (Luke and Christianson 2018, Behavior Research Methods 50, 826-833). CC BY 4.0. osf.io/sjefs",
    )


def fetch_natural_stories(*, data_home=None, download_if_missing=True):
    """Load self-paced reading times of the Natural Stories corpus (181 readers, 10 English stories, 10,256 words).

    The authors' processed table [1]_ is downloaded from their repository at a fixed commit and compared with its
    SHA-256 at every call. Times between 100 and 3,000 ms of readers with five of six questions right are in it. It
    stands under CC BY-NC-SA 4.0.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder of the data sets; the file lies in its ``naturalstories/naturalstories_RTS``. None is as for
        :func:`get_data_home`.

    download_if_missing : bool, default=True
        False raises an ``OSError`` instead of going to the network.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        With ``times`` (a row a reader and word: ``participant``, ``item``, ``text``, ``number``, ``rt`` in ms and
        ``correct``, the reader's right answers of six), ``words`` (a row a word: ``item``, ``text``, ``number``,
        ``word``), ``texts`` (a list, ``texts[0]`` is story 1) and ``DESCR``.

    Raises
    ------
    OSError
        If the file is missing and can't be downloaded, or isn't the expected one.

    References
    ----------
    .. [1] Futrell, R. et al. (2021). The Natural Stories corpus: a reading-time corpus of English texts containing
       rare syntactic constructions. Language Resources and Evaluation 55, 63-77.
    """
    notice = "Natural Stories, github.com/languageMIT/naturalstories, CC BY-NC-SA 4.0."
    path = _ensured(NATURAL_STORIES, data_home, download_if_missing, notice)
    # quoting=3: the words hold single quotation marks that open and never close; keep_default_na: a word may be "None".
    source = pd.read_csv(
        path, sep="\t", usecols=list(_STORY_COLUMNS), dtype=_STORY_COLUMNS, quoting=3, keep_default_na=False
    )
    table = pd.DataFrame({"participant": source["WorkerId"], "text": source["item"], "number": source["zone"]})
    table.insert(1, "item", table["text"].astype(str).str.zfill(2) + "." + table["number"].astype(str).str.zfill(4))
    table = table.assign(rt=source["RT"], correct=source["correct"])
    return _bunch(
        table,
        source["word"],
        "Natural Stories (Futrell et al. 2021). CC BY-NC-SA 4.0. github.com/languageMIT/naturalstories",
    )


def _ensured(file, data_home, download_if_missing, notice):
    name, url, sha256 = file
    path = get_data_home(data_home) / name
    ensure_files([RemoteFile(path, url, sha256)], download_if_missing=download_if_missing, notice=notice)
    return path


def _bunch(times, word_of_row, description):
    words = times[["item", "text", "number"]].assign(word=word_of_row).drop_duplicates(["item", "word"])
    if words["item"].duplicated().any():
        first = words.loc[words["item"].duplicated(keep=False)].iloc[0]
        raise ValueError(f"Word {first['number']} of text {first['text']} is spelled in two ways in the table.")
    words = words.sort_values(["text", "number"], ignore_index=True)
    texts = [" ".join(group["word"]) for _, group in words.groupby("text", sort=True)]
    return Bunch(times=times, words=words, texts=texts, DESCR=description)
