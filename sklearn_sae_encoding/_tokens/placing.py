"""Words among the letters of a text: walk along both, and find the place again where they part."""

from __future__ import annotations

import difflib
import unicodedata
from itertools import pairwise
from typing import NamedTuple

import numpy as np

# Where list and text part, a window of so many words is looked through, twice as many each time it doesn't help.
_WORDS, _MOST_WORDS = 40, 1280
# They agree again where so many words in a row, of so many letters, stand in the text without a gap.
_WORDS_IN_A_ROW, _LETTERS_IN_A_ROW = 4, 12
_BORDER, _NO_GAP = 0.25, 0.3  # what a word's end at a border, or no gap before it, counts beside its letters


class Stream(NamedTuple):
    """The letters and digits of a text, as they are compared."""

    letters: str
    at: np.ndarray  # (n_letters,): the character of the text that each comes from
    borders: np.ndarray  # (n_letters + 1,), bool: whether a word may begin or end before the letter


class Placed(NamedTuple):
    """Where a word stands among the letters of a text."""

    first: int
    last: int  # behind its last letter


def letters_of(text: str) -> list[tuple[str, int]]:
    """Letters and digits in their plainest form, each with the position it comes from."""
    plain = ((unicodedata.normalize("NFKD", char.casefold()).casefold(), i) for i, char in enumerate(text))
    return [(letter, i) for some, i in plain for letter in some if letter.isalnum()]


def stream_of(text: str) -> Stream:
    pairs = letters_of(text)
    letters, at = "".join(letter for letter, _ in pairs), np.array([i for _, i in pairs], dtype=np.int64)
    wide = np.array([unicodedata.east_asian_width(letter) in "WF" for letter in letters], dtype=bool)
    apart = np.array([_apart(text, a, b) for a, b in zip(at[:-1].tolist(), at[1:].tolist(), strict=True)], dtype=bool)
    borders = np.ones(len(letters) + 1, dtype=bool)
    if len(letters):
        borders[1:-1] = apart | wide[:-1] | wide[1:]
    return Stream(letters, at, borders)


def _apart(text: str, first: int, second: int) -> bool:
    """Whether something other than accents stands between two characters."""
    return any(not unicodedata.category(char).startswith("M") for char in text[first + 1 : second])


def place(words: list[str], stream: Stream) -> list[Placed | None]:
    """Walk along words and text; where they part, look for the place from which they agree again."""
    placed: list[Placed | None] = [None] * len(words)
    word = letter = 0
    agreed = (0, 0)  # the last place where a word ended at a border: up to there all is settled
    while word < len(words):
        if stream.letters.startswith(words[word], letter):
            placed[word] = Placed(letter, letter + len(words[word]))
            letter += len(words[word])
            word += 1
            if stream.borders[letter]:
                agreed = (word, letter)
            if word < len(words) or agreed[0] == word:
                continue  # else the list ends inside a word of the text, and may stand as a whole further on
        word, letter = agreed = _resume(words, stream, placed, agreed)
    return _without_fragments(placed, stream)


def _without_fragments(placed: list[Placed | None], stream: Stream) -> list[Placed | None]:
    """Take back words that were found inside another word of the text whose rest no word of the list spells."""
    around = [None, *placed, None]
    while True:
        fragments = [
            i
            for i, found in enumerate(around)
            if found is not None
            and not (
                (stream.borders[found.first] or (around[i - 1] and around[i - 1].last == found.first))
                and (stream.borders[found.last] or (around[i + 1] and around[i + 1].first == found.last))
            )
        ]
        if not fragments:
            return around[1:-1]
        for i in fragments:
            around[i] = None


def place_similar(words: list[str], stream: Stream, placed: list, similar: float) -> list[Placed | None]:
    """Place words that are spelled otherwise, between neighbours that were placed."""
    placed, first = list(placed), 0
    while first < len(words):
        last = first
        while last < len(words) and placed[last] is None:
            last += 1
        start = placed[first - 1].last if first else 0
        stop = placed[last].first if last < len(words) else len(stream.letters)
        for i, place in zip(range(first, last), _slots(stream, start, stop, last - first), strict=False):
            if _ratio(words[i], stream.letters[place.first : place.last]) >= similar:
                placed[i] = place
        first = last + 1
    return placed


def _slots(stream: Stream, start: int, stop: int, n_words: int) -> list[Placed]:
    """The words of the text between two letters if they are `n_words`; all between them for a single word."""
    if n_words == 0 or start >= stop:
        return []
    if n_words == 1:
        return [Placed(start, stop)]
    cuts = [start, *(start + 1 + np.flatnonzero(stream.borders[start + 1 : stop])).tolist(), stop]
    return [Placed(a, b) for a, b in pairwise(cuts)] if len(cuts) == n_words + 1 else []


def _ratio(first: str, second: str) -> float:
    """Letters that two words have in common in order, of those of both."""
    if len(second) > 3 * len(first) + 3:
        return 0.0
    return difflib.SequenceMatcher(None, first, second, autojunk=False).ratio()


def _resume(words: list[str], stream: Stream, placed: list, agreed: tuple[int, int]) -> tuple[int, int]:
    """Place words after `agreed` as well as they fit, up to where words and text agree again; gives that place."""
    word, letter = agreed
    size = _WORDS
    while True:
        window = words[word : word + size]
        room = 3 * sum(map(len, window)) + 10 * size
        chain = _best_chain(window, stream, letter, min(letter + room, len(stream.letters)))
        complete = word + size >= len(words) and letter + room >= len(stream.letters)
        stop = len(window) if complete else _agreement(chain)
        if stop is None and size >= _MOST_WORDS:  # these words are not here: go on with those after them
            chain, stop = [None] * len(chain), size // 2
        if stop is not None:
            placed[word : word + stop] = chain[:stop]
            ends = [found.last for found in chain[:stop] if found is not None]
            return word + stop, max(ends, default=letter)
        size *= 2


def _agreement(chain: list[Placed | None]) -> int | None:
    """Number of words up to the first that stand in a row without a gap."""
    first = 0
    for i, found in enumerate(chain):
        if found is None or i == 0 or chain[i - 1] is None or chain[i - 1].last != found.first:
            first = i
        if found is None:
            continue
        if i - first + 1 >= _WORDS_IN_A_ROW and found.last - chain[first].first >= _LETTERS_IN_A_ROW:
            return i + 1
    return None


def _best_chain(words: list[str], stream: Stream, start: int, stop: int) -> list[Placed | None]:
    """Place words in order where they stand, so that as many letters as possible are placed.

    A dynamic program over the places of each word: the best chain that ends there extends the best one that ends
    before it. Prefix maxima over letters stand in a binary indexed tree.
    """
    tree = _PrefixMaximum(stop - start + 1)
    links: list[tuple[int, Placed, int]] = []  # word, place, and the link before it
    at_end: dict[int, tuple[float, int]] = {}
    best = (0.0, -1)
    for i, word in enumerate(words):
        for place in reversed(_places(word, stream, start, stop)):  # backwards: no word follows itself
            value, before = tree.up_to(place - start)
            tight, link = at_end.get(place, (0.0, -1))
            if tight + _NO_GAP > value and link >= 0:
                value, before = tight + _NO_GAP, link
            end = place + len(word)
            value += len(word) + _BORDER * (int(stream.borders[place]) + int(stream.borders[end]))
            links.append((i, Placed(place, end), before))
            here = (value, len(links) - 1)
            tree.raise_to(end - start, here)
            at_end[end] = max(at_end.get(end, (0.0, -1)), here)
            best = max(best, here)
    chain: list[Placed | None] = [None] * len(words)
    link = best[1]
    while link >= 0:
        i, place, link = links[link]
        chain[i] = place
    return chain


def _places(word: str, stream: Stream, start: int, stop: int) -> list[int]:
    """Where a word stands in the text with a border at one of its ends."""
    places, place = [], stream.letters.find(word, start, stop)
    while place >= 0:
        if stream.borders[place] or stream.borders[place + len(word)]:
            places.append(place)
        place = stream.letters.find(word, place + 1, stop)
    return places


class _PrefixMaximum:
    """A binary indexed tree: the largest value at a position or before it."""

    def __init__(self, n: int):
        self._best = [(0.0, -1)] * (n + 1)

    def up_to(self, position: int) -> tuple[float, int]:
        best, position = (0.0, -1), position + 1
        while position > 0:
            best = max(best, self._best[position])
            position -= position & -position
        return best

    def raise_to(self, position: int, value: tuple[float, int]) -> None:
        position += 1
        while position < len(self._best):
            self._best[position] = max(self._best[position], value)
            position += position & -position
