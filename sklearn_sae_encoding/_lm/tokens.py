"""Token activations: one array a text, with what is known about the tokens."""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Integral

import numpy as np

from sklearn_sae_encoding._lm.token_files import read_folder, write_parts


class TokenActivations:
    """Activations of every token of every text, with the tokens and where they come from.

    A list-like of one ``(n_tokens, d_model)`` float32 array a text. It slices to itself, so it can stand as ``X`` in
    scikit-learn's splitters and cross-validation, and it is never mistaken for a 2-D table: texts have different
    lengths, and turning it into one array is left to :meth:`concatenated` or to a pooling.

    Parameters
    ----------
    values : sequence of array-like of shape (n_tokens_i, d_model)
        One array a text. Arrays of another dtype than float32 are kept as they are, so that float16 and memory-mapped
        arrays stay small, and are given out as float32.
    tokens : sequence of sequence of str, default=None
        The tokens of each text, as the tokenizer spells them.
    offsets : sequence of array-like of shape (n_tokens_i, 2), default=None
        Where each token starts and ends in its text, in characters.
    model : str, default=None
        Name of the language model.
    hook : str or tuple of str, default=None
        Where in the model the activations were read, such as ``"blocks.12.hook_resid_post"``. With several hooks their
        activations stand side by side, in this order.
    bos_token : str, default=None
        The beginning-of-sequence token that the model saw before each text, ``""`` if there was none; None if that is
        not known. Its own activation is not in here.

    Attributes
    ----------
    d_model : int
        Length of one token's activation vector.
    n_tokens : ndarray of int, shape (n_texts,)
        Number of tokens of each text.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sae_encoding.activations import TokenActivations
    >>> acts = TokenActivations([np.zeros((3, 4)), np.ones((2, 4))], model="toy", hook="blocks.0.hook_resid_post")
    >>> acts
    TokenActivations(2 texts, 5 tokens, d_model=4, model='toy', hook='blocks.0.hook_resid_post')
    >>> acts[1].shape
    (2, 4)
    >>> acts[:1]
    TokenActivations(1 text, 3 tokens, d_model=4, model='toy', hook='blocks.0.hook_resid_post')
    >>> acts.concatenated().shape
    (5, 4)
    """

    # ndim 1: scikit-learn and numpy see a column of objects, never a table of numbers.
    ndim = 1

    def __init__(self, values, *, tokens=None, offsets=None, model=None, hook=None, bos_token=None):
        self.values = [_as_activation(value, i) for i, value in enumerate(values)]
        _check_same_width(self.values)
        self.tokens = None if tokens is None else [list(text) for text in tokens]
        self.offsets = None if offsets is None else [np.asarray(o, dtype=np.int64).reshape(-1, 2) for o in offsets]
        self.model = model
        self.hook = hook
        self.bos_token = bos_token
        _check_lengths("tokens", self.tokens, self.values)
        _check_lengths("offsets", self.offsets, self.values)

    @property
    def d_model(self) -> int:
        """Length of one token's activation vector."""
        if not self.values:
            raise ValueError("d_model is not defined: these TokenActivations hold no text.")
        return self.values[0].shape[1]

    @property
    def n_tokens(self) -> np.ndarray:
        """Number of tokens of each text."""
        return np.array([len(value) for value in self.values], dtype=np.int64)

    @property
    def shape(self) -> tuple[int]:
        """Number of texts, as a tuple of one: scikit-learn counts and indexes samples by it."""
        return (len(self.values),)

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (_given_out(value) for value in self.values)

    def __getitem__(self, key):
        if isinstance(key, tuple):  # scikit-learn indexes what has a shape as X[key, ...]
            key = _without_ellipsis(key)
        if isinstance(key, Integral) and not isinstance(key, (bool, np.bool_)):
            return _given_out(self.values[key])
        return self._take(_positions(key, len(self)))

    def __array__(self, dtype=None, copy=None):
        raise TypeError(
            "TokenActivations hold one (n_tokens, d_model) array a text and do not make a table of one row a text. "
            "Pool them first (LMActivationTransformer(pooling='mean'), or SAEProjector), or stack all tokens with "
            ".concatenated()."
        )

    def __eq__(self, other):
        if not isinstance(other, TokenActivations):
            return NotImplemented
        return self._origin() == other._origin() and _same_arrays(self.values, other.values)

    __hash__ = None

    def __repr__(self) -> str:
        n_tokens = int(self.n_tokens.sum())
        parts = [f"{len(self)} text{'s' * (len(self) != 1)}", f"{n_tokens} token{'s' * (n_tokens != 1)}"]
        parts += [f"d_model={self.d_model}"] if self.values else []
        parts += [f"{name}={value!r}" for name, value in self._origin().items() if value is not None]
        return f"TokenActivations({', '.join(parts)})"

    def concatenated(self) -> np.ndarray:
        """Stack the tokens of all texts.

        Returns
        -------
        ndarray of shape (n_tokens.sum(), d_model)
            float32, texts in order. ``np.repeat(np.arange(len(acts)), acts.n_tokens)`` tells each row's text.
        """
        if not self.values:
            raise ValueError("There is nothing to concatenate: these TokenActivations hold no text.")
        return np.concatenate(self.values).astype(np.float32, copy=False)

    def save(self, folder, *, dtype="float16"):
        """Write everything to a new folder, from which :meth:`load` reads it without filling the memory.

        Parameters
        ----------
        folder : path-like
            A folder that does not exist yet.
        dtype : {"float16", "float32"}, default="float16"
            Precision of the stored activations.
        """
        write_parts([self], folder, dtype)

    @staticmethod
    def save_parts(parts, folder, *, dtype="float16"):
        """Write the activations of a corpus that does not fit in memory, part by part, to one new folder.

        Parameters
        ----------
        parts : iterable of TokenActivations
            Of the same model, hook and BOS; each is taken, written and forgotten.
        folder : path-like
            A folder that does not exist yet.
        dtype : {"float16", "float32"}, default="float16"
            Precision of the stored activations.
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
            Whether the activations stay on disk until they are used.

        Returns
        -------
        TokenActivations
        """
        return cls(**read_folder(folder, mmap))

    def __add__(self, other):
        if not isinstance(other, TokenActivations):
            return NotImplemented
        self._check_same_origin(other)
        both = {
            name: None if getattr(self, name) is None or getattr(other, name) is None else first + getattr(other, name)
            for name, first in (("tokens", self.tokens), ("offsets", self.offsets))
        }
        return TokenActivations(self.values + other.values, **both, **self._origin())

    def _check_same_origin(self, other) -> None:
        if self._origin() != other._origin() or self.d_model != other.d_model:
            raise ValueError(
                f"Only activations of one model, hook, BOS and width make one list, got {self!r} and {other!r}."
            )

    def _origin(self) -> dict:
        return {"model": self.model, "hook": self.hook, "bos_token": self.bos_token}

    def _take(self, positions) -> TokenActivations:
        return TokenActivations(
            [self.values[i] for i in positions],
            tokens=None if self.tokens is None else [self.tokens[i] for i in positions],
            offsets=None if self.offsets is None else [self.offsets[i] for i in positions],
            **self._origin(),
        )


def _as_activation(value, index: int) -> np.ndarray:
    value = np.asanyarray(value)
    if value.ndim != 2:
        raise ValueError(
            f"Expected one (n_tokens, d_model) array a text, but the array of text {index} has shape {value.shape}."
        )
    if value.dtype.kind != "f" or value.dtype.itemsize > 4:
        value = value.astype(np.float32)
    return value


def _given_out(value: np.ndarray) -> np.ndarray:
    return np.asarray(value, dtype=np.float32)


def _check_same_width(values: list[np.ndarray]) -> None:
    for i, value in enumerate(values):
        if value.shape[1] != values[0].shape[1]:
            raise ValueError(
                f"All texts must have activations of one width, but text 0 has {values[0].shape[1]} columns and "
                f"text {i} has {value.shape[1]}."
            )


def _check_lengths(name: str, lists, values: list[np.ndarray]) -> None:
    if lists is None:
        return
    if len(lists) != len(values):
        raise ValueError(f"Got activations of {len(values)} texts but {name} of {len(lists)}.")
    for i, (one, value) in enumerate(zip(lists, values, strict=True)):
        if len(one) != len(value):
            raise ValueError(f"Text {i} has activations of {len(value)} tokens but {len(one)} {name}.")


def _same_arrays(first: list[np.ndarray], second: list[np.ndarray]) -> bool:
    return len(first) == len(second) and all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def _without_ellipsis(key: tuple):
    rest = [part for part in key if part is not Ellipsis]
    if len(rest) != 1:
        raise IndexError(f"TokenActivations are indexed by text alone, got the index {key!r}.")
    return rest[0]


def _positions(key, n: int) -> np.ndarray:
    """Positions that a slice, integers or a mask select; numpy checks bounds and mask length."""
    if not isinstance(key, slice):
        key = np.asarray(key)
        if key.size == 0:
            key = key.astype(np.intp)
        if key.dtype.kind not in "iub" or key.ndim != 1:
            raise IndexError(f"TokenActivations are indexed by integers, slices or a boolean mask, got {key!r}.")
    return np.arange(n)[key]
