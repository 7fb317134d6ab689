"""Sentences to try things on."""

from importlib.resources import files


def load_sentences():
    """Load 200 short English sentences, written for this library.

    They stand in for stimuli wherever no published ones are at hand: with them and
    :func:`~sklearn_sae_encoding.datasets.make_voxel_responses`, the whole model runs without any download.

    Returns
    -------
    texts : list of str
        200 sentences of 5 to 9 words, about people, things, places and ideas. BSD-3, like the library.

    Examples
    --------
    >>> from sklearn_sae_encoding.datasets import load_sentences
    >>> texts = load_sentences()
    >>> len(texts), texts[0]
    (200, 'My grandmother planted roses behind the kitchen.')
    """
    source = files("sklearn_sae_encoding.datasets") / "data" / "sentences.txt"
    return source.read_text(encoding="utf-8").splitlines()
