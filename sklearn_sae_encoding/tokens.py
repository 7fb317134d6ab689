"""Values of tokens with their texts: what passes between the text estimators."""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Integral

import numpy as np
from scipy import sparse

from sklearn_sae_encoding._tokens.alignment import Words, trimmed, words_of
from sklearn_sae_encoding._tokens.arrays import check_same_origin, given_out, pieces_of, same_arrays
from sklearn_sae_encoding._tokens.checks import (
    check_arrays,
    check_lists,
    check_widths,
    positions,
    stored,
    without_ellipsis,
)
from sklearn_sae_encoding._tokens.files import PER_TEXT, read_folder, write_parts
from sklearn_sae_encoding._tokens.pooling import POOLINGS, pool_ranges
from sklearn_sae_encoding._tokens.spans import Spans
from sklearn_sae_encoding._tokens.word_lists import align_words

__all__ = ["Spans", "TokenTable", "align_words"]


class TokenTable:
    """Values of every token of every text, with the tokens, their place in the texts, and where the values come from.

    A list-like of one ``(n_tokens, width)`` array a text, dense (activations, surprisal) or sparse (SAE features). It
    slices to itself, so that it can stand as ``X`` in scikit-learn's splitters and cross-validation, and it is never
    mistaken for a 2-D table: texts have different lengths, and turning it into one array is left to
    :meth:`concatenated` or to :meth:`pool`. A table of words has words in the place of tokens.

    Parameters
    ----------
    values : sequence of array-like or sparse array of shape (n_tokens_i, width)
        One array a text, all dense or all sparse. Dense arrays of another dtype than float32 are kept as they are, so
        that float16 and memory-mapped arrays stay small, and are given out as float32. :meth:`from_arrays` checks
        everything, the constructor only what goes together.
    texts : sequence of str, default=None
        The texts. Words and spans need them, and `offsets`.
    tokens : sequence of sequence of str, default=None
        The tokens of each text, as the tokenizer spells them, or its words.
    offsets : sequence of array-like of shape (n_tokens_i, 2), default=None
        First and last + 1 character of each token in its text.
    shared, joined : sequence of array-like of bool of shape (n_tokens_i,), default=None
        In a table of words: which words share the token of the word before, and which stand for the word before
        because they have no characters of their own.
    names : sequence of str of length width, default=None
        Names of the columns, such as ``sae_00123``.
    model : str, default=None
        Name of the language model.
    hook : str or tuple of str, default=None
        Where in the model the activations were read, such as ``"blocks.12.hook_resid_post"``. With several hooks their
        activations stand side by side, in this order.
    bos_token : str, default=None
        The beginning-of-sequence token that the model saw before each text, ``""`` if it saw none, None if that is not
        known. Its own values are not in here.

    Attributes
    ----------
    width : int
        Number of columns.
    n_tokens : ndarray of int of shape (n_texts,)
        Number of tokens of each text.
    is_sparse : bool
        Whether the values are sparse.

    Examples
    --------
    >>> from sklearn_sae_encoding.tokens import TokenTable
    >>> texts = ["A dog barks.", "So what"]
    >>> offsets = [[(0, 1), (2, 5), (6, 10), (10, 11), (11, 12)], [(0, 2), (3, 7)]]
    >>> values = [[[1.0], [2.0], [3.0], [5.0], [0.0]], [[4.0], [6.0]]]
    >>> table = TokenTable.from_arrays(values, texts, offsets, model="toy", hook="blocks.0.hook_resid_post")
    >>> table
    TokenTable(2 texts, 7 tokens, width=1, model='toy', hook='blocks.0.hook_resid_post')
    >>> table[0].shape, table[1:].tokens
    ((5, 1), [['So', 'what']])
    >>> table.pool("text", pooling="max").ravel()
    array([5., 6.], dtype=float32)
    >>> words = table.pool("word", pooling="sum")
    >>> words.tokens[0], words[0].ravel().tolist()
    (['A', 'dog', 'barks.'], [1.0, 2.0, 8.0])
    """

    # ndim 1: scikit-learn and numpy see a column of objects, never a table of numbers.
    ndim = 1

    def __init__(
        self,
        values,
        *,
        texts=None,
        tokens=None,
        offsets=None,
        shared=None,
        joined=None,
        names=None,
        model=None,
        hook=None,
        bos_token=None,
    ):
        self.values = [stored(value, i) for i, value in enumerate(values)]
        check_widths(self.values)
        self.texts = None if texts is None else list(texts)
        self.tokens = None if tokens is None else [list(text) for text in tokens]
        self.offsets = None if offsets is None else [np.asarray(o, dtype=np.int64).reshape(-1, 2) for o in offsets]
        self.shared = None if shared is None else [np.asarray(flags, dtype=bool) for flags in shared]
        self.joined = None if joined is None else [np.asarray(flags, dtype=bool) for flags in joined]
        self.names = None if names is None else [str(name) for name in names]
        self.model = model
        self.hook = hook
        self.bos_token = bos_token
        check_lists(self)

    @classmethod
    def from_arrays(
        cls, values, texts, offsets, *, tokens=None, names=None, model=None, hook=None, bos_token=None
    ) -> TokenTable:
        """Make a table of activations or features that were computed elsewhere, after a check of everything.

        Parameters
        ----------
        values : sequence of array-like or sparse array of shape (n_tokens_i, width)
            One array a text, without rows of special tokens. Finite.
        texts : sequence of str
            The texts.
        offsets : sequence of array-like of int of shape (n_tokens_i, 2)
            First and last + 1 character of each token in its text, as tokenizers of transformers give them
            (``return_offsets_mapping=True``), in the order of the text. White space around a token does not matter.
        tokens : sequence of sequence of str, default=None
            The tokens as the tokenizer spells them. None takes the characters of each.
        names : sequence of str of length width, default=None
            Names of the columns.
        model, hook, bos_token : str, default=None
            Where the values come from; see above.

        Returns
        -------
        TokenTable

        Raises
        ------
        ValueError
            If lengths differ, a text is no string, values are not finite, or offsets leave their text or go back, with
            the text and the token.
        """
        arrays = check_arrays(values, texts, offsets)
        texts = list(texts)
        offsets = [trimmed(text, array) for text, array in zip(texts, arrays, strict=True)]
        if tokens is None:
            tokens = [[t[a:b] for a, b in array.tolist()] for t, array in zip(texts, offsets, strict=True)]
        origin = {"names": names, "model": model, "hook": hook, "bos_token": bos_token}
        return cls(values, texts=texts, tokens=tokens, offsets=offsets, **origin)

    @property
    def width(self) -> int:
        """Number of columns."""
        if not self.values:
            raise ValueError("width is not defined: this TokenTable holds no text.")
        return self.values[0].shape[1]

    @property
    def n_tokens(self) -> np.ndarray:
        """Number of tokens of each text."""
        return np.array([value.shape[0] for value in self.values], dtype=np.int64)

    @property
    def is_sparse(self) -> bool:
        """Whether the values are sparse."""
        return bool(self.values) and sparse.issparse(self.values[0])

    @property
    def shape(self) -> tuple[int]:
        """Number of texts, as a tuple of one: scikit-learn counts and indexes samples by it."""
        return (len(self.values),)

    @property
    def pieces(self) -> list[list[str]]:
        """The characters of each token, with the white space before it: what people read, without ``Ġ`` or ``▁``."""
        self._check_has_texts()
        return [pieces_of(text, array) for text, array in zip(self.texts, self.offsets, strict=True)]

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Iterator:
        return (given_out(value) for value in self.values)

    def __getitem__(self, key):
        if isinstance(key, tuple):  # scikit-learn indexes what has a shape as X[key, ...]
            key = without_ellipsis(key, "TokenTable")
        if isinstance(key, Integral) and not isinstance(key, (bool, np.bool_)):
            return given_out(self.values[key])
        return self._take(positions(key, len(self), "TokenTable"))

    def __array__(self, dtype=None, copy=None):
        raise TypeError(
            "A TokenTable holds one (n_tokens, width) array a text and does not make a table of one row a text. Pool "
            "it first (.pool('text'), or level='text' in the estimator that made it), or stack all tokens with "
            ".concatenated()."
        )

    def __eq__(self, other):
        if not isinstance(other, TokenTable):
            return NotImplemented
        return self.origin() == other.origin() and same_arrays(self.values, other.values)

    __hash__ = None

    def __repr__(self) -> str:
        n_tokens = int(self.n_tokens.sum())
        unit = "token" if self.shared is None else "word"
        parts = [f"{len(self)} text{'s' * (len(self) != 1)}", f"{n_tokens} {unit}{'s' * (n_tokens != 1)}"]
        parts += [f"width={self.width}"] if self.values else []
        known = {name: value for name, value in self.origin().items() if name != "names" and value is not None}
        parts += [f"{name}={value!r}" for name, value in known.items()]
        return f"TokenTable({', '.join(parts)})"

    def words(self, spans=None) -> list[Words]:
        """Which tokens make which word.

        A token belongs to the word that holds its first character that is not white space. A word that no token begins
        in shares the token that it is inside of, and is flagged. A span of no characters (a word that a corpus counts
        but does not spell, such as a part of the French *du*) stands for the word before it, and is flagged.

        Parameters
        ----------
        spans : sequence of array-like of int of shape (n_words_i, 2), default=None
            First and last + 1 character of the words of each text, such as :func:`align_words` finds them. None takes
            what stands between white space.

        Returns
        -------
        list of Words
            One a text, each with ``spans`` and ``tokens``, first and last + 1 character and token, both of shape
            ``(n_words, 2)``, and the flags ``shared`` and ``joined`` of shape ``(n_words,)``.

        Raises
        ------
        ValueError
            If the table has no texts, or a span leaves its text or has no character of any token, with the span.
        """
        self._check_has_texts()
        if spans is not None and len(spans) != len(self):
            raise ValueError(f"Expected the spans of each of {len(self)} texts, got those of {len(spans)}.")
        spans = [None] * len(self) if spans is None else spans
        return [
            words_of(text, array, of_text, of=f"text {i}")
            for i, (text, array, of_text) in enumerate(zip(self.texts, self.offsets, spans, strict=True))
        ]

    def pool(self, by="text", *, pooling="mean", spans=None):
        """Make one row of the tokens of each text, or of each word.

        Parameters
        ----------
        by : {"text", "word"}, default="text"
            What a row is.
        pooling : {"mean", "sum", "max", "last", "first"}, default="mean"
            How tokens become it.
        spans : sequence of array-like of int of shape (n_words_i, 2), default=None
            With ``by="word"``: the words, as in :meth:`words`.

        Returns
        -------
        ndarray or csr_array of shape (n_texts, width), or TokenTable of words
            As dense or sparse as the table.
        """
        if pooling not in POOLINGS:
            raise ValueError(f"pooling must be one of {', '.join(POOLINGS)}, got {pooling!r}.")
        if by not in ("text", "word") or (by == "text" and spans is not None):
            raise ValueError(f"by must be 'text' or 'word', and spans go with by='word'; got by={by!r}.")
        if by == "text":
            return self._pooled_by_text(pooling)
        words = self.words(spans)
        return TokenTable(
            [pool_ranges(value, of_text.tokens, pooling) for value, of_text in zip(self, words, strict=True)],
            texts=self.texts,
            tokens=[[t[a:b] for a, b in w.spans.tolist()] for t, w in zip(self.texts, words, strict=True)],
            offsets=[of_text.spans for of_text in words],
            shared=[of_text.shared for of_text in words],
            joined=[of_text.joined for of_text in words],
            **self.origin(),
        )

    def concatenated(self):
        """Stack the tokens of all texts.

        Returns
        -------
        ndarray or csr_array of shape (n_tokens.sum(), width)
            Texts in order. ``np.repeat(np.arange(len(table)), table.n_tokens)`` tells each row's text.
        """
        if not self.values:
            raise ValueError("There is nothing to concatenate: this TokenTable holds no text.")
        if self.is_sparse:
            return sparse.vstack(list(self), format="csr")
        return np.concatenate(self.values).astype(np.float32, copy=False)

    def save(self, folder, *, dtype="float16"):
        """Write everything to a new folder, from which :meth:`load` reads it without filling the memory.

        Parameters
        ----------
        folder : path-like
            A folder that does not exist yet.
        dtype : {"float16", "float32"}, default="float16"
            Precision of the stored values.
        """
        write_parts([self], folder, dtype)

    @staticmethod
    def save_parts(parts, folder, *, dtype="float16"):
        """Write the table of a corpus that does not fit in memory, part by part, to one new folder.

        Parameters
        ----------
        parts : iterable of TokenTable
            Of the same columns, model, hook and BOS token; each is taken, written and forgotten.
        folder : path-like
            A folder that does not exist yet.
        dtype : {"float16", "float32"}, default="float16"
            Precision of the stored values.
        """
        write_parts(parts, folder, dtype)

    @classmethod
    def load(cls, folder, *, mmap=True):
        """Read what :meth:`save` or :meth:`save_parts` wrote.

        Parameters
        ----------
        folder : path-like
            The folder.
        mmap : bool, default=True
            Whether the values stay on disk until they are used.

        Returns
        -------
        TokenTable
        """
        return cls(**read_folder(folder, mmap))

    def __add__(self, other):
        if not isinstance(other, TokenTable):
            return NotImplemented
        check_same_origin(self, other)
        return TokenTable(self.values + other.values, **self._lists(lambda a, b: a + b, other), **self.origin())

    def origin(self) -> dict:
        """What all texts of the table have in common: names of the columns, model, hook and BOS token."""
        return {"names": self.names, "model": self.model, "hook": self.hook, "bos_token": self.bos_token}

    def _pooled_by_text(self, pooling: str):
        empty = np.flatnonzero(self.n_tokens == 0)
        if not self.values or len(empty):
            raise ValueError(f"Text {empty[0]} has no tokens to pool." if len(empty) else "There is no text to pool.")
        rows = [pool_ranges(value, np.array([[0, value.shape[0]]]), pooling) for value in self]
        return sparse.vstack(rows, format="csr") if self.is_sparse else np.concatenate(rows)

    def _check_has_texts(self) -> None:
        if self.texts is None or self.offsets is None:
            raise ValueError(
                "This TokenTable has no texts and character offsets, so that it does not know its words. Make it with "
                "TokenTable.from_arrays(values, texts, offsets)."
            )

    def _take(self, chosen) -> TokenTable:
        taken = self._lists(lambda values: [values[i] for i in chosen])
        return TokenTable([self.values[i] for i in chosen], **taken, **self.origin())

    def _lists(self, combine, *others) -> dict:
        """What is known of each text, combined with that of other tables; None where one of them lacks it."""
        lists = {name: [getattr(table, name) for table in (self, *others)] for name in PER_TEXT}
        return {name: None if None in known else combine(*known) for name, known in lists.items()}
