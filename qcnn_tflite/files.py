"""Output files appear whole or not at all, and never replace another one unasked.

Files that are being written are locked, by locks that end with their process: so whoever comes next
knows what a killed process has left behind, and removes it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, Any

from .errors import OutputError, OutputExistsError

if sys.platform != "win32":  # leftovers stay there
    import fcntl

# A temporary file is locked right after it was made; younger ones may be about to be.
_YOUNG = 60.0


def check_output(path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Refuse, before any long work, an output that could not be written at its end.

    Raises
    ------
    OutputExistsError
        If `path` exists and `overwrite` is false.
    OutputError
        If `path` is a folder, or its folder does not exist or is read-only.
    """
    path = Path(path)
    if path.is_dir():
        raise OutputError(f"{path} is a folder; give the name of the file to write in it")
    if path.exists() and not overwrite:
        raise OutputExistsError(
            f"{path} exists already; choose another name, or overwrite it with -f "
            "(overwrite=True in Python)"
        )
    folder = path.parent
    if not folder.is_dir():
        raise OutputError(
            f"the folder {folder} of the output {path.name} does not exist; create it first"
        )
    if not os.access(folder, os.W_OK):
        raise OutputError(f"the folder {folder} is read-only; choose another place for {path.name}")
    return path


def write_atomically(path: str | os.PathLike[str], data: bytes, *, overwrite: bool = False) -> Path:
    """Write `data` to `path` through a temporary file in the same folder.

    Raises
    ------
    OutputError
        As `check_output`; also when the disk is full. Nothing is left behind.
    """
    path = check_output(path, overwrite=overwrite)
    _remove_leftovers(path)
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.name}.", suffix=".part", delete=False
        ) as file:
            temporary = file.name
            try_lock(file)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        if overwrite:
            os.replace(temporary, path)
        else:
            # A link fails where a rename would replace a file that appeared in the meantime.
            try:
                os.link(temporary, path)
            except FileExistsError:
                raise OutputExistsError(f"{path} appeared while it was being made") from None
            except OSError:  # a file system without hard links
                os.rename(temporary, path)
                temporary = None
            else:
                os.unlink(temporary)
        temporary = None
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(
            f"{path} could not be written ({error.strerror or error}); free some space or choose "
            "another folder; nothing was left behind"
        ) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
    return path


def try_lock(file: IO[Any], *, wait: bool = False) -> bool:
    """Lock an open file for this process, however that ends.

    Parameters
    ----------
    file : file object
        Closing it gives the lock back.
    wait : bool
        Until the process that has it is done.

    Returns
    -------
    bool
        False if another process has it, or the file system knows no locks.
    """
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


def _remove_leftovers(path: Path) -> None:
    """Temporary files of `path` whose process is gone."""
    if sys.platform == "win32":
        return
    with contextlib.suppress(OSError):
        for part in path.parent.iterdir():
            if not (part.name.startswith(f".{path.name}.") and part.name.endswith(".part")):
                continue
            with contextlib.suppress(OSError), part.open("rb") as file:
                if time.time() - os.fstat(file.fileno()).st_mtime > _YOUNG and try_lock(file):
                    part.unlink()


class ScratchFolder:
    """A temporary folder for large arrays. Those that killed processes left behind are removed first.

    Parameters
    ----------
    prefix : str
        Of its name.

    Attributes
    ----------
    name : str

    Raises
    ------
    OutputError
        If it cannot be made.
    """

    def __init__(self, prefix: str) -> None:
        try:
            if sys.platform != "win32":
                self._remove_leftovers(prefix)
            self._folder = tempfile.TemporaryDirectory(prefix=prefix)
            self.name = self._folder.name
            # The name comes last: a lock of this name that nobody holds is one that nobody will take.
            new = Path(self.name, "lock.new")
            self._lock = new.open("wb")
            try_lock(self._lock)
            if sys.platform != "win32":
                new.rename(self._lock_of(Path(self.name)))
        except OSError as error:
            raise OutputError(
                f"no temporary folder can be made ({error.strerror}); free some space, or set TMPDIR to "
                "another folder"
            ) from error

    def cleanup(self) -> None:
        """Remove it."""
        self._lock.close()
        self._folder.cleanup()

    @staticmethod
    def _lock_of(folder: Path) -> Path:
        return folder / "lock"

    def _remove_leftovers(self, prefix: str) -> None:
        if sys.platform == "win32":  # no locks, no owners
            return
        for folder in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
            with contextlib.suppress(OSError):
                # The folder of temporary files is everybody's: a link may lead anywhere.
                if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                    continue
                with self._lock_of(folder).open("rb") as lock:
                    if try_lock(lock):
                        shutil.rmtree(folder, ignore_errors=True)
