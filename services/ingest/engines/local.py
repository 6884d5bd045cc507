"""Extraction on this machine: archives unpacked, folders and videos linked or copied."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from rushes.artifacts import sync
from rushes.context import Context
from rushes.errors import ArchiveRejected, InvalidInput
from rushes.media.probe import is_video_name
from services.ingest import archives
from services.ingest.archives import Archive, Member
from services.ingest.deliveries import Delivery, DeliveryKind, listing_of
from services.ingest.engine import Landed, LandedFile
from services.ingest.limits import Limits
from services.ingest.members import distinct, is_junk, is_renamed, safe_path, without_single_root
from services.ingest.storing import link_or_copy, require_space, storing


@dataclass(frozen=True, slots=True)
class _Entry:
    """One file to land: its delivered name, where it goes, its size, the room it takes, how it is written."""

    name: str
    path: PurePosixPath
    size: int
    occupies: int
    write: Callable[[Path, Callable[[int], None]], bool]


class LocalExtractor:
    """Lands deliveries in a folder of this machine."""

    def close(self) -> None:
        """Holds nothing."""

    def land(self, deliveries: Sequence[Delivery], folder: Path, limits: Limits, context: Context) -> Landed:
        """Puts all that was delivered into an empty folder; see `Extractor.land`."""
        entries: list[_Entry] = []
        skipped: list[str] = []
        junk = 0
        with ExitStack() as stack:
            for delivery in deliveries:
                context.check()
                if delivery.kind is DeliveryKind.ARCHIVE:
                    found, dropped = _archive_entries(delivery, limits, stack)
                    junk += dropped
                elif delivery.kind is DeliveryKind.FOLDER:
                    found, dropped, left_out = _folder_entries(delivery, folder)
                    junk += dropped
                    skipped += left_out
                else:
                    found = [_file_entry(delivery.name, delivery.path, folder)]
                if len(deliveries) > 1 and delivery.kind is not DeliveryKind.VIDEO:
                    # Cameras number their clips alike: what came together stays together.
                    found = _below(safe_path(delivery.stem), found)
                entries += found
            paths = distinct(entry.path for entry in entries)
            require_space(folder, sum(entry.occupies for entry in entries))
            with storing(folder):
                linked = _write(entries, paths, folder, context)
        files = [
            LandedFile(path, entry.name, is_renamed(entry.name, path), is_video_name(Path(path)))
            for entry, path in zip(entries, paths, strict=True)
        ]
        return Landed(files, junk, skipped, linked, sum(entry.size for entry in entries))


def _write(entries: Sequence[_Entry], paths: Sequence[PurePosixPath], folder: Path, context: Context) -> int:
    total, done, linked = sum(entry.size for entry in entries), 0, 0

    def advance(count: int) -> None:
        nonlocal done
        context.check()
        done += count
        context.progress("extract", done, total, "bytes")

    for entry, path in zip(entries, paths, strict=True):
        context.check()
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        linked += entry.write(target, advance)
    return linked


def _archive_entries(delivery: Delivery, limits: Limits, stack: ExitStack) -> tuple[list[_Entry], int]:
    kind = archives.kind_of(delivery.path)
    if kind is None:
        raise ArchiveRejected(f"{delivery.name} has changed since it was delivered.")
    archive = stack.enter_context(kind.open(delivery.path))
    problem = limits.problem(
        members=len(archive.members),
        total_bytes=sum(member.size for member in archive.members),
        archive_bytes=delivery.path.stat().st_size,
    )
    if problem:
        raise ArchiveRejected(
            f"{delivery.name} is refused: {problem}.",
            remedy="If it is genuine, raise the limit of the stage.",
        )
    members = [member for member in archive.members if not is_junk(member.name)]
    paths = [_safe(delivery, member.name) for member in members]
    if not any(is_video_name(Path(path)) for path in paths):
        raise ArchiveRejected(
            f"{delivery.name} holds no video.", remedy="Check that it is the right archive."
        )
    entries = [
        _Entry(member.name, path, member.size, member.size, partial(_unpack, archive, member))
        for member, path in zip(members, without_single_root(paths), strict=True)
    ]
    return entries, len(archive.members) - len(members)


def _folder_entries(delivery: Delivery, target: Path) -> tuple[list[_Entry], int, Sequence[str]]:
    if target.is_relative_to(delivery.path):
        raise InvalidInput(
            f"{delivery.path} holds the workspace itself.", remedy="Deliver a folder within it."
        )
    listing = listing_of(delivery.path)
    entries = [
        _file_entry(file.name, file.path, target, _safe(delivery, file.name)) for file in listing.files
    ]
    if not any(is_video_name(Path(entry.path)) for entry in entries):
        what = "holds no video" if entries else "is an empty folder"
        raise InvalidInput(f"{delivery.name} {what}.", remedy="Is it the right folder?")
    return entries, listing.junk, listing.skipped


def _file_entry(name: str, source: Path, target: Path, path: PurePosixPath | None = None) -> _Entry:
    status = source.stat()
    occupies = 0 if status.st_dev == target.stat().st_dev else status.st_size
    return _Entry(name, path or safe_path(name), status.st_size, occupies, partial(_place, source))


def _safe(delivery: Delivery, name: str) -> PurePosixPath:
    try:
        return safe_path(name)
    except ValueError as error:
        raise ArchiveRejected(f"{delivery.name}: {name!r} is refused: {error}.") from error


def _below(folder: PurePosixPath, entries: Sequence[_Entry]) -> list[_Entry]:
    return [
        _Entry(entry.name, folder / entry.path, entry.size, entry.occupies, entry.write) for entry in entries
    ]


def _unpack(archive: Archive, member: Member, target: Path, advance: Callable[[int], None]) -> bool:
    with target.open("xb") as file:
        for block in archive.content(member):
            file.write(block)
            advance(len(block))
        file.flush()
        os.fsync(file.fileno())
    if member.modified is not None:
        os.utime(target, (member.modified, member.modified))
    return False


def _place(source: Path, target: Path, advance: Callable[[int], None]) -> bool:
    linked = link_or_copy(source, target)
    if linked:
        sync(target.parent)
    advance(target.stat().st_size)
    return linked
