"""Limits for what is unpacked: an archive of a stranger may hold a thousand times its own size."""

from __future__ import annotations

import io
import zipfile

# Deflate can say 1,032 bytes with one. Weights and photographs shrink to a half at most, label images
# and masks to a fiftieth.
_MOST_RATIO = 200
# Below this any ratio is fine.
_HARMLESS = 1 << 26


def check_member(archive: zipfile.ZipFile, name: str) -> None:
    """Refuse a member that would unpack to far more than the archive holds.

    Parameters
    ----------
    archive : ZipFile
    name : str
        Of the member.

    Raises
    ------
    KeyError
        If there is no such member.
    ValueError
        If it is too large for what is packed.
    """
    info = archive.getinfo(name)
    # What an entry says of itself may be a lie; the file's size is not.
    assert archive.fp is not None
    packed = max(1, min(info.compress_size, archive.fp.seek(0, io.SEEK_END)))
    if info.file_size > _HARMLESS and info.file_size > _MOST_RATIO * packed:
        raise ValueError(
            f"{name} unpacks from {packed:,} to {info.file_size:,} bytes, expected at most "
            f"{_MOST_RATIO} times as much; save it uncompressed if that is right"
        )
