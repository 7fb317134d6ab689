"""Norms of English words: what kind of thing a word names, and by which senses it is known."""

from importlib.resources import files

import pandas as pd


def load_supersenses():
    """Load WordNet's semantic categories (supersenses) of English nouns and verbs.

    The category of a word is that of its most frequent sense; nothing tells which sense a text means.

    Returns
    -------
    table : pandas.DataFrame
        A row a word and part of speech: `word` (lower case, a lemma), `pos` ("noun" or "verb"), `supersense` (one of
        41, such as "noun.person") and `count`, how often WordNet's own texts use the word as that part of speech.

    Notes
    -----
    From WordNet 3.1, copyright Princeton University; its licence lies beside the table. Cite Fellbaum, *WordNet: An
    Electronic Lexical Database*, MIT Press (1998). Single words only, without those that are neither in the Lancaster
    norms nor in WordNet's texts (``tools/make_norms.py``).

    Examples
    --------
    >>> from sklearn_sae_encoding.datasets import load_supersenses
    >>> table = load_supersenses()
    >>> table[table["word"] == "rabbit"].iloc[0].to_dict()
    {'word': 'rabbit', 'pos': 'noun', 'supersense': 'noun.animal', 'count': 9}
    """
    return _read("supersenses.csv.gz")


def load_lancaster_norms():
    """Load the Lancaster sensorimotor norms: how strongly a word's meaning is felt by each of six senses.

    Returns
    -------
    table : pandas.DataFrame
        39,707 English words: `word` and mean ratings from 0 (not at all) to 5 (greatly) of `visual`, `auditory`,
        `haptic`, `interoceptive`, `gustatory` and `olfactory` strength.

    Notes
    -----
    Lynott, Connell, Brysbaert, Brand and Carney, "The Lancaster Sensorimotor Norms", Behavior Research Methods 52
    (2020) 1271-1291. Licence: CC BY 4.0.

    Examples
    --------
    >>> from sklearn_sae_encoding.datasets import load_lancaster_norms
    >>> load_lancaster_norms().set_index("word").loc["rabbit"].idxmax()
    'visual'
    """
    return _read("lancaster.csv.gz")


def _read(name):
    with (files("sklearn_sae_encoding.datasets") / "data" / "norms" / name).open("rb") as file:
        return pd.read_csv(file, compression="gzip", keep_default_na=False)
