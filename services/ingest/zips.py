"""Zip archives, read with nothing taken on trust."""

from __future__ import annotations

import calendar
import lzma
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rushes.errors import ArchiveRejected
from services.ingest.archives import Member
from services.ingest.legacy_names import encoding_of

_BLOCK = 1 << 20
_ENCRYPTED, _UTF8 = 0x1, 0x800
_UNIX = 3
_DAMAGE = "The archive is damaged; ask for it again."


@dataclass(slots=True)
class ZipArchive:
    """An open zip.

    Attributes:
        path: The file, for messages.
        members: Its files, in its own order.
    """

    path: Path
    file: zipfile.ZipFile
    members: list[Member] = field(init=False)

    def __post_init__(self) -> None:
        infos = self.file.infolist()
        # Without the flag, zipfile has read the bytes as CP437, which loses none of them.
        undeclared = [info.orig_filename.encode("cp437") for info in infos if not info.flag_bits & _UTF8]
        encoding = encoding_of(undeclared)
        self.members = []
        for index, info in enumerate(infos):
            name = info.orig_filename
            if not info.flag_bits & _UTF8:
                name = name.encode("cp437").decode(encoding, "replace")
            kind = stat.S_IFMT(info.external_attr >> 16) if info.create_system == _UNIX else 0
            if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
                word = "a symbolic link" if kind == stat.S_IFLNK else "a device or another special file"
                raise self._rejected(name, f"it is {word}")
            if name.endswith(("/", "\\")) or kind == stat.S_IFDIR:
                continue
            if info.flag_bits & _ENCRYPTED:
                raise self._rejected(
                    name,
                    "it is encrypted",
                    remedy="Ask for an archive without a password, or unpack it first.",
                )
            self.members.append(Member(index, name, info.file_size, _modified(info)))

    def content(self, member: Member) -> Iterator[bytes]:
        """Yields a member's content in blocks; see `Archive.content`."""
        count = 0
        try:
            with self.file.open(self.file.infolist()[member.index]) as stream:
                while block := stream.read(_BLOCK):
                    count += len(block)
                    yield block
        except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, UnicodeDecodeError) as error:
            raise self._rejected(member.name, f"it is damaged ({error})", remedy=_DAMAGE) from error
        except (NotImplementedError, RuntimeError) as error:
            raise self._rejected(
                member.name,
                f"it cannot be unpacked ({error})",
                remedy="Unpack the archive with the program that made it and deliver the folder.",
            ) from error
        except OSError as error:
            if error.errno is not None:  # The disk failed; bzip2's own complaint bears no number.
                raise
            raise self._rejected(member.name, f"it is damaged ({error})", remedy=_DAMAGE) from error
        if count != member.size:
            raise self._rejected(
                member.name,
                f"it holds {count:,} bytes instead of the {member.size:,} declared",
                remedy=_DAMAGE,
            )

    def _rejected(self, name: str, why: str, *, remedy: str = "") -> ArchiveRejected:
        return ArchiveRejected(f"{self.path.name}: {name!r} is refused: {why}.", remedy=remedy)


@contextmanager
def opened(path: Path) -> Iterator[ZipArchive]:
    """Opens a zip.

    Raises:
        ArchiveRejected: Its directory is damaged, or a member is a link, a device or encrypted.
    """
    try:
        file = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError) as error:
        raise ArchiveRejected(
            f"{path.name} is a zip archive whose directory cannot be read: {error}.",
            remedy="It may be incomplete, or one part of several; ask for it again as one file.",
        ) from error
    with file:
        yield ZipArchive(path, file)


def _modified(info: zipfile.ZipInfo) -> float | None:
    # Zip times name no zone; reading them as UTC gives every machine the same result.
    try:
        return float(calendar.timegm((*info.date_time, 0, 0, 0)))
    except ValueError:
        return None
