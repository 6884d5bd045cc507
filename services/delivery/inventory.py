"""The files that a project delivers."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from rushes.artifacts import is_partial
from rushes.errors import InvalidInput
from rushes.workspace import Project


@dataclass(frozen=True, slots=True)
class Item:
    """A file to deliver; `path` is relative to the project, with slashes."""

    path: str
    source: Path
    size_bytes: int
    modified_ns: int


def inventory(project: Project) -> list[Item]:
    """Returns the files under `docs/` and `analysis/`, by path.

    Left out are what another task is writing at this moment and the manifest of the delivery itself.

    Raises:
        InvalidInput: There is none, or one is a link, no plain file, or has a name that is not UTF-8.
    """
    items = []
    for folder in (project.docs, project.analysis):
        for source in _files(folder):
            if is_partial(source.name) or source == project.manifest("finalize"):
                continue
            path = _name(source, project)
            status = source.lstat()
            if not stat.S_ISREG(status.st_mode):
                raise InvalidInput(
                    f"{path!r} of {project.name} is a link or no plain file.", remedy="Remove it."
                )
            items.append(Item(path, source, status.st_size, status.st_mtime_ns))
    if not items:
        raise InvalidInput(f"The project {project.name} holds nothing to deliver.")
    return sorted(items, key=lambda item: item.path)


def _files(folder: Path) -> Iterator[Path]:
    if not folder.exists():
        return
    for root, folders, names in os.walk(folder, onerror=_fail):
        # A linked folder is not walked into; it is named here, so that it does not go missing unseen.
        links = [name for name in folders if (Path(root) / name).is_symlink()]
        yield from (Path(root) / name for name in (*names, *links))


def _name(source: Path, project: Project) -> str:
    path = source.relative_to(project.root).as_posix()
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(
            f"{path!r} of {project.name} has a name that is not UTF-8.", remedy="Rename it."
        ) from error
    return path


def _fail(error: OSError) -> NoReturn:
    raise InvalidInput(f"{error.filename} cannot be read: {error.strerror}.") from error


def fingerprint(items: Sequence[Item]) -> str:
    """Returns a digest that changes with any file's path, size or time; reads no content."""
    rows = [(item.path, item.size_bytes, item.modified_ns) for item in items]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()
