"""Fetches published weights into a cache: checksummed, resumable, whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from ..errors import ModelError
from ..files import try_lock
from ..progress import Progress
from ..sizes import format_bytes
from .sources import Source

_CHUNK = 1 << 18
_TIMEOUT = 30.0
# Times that a broken connection is taken up again without a single byte in between.
_FRUITLESS = 2
# No published file comes near; a server must not fill the disk.
_MAX_FILE = 2 << 30


def cache_folder() -> Path:
    """Where downloads are kept: ``QCNN_TFLITE_CACHE``, else the user's cache (``XDG_CACHE_HOME``)."""
    named = os.environ.get("QCNN_TFLITE_CACHE")
    if named:
        return Path(named).expanduser()
    import platformdirs

    return platformdirs.user_cache_path("qcnn_tflite", appauthor=False)


def fetch(source: Source, *, model: str, progress: bool | None = None) -> Path:
    """The file of a source in the cache, downloaded if it is not there.

    ``QCNN_TFLITE_MIRROR`` names another folder on a server that holds the files under their names.

    Parameters
    ----------
    source : Source
        One with a `url`.
    model : str
        For messages.
    progress : bool, optional
        Show a progress bar on stderr; default: if that is a terminal.

    Returns
    -------
    Path

    Raises
    ------
    ModelError
        If the file cannot be had; the message says which file to put where. What has arrived is kept
        and continued the next time, but for a file with a wrong checksum.
    """
    folder = cache_folder()
    path = folder / source.file
    if path.is_file():
        if not source.matches(_digest(path, source.algorithm)):
            raise ModelError(
                f"{path} is not the published file ({source.digest}); delete it, or give it as the "
                "weights itself (weights=, --weights)"
            )
        return path
    mirror = os.environ.get("QCNN_TFLITE_MIRROR")
    url = f"{mirror.rstrip('/')}/{source.file}" if mirror else source.url
    advice = (
        f"get {source.file} by other means and put it into {folder}, give its path as weights "
        '(--weights), name a mirror in QCNN_TFLITE_MIRROR, or take "random" ones for work on speed'
    )
    part = folder / f"{source.file}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(part):
            if path.is_file():  # another process has just fetched it
                return fetch(source, model=model, progress=progress)
            _download(url, part, f"weights of {model}", progress)
            found = _digest(part, source.algorithm)
            if not source.matches(found):
                part.unlink()
                raise ModelError(
                    f"{url} has the checksum {source.algorithm}:{found}, expected {source.digest}; it "
                    f"was not kept; {advice}"
                )
            os.replace(part, path)
    except urllib.error.HTTPError as error:
        raise ModelError(
            f"{url}: the server answers {error.code} {error.reason}; {advice}"
        ) from error
    except (http.client.HTTPException, OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise ModelError(f"{url} could not be downloaded ({reason}); {advice}") from error
    return path


@contextlib.contextmanager
def _alone(part: Path) -> Iterator[None]:
    """Wait for other processes that download `part`; the lock ends with its process."""
    if os.name == "nt":  # there an open file could not be renamed
        yield
        return
    while True:
        with open(part, "ab") as file:
            try_lock(file, wait=True)
            # Whoever had the lock has renamed or deleted this very file, or left it as it is.
            try:
                mine = os.path.samestat(os.fstat(file.fileno()), part.stat())
            except FileNotFoundError:
                mine = False
            if mine:
                try:
                    yield
                finally:
                    with contextlib.suppress(FileNotFoundError):
                        if part.stat().st_size == 0:  # nothing arrived: nothing to go on from
                            part.unlink()
                return


def _digest(path: Path, algorithm: str) -> str:
    digest = hashlib.new(algorithm)
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _download(url: str, part: Path, what: str, progress: bool | None) -> None:
    """Continue `part` until it is whole; a connection that breaks is taken up again."""
    fruitless = 0
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            _continue(url, part, what, progress)
            return
        except (http.client.IncompleteRead, ConnectionError, TimeoutError):
            arrived = part.stat().st_size if part.exists() else 0
            fruitless = 0 if arrived > before else fruitless + 1
            if fruitless > _FRUITLESS:
                raise


def _continue(url: str, part: Path, what: str, progress: bool | None) -> None:
    with contextlib.ExitStack() as stack:
        have = part.stat().st_size if part.exists() else 0
        request = urllib.request.Request(url, headers={"User-Agent": "qcnn-tflite"})
        if have:
            request.add_header("Range", f"bytes={have}-")
        try:
            answer = stack.enter_context(urllib.request.urlopen(request, timeout=_TIMEOUT))
        except urllib.error.HTTPError as error:
            error.close()
            if error.code != 416:
                raise
            # Nothing behind what is there: it is whole, or not what the server has now.
            return
        if have and answer.status != 206:
            have = 0  # a server that knows no ranges begins anew
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length and length.isdigit() else 0
        if total > _MAX_FILE:
            raise ValueError(f"the server announces {format_bytes(total)}")
        file: IO[bytes] = stack.enter_context(open(part, "ab" if have else "wb"))
        bar = stack.enter_context(Progress(total, "B", progress, scaled=True))
        bar.describe(what)
        bar.advance(have)
        while chunk := answer.read(_CHUNK):
            have += len(chunk)
            if have > _MAX_FILE:
                raise ValueError("the server sends more than 2 GiB")
            file.write(chunk)
            bar.advance(len(chunk))
        if total and have < total:
            raise http.client.IncompleteRead(b"", total - have)
