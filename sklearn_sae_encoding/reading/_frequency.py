"""Words to how frequent they are."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sklearn_sae_encoding.reading._texts import is_letter

_FLOOR = 1e-9  # one in a thousand million words: below what the lists tell apart


def log_frequency(words, *, language="en", frequencies=None):
    """Natural logarithm of the relative frequency of words.

    Words are looked up in lower case and without the punctuation at their ends.

    Parameters
    ----------
    words : sequence of str

    language : str, default="en"
        Language of wordfreq's list, such as ``"fr"`` or ``"zh"``.

    frequencies : dict or Series from str to float, default=None
        A list of your own: counts, or rates of any unit, of words in lower case. None takes wordfreq (install the extra
        ``[frequency]``; its data stand under CC BY-SA 4.0), whose large list combines subtitles, books, web and more.

    Returns
    -------
    log_frequency : array of shape (n_words,)
        Words that the list does not have get one in 10⁹ (wordfreq), or half of the smallest frequency (a list of your
        own). Words without letters are NaN.

    Examples
    --------
    >>> from sklearn_sae_encoding.reading import log_frequency
    >>> log_frequency(["The", "cat,", "unheard"], frequencies={"the": 100, "cat": 2}).round(2)
    array([4.61, 0.69, 0.  ])
    """
    plain = [_plain(word) for word in words]
    look_up = _wordfreq(language) if frequencies is None else _own(frequencies)
    known = {word: look_up(word) for word in set(plain) if word}
    return np.array([np.log(known[word]) if word else np.nan for word in plain])


def _plain(word):
    if word is None or (not isinstance(word, str) and pd.isna(word)):
        return ""
    inside = [at for at, character in enumerate(word) if is_letter(character)]
    return word[inside[0] : inside[-1] + 1].lower() if inside else ""


def _own(frequencies):
    values = pd.Series(frequencies, dtype=float)
    positive = values[values > 0]
    if not len(positive):
        raise ValueError("frequencies holds no positive number.")
    known, floor = positive.to_dict(), positive.min() / 2
    return lambda word: known.get(word, floor)


def _wordfreq(language):
    try:
        import wordfreq
    except ImportError as error:
        raise ImportError(
            "Word frequencies come from wordfreq: pip install 'sklearn-sae-encoding[frequency]'. "
            "Or give a list of your own, frequencies=."
        ) from error

    def look_up(word):
        try:
            return max(wordfreq.word_frequency(word, language, wordlist="best"), _FLOOR)
        except ModuleNotFoundError as error:
            raise ImportError(
                f"wordfreq needs the package {error.name} for language {language!r}: pip install {error.name}."
            ) from error

    return look_up
