"""Placing files inside the workspace without a second copy where the file system allows."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rushes.artifacts import sync
from rushes.errors import StorageFull

_FULL = {errno.ENOSPC, errno.EDQUOT}
_NO_LINK = {errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS}
_REMEDY = "Free some space, or move the workspace to a larger disk, then retry."


@contextmanager
def storing(folder: Path) -> Iterator[None]:
    """Turns a full disk or quota into an error that says so.

    Raises:
        StorageFull: The disk or the quota is full.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFull(f"The disk of {folder} is full: {error}.", remedy=_REMEDY) from error
        raise


def require_space(folder: Path, needed: int) -> None:
    """Makes sure that a folder's disk has room for some bytes.

    Raises:
        StorageFull: It has not.
    """
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise StorageFull(
            f"The disk of {folder} has {free:,} bytes free; {needed:,} are needed.", remedy=_REMEDY
        )


def link_or_copy(source: Path, target: Path) -> bool:
    """Gives a file a second name, or copies it with its time where that cannot be; syncs a copy.

    Returns:
        True if no byte was copied.
    """
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
    else:
        return True
    shutil.copy2(source, target)
    sync(target)
    return False
