"""The Provo corpus: English paragraphs and the times that readers spent on each word."""

from __future__ import annotations

from importlib.resources import files

import pandas as pd
from sklearn.utils import Bunch

N_TEXTS = 55


def load_provo():
    """Load word-level reading times of the Provo corpus (84 readers, 55 English paragraphs, 2,743 words).

    The corpus is by Luke and Christianson (2018) [1]_ and stands under CC BY 4.0: cite it. What ships is made from the
    fixations by ``tools/make_provo_table.py``; see :ref:`provo` for the definitions.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        With

        - ``times``, a DataFrame with a row a reader and word that was fixated at all (154,021 rows): ``participant``
          (str), ``item`` (str, such as ``"07.012"``: text and word), ``text`` and ``number`` (both from 1), the times
          in ms ``first`` (first fixation), ``gaze``, ``go_past`` and ``total`` - the first three are 0 where the word
          was not read in first pass - and ``read_twice``, True where a reader has two recordings of a text under one
          number (84 readings);
        - ``words``, a DataFrame with a row a word (2,743): ``item``, ``text``, ``number``, ``word`` and ``line``
          (from 1, the line of the screen);
        - ``texts``, a list of the 55 texts, lines joined by a space: ``texts[0]`` is text 1;
        - ``DESCR``, a description with licence and citation.

    References
    ----------
    .. [1] Luke, S. G. and Christianson, K. (2018). The Provo Corpus: A large eye-tracking corpus with predictability
       norms. Behavior Research Methods 50, 826-833.

    Examples
    --------
    >>> from sklearn_sae_encoding.datasets import load_provo
    >>> data = load_provo()
    >>> data.times.shape, data.words.shape, len(data.texts)
    ((154021, 9), (2743, 5), 55)
    >>> data.words["word"].head(5).tolist()
    ['There', 'are', 'now', 'rumblings', 'that']
    """
    folder = files("sklearn_sae_encoding.datasets") / "data" / "provo"
    screens = (folder / "texts.txt").read_text(encoding="utf-8").strip().split("\n\n")
    with (folder / "times.csv.gz").open("rb") as file:
        times = pd.read_csv(file, compression="gzip", dtype={"participant": str})
    times.insert(1, "item", item_names(times["text"], times["number"]))
    return Bunch(
        times=times.assign(read_twice=times["read_twice"].astype(bool)),
        words=words_of_screens(screens),
        texts=[" ".join(screen.split()) for screen in screens],
        DESCR=(folder / "README.md").read_text(encoding="utf-8"),
    )


def item_names(text, number):
    """A name a word: its text and its place in it, both from 1."""
    return text.astype(str).str.zfill(2) + "." + number.astype(str).str.zfill(3)


def words_of_screens(screens):
    """A row a word of texts that come in the lines of the screen."""
    rows = [
        (text, word, line)
        for text, screen in enumerate(screens, 1)
        for line, words in enumerate(screen.splitlines(), 1)
        for word in words.split()
    ]
    table = pd.DataFrame(rows, columns=["text", "word", "line"])
    table.insert(1, "number", table.groupby("text").cumcount() + 1)
    table.insert(0, "item", item_names(table["text"], table["number"]))
    return table
