"""Token activations to sparse features, pooled by text, a chunk at a time."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy import sparse

from sklearn_sae_encoding._forks import mind_forks
from sklearn_sae_encoding._sae.processing import prepared
from sklearn_sae_encoding._tokens.pooling import pool_ranges

if TYPE_CHECKING:
    from sae_lens import SAE

# A dense (tokens, features) chunk takes so many numbers. The SAE makes about five such arrays while it encodes.
_CHUNK_NUMBERS = 1 << 23

_normalising = threading.Lock()


class Chunk(NamedTuple):
    """Whole texts that together fill a chunk, or one part of a text that alone is longer."""

    values: np.ndarray  # (n_tokens, d_model)
    lengths: np.ndarray  # (n_texts,), tokens of each that are in here
    first: int  # index of the first text


class Encoded(NamedTuple):
    """Features of tokens, or of texts."""

    features: sparse.csr_array  # (n_rows, n_selected)
    squares: np.ndarray  # (n_rows, 2), squared error of the reconstruction, squared distance from the decoder's bias


class Encoder(NamedTuple):
    """An SAE, what to take of it, and whether to measure how well it reconstructs."""

    sae: SAE
    columns: np.ndarray  # (n_selected,), increasing
    by_decoder_norm: bool
    measure_error: bool

    def __call__(self, values: np.ndarray) -> Encoded:
        """Encode tokens in full, then take the columns."""
        import torch

        values = prepared(values, self.sae.cfg.metadata)
        mind_forks()
        with torch.inference_mode(), _alone(self.sae):
            # Activations from the store are read-only, of which torch warns.
            x = torch.from_numpy(np.require(values, requirements="CW")).to(self.sae.device, self.sae.dtype)
            features = self.sae.encode(x)
            squares = self._squares(x, features) if self.measure_error else np.zeros((len(values), 0))
            if self.by_decoder_norm:
                features = features * self.sae.W_dec.norm(dim=-1)
            rows = sparse_rows(as_array(features))
        return Encoded(rows[:, self.columns] if len(self.columns) < rows.shape[1] else rows, squares)

    def _squares(self, x, features) -> np.ndarray:
        import torch

        x = x if x.dtype == torch.float64 else x.float()  # squares of half precision are coarse, and may overflow
        error = (x - self.sae.decode(features)).square().sum(-1)
        distance = (x - self.sae.b_dec).square().sum(-1)
        return torch.stack([error, distance], dim=1).double().cpu().numpy()


def sparse_rows(dense: np.ndarray) -> sparse.csr_array:
    """
    What is not zero in each row, as `csr_array(dense)`, in a tenth of its time.

    SciPy asks for pairs of indices of numbers. One index, of the places that a mask marks, is found by whole words.
    """
    n_rows, width = dense.shape
    values = dense.ravel()
    places = np.flatnonzero(values != 0)
    starts = width * np.arange(n_rows + 1)
    ends = np.searchsorted(places, starts)
    index = np.int32 if len(places) <= np.iinfo(np.int32).max else np.int64
    columns = (places - np.repeat(starts[:-1], np.diff(ends))).astype(index)
    return sparse.csr_array((values[places], columns, ends.astype(index)), shape=dense.shape)


def _alone(sae: SAE):
    """
    Keep other threads out where the SAE normalises each token.

    It keeps the tokens' scales from `encode` to `decode` in itself, and SAEs are shared between threads.
    """
    return _normalising if normalises_tokens(sae) else nullcontext()


def normalises_tokens(sae: SAE) -> bool:
    """Tell whether features alone do not determine the reconstruction, because each token was rescaled."""
    return sae.cfg.normalize_activations in ("layer_norm", "constant_norm_rescale")


def _default_chunk_size(sae: SAE) -> int:
    """Tokens that make a chunk of bounded memory."""
    return max(16, _CHUNK_NUMBERS // sae.cfg.d_sae)


def chunks(texts: Sequence[np.ndarray], chunk_size: int) -> Iterator[Chunk]:
    """Cut `texts` into chunks of at most `chunk_size` tokens."""
    start = 0
    while start < len(texts):
        stop, n_tokens = start, 0
        while stop < len(texts) and n_tokens + len(texts[stop]) <= chunk_size:
            n_tokens += len(texts[stop])
            stop += 1
        if stop > start:
            yield Chunk(np.concatenate(texts[start:stop]), np.array([len(text) for text in texts[start:stop]]), start)
        else:
            text = texts[start]
            for begin in range(0, len(text), chunk_size):
                part = text[begin : begin + chunk_size]
                yield Chunk(part, np.array([len(part)]), start)
            stop += 1
        start = stop


def token_features(
    encoder: Encoder, texts: Sequence[np.ndarray], chunk_size: int | None, finish: Callable[[Encoded], Any]
) -> list:
    """Encode every token; `finish` makes one array of each chunk, and these are cut into one a text."""
    # All chunks first: small arrays of texts would lie between the large ones that encoding needs for a moment.
    done = deque(
        (chunk.first, chunk.lengths, finish(encoder(chunk.values)))
        for chunk in chunks(texts, chunk_size or _default_chunk_size(encoder.sae))
    )
    parts: list[list] = []
    previous = -1
    while done:
        first, lengths, rows = done.popleft()
        cut = [rows[end - length : end] for length, end in zip(lengths, np.cumsum(lengths), strict=True)]
        if first == previous:  # one more part of the same text
            parts[-1].append(cut[0])
        else:
            parts.extend([one] for one in cut)
        previous = first
    return [_joined(of_text) for of_text in parts]


def _joined(parts: list) -> sparse.csr_array | np.ndarray:
    """Put the parts of a text below each other; a dense text of one part stays in the array of its chunk."""
    if sparse.issparse(parts[0]):
        return _stack(parts)
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def pooled_features(encoder: Encoder, texts: Sequence[np.ndarray], pooling: str, chunk_size: int | None) -> Encoded:
    """Encode every token, then pool to one row a text; squares are averaged over the pooled tokens."""
    chunk_size = chunk_size or _default_chunk_size(encoder.sae)
    if pooling in ("first", "last"):
        texts = [text[:1] if pooling == "first" else text[-1:] for text in texts]
    n_tokens = np.array([len(text) for text in texts])
    rows: list[Encoded] = []
    previous = -1
    for chunk in chunks(texts, chunk_size):
        row = _pool(encoder(chunk.values), chunk, n_tokens, pooling)
        if chunk.first == previous:  # one more part of the same text
            row = _join(rows.pop(), row, pooling)
        rows.append(row)
        previous = chunk.first
    return Encoded(_stack([row.features for row in rows]), np.concatenate([row.squares for row in rows]))


def _pool(encoded: Encoded, chunk: Chunk, n_tokens: np.ndarray, pooling: str) -> Encoded:
    share = 1 / n_tokens[chunk.first : chunk.first + len(chunk.lengths)]  # of a mean, so that parts of a text add up
    features = encoded.features
    if pooling == "max":
        ends = np.cumsum(chunk.lengths)
        pooled = pool_ranges(features, np.column_stack([ends - chunk.lengths, ends]), "max")
    else:
        if pooling == "fraction_active":
            features.data[:] = features.data != 0
        weights = np.ones_like(share) if pooling == "sum" else share
        # In double precision: a text's row should not depend on what else is in its chunk.
        pooled = (_spread(weights, chunk.lengths) @ features.astype(np.float64)).astype(features.dtype)
    return Encoded(pooled, _spread(share, chunk.lengths) @ encoded.squares)


def _join(first: Encoded, second: Encoded, pooling: str) -> Encoded:
    parts = first.features, second.features
    features = parts[0].maximum(parts[1]) if pooling == "max" else parts[0] + parts[1]
    return Encoded(features.tocsr(), first.squares + second.squares)


def _spread(weights: np.ndarray, lengths: np.ndarray) -> sparse.csr_array:
    """Matrix that sums the tokens of each text, times its weight."""
    ends = np.r_[0, np.cumsum(lengths)]
    # 32-bit indices, which the product inherits: the features of a corpus take a third less room.
    columns, ends = np.arange(ends[-1], dtype=np.int32), ends.astype(np.int32)
    return sparse.csr_array((np.repeat(weights, lengths), columns, ends), shape=(len(lengths), ends[-1]))


def _stack(rows: list[sparse.csr_array]) -> sparse.csr_array:
    stacked = rows[0] if len(rows) == 1 else sparse.vstack(rows, format="csr")
    stacked.sort_indices()
    if stacked.nnz <= np.iinfo(np.int32).max:  # the only indices that most of scikit-learn takes
        stacked.indices = stacked.indices.astype(np.int32, copy=False)
        stacked.indptr = stacked.indptr.astype(np.int32, copy=False)
    return stacked


def decode(encoder: Encoder, features: sparse.csr_array | np.ndarray, chunk_size: int | None) -> np.ndarray:
    """Decode the selected features of each row, all others being 0."""
    chunk_size = chunk_size or _default_chunk_size(encoder.sae)
    rows = [_decode(encoder, features[i : i + chunk_size]) for i in range(0, features.shape[0], chunk_size)]
    return np.concatenate(rows)


def _decode(encoder: Encoder, features: sparse.csr_array | np.ndarray) -> np.ndarray:
    import torch

    full = np.zeros((features.shape[0], encoder.sae.cfg.d_sae), dtype=features.dtype)
    full[:, encoder.columns] = features.toarray() if sparse.issparse(features) else features
    mind_forks()
    with torch.inference_mode():
        full = torch.from_numpy(full).to(encoder.sae.device, encoder.sae.dtype)
        if encoder.by_decoder_norm:
            full = full / encoder.sae.W_dec.norm(dim=-1).clamp(min=torch.finfo(full.dtype).tiny)
        return as_array(encoder.sae.decode(full))


def as_array(tensor) -> np.ndarray:
    """A tensor as an array; NumPy has no bfloat16, and little of SciPy takes float16."""
    import torch

    return (tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor).cpu().numpy()
