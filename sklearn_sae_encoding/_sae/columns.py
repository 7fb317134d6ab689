"""Encoded features to the columns that SAEProjector gives out, and their names."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

import numpy as np
from scipy import sparse

from sklearn_sae_encoding._sae.encoding import Encoded

_RECONSTRUCTION = {"error": "sae_reconstruction_error", "explained_variance": "sae_explained_variance"}


def check_reconstruction(asked: Sequence[str], sae) -> None:
    """Raise unless the columns exist, and the SAE can be measured so."""
    unknown = set(asked) - set(_RECONSTRUCTION)
    if unknown:
        raise ValueError(
            f"reconstruction= takes 'error' and 'explained_variance', got {sorted(map(str, unknown))} too."
        )
    if asked and is_transcoder(sae):
        raise ValueError("A transcoder does not reconstruct its input: reconstruction= must be empty.")


def is_transcoder(sae) -> bool:
    """Whether it was trained to give something else than what it reads, be it of the same width or not."""
    read, given = (sae.cfg.metadata.get(name) for name in ("hook_name", "hook_name_out"))
    elsewhere = given is not None and given != read
    return "transcoder" in sae.cfg.architecture() or elsewhere or sae.W_dec.shape[-1] != sae.cfg.d_in


def names_of(indices: np.ndarray, reconstruction: Sequence[str]) -> np.ndarray:
    """Name features by the SAE's own indices, and what stands after them."""
    names = [f"sae_{index:05d}" for index in indices]
    return np.asarray(names + [_RECONSTRUCTION[name] for name in reconstruction], dtype=object)


def page_of(name: str | None) -> str | None:
    """Address of the page about each feature of an SAE, with the place `{index}`; None without a name there.

    >>> page_of("gemma-2-2b/12-gemmascope-res-16k")
    'https://www.neuronpedia.org/gemma-2-2b/12-gemmascope-res-16k/{index}'
    """
    name = str(name or "").strip("/")
    return f"https://www.neuronpedia.org/{quote(name)}/{{index}}" if name else None


def side_by_side(encoded: Encoded, reconstruction: Sequence[str], sparse_output: bool) -> sparse.csr_array | np.ndarray:
    """Features, and the columns on their reconstruction."""
    features = encoded.features
    if reconstruction:
        error, distance = encoded.squares.T
        column = {"error": np.sqrt(error), "explained_variance": 1 - error / np.where(distance > 0, distance, 1)}
        added = np.column_stack([column[name] for name in reconstruction]).astype(features.dtype)
        features = sparse.hstack([features, sparse.csr_array(added)], format="csr")
    return features if sparse_output else features.toarray()
