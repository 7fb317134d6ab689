"""Sentences in English, French and Chinese: translations, and texts to train on."""

from __future__ import annotations

from importlib.resources import files

import pandas as pd
from sklearn.utils import Bunch


def load_three_languages():
    """Load 120 sentences in English, French and Chinese, and 600 others of each language.

    The 120 were written for this library, twelve on each of ten topics. The others are no translations of one another:
    a sparse autoencoder is trained on them and then judged on the 120. They come from Mozilla Common Voice, which puts
    them into the public domain (CC0).

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        With

        - ``parallel``, a DataFrame with a row a sentence: ``topic``, ``en``, ``fr`` and ``zh``;
        - ``texts``, a dict from ``"en"``, ``"fr"`` and ``"zh"`` to a list of 600 sentences;
        - ``DESCR``, a description with licences.

    Examples
    --------
    >>> from sklearn_sae_encoding.datasets import load_three_languages
    >>> data = load_three_languages()
    >>> data.parallel.loc[0, ["en", "fr", "zh"]].tolist()
    ['The dog sleeps under the table.', 'Le chien dort sous la table.', '狗在桌子下面睡觉。']
    >>> {language: len(texts) for language, texts in data.texts.items()}
    {'en': 600, 'fr': 600, 'zh': 600}
    """
    folder = files("sklearn_sae_encoding.datasets") / "data" / "languages"
    with (folder / "texts.tsv.gz").open("rb") as file:
        texts = pd.read_csv(file, sep="\t", compression="gzip", quoting=3, keep_default_na=False)
    with (folder / "parallel.tsv").open("rb") as file:
        parallel = pd.read_csv(file, sep="\t", quoting=3, keep_default_na=False)
    return Bunch(
        parallel=parallel,
        texts={name: group.tolist() for name, group in texts.groupby("language")["text"]},
        DESCR=(folder / "README.md").read_text(encoding="utf-8"),
    )
