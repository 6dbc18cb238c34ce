"""Output files appear whole or not at all, and never replace another one unasked."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from .errors import OutputError, OutputExistsError


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
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.name}.", suffix=".part", delete=False
        ) as file:
            temporary = file.name
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
