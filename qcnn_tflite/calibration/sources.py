"""Finds images and labels on disk; decodes nothing."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..archives import check_member
from ..errors import DataError

_SUFFIXES = frozenset(
    (
        ".bmp",
        ".gif",
        ".jfif",
        ".jpe",
        ".jpeg",
        ".jpg",
        ".pgm",
        ".png",
        ".pnm",
        ".ppm",
        ".tif",
        ".tiff",
        ".webp",
    )
)
_INDEX_COLUMNS = ("label", "class", "index", "target")
_FILE_COLUMNS = ("file", "filename", "image", "path", "name")


def images_below(folder: Path) -> list[Path]:
    """Image files of a folder and its subfolders, sorted by path; hidden ones left out.

    Raises
    ------
    DataError
        If there are none.
    """
    files = sorted(
        (p for p in folder.rglob("*") if p.suffix.lower() in _SUFFIXES and p.is_file()),
        key=lambda p: p.relative_to(folder).as_posix(),
    )
    files = [p for p in files if not any(n.startswith(".") for n in p.relative_to(folder).parts)]
    if not files:
        raise DataError(f"{folder} holds no images ({', '.join(sorted(_SUFFIXES))})")
    return files


def class_folders(folder: Path, labels: Sequence[str] | None) -> tuple[list[Path], list[int]]:
    """Images of a folder with a subfolder per class, and their class numbers.

    Parameters
    ----------
    folder : Path
    labels : sequence of str or None
        Class names that subfolders are looked up in; None numbers subfolders in order of their names.

    Raises
    ------
    DataError
    """
    classes = sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not classes:
        raise DataError(
            f"{folder} has neither labels.csv (columns file, label) nor a subfolder per class"
        )
    numbers = {name: i for i, name in enumerate(classes)}
    if labels is not None:
        known = {key: i for i, label in enumerate(labels) for key in (label, label.split(" ")[0])}
        if unknown := [name for name in classes if name not in known]:
            raise DataError(f"{folder / unknown[0]} is named like no class of the model")
        numbers = {name: known[name] for name in classes}
    files, found = [], []
    for name in classes:
        below = images_below(folder / name)
        files += below
        found += [numbers[name]] * len(below)
    return files, found


def read_csv(path: Path) -> tuple[list[Path], list[int]]:
    """Images (relative to the CSV file) and class numbers from its columns ``file`` and ``label``.

    Raises
    ------
    DataError
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file) if row]
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as CSV ({error})") from error
    heads = [cell.strip().lower() for cell in rows[0]] if rows else []
    file_column = next((heads.index(n) for n in _FILE_COLUMNS if n in heads), None)
    label_column = next((heads.index(n) for n in _INDEX_COLUMNS if n in heads), None)
    if file_column is None or label_column is None or len(rows) < 2:
        raise DataError(
            f"{path}: expected a first line 'file,label' and a line per image, got "
            + (repr(",".join(rows[0])) if rows else "an empty file")
        )
    files, numbers = [], []
    for number, row in enumerate(rows[1:], start=2):
        try:
            numbers.append(int(row[label_column]))
            files.append(path.parent / row[file_column])
        except (ValueError, IndexError):
            raise DataError(
                f"{path}, line {number}: expected a file and the number of its class, got {','.join(row)!r}"
            ) from None
    return files, numbers


def array_of(path: Path, name: str) -> NDArray[Any]:
    """The array of an `.npy`, mapped from the file, or that of an `.npz` called `name`.

    Raises
    ------
    DataError
    """
    if not path.exists():
        raise DataError(f"{path}: there is no such file or folder")
    if path.suffix.lower() not in (".npy", ".npz"):
        raise DataError(f"{path}: expected a folder of images, an .npy or an .npz file")
    try:
        if path.suffix.lower() == ".npy":
            return np.load(path, mmap_mode="r", allow_pickle=False)
        with zipfile.ZipFile(path) as packed:
            for member in packed.namelist():
                check_member(packed, member)
        with np.load(path, allow_pickle=False) as archive:
            keys = archive.files
            key = name if name in keys else keys[0] if name == "images" and len(keys) == 1 else None
            if key is None:
                raise DataError(
                    f"{path}: expected an array named {name!r}, it holds {', '.join(keys) or 'none'}"
                )
            return np.asarray(archive[key])
    except DataError:
        raise
    # Damaged files make zipfile and numpy raise nearly anything; so does an .npy that is named .npz.
    except Exception as error:
        raise DataError(
            f"{path} is not an array file ({error}); save it with numpy.save"
        ) from error
