"""Kinds of archive, told apart by how the file begins and never by its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Member:
    """One file inside an archive.

    Attributes:
        index: Its place among all entries of the archive, from 0.
        name: Its path as the archive has it, decoded.
        size: Its size in bytes, as the archive declares it.
        modified: Its time in seconds since 1970, or none when the archive has no valid one.
    """

    index: int
    name: str
    size: int
    modified: float | None


class Archive(Protocol):
    """An open archive."""

    @property
    def members(self) -> Sequence[Member]:
        """Its files, in its own order; folders are left out.

        Raises:
            ArchiveRejected: A member is something that is never unpacked: a link, a device, encrypted.
        """

    def content(self, member: Member) -> Iterator[bytes]:
        """Yields a member's content in blocks, `member.size` bytes in all, verified at the end.

        Raises:
            ArchiveRejected: The content is damaged or packed in an unknown way.
        """


@dataclass(frozen=True, kw_only=True)
class ArchiveKind:
    """A kind of archive that can be unpacked.

    Attributes:
        name: What the user calls it.
        beginnings: First bytes of such files, any of them.
        open: Opens a file of this kind.
    """

    name: str
    beginnings: Sequence[bytes]
    open: Callable[[Path], AbstractContextManager[Archive]]


def _open_zip(path: Path) -> AbstractContextManager[Archive]:
    from services.ingest.zips import opened

    return opened(path)


KINDS = (ArchiveKind(name="zip", beginnings=(b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"), open=_open_zip),)
"""Every kind that can be unpacked."""

_OTHERS = {
    b"Rar!\x1a\x07": "RAR",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "Zstandard",
}
_TAR_MARK = slice(257, 262)


def kind_of(path: Path) -> ArchiveKind | None:
    """Returns the kind of an archive by its first bytes, or none."""
    beginning = _beginning(path)
    return next((kind for kind in KINDS if beginning.startswith(tuple(kind.beginnings))), None)


def foreign_kind(path: Path) -> str:
    """Returns the name of a kind of archive that is recognised but cannot be unpacked, or an empty string."""
    beginning = _beginning(path)
    if beginning[_TAR_MARK] == b"ustar":
        return "tar"
    return next((name for mark, name in _OTHERS.items() if beginning.startswith(mark)), "")


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_TAR_MARK.stop)
