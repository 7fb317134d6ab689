"""Fitted encoders to folders of numbers and JSON, and back, with a record of what they were made from."""

from __future__ import annotations

import warnings
from pathlib import Path

from sklearn.utils.validation import check_is_fitted

from sklearn_sae_encoding._data_hash import hash_data, hash_responses
from sklearn_sae_encoding._images.rows import ImageRows, is_images
from sklearn_sae_encoding._provenance import check_models_again, describe_models

from . import _files
from ._decoding import decode
from ._encoding import encode
from ._errors import SavedEncoderError
from ._manifest import FORMAT, check_fingerprint, check_notes, parse, versions

# Of these, another version can change what a loaded encoder does.
_DECISIVE = ("sklearn-sae-encoding", "scikit-learn")


def save_encoder(estimator, folder, *, X=None, Y=None, notes=None, overwrite=False):
    """Save a fitted encoder as a folder of JSON and safetensors, without pickle.

    The folder holds a safetensors file with every array (weights, penalties, masks) and ``manifest.json``: parameters
    and other fitted values, the versions of all packages involved, and SHA-256 hashes of the arrays, of the data, of
    the language model's files and of the SAE's. The weights of a language model, or of an SAE that is known by name,
    are not copied: a loaded encoder finds them again by name. An SAE that was learnt, or given as an object, is saved.
    Caches are not: every `memory` is saved as None, to be set again after loading. Images that a masker knows by their
    path are saved as images.

    Whatever happens meanwhile, the folder holds a whole encoder or is not there: a killed process leaves at most a
    file or folder whose name begins with a dot, and of several that save under one name one succeeds. What was there
    before stays until its successor is whole.

    Parameters
    ----------
    estimator : estimator
        A fitted encoder: :class:`~sklearn_sae_encoding.encoder.SparseVoxelEncoder`, the pipeline of
        :func:`~sklearn_sae_encoding.pipeline.make_augmented_encoder`, or
        :class:`~sklearn_sae_encoding.masking.MaskedTargetRegressor` around these, and those of scikit-learn's
        estimators, splitters and nilearn's maskers that the user guide lists.

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

    ValueError
        If its weights are not finite.

    sklearn.exceptions.NotFittedError
        If it is not fitted.

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
    check_is_fitted(estimator)
    notes = check_notes(notes)
    folder = Path(folder).expanduser()
    _files.check_free(folder, overwrite)
    tree, arrays = encode(estimator)
    manifest = {
        "format": FORMAT,
        "versions": versions(),
        "data": {name: _describe_data(name, data) for name, data in (("X", X), ("Y", Y)) if data is not None},
        "models": describe_models(estimator),
        "notes": notes,
        "estimator": tree,
    }
    return _files.save(folder, manifest, arrays, overwrite)


def load_encoder(folder, *, fingerprint=None, X=None, Y=None, check_models=False):
    """Load what :func:`save_encoder` saved, after checking that nothing was changed.

    Nothing in the folder runs: it holds numbers and names, and only the classes of a fixed table are made from it.
    Everything is checked before it is used: hashes, the shape of every entry, dtypes, bounds and order of sparse
    indices, weights that are finite and fit together. No path that the folder names is opened and nothing is looked up
    on a network, unless `check_models` asks for it. Every `memory` is None whatever the folder says, because a cache
    may hold pickles.

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

    check_models : bool, default=False
        Whether to find the language model and the SAE that the folder names, and to compare their files with those of
        then. That opens the folders of these names, or asks the hub; so would the first prediction from texts.

    Returns
    -------
    estimator : estimator
        The fitted encoder.

    Raises
    ------
    SavedEncoderError
        A ValueError: a file was changed, is damaged or missing, was written in another format, says what no encoder
        is, or lies beside other files; or data, language model or SAE are others than those of then. The message says
        which.

    FileNotFoundError
        If there is no such folder.

    Warns
    -----
    UserWarning
        If the encoder was saved with another version of this package or of scikit-learn, or a language model or SAE
        isn't found.
    """
    folder = Path(folder).expanduser()
    manifest, arrays = _files.read(folder, lambda text: check_fingerprint(parse(text, folder), fingerprint, folder))
    _warn_of_versions(manifest["versions"])
    for name, data in (("X", X), ("Y", Y)):
        if data is not None:
            _check_data(name, data, manifest["data"])
    estimator = decode(manifest["estimator"], arrays)
    if check_models:
        try:
            check_models_again(manifest["models"])
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise SavedEncoderError(str(error)) from error
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
    SavedEncoderError
        If it is damaged, was changed, or its format is another one.

    FileNotFoundError
        If there is no such folder.
    """
    folder = Path(folder).expanduser()
    return check_fingerprint(parse(_files.read_manifest_text(folder), folder), fingerprint, folder)


def _describe_data(name, data):
    if name == "Y":
        n_samples = len(ImageRows(data)) if is_images(data) else len(data)
        return {"sha256": hash_responses(data), "n_samples": n_samples}
    n_samples = data.shape[0] if hasattr(data, "shape") else len(data)
    return {"sha256": hash_data(data), "n_samples": int(n_samples)}


def _check_data(name, data, recorded):
    if name not in recorded:
        raise SavedEncoderError(
            f"The encoder was saved without {name}, so that there is nothing to compare {name} with."
        )
    then, now = recorded[name], _describe_data(name, data)
    if now != then:
        raise SavedEncoderError(
            f"This {name} is not what the encoder was fitted to: it has {now['n_samples']} samples and the hash "
            f"{now['sha256'][:16]}, then it was {then['n_samples']} and {then['sha256'][:16]}."
        )


def _warn_of_versions(then):
    now = versions()
    changed = [
        f"{name} {then.get(name)} (now {now.get(name)})" for name in _DECISIVE if then.get(name) != now.get(name)
    ]
    if changed:
        warnings.warn(
            f"The encoder was saved with {' and '.join(changed)}. Compare its predictions before relying on them.",
            stacklevel=3,
        )
