"""Member paths: how a name from an archive or folder becomes a path that every system can hold."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath

COMPONENT_BYTES = 240
"""Longest file name that is kept, in UTF-8; file systems allow 255, exports add up to 15 (`_audio.json`)."""

PATH_BYTES = 1024
"""Longest path that is kept, in UTF-8; systems allow 4096 with the workspace's own path before it."""

_JUNK_NAMES = frozenset({".ds_store", "thumbs.db", "desktop.ini", "icon\r"})
_FORBIDDEN = re.compile(r'[<>:"|?*]')
_DRIVE = re.compile(r"[A-Za-z]:(/|$)")
_RESERVED = re.compile(r"(con|prn|aux|nul|com[1-9¹²³]|lpt[1-9¹²³])\s*(\..*)?", re.IGNORECASE)
_LONGEST_SUFFIX_BYTES = 32


def is_junk(name: str) -> bool:
    """Tells whether a file is one that a desktop system leaves behind, by its name as delivered."""
    parts = name.replace("\\", "/").split("/")
    return "__MACOSX" in parts or parts[-1].startswith("._") or parts[-1].lower() in _JUNK_NAMES


def safe_path(name: str) -> PurePosixPath:
    """Returns the relative path at which a member lands, each part valid on Linux, macOS and Windows.

    Both separators separate. Signs that Windows forbids become `_`, reserved names get `safe_` before
    them, and parts of more than `COMPONENT_BYTES` bytes lose the end of their stem.

    Raises:
        ValueError: The name leads somewhere else or cannot have been meant: an absolute path, a drive
            letter, `..`, a control character, nothing at all. The message says which.
    """
    if any(unicodedata.category(sign) == "Cc" for sign in name):
        raise ValueError("its name holds a control character")
    separated = name.replace("\\", "/")
    if separated.startswith("/"):
        raise ValueError("its path is absolute")
    if _DRIVE.match(separated):
        raise ValueError("its path begins with a drive letter")
    parts = [part for part in separated.split("/") if part not in {"", "."}]
    if ".." in parts:
        raise ValueError("its path climbs out with '..'")
    if not parts:
        raise ValueError("its name is empty")
    path = PurePosixPath(*map(_safe_part, parts))
    if len(str(path).encode()) > PATH_BYTES:
        raise ValueError(f"its path is longer than {PATH_BYTES} bytes")
    return path


def _safe_part(part: str) -> str:
    part = _FORBIDDEN.sub("_", unicodedata.normalize("NFC", part)).rstrip(". ").lstrip(" ") or "_"
    if _RESERVED.fullmatch(part):
        part = f"safe_{part}"
    return fit(part, COMPONENT_BYTES)


def is_renamed(name: str, path: PurePosixPath) -> bool:
    """Tells whether a part of a member's name is spelt otherwise in the path at which it has landed."""
    parts = [part for part in unicodedata.normalize("NFC", name).replace("\\", "/").split("/") if part]
    return any(was != now for was, now in zip(reversed(parts), reversed(path.parts), strict=False))


def fit(name: str, limit: int) -> str:
    """Returns a file name shortened to a number of UTF-8 bytes; the end of its stem goes first."""
    if len(name.encode()) <= limit:
        return name
    suffix = PurePosixPath(name).suffix
    if len(suffix.encode()) > _LONGEST_SUFFIX_BYTES:
        suffix = ""
    room = limit - len(suffix.encode())
    stem = name[: len(name) - len(suffix)].encode()[:room].decode(errors="ignore")
    return stem.rstrip(". ") + suffix


def identity(path: PurePosixPath | str) -> str:
    """Returns what two paths share when some file system cannot tell them apart."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", str(path)).casefold())


def distinct(paths: Iterable[PurePosixPath]) -> list[PurePosixPath]:
    """Returns the paths, in order, such that no two are the same on any file system.

    A folder keeps the spelling that came first; a file whose place is taken, by another file or by a
    folder, gets ` (2)`, ` (3)`… before its suffix.
    """
    wanted = list(paths)
    spelling: dict[str, PurePosixPath] = {}
    for path in wanted:
        _spell(path.parent, spelling)
    taken = set(spelling)
    placed = []
    for path in wanted:
        candidate = place = spelling[identity(path.parent)] / path.name
        number = 1
        while identity(candidate) in taken:
            number += 1
            mark = f" ({number})"
            stem = fit(place.stem, COMPONENT_BYTES - len((mark + place.suffix).encode()))
            candidate = place.with_name(f"{stem}{mark}{place.suffix}")
        taken.add(identity(candidate))
        placed.append(candidate)
    return placed


def _spell(folder: PurePosixPath, spelling: dict[str, PurePosixPath]) -> PurePosixPath:
    known = spelling.get(identity(folder))
    if known is None:
        known = folder if folder == folder.parent else _spell(folder.parent, spelling) / folder.name
        spelling[identity(folder)] = known
    return known


def without_single_root(paths: Iterable[PurePosixPath]) -> list[PurePosixPath]:
    """Returns the paths without the one folder that holds them all, if there is one."""
    wanted = list(paths)
    roots = {identity(path.parts[0]) for path in wanted}
    if len(roots) != 1 or any(len(path.parts) == 1 for path in wanted):
        return wanted
    return [PurePosixPath(*path.parts[1:]) for path in wanted]
