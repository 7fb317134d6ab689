"""Where data sets lie on disk, and how their files get there unharmed."""

import hashlib
import http.client
import logging
import os
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

DATA_HOME_VARIABLE = "SKLEARN_SAE_ENCODING_DATA"
DEFAULT_DATA_HOME = "~/sklearn_sae_encoding_data"

_CHUNK = 1 << 18
_MOST_BYTES = 64 << 20  # of one file; the largest has 4 MB
_TIMEOUT = 30.0
_REPORT_EVERY = 5.0
_RETRY_DELAYS = (1.0, 3.0)
_HTTP_TOO_MANY_REQUESTS = 429
_HTTP_SERVER_ERROR = 500

_logger = logging.getLogger("sklearn_sae_encoding.datasets")


class RemoteFile(NamedTuple):
    """A file to have: where it lies, where it comes from, and what it must contain."""

    path: Path
    url: str
    sha256: str
    weight: float = 1.0  # expected size relative to the other files, for the remaining time


def get_data_home(data_home=None):
    """Return the folder that holds downloaded data sets.

    The folder is not created here, so that a read-only one can serve.

    Parameters
    ----------
    data_home : str or path-like, default=None
        The folder. ``None`` takes the environment variable ``SKLEARN_SAE_ENCODING_DATA`` and, where that is
        not set, ``~/sklearn_sae_encoding_data``. A leading ``~`` is the user's home.

    Returns
    -------
    data_home : pathlib.Path

    Examples
    --------
    >>> from sklearn_sae_encoding.datasets import get_data_home
    >>> get_data_home("some_folder").name
    'some_folder'
    """
    if data_home is None:
        data_home = os.environ.get(DATA_HOME_VARIABLE) or DEFAULT_DATA_HOME
    return Path(data_home).expanduser()


def sha256_of(path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_sha256(path, expected: str) -> None:
    """Raise an ``OSError`` that says what to do if a file is not the expected one."""
    found = sha256_of(path)
    if found != expected:
        raise OSError(
            f"{path} is not the expected file: its SHA-256 is {found}, expected {expected}. It may be damaged or of "
            "another version. Delete it, so that it is downloaded again, or put the right file in its place."
        )


def ensure_files(files: Sequence[RemoteFile], *, download_if_missing: bool, notice: str) -> None:
    """Verify the files that are there and download the missing ones, or raise ``OSError``."""
    missing = [file for file in files if not file.path.exists()]
    for file in files:
        if file not in missing:
            check_sha256(file.path, file.sha256)
    if missing and not download_if_missing:
        raise OSError(
            f"{_listed(missing)} not there, and download_if_missing=False. Set the environment variable "
            f"{DATA_HOME_VARIABLE} (or data_home=) to the folder that holds the data, or allow the download."
        )
    if missing:
        _download_all(missing, notice)


def _listed(files: Sequence[RemoteFile]) -> str:
    more = f" and {len(files) - 1} more files are" if len(files) > 1 else " is"
    return f"{files[0].path}{more}"


def _download_all(files: Sequence[RemoteFile], notice: str) -> None:
    # At warning level, because that is what Python shows when logging was not set up: nothing should come over the
    # network, or take long, without a word.
    _logger.warning("Downloading %d file(s). %s", len(files), notice)
    start = reported = time.monotonic()
    total, done = sum(file.weight for file in files), 0.0
    for n_done, file in enumerate(files, 1):
        download(file)
        done += file.weight
        now = time.monotonic()
        if now - reported > _REPORT_EVERY:
            left = (now - start) * (total - done) / done
            _logger.warning("Downloaded %d of %d files, about %.0f s to go.", n_done, len(files), left)
            reported = now


def download(file: RemoteFile) -> None:
    """Download one file, check it, and only then give it its name.

    A download that is cut off, fails or gives other content leaves nothing behind but an ``OSError`` with the URL.
    """
    by_hand = f"You can also place the file by hand at {file.path}."
    # Beside its final place, so that the renaming is atomic; a name of its own, so that two processes can fetch.
    part = file.path.with_name(f"{file.path.name}.part_{uuid.uuid4().hex}")
    _create(part, file.url)
    try:
        _retrieve_with_retries(file.url, part)
        found = sha256_of(part)
        if found != file.sha256:
            raise OSError(
                f"{file.url} gave other content than expected: SHA-256 {found}, expected {file.sha256}. "
                f"Nothing was stored. Check the network (a proxy's log-in page?) and try again. {by_hand}"
            )
        os.replace(part, file.path)
    except (URLError, TimeoutError, http.client.HTTPException, ConnectionError) as error:
        raise OSError(f"Downloading {file.url} failed: {error}. Check the network and try again. {by_hand}") from error
    finally:
        part.unlink(missing_ok=True)


def _create(part: Path, url: str) -> None:
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        part.touch(exist_ok=False)
    except OSError as error:
        raise OSError(
            f"Cannot write to {part.parent} ({error.strerror}), where {url} is to be stored. Choose another folder by "
            f"data_home= or the environment variable {DATA_HOME_VARIABLE}."
        ) from error


def _retrieve_with_retries(url: str, destination: Path) -> None:
    for delay in (*_RETRY_DELAYS, None):
        try:
            _retrieve(url, destination)
            return
        except (URLError, TimeoutError, http.client.HTTPException, ConnectionError) as error:
            if delay is None or not _may_pass(error):
                raise
            _logger.warning("%s failed (%s), trying again in %g s.", url, error, delay)
            time.sleep(delay)


def _retrieve(url: str, destination: Path) -> None:
    with urlopen(url, timeout=_TIMEOUT) as response, open(destination, "wb") as file:
        stated = response.headers.get("Content-Length") or ""
        expected = int(stated) if stated.isascii() and stated.isdigit() else None  # else the checksum tells
        while chunk := response.read(_CHUNK):
            if file.tell() + len(chunk) > _MOST_BYTES:
                raise OSError(
                    f"{url} gave more than {_MOST_BYTES >> 20} MiB, which none of the files has. Nothing was stored. "
                    "Check the network (a proxy's page?) and try again."
                )
            file.write(chunk)
        # Reading in chunks does not raise when the connection closes early.
        if expected is not None and file.tell() != expected:
            raise ConnectionError(f"the connection closed after {file.tell()} of {expected} bytes")


def _may_pass(error: Exception) -> bool:
    if isinstance(error, HTTPError):
        return error.code >= _HTTP_SERVER_ERROR or error.code == _HTTP_TOO_MANY_REQUESTS
    return True
