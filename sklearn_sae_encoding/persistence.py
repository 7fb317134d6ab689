"""Fitted encoders to folders of numbers and JSON, and back, with a record of what they were made from."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import warnings
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import sklearn_sae_encoding
from sklearn_sae_encoding import _codec
from sklearn_sae_encoding._data_hash import hash_data, hash_responses
from sklearn_sae_encoding._images.rows import ImageRows, is_images
from sklearn_sae_encoding._provenance import check_models_again, describe_models, hash_file

__all__ = ["load_encoder", "read_manifest", "save_encoder"]

_FORMAT = 1
_MANIFEST, _ARRAYS = "manifest.json", "arrays.safetensors"
_PACKAGES = ("numpy", "scipy", "scikit-learn", "nilearn", "torch", "transformers", "sae-lens")
# Of these, another version can change what a loaded encoder does.
_DECISIVE = ("sklearn-sae-encoding", "scikit-learn")


def save_encoder(estimator, folder, *, X=None, Y=None, notes=None, overwrite=False):
    """Save a fitted encoder as a folder of JSON and safetensors, without pickle.

    The folder holds ``arrays.safetensors`` (every array: weights, penalties, masks) and ``manifest.json``: parameters
    and other fitted values, the versions of all packages involved, and SHA-256 hashes of the arrays, of the data, of
    the language model's files and of the SAE's. The weights of a language model, or of an SAE that is known by name,
    are not copied: a loaded encoder finds them again by name. An SAE that was learnt, or given as an object, is saved.
    Caches are not: every `memory` is saved as None, to be set again after loading.

    Parameters
    ----------
    estimator : estimator
        A fitted encoder: :class:`~sklearn_sae_encoding.encoder.SparseVoxelEncoder`, the pipeline of
        :func:`~sklearn_sae_encoding.pipeline.make_augmented_encoder`, or
        :class:`~sklearn_sae_encoding.masking.MaskedTargetRegressor` around these, and what scikit-learn has that is
        made of parameters and arrays.

    folder : str or path
        Where to save. Its parents are made.

    X : list of str or array-like, default=None
        What the encoder was fitted to, to record its hash and number.

    Y : array-like or images, default=None
        The responses, to record their hash and number.

    notes : dict, default=None
        Anything else to record that JSON can hold, such as participants, scanner and preprocessing.

    overwrite : bool, default=False
        Whether an encoder that the folder already holds may be replaced. Other folders are never touched.

    Returns
    -------
    fingerprint : str
        SHA-256 of the manifest, which hashes everything else. Written down elsewhere, it lets
        :func:`load_encoder` prove that nothing was changed.

    Raises
    ------
    TypeError
        If the estimator holds something that is no number, array, image or estimator, such as a function or a
        language model as an object; the message says where.

    FileExistsError
        If the folder is there and may not be replaced.

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> from sklearn_sae_encoding.encoder import SparseVoxelEncoder
    >>> from sklearn_sae_encoding.persistence import load_encoder, save_encoder
    >>> rng = np.random.default_rng(0)
    >>> X, Y = rng.random((40, 5)), rng.random((40, 3))
    >>> encoder = SparseVoxelEncoder(alphas=[0.01]).fit(X, Y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fingerprint = save_encoder(encoder, folder + "/encoder", X=X, Y=Y)
    ...     loaded = load_encoder(folder + "/encoder", fingerprint=fingerprint)
    >>> np.array_equal(loaded.predict(X), encoder.predict(X))
    True
    """
    folder = Path(folder).expanduser()
    _check_free(folder, overwrite)
    tree, arrays = _codec.encode(estimator)
    manifest = {
        "format": _FORMAT,
        "versions": _versions(),
        "data": {name: _describe_data(name, data) for name, data in (("X", X), ("Y", Y)) if data is not None},
        "models": describe_models(estimator),
        "notes": notes or {},
        "estimator": tree,
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Written aside and then moved, so that a failure leaves no half of an encoder.
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as aside:
        written = Path(aside) / "encoder"
        fingerprint = _write(written, manifest, arrays)
        if folder.exists():
            shutil.rmtree(folder)
        written.rename(folder)
    return fingerprint


def load_encoder(folder, *, fingerprint=None, X=None, Y=None, check_models=True):
    """Load what :func:`save_encoder` saved, after checking that nothing was changed.

    Nothing in the folder runs: it holds numbers and names, and only estimators and splitters of scikit-learn,
    nilearn's maskers and this package's estimators are made from it. Their `memory` is None whatever the folder says,
    because a cache holds pickles, and a folder that holds more than the two files is refused.

    Parameters
    ----------
    folder : str or path
        The saved encoder.

    fingerprint : str, default=None
        What :func:`save_encoder` returned. Without it, damage and careless edits are found, but not those of someone
        who also wrote new hashes.

    X : list of str or array-like, default=None
        Data to compare with what the encoder was fitted to.

    Y : array-like or images, default=None
        Responses to compare, likewise.

    check_models : bool, default=True
        Whether to compare the files of the language model and of the SAE with those of then, if they are found.

    Returns
    -------
    estimator : estimator
        The fitted encoder.

    Raises
    ------
    ValueError
        If a file was changed or is damaged, was written in a newer format, names a class that is not made from a file,
        lies beside other files in the folder, or data, language model or SAE are others than those of then; the message
        says which.

    Warns
    -----
    UserWarning
        If the encoder was saved with another version of this package or of scikit-learn, or a language model or SAE
        isn't found.
    """
    folder = Path(folder).expanduser()
    manifest = read_manifest(folder, fingerprint=fingerprint)
    _check_nothing_else(folder)
    _warn_of_versions(manifest["versions"])
    for name, data in (("X", X), ("Y", Y)):
        if data is not None:
            _check_data(name, data, manifest["data"])
    arrays = _read_arrays(folder, manifest["files"])
    estimator = _codec.decode(manifest["estimator"], arrays)
    if check_models:
        check_models_again(manifest["models"])
    return estimator


def read_manifest(folder, *, fingerprint=None):
    """Read and check the record of a saved encoder: versions, hashes, notes, parameters.

    Parameters
    ----------
    folder : str or path
        The saved encoder.

    fingerprint : str, default=None
        What :func:`save_encoder` returned.

    Returns
    -------
    manifest : dict
        Keys `format`, `versions`, `data`, `models`, `notes`, `estimator` and `files`.

    Raises
    ------
    ValueError
        If it is damaged, was changed, or its format is newer than this version knows.
    """
    path = Path(folder).expanduser() / _MANIFEST
    if not path.is_file():
        raise FileNotFoundError(f"There is no saved encoder in {str(path.parent)!r}: it has no {_MANIFEST}.")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        stated, known_format = manifest.pop("fingerprint"), manifest["format"]
    except (ValueError, KeyError, AttributeError) as error:
        raise ValueError(f"{path} is damaged: {type(error).__name__}: {error}. Save the encoder again.") from error
    if known_format != _FORMAT:
        raise ValueError(
            f"{path} is in format {known_format}, saved by sklearn-sae-encoding "
            f"{manifest['versions']['sklearn-sae-encoding']}; version {sklearn_sae_encoding.__version__} reads format "
            f"{_FORMAT}. Load it with that version or a newer one."
        )
    found = _fingerprint(manifest)
    if stated != found or fingerprint not in (None, found):
        expected = stated if stated != found else fingerprint
        raise ValueError(
            f"{path} was changed after it was saved: its fingerprint is {found[:16]}..., expected {expected[:16]}...."
        )
    return manifest


def _describe_data(name, data):
    if name == "Y":
        n_samples = len(ImageRows(data)) if is_images(data) else len(data)
        return {"sha256": hash_responses(data), "n_samples": n_samples}
    n_samples = data.shape[0] if hasattr(data, "shape") else len(data)
    return {"sha256": hash_data(data), "n_samples": int(n_samples)}


def _check_data(name, data, recorded):
    if name not in recorded:
        raise ValueError(f"The encoder was saved without {name}, so that there is nothing to compare {name} with.")
    then, now = recorded[name], _describe_data(name, data)
    if now != then:
        raise ValueError(
            f"This {name} is not what the encoder was fitted to: it has {now['n_samples']} samples and the hash "
            f"{now['sha256'][:16]}, then it was {then['n_samples']} and {then['sha256'][:16]}."
        )


def _versions():
    found = {"sklearn-sae-encoding": sklearn_sae_encoding.__version__}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _warn_of_versions(then):
    now = _versions()
    changed = [
        f"{name} {then.get(name)} (now {now.get(name)})" for name in _DECISIVE if then.get(name) != now.get(name)
    ]
    if changed:
        warnings.warn(
            f"The encoder was saved with {' and '.join(changed)}. Compare its predictions before relying on them.",
            stacklevel=3,
        )


def _check_free(folder, overwrite):
    if not folder.exists():
        return
    ours = (folder / _MANIFEST).is_file() and {path.name for path in folder.iterdir()} <= {_MANIFEST, _ARRAYS}
    if not (overwrite and ours):
        advice = "Set overwrite=True to replace it." if ours else "It holds something else; choose another folder."
        raise FileExistsError(f"{str(folder)!r} is there already. {advice}")


def _check_nothing_else(folder):
    others = sorted({path.name for path in folder.iterdir()} - {_MANIFEST, _ARRAYS})
    if others:
        raise ValueError(
            f"{str(folder)!r} holds more than a saved encoder: {', '.join(others[:5])}. Expected {_MANIFEST} and "
            f"{_ARRAYS} alone. Move the rest elsewhere if you know where it comes from."
        )


def _write(folder, manifest, arrays) -> str:
    from safetensors.numpy import save_file

    folder.mkdir()
    save_file(arrays, folder / _ARRAYS)
    (folder / _ARRAYS).chmod(0o644)  # safetensors writes for the owner alone
    manifest["files"] = {_ARRAYS: hash_file(folder / _ARRAYS)}
    manifest["fingerprint"] = _fingerprint(manifest)
    (folder / _MANIFEST).write_text(json.dumps(manifest, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return manifest["fingerprint"]


def _fingerprint(manifest) -> str:
    # Sorted keys and no spaces: the hash is of what the manifest says, not of how the file is laid out.
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _read_arrays(folder, files):
    from safetensors.numpy import load_file

    path = folder / _ARRAYS
    if not path.is_file():
        raise ValueError(f"{path} is missing: the saved encoder is not whole.")
    if hash_file(path) != files[_ARRAYS]:
        raise ValueError(f"{path} is damaged or was changed after it was saved: its hash is not the manifest's.")
    return load_file(path)
