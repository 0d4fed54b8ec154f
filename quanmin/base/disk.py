"""Writes files that are there, whole, after a power cut, and readable by their owner only."""

from __future__ import annotations

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Have a folder's names on disk: a new file's own sync does not do that."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_on_disk(path: Path, content: bytes) -> None:
    """Write a new file. Raises FileExistsError, and follows no link."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    sync_folder(path.parent)


def replace_on_disk(path: Path, content: bytes) -> None:
    """Write a file over whatever stood there; a reader sees old or new, never a part."""
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    make_on_disk(part, content)
    part.rename(path)
    sync_folder(path.parent)
