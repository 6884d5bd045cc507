"""Files that appear whole or not at all."""

from __future__ import annotations

import fcntl
import glob
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from rushes.errors import NotFound, ResultsDiffer

_PARTIAL = re.compile(r"\.[0-9a-f]{8}\w{8}\.partial(\..*)?")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary sibling that becomes `path` on a clean exit, and vanishes otherwise.

    The content is on disk before the name is: write, fsync, rename, fsync of the folder. What a
    killed writer of the same path has left is swept away; a living one holds a lock on its file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{hashlib.sha256(path.name.encode()).hexdigest()[:8]}"
    suffix = f".partial{path.suffix}"
    for stale in path.parent.glob(f"{prefix}????????{glob.escape(suffix)}"):
        _sweep(stale)
    handle, temporary = _locked(path.parent, prefix, suffix)
    try:
        os.fchmod(handle, 0o644)
        yield temporary
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)
        os.close(handle)


def is_partial(name: str) -> bool:
    """Tells whether a file's name is one that `replacing` gives while it writes."""
    return _PARTIAL.fullmatch(name) is not None


def _locked(folder: Path, prefix: str, suffix: str) -> tuple[int, Path]:
    while True:
        handle, name = tempfile.mkstemp(prefix=prefix, suffix=suffix, dir=folder)
        fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:
            return handle, Path(name)
        os.close(handle)  # Swept by another writer of the same path before the lock was ours.


def _sweep(stale: Path) -> None:
    with suppress(FileNotFoundError), stale.open("rb") as file, suppress(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        stale.unlink()


def sync(path: Path) -> None:
    """Waits until a file's content, or a folder's entries, are on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Writes a UTF-8 file whole, line ends as given."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file whole, one top-level key a line, non-ASCII kept."""
    if isinstance(value, dict):
        rows = (f"{json.dumps(key)}: {json.dumps(item, ensure_ascii=False)}" for key, item in value.items())
        text = "{\n" + ",\n".join(rows) + "\n}\n"
    else:
        text = json.dumps(value, ensure_ascii=False) + "\n"
    write_text(path, text)


def read_json(path: Path, *, schema: str) -> dict[str, Any]:
    """Reads a JSON artefact of a known schema.

    Raises:
        NotFound: There is no such file.
        ResultsDiffer: It is not JSON, or of another schema.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise NotFound(f"{path} does not exist.", remedy="Run the stage that writes it first.") from error
    except ValueError as error:
        raise ResultsDiffer(f"{path} is not valid JSON: {error}.") from error
    if not isinstance(value, dict) or value.get("schema") != schema:
        found = value.get("schema") if isinstance(value, dict) else type(value).__name__
        raise ResultsDiffer(f"{path} holds {found!r}, not {schema!r}.")
    return value


def sha256(path: Path) -> str:
    """Returns the SHA-256 of a file's content, lower-case hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
