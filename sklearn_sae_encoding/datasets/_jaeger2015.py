"""Self-paced reading of Chinese sentences."""

from __future__ import annotations

from importlib.resources import files

import pandas as pd
from sklearn.utils import Bunch

_SCRIPTS = {"simplified": "word_hans", "traditional": "word"}


def load_jaeger2015(*, script="simplified"):
    """Load self-paced reading times of Chinese sentences (49 readers, 64 sentences, 8,624 times).

    Experiment 1 of Jäger, Chen, Li, Lin and Vasishth (2015) [1]_: subject and object relative clauses on the
    subject and on the object, 16 items in four conditions, of which a reader saw one each. The data come from the R
    package pangoling (MIT licence).

    Parameters
    ----------
    script : {"simplified", "traditional"}, default="simplified"
        Characters of ``words`` and ``texts``. Readers saw traditional ones; most language models know simplified
        ones better.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        With

        - ``times``, a DataFrame with a row a reader and region: ``participant``, ``item`` (str, such as
          ``"03a.07"``: the word of one sentence), ``text`` (``"03a"``), ``number`` (from 1), ``set`` (1 to 16: the
          versions of a sentence share it, so hold out by ``set``), ``condition``, ``region``, ``rt`` (ms, unfiltered)
          and ``accuracy`` of the answer to the question;
        - ``words``, a DataFrame with a row a region of each sentence (704): ``item``, ``text``, ``number``, ``word``,
          ``start`` and ``end`` (characters of the text, half open), ``set``, ``condition``, ``region``;
        - ``texts``, a dict from the name of a sentence to the sentence, its regions put together without spaces;
        - ``DESCR``, a description.

    References
    ----------
    .. [1] Jäger, L., Chen, Z., Li, Q., Lin, C.-J. C. and Vasishth, S. (2015). The subject-relative advantage in
       Chinese: Evidence for expectation-based processing. Journal of Memory and Language 79-80, 97-120.

    Examples
    --------
    >>> from sklearn_sae_encoding.datasets import load_jaeger2015
    >>> data = load_jaeger2015()
    >>> data.times.shape, data.words.shape, len(data.texts)
    ((8624, 9), (704, 9), 64)
    >>> data.texts["01a"]
    '那个昨晚揍了服务生一顿的顾客听说过老板并且记得他。'
    """
    if script not in _SCRIPTS:
        raise ValueError(f"script must be one of {sorted(_SCRIPTS)}, got {script!r}.")
    folder = files("sklearn_sae_encoding.datasets") / "data" / "jaeger2015"
    with (folder / "times.tsv.gz").open("rb") as file:
        source = pd.read_csv(file, sep="\t", compression="gzip", dtype={"subject": str})
    text = source["item"].astype(str).str.zfill(2) + source["cond"]
    table = pd.DataFrame(
        {
            "participant": source["subject"],
            "item": text + "." + source["wordn"].astype(str).str.zfill(2),
            "text": text,
            "number": source["wordn"],
            "set": source["item"],
            "condition": source["cond"],
            "region": source["region"],
            "rt": source["rt"],
            "accuracy": source["accuracy"],
        }
    )
    words = _words(table.assign(word=source[_SCRIPTS[script]]))
    return Bunch(
        times=table,
        words=words,
        texts={name: "".join(group["word"]) for name, group in words.groupby("text", sort=True)},
        DESCR=(folder / "README.md").read_text(encoding="utf-8"),
    )


def _words(table):
    words = table.drop_duplicates("item").sort_values(["text", "number"], ignore_index=True)
    lengths = words["word"].str.len()
    ends = lengths.groupby(words["text"]).cumsum()
    words = words.assign(start=ends - lengths, end=ends)
    return words[["item", "text", "number", "word", "start", "end", "set", "condition", "region"]]
