"""Local files of a datalad data set, compared with what git-annex knows of them."""

import glob
import os
from pathlib import Path

import pandas as pd

from sklearn_sae_encoding._annex import annex_key, digest_of, is_fetched


def check_annexed(folder, pattern="**/*", *, hashes=True):
    """Compare the files of a datalad clone with the sizes and checksums that git-annex keeps of them.

    The published data sets of stories come by datalad, whose links name the content: its size and its MD5 or SHA. So
    files are known to be the published ones without a network, and without datalad.

    Parameters
    ----------
    folder : path-like
        The clone, or a folder in it.

    pattern : str, optional
        Which files, all by default; such as ``"derivative/preprocessed_data/UTS03/*.hf5"``. Hidden folders (``.git``,
        ``.datalad``) are left out.

    hashes : bool, default=True
        Whether to read files to compute their checksums (about a gigabyte in two seconds). False compares sizes.

    Returns
    -------
    table : pandas.DataFrame
        A row a file: ``file`` (below `folder`), ``size`` in bytes and ``checksum`` (such as ``"md5"``) as git-annex
        knows them, and ``state``: ``"whole"``, ``"damaged"`` (other size or content), ``"not fetched"``, or
        ``"unknown"``, which no key tells of: small files are in git itself, and files that were unlocked or downloaded
        by hand have no link.

    Raises
    ------
    FileNotFoundError
        If no file fits.

    Examples
    --------
    ::

        table = check_annexed("ds003020", "derivative/preprocessed_data/UTS03/*")
        table[table["state"] != "whole"]
    """
    folder = Path(folder)
    found = sorted(glob.glob(pattern, root_dir=folder, recursive=True))
    found = [name for name in found if os.path.islink(folder / name) or (folder / name).is_file()]
    if not found:
        raise FileNotFoundError(f"{folder} holds no file {pattern!r}.")
    rows = [(name, *_state(folder / name, hashes)) for name in found]
    return pd.DataFrame(rows, columns=["file", "size", "checksum", "state"]).astype({"size": "Int64"})


def _state(path, hashes):
    key = annex_key(path)
    if key is None:
        return None, None, "unknown" if path.exists() else "not fetched"
    told = (key.size, key.algorithm)
    if not is_fetched(path):
        return *told, "not fetched"
    if key.size is not None and path.stat().st_size != key.size:
        return *told, "damaged"
    if not hashes or key.algorithm is None:
        return *told, "whole" if key.size is not None else "unknown"
    return *told, "whole" if digest_of(path, key.algorithm) == key.digest else "damaged"
