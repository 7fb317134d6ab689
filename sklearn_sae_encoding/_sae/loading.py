"""Names of SAEs to SAEs: one copy of the weights per process."""

from __future__ import annotations

import threading
import warnings
from collections import OrderedDict
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sklearn_sae_encoding._sae.arrays import SAEArrays

if TYPE_CHECKING:
    from sae_lens import SAE

CONFIG_FILE, WEIGHTS_FILE = "cfg.json", "sae_weights.safetensors"

# Releases in these formats come as pickles, which can run any code when opened.
_PICKLED_FORMATS = {"connor_rob_hook_z", "dictionary_learning_1", "deepseek_r1", "goodfire", "qwen_scope"}

_MAX_LOADED = 8
_loaded: OrderedDict[tuple, SAE] = OrderedDict()
_lock = threading.RLock()


def load_sae(sae, sae_id: str | None = None, *, revision: str | None = None, device: str = "cpu") -> SAE:
    """
    Give the SAE that was named, loading it once per process.

    Parameters
    ----------
    sae : str, path, SAEArrays or sae_lens.SAE
        With `sae_id`, a release of sae-lens or a hub repository. Without, a folder that holds `cfg.json` and
        `sae_weights.safetensors`. An object is taken as it is; a training SAE gives its inference form.
    revision : commit, tag or branch of the release's hub repository.
    """
    if isinstance(sae, SAEArrays):
        return sae.build(device)
    if not isinstance(sae, (str, Path)):
        return _as_inference(sae, device)
    if sae_id is None:
        folder = checked_folder(sae)
        return _once(_folder_key(folder, device), lambda: _from_folder(folder, device))
    return _once(("release", str(sae), sae_id, revision, device), lambda: _from_release(sae, sae_id, revision, device))


def forget_saes() -> None:
    """Let go of all SAEs that were loaded by name."""
    with _lock:
        _loaded.clear()


def checked_folder(path) -> Path:
    """Expand `path`, and say what is missing there."""
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(
            f"There is no folder {str(path)!r}. sae= names a local folder; for a release of sae-lens, give its sae_id= "
            "too."
        )
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"The folder {str(path)!r} holds no {name}. An SAE's folder holds {CONFIG_FILE} and {WEIGHTS_FILE}, as "
                "sae-lens writes them: sae.save_model(folder), or sae.save_inference_model(folder) after training."
            )
    return folder.resolve()


def _once(key: tuple, load) -> SAE:
    with _lock:  # held while loading: the second thread to ask gets the first one's copy
        if key not in _loaded:
            with warnings.catch_warnings():
                # How the language model is to be loaded: SAEProjector does what is asked for, or raises.
                warnings.filterwarnings("ignore", message=r"\s*This SAE has non-empty model_from_pretrained_kwargs")
                _loaded[key] = load()
        _loaded.move_to_end(key)
        while len(_loaded) > _MAX_LOADED:
            _loaded.popitem(last=False)
        return _loaded[key]


def _folder_key(folder: Path, device: str) -> tuple:
    # A folder that was written again is another SAE.
    stats = [(folder / name).stat() for name in (CONFIG_FILE, WEIGHTS_FILE)]
    return ("folder", str(folder), *((stat.st_mtime_ns, stat.st_size) for stat in stats), device)


def _from_folder(folder: Path, device: str) -> SAE:
    from sae_lens import SAE
    from safetensors import SafetensorError

    try:
        sae = SAE.load_from_disk(folder, device=device, dtype="float32")
    # What is wrong with a file shows as many kinds of error: JSON's, safetensors', torch's for a wrong shape or name.
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError, AttributeError) as error:
        raise ValueError(
            f"The SAE in {str(folder)!r} could not be read: {type(error).__name__}: {error}. {CONFIG_FILE} or "
            f"{WEIGHTS_FILE} is truncated, corrupt or not sae-lens'. Copy or save it again."
        ) from error
    return _ready(sae)


def _from_release(release: str, sae_id: str, revision: str | None, device: str) -> SAE:
    from sae_lens import SAE
    from sae_lens.loading.pretrained_sae_loaders import get_conversion_loader_name

    file_format = get_conversion_loader_name(release)
    _check_encodes_tokens(file_format)  # before anything is fetched
    if file_format in _PICKLED_FORMATS:
        raise ValueError(
            f"The release {release!r} stores its weights as a pickle ({file_format}), and opening one can run any "
            "code. If you trust it, load it with sae_lens.SAE.from_pretrained and give the object, or the folder where "
            "you saved it, as sae=."
        )
    if revision is None:
        with _clear_errors(release, sae_id):
            return _ready(SAE.from_pretrained(release, sae_id, device=device, dtype="float32"))
    if file_format != "sae_lens":
        raise ValueError(
            f"revision={revision!r} can be pinned only for SAEs in sae-lens' own format, and the release {release!r} "
            f"is in {file_format}'s. Set revision=None, or download that revision and name its folder."
        )
    return _from_revision(release, sae_id, revision, device)


def _from_revision(release: str, sae_id: str, revision: str, device: str) -> SAE:
    """Load a pinned revision. sae-lens takes none, so the files are fetched first and read as a folder."""
    from huggingface_hub import hf_hub_download
    from sae_lens.loading.pretrained_saes_directory import get_norm_scaling_factor, get_repo_id_and_folder_name

    repository, subfolder = get_repo_id_and_folder_name(release, sae_id)
    with _clear_errors(release, sae_id, revision):
        config, _ = (
            hf_hub_download(repository, f"{subfolder}/{name}", revision=revision)
            for name in (CONFIG_FILE, WEIGHTS_FILE)
        )
    sae = _from_folder(Path(config).parent, device)
    factor = get_norm_scaling_factor(release, sae_id)
    if sae.cfg.normalize_activations == "expected_average_only_in" and factor is not None:
        sae.fold_activation_norm_scaling_factor(factor)
    return sae


@contextmanager
def _clear_errors(release: str, sae_id: str, revision: str | None = None):
    """Say which SAE was looked for and where."""
    from huggingface_hub import constants
    from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        yield
    except (EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError, ConnectionError) as error:
        hub = "switched off" if constants.HF_HUB_OFFLINE else "asked"
        raise FileNotFoundError(
            f"Could not find the SAE {sae_id!r} of {release!r} (revision {revision or 'main'}). It is not in the hub's "
            f"cache {constants.HF_HUB_CACHE}, and the hub was {hub}: {error}"
        ) from error


def _as_inference(sae, device: str) -> SAE:
    from sae_lens import SAE, TrainingSAE

    if isinstance(sae, TrainingSAE):
        return SAEArrays.of(sae).build(device)
    if not isinstance(sae, SAE):
        raise TypeError(
            "sae= takes a sae-lens SAE, a release with its sae_id=, a folder, or None to learn one; got "
            f"{type(sae).__name__}."
        )
    return _ready(sae)


def _ready(sae: SAE) -> SAE:
    _check_encodes_tokens(sae.cfg.architecture())
    return sae


def _check_encodes_tokens(architecture: str) -> None:
    if architecture == "temporal":
        raise ValueError(
            "A temporal SAE encodes a token by the tokens before it, which SAEProjector does not do: it encodes each "
            "token alone."
        )
