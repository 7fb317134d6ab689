"""Names of SAEs to SAEs: one copy of the weights per process."""

from __future__ import annotations

import copy
import json
import threading
import warnings
from collections import OrderedDict
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sklearn_sae_encoding._forks import mind_forks
from sklearn_sae_encoding._sae.arrays import SAEArrays
from sklearn_sae_encoding._validation import check_torch_device

if TYPE_CHECKING:
    from sae_lens import SAE

CONFIG_FILE, WEIGHTS_FILE = "cfg.json", "sae_weights.safetensors"
_SPARSIFY_FILE, _SCALER_FILE = "sae.safetensors", "activation_scaler.json"

# sae-lens' readers of these formats open safetensors, or npz files without pickles. Whatever else it reads, now or in a
# later version, is refused until somebody has looked at it.
_SAFE_FORMATS = frozenset(
    {
        *("sae_lens", "sparsify", "gemma_2", "gemma_3", "gemma_2_transcoder", "llama_scope", "llama_scope_r1_distill"),
        *("mwhanna_transcoder", "mntss_clt_layer_transcoder"),
    }
)

_SCALED = "expected_average_only_in"
_UNFOLDED = {
    _SCALED: "sae.fold_activation_norm_scaling_factor(factor)",
    "covariance_whitening": "sae.fold_activation_whitening(...)",
}
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
    mind_forks()
    check_torch_device(device)
    if isinstance(sae, SAEArrays):
        return _ready(sae.build(device))
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
    files = files_of(folder)
    for name in files:
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"The folder {str(path)!r} holds no {name}. An SAE's folder holds {CONFIG_FILE} and {WEIGHTS_FILE}, as "
                "sae-lens writes them: sae.save_model(folder), or sae.save_inference_model(folder) after training."
                f"{_advice_on_pickles(folder)}"
            )
    return folder.resolve()


def files_of(folder: Path) -> tuple[str, ...]:
    """Names of the files that an SAE is read from, in sae-lens' own format or in sparsify's."""
    sparsify = (folder / _SPARSIFY_FILE).is_file() and not (folder / WEIGHTS_FILE).is_file()
    scaler = (_SCALER_FILE,) if (folder / _SCALER_FILE).is_file() else ()
    return (CONFIG_FILE, _SPARSIFY_FILE if sparsify else WEIGHTS_FILE, *scaler)


def _advice_on_pickles(folder: Path) -> str:
    pickles = sorted(path.name for path in folder.iterdir() if path.suffix in (".pt", ".pth", ".bin", ".ckpt"))
    if not pickles:
        return ""
    return (
        f" {pickles[0]} is a pickle, which can run any code and is not opened. If you trust it, "
        "sae.convert_sae(path, out) writes such a folder."
    )


def _once(key: tuple, load) -> SAE:
    with _lock:  # held while loading: the second thread to ask gets the first one's copy
        if key not in _loaded:
            # How the language model is to be loaded: SAEProjector does what is asked for, or raises. The filter stays:
            # to take it away again would change those of other threads.
            warnings.filterwarnings("ignore", message=r"\s*This SAE has non-empty model_from_pretrained_kwargs")
            _loaded[key] = load()
        _loaded.move_to_end(key)
        while len(_loaded) > _MAX_LOADED:
            _loaded.popitem(last=False)
        return _loaded[key]


def _folder_key(folder: Path, device: str) -> tuple:
    # A folder that was written again is another SAE.
    stats = [(folder / name).stat() for name in files_of(folder)]
    return ("folder", str(folder), *((stat.st_mtime_ns, stat.st_size) for stat in stats), device)


def _from_folder(folder: Path, device: str, *, ready: bool = True) -> SAE:
    from sae_lens import SAE
    from sae_lens.loading.pretrained_sae_loaders import sae_lens_disk_loader
    from safetensors import SafetensorError

    config, weights, *_ = files_of(folder)
    reader = _read_sparsify if weights == _SPARSIFY_FILE else sae_lens_disk_loader
    try:
        _check_is_finished(folder)
        sae = SAE.load_from_disk(folder, device=device, dtype="float32", converter=reader)
        sae = _with_folded_scale(sae, folder)
    # What is wrong with a file shows as many kinds of error: JSON's, safetensors', torch's for a wrong shape or name.
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError, AttributeError) as error:
        if isinstance(error, _UnfinishedError):
            raise
        raise ValueError(
            f"The SAE in {str(folder)!r} could not be read: {type(error).__name__}: {error}. {config} or {weights} is "
            "truncated, corrupt or not sae-lens'. Copy or save it again."
        ) from error
    return _ready(sae) if ready else sae


def _read_sparsify(path, device: str = "cpu", cfg_overrides: dict | None = None):
    """sae-lens' reader, and the decoder the right way round: some of its versions turn what stands right already."""
    from sae_lens.loading.pretrained_sae_loaders import sparsify_disk_loader

    config, state = sparsify_disk_loader(path, device, cfg_overrides)
    if state["W_dec"].shape[0] == config["d_in"] != config["d_sae"]:
        state["W_dec"] = state["W_dec"].T.contiguous()
    return config, state


class _UnfinishedError(ValueError):
    """The files are whole, but not of an SAE that encodes."""


def _check_is_finished(folder: Path) -> None:
    """Refuse a checkpoint of training in an architecture that encodes another way once training is over."""
    from sae_lens.registry import SAE_CLASS_REGISTRY, SAE_TRAINING_CLASS_REGISTRY

    kind = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8")).get("architecture")
    if kind in SAE_TRAINING_CLASS_REGISTRY and kind not in SAE_CLASS_REGISTRY:
        raise _UnfinishedError(
            f"{str(folder)!r} is a checkpoint of training a {kind} SAE, whose features depend on the batch. Load it "
            "with sae_lens.TrainingSAE.load_from_disk, write its inference form with "
            "sae.save_inference_model(folder), and name that folder; or give the loaded object as sae=."
        )


def _with_folded_scale(sae: SAE, folder: Path) -> SAE:
    """Put the factor by which activations were scaled in training into the weights, where it stands beside them."""
    if sae.cfg.normalize_activations == _SCALED and (folder / _SCALER_FILE).is_file():
        factor = json.loads((folder / _SCALER_FILE).read_text(encoding="utf-8"))["scaling_factor"]
        if factor is not None:
            sae.fold_activation_norm_scaling_factor(float(factor))
    return sae


def _from_release(release: str, sae_id: str, revision: str | None, device: str) -> SAE:
    from sae_lens import SAE
    from sae_lens.loading.pretrained_sae_loaders import get_conversion_loader_name

    file_format = get_conversion_loader_name(release)
    _check_encodes_tokens(file_format)  # before anything is fetched
    if file_format not in _SAFE_FORMATS:
        raise ValueError(
            f"The release {release!r} stores its weights as a pickle, or as something else that is not known to be "
            f"safe ({file_format}), and opening one can run any code. If you trust it, download it and give the folder "
            "that convert_sae(path, out) makes of it, or load it with sae_lens.SAE.from_pretrained and give the object."
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
    sae = _from_folder(Path(config).parent, device, ready=False)
    factor = get_norm_scaling_factor(release, sae_id)
    if sae.cfg.normalize_activations == _SCALED and factor is not None:
        sae.fold_activation_norm_scaling_factor(factor)
    return _ready(sae)


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
    """Refuse what would encode wrongly, and take attention's heads side by side, as they are read."""
    _check_encodes_tokens(sae.cfg.architecture())
    how = sae.cfg.normalize_activations
    if how in _UNFOLDED:
        raise ValueError(
            "The SAE was trained on activations that were changed by numbers learnt from all of them "
            f"(normalize_activations={how!r}), which are not in its weights: its features of plain activations would "
            f"be of another size. Put them there with {_UNFOLDED[how]}, or keep the {_SCALER_FILE} of training beside "
            "the weights."
        )
    if not sae.hook_z_reshaping_mode:
        return sae
    flat = copy.copy(sae)  # shares the weights; the user's own goes on taking heads apart
    flat.turn_off_forward_pass_hook_z_reshaping()
    return flat


def _check_encodes_tokens(architecture: str) -> None:
    if architecture == "temporal":
        raise ValueError(
            "A temporal SAE encodes a token by the tokens before it, which SAEProjector does not do: it encodes each "
            "token alone."
        )
