"""Copying files to another disk, verified."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rushes.artifacts import sha256, sync
from rushes.errors import InvalidInput, ResultsDiffer, StorageFull, Unavailable
from services.delivery.inventory import Item

_CHUNK = 4 << 20
_FULL = {errno.ENOSPC, errno.EDQUOT}
_REFUSED = {
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.EINVAL,
    errno.ENAMETOOLONG,
    errno.EILSEQ,
    errno.EFBIG,
}


@contextmanager
def explained(destination: Path) -> Iterator[None]:
    """Turns errors of the file system into words.

    Raises:
        StorageFull: The disk of the destination is full.
        InvalidInput: The destination does not accept the file.
        Unavailable: A disk does not answer as it should.
    """
    try:
        yield
    except OSError as error:
        name = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)
        if error.errno in _FULL:
            raise StorageFull(
                f"The disk of {destination} is full ({name}).", remedy="Free some space there, then retry."
            ) from error
        if error.errno in _REFUSED:
            raise InvalidInput(f"{destination} does not accept the delivery ({name}).") from error
        raise Unavailable(f"Copying to {destination} failed ({name}).") from error


def copy_verified(item: Item, target: Path, on_bytes: Callable[[int], None]) -> str:
    """Copies one file, keeps its time where the disk can, and reads it back.

    Args:
        item: The file.
        target: Where it goes; must not exist.
        on_bytes: Called with the size of each piece copied.

    Returns:
        SHA-256 of the content.

    Raises:
        ResultsDiffer: The copy is not the source, or the source changed meanwhile.
        OSError: A disk refused.
    """
    digest = hashlib.sha256()
    with item.source.open("rb") as source, target.open("xb") as copy:
        while piece := source.read(_CHUNK):
            digest.update(piece)
            copy.write(piece)
            on_bytes(len(piece))
        copy.flush()
        os.fsync(copy.fileno())
    status = item.source.stat()
    if (status.st_size, status.st_mtime_ns) != (item.size_bytes, item.modified_ns):
        raise ResultsDiffer(
            f"{item.path} changed while it was copied.", remedy="Retry once nothing writes to it."
        )
    if sha256(target) != digest.hexdigest():
        raise ResultsDiffer(f"The copy of {item.path} differs from the original.", remedy="Check the disk.")
    try:
        os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS}:
            raise
    return digest.hexdigest()


def sync_folders(root: Path, paths: Sequence[str]) -> None:
    """Waits until the folders of some files, given relative to `root`, are on disk."""
    folders = {root}
    for path in paths:
        folders.update(root / parent for parent in Path(path).parents)
    for folder in sorted(folders):
        sync(folder)
