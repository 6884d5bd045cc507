"""Deliveries: what a client hands in, told apart and identified by content."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from pathlib import Path

from rushes.artifacts import sha256
from rushes.errors import ArchiveRejected, InvalidInput
from rushes.workspace import local_path
from services.ingest import archives
from services.ingest.legacy_names import encoding_of
from services.ingest.members import is_junk


class DeliveryKind(Enum):
    """What was handed in."""

    ARCHIVE = "archive"
    FOLDER = "folder"
    VIDEO = "video"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One thing that was handed in."""

    path: Path
    kind: DeliveryKind

    @property
    def name(self) -> str:
        """Its name, as text whatever bytes the file system holds."""
        return readable(self.path.name)

    @property
    def stem(self) -> str:
        """Its name without a file's last suffix; a folder's name may hold dots of its own."""
        whole = self.kind is DeliveryKind.FOLDER
        return self.name if whole else self.name.removesuffix(readable(self.path.suffix))


@dataclass(frozen=True, slots=True)
class FolderFile:
    """A regular file of a delivered folder; `name` is its path below the folder, `path` where it lies."""

    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class FolderListing:
    """What a delivered folder holds.

    Attributes:
        files: Its regular files, sorted by name; links to regular files inside the folder included.
        skipped: Names of what is never followed or copied: links that lead out or to folders, devices.
        junk: Number of files that a desktop system left behind.
    """

    files: Sequence[FolderFile]
    skipped: Sequence[str]
    junk: int


def readable(name: str) -> str:
    """Returns a file name as text; bytes that are not UTF-8 are read in the likeliest code page."""
    raw = os.fsencode(name)
    return raw.decode(encoding_of([raw]), "replace")


def deliveries_of(uris: Sequence[str]) -> list[Delivery]:
    """Returns what paths or file URIs name; relative ones start at the current folder.

    Raises:
        InvalidInput: One is missing, or neither archive, folder nor video; the message names it.
        ArchiveRejected: One is an archive of a kind that cannot be unpacked.
    """
    if not uris:
        raise InvalidInput("Nothing was delivered.", remedy="Name an archive, a folder or videos.")
    return [_delivery(uri) for uri in uris]


def _delivery(uri: str) -> Delivery:
    from rushes.media.probe import is_video_name

    path = Path(os.path.realpath(local_path(uri)))
    if path.is_dir():
        return Delivery(path, DeliveryKind.FOLDER)
    if not path.is_file():
        raise InvalidInput(f"{uri} does not exist, or is neither a file nor a folder.")
    if not os.access(path, os.R_OK):
        raise InvalidInput(f"{path} may not be read.", remedy="Grant access to it, then retry.")
    if path.stat().st_size == 0:
        raise InvalidInput(f"{path.name} is empty (0 bytes).", remedy="Ask for the file again.")
    if archives.kind_of(path):
        return Delivery(path, DeliveryKind.ARCHIVE)
    known = ", ".join(kind.name for kind in archives.KINDS)
    if foreign := archives.foreign_kind(path):
        raise ArchiveRejected(
            f"{path.name} is a {foreign} archive, which rushes does not unpack.",
            remedy=f"Unpack it and deliver the folder, or use: {known}.",
        )
    if not is_video_name(path):
        raise InvalidInput(
            f"{path.name} is neither a video nor an archive that rushes unpacks.",
            remedy=f"Deliver videos, folders, or archives of these kinds: {known}.",
        )
    return Delivery(path, DeliveryKind.VIDEO)


def listing_of(folder: Path) -> FolderListing:
    """Returns what a delivered folder holds, without ever leaving it.

    Raises:
        InvalidInput: One of its folders may not be read.
    """
    files, skipped, junk = [], [], 0
    root = Path(os.path.realpath(folder))
    for path in _walk(root):
        name = "/".join(map(readable, path.relative_to(root).parts))
        target = Path(os.path.realpath(path))
        if is_junk(name):
            junk += 1
        elif target.is_file() and target.is_relative_to(root):
            files.append(FolderFile(name, target))
        else:
            skipped.append(name)
    return FolderListing(sorted(files, key=lambda file: file.name), sorted(skipped), junk)


def _walk(folder: Path) -> Iterator[Path]:
    try:
        found = os.scandir(folder)
    except PermissionError as error:
        raise InvalidInput(f"{folder} may not be read.", remedy="Grant access to it, then retry.") from error
    with found as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(Path(entry.path))
            else:
                yield Path(entry.path)


def digest_of(deliveries: Sequence[Delivery]) -> str:
    """Returns what identifies these deliveries, in this order, wherever they lie.

    An archive or video counts by name and content, a folder by its name and the path, size and time
    of each file: hashing the content of a folder of rushes would take as long as copying it.
    """
    whole = hashlib.sha256()
    for delivery in deliveries:
        status = delivery.path.stat()
        if delivery.kind is DeliveryKind.FOLDER:
            content = _folder_digest(delivery.path)
        else:
            content = _content_digest(delivery.path, status.st_size, status.st_mtime_ns, status.st_ino)
        whole.update(f"{delivery.kind.value}\0{delivery.name}\0{content}\0".encode())
    return whole.hexdigest()


@lru_cache(maxsize=64)
def _content_digest(path: Path, _size: int, _modified_ns: int, _inode: int) -> str:
    # One task asks twice, before it runs and while it does; a file that has changed has another key.
    return sha256(path)


def _folder_digest(folder: Path) -> str:
    content = hashlib.sha256()
    for file in listing_of(folder).files:
        status = file.path.stat()
        content.update(f"{file.name}\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
    return content.hexdigest()
