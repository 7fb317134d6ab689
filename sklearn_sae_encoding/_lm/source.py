"""Which language model is meant, where its files are, and errors that say what was looked for."""

from __future__ import annotations

import contextlib
import os
import re
import threading
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

# What quantisers add to a model's name in the name of a GGUF file: .Q4_K_M, -i1-IQ2_XS, .f16, -00001-of-00002.
_GGUF_ENDING = re.compile(
    r"([.-](i1-|UD-)?([IT]?Q\d\w*|MXFP4\w*|B?F(16|32)|FP(16|32)))?(-\d{5}-of-\d{5})?\.gguf$", flags=re.IGNORECASE
)

_commits: dict[tuple[str, str], str] = {}  # (name on the hub, branch or tag) -> commit
_commits_lock = threading.Lock()
_quiet: list[bool | None] = []  # threads that hide progress bars; the first holds what the setting was
_quiet_lock = threading.Lock()


@dataclass(frozen=True)
class ModelSource:
    """Everything that says which language model is meant; equal sources share one copy of the weights."""

    model: Any  # str, or a loaded causal model
    revision: str | None = None
    tokenizer: Any = None  # str, a loaded tokenizer, or None
    dtype: str = "float32"
    device: str = "cpu"
    weights: str = "pretrained"  # or "random"
    seed: int = 0
    blocks_path: str | None = None

    @property
    def is_object(self) -> bool:
        return not isinstance(self.model, str)

    @property
    def name(self) -> str:
        """The name people know the model by: the hub's name, the folder's, the file's, or the object's."""
        given = self.model
        if self.is_object:
            given = getattr(self.model, "name_or_path", "") or type(self.model).__name__
        path = Path(given).expanduser()
        name = _name_of(path) if path.exists() else given
        return name if self.weights == "pretrained" else f"{name} (random weights, seed {self.seed})"

    def plain(self) -> ModelSource:
        """The same model in the one way of naming it: full paths, and nothing that does not bear on it."""
        unused = {}
        if self.is_object:  # taken as it is, where it is
            unused = {"revision": None, "dtype": "auto", "device": "cpu"}
        elif Path(self.model).expanduser().exists():
            unused = {"revision": None}
        named = {"revision": self.revision or "main", **unused}
        return replace(
            self,
            model=_full_path(self.model),
            tokenizer=_full_path(self.tokenizer),
            seed=int(self.seed) if self.weights == "random" else 0,
            **named,
        )

    def same_as(self, other: ModelSource) -> bool:
        """Equality of what is meant, however it is named, that never compares two loaded objects by value."""
        one, two = self.plain(), other.plain()
        pairs = [(getattr(one, field.name), getattr(two, field.name)) for field in fields(self)]
        return all(a is b or (isinstance(a, (str, int)) and a == b) for a, b in pairs)


def _full_path(given):
    """A path in full, without links on the way; other names and loaded objects as they are."""
    if isinstance(given, os.PathLike):
        given = os.fspath(given)
    if not isinstance(given, str) or not (path := Path(given).expanduser()).exists():
        return given
    # A file in the hub's cache links to one that has a hash for a name: only its folder is followed.
    return str(path.resolve() if path.is_dir() else path.parent.resolve() / path.name)


def _name_of(path: Path) -> str:
    path = Path(_full_path(path))
    if path.is_file():
        return _GGUF_ENDING.sub("", path.name)
    if path.parent.name == "snapshots" and path.parent.parent.name.startswith("models--"):  # the hub's cache
        return path.parent.parent.name.removeprefix("models--").replace("--", "/")
    return path.name


def load_config(source: ModelSource):
    """Configuration of the (text) model, without its weights."""
    if source.is_object and source.weights == "random":
        raise ValueError(
            f"weights='random' draws the weights of a named model, and model is an object "
            f"({type(source.model).__name__}). Give its name or folder, or an object with random weights."
        )
    if source.is_object:
        if not hasattr(getattr(source.model, "config", None), "get_text_config"):
            raise ValueError(
                f"model must be a name, a folder, a GGUF file or a causal model of transformers, got a "
                f"{type(source.model).__name__}. Of a pipeline, give its .model and .tokenizer."
            )
        return source.model.config.get_text_config()
    from transformers import AutoConfig

    path = Path(source.model).expanduser()
    if path.is_dir() and not (path / "config.json").is_file():
        raise ValueError(f"The folder {path.resolve()} holds no language model: it has no config.json.")
    with clear_errors(source), quiet():
        return AutoConfig.from_pretrained(**where(source), trust_remote_code=False).get_text_config()


def where(source: ModelSource) -> dict:
    """Arguments of ``from_pretrained`` that say where a named model is; on the hub, at which commit."""
    return _local(source.model) or {
        "pretrained_model_name_or_path": source.model,
        "revision": _commit(source, source.model, source.revision, ("config.json",), "language model"),
    }


def where_tokenizer(source: ModelSource) -> dict:
    """The same for its tokenizer, which may be named apart from the model."""
    if source.tokenizer is None:
        return where(source)
    files = ("tokenizer_config.json", "tokenizer.json", "config.json")
    return _local(source.tokenizer) or {
        "pretrained_model_name_or_path": source.tokenizer,
        "revision": _commit(source, source.tokenizer, None, files, "tokenizer"),
    }


def resolve_folder(source: ModelSource) -> tuple[Path, str | None]:
    """Folder that holds the model's files, in the hub's cache for a name; and the file's name for a GGUF file."""
    found = where(source)
    if "revision" not in found:
        return Path(found["pretrained_model_name_or_path"]).resolve(), found.get("gguf_file")
    from transformers.utils import cached_file

    with clear_errors(source):
        return Path(cached_file(source.model, "config.json", revision=found["revision"])).parent, None


def forget_commits() -> None:
    """Ask the hub again, at the next call, for the commits that its branches stand for."""
    with _commits_lock:
        _commits.clear()


def _local(name: str) -> dict | None:
    path = Path(name).expanduser()
    if path.suffix == ".gguf" and path.is_file():
        return {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name}
    return {"pretrained_model_name_or_path": str(path)} if path.is_dir() else None


def _commit(source: ModelSource, name: str, revision: str | None, files: tuple[str, ...], part: str) -> str:
    """Commit that a branch or tag stands for, asked once: a process sees one state of it, and waits for it once."""
    key = (name, revision or "main")
    with _commits_lock:
        if key not in _commits:
            with clear_errors(source, part=part):
                _commits[key] = Path(_first_file(*key, files)).parent.name
        return _commits[key]


def _first_file(name: str, revision: str, files: tuple[str, ...]) -> str:
    from transformers.utils import cached_file

    for file in files[:-1]:
        with contextlib.suppress(OSError):
            return cached_file(name, file, revision=revision)
    return cached_file(name, files[-1], revision=revision)


@contextlib.contextmanager
def clear_errors(source: ModelSource, part: str = "language model"):
    """Say which model was looked for and where, or what is wrong with its files."""
    from safetensors import SafetensorError

    try:
        yield
    except SafetensorError as error:
        raise ValueError(
            f"The weights of {source.model} are damaged or cut short ({error}). Delete the file and get it again."
        ) from error
    except OSError as error:
        raise ValueError(_not_found(source, part, error)) from error
    except ValueError as error:
        if "Unrecognized configuration class" in str(error):
            raise ValueError(_not_causal(source, error)) from error
        if part == "tokenizer" and "trust_remote_code" not in str(error):
            raise ValueError(f"{_not_found(source, part, error)} Name another one with tokenizer=.") from error
        if "trust_remote_code" not in str(error):
            raise
        raise ValueError(
            f"The {part} of {source.model} comes with code of its own, which is never run for you. If you trust it, "
            "load model and tokenizer yourself with transformers and pass the loaded objects."
        ) from error


def _not_found(source: ModelSource, part: str, error: Exception) -> str:
    from huggingface_hub import constants

    wanted = source.tokenizer if part == "tokenizer" and isinstance(source.tokenizer, str) else source.model
    path = Path(str(wanted)).expanduser()
    if path.exists():
        return f"Could not read the {part} at {path.resolve()}: {error}{_advice_on_pickles(path)}"
    hub = "switched off" if constants.HF_HUB_OFFLINE else "asked"
    return (
        f"Could not find the {part} {str(wanted)!r} (revision {source.revision or 'main'}). There is no folder or GGUF "
        f"file {path.absolute()}, it is not in the hub's cache {constants.HF_HUB_CACHE}, and the hub was {hub}: {error}"
    )


def _not_causal(source: ModelSource, error: Exception) -> str:
    kind = re.search(r"(\w+)'>", str(error))
    return (
        f"transformers has no causal language model for {source.model}{f' ({kind[1]})' if kind else ''}. For its "
        "activations, load model and tokenizer yourself, with AutoModel or AutoModelForMaskedLM, and pass the loaded "
        "objects with blocks_path."
    )


def _advice_on_pickles(path: Path) -> str:
    pickles = sorted(one.name for one in path.glob("*.bin")) if path.is_dir() else []
    if not pickles or any(path.glob("*.safetensors")):
        return ""
    return (
        f" {pickles[0]} is a pickle, which can run any code and is not opened. If you trust it, load it with "
        "transformers and write it with save_pretrained, or give the loaded model."
    )


@contextlib.contextmanager
def quiet():
    """Hide the progress bars of transformers while loading, and leave its setting as it was."""
    from transformers.utils import logging

    # The setting is the whole process's: the first thread to come keeps what it was, the last one to go puts it back.
    with _quiet_lock:
        if not _quiet:
            _quiet.append(logging.is_progress_bar_enabled())
            logging.disable_progress_bar()
        else:
            _quiet.append(None)
    try:
        yield
    finally:
        with _quiet_lock:
            was_on = _quiet[0]
            _quiet.pop()
            if not _quiet and was_on:
                logging.enable_progress_bar()
