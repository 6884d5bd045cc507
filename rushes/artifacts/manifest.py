"""The manifest that a task writes last: what it read, how it ran, what it made.

A manifest whose key matches and whose outputs are all intact makes a repeated task return at
once; that is the cache, and what makes redelivery harmless.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from rushes.artifacts import store
from rushes.errors import NotFound, ResultsDiffer

SCHEMA = "rushes.manifest/1"


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One file that a task wrote; its path is relative to the manifest's, so that a workspace can move."""

    role: str
    path: str
    size_bytes: int
    modified_ns: int
    sha256: str

    @classmethod
    def of(cls, path: Path, base: Path, role: str) -> Self:
        """Records a file as it is now."""
        status = path.stat()
        name = os.path.relpath(path.resolve(), base.resolve())
        return cls(role, name, status.st_size, status.st_mtime_ns, store.sha256(path))

    def intact(self, base: Path) -> bool:
        """Tells whether the file is still what was recorded; hashes only when its time changed."""
        path = base / self.path
        try:
            status = path.stat()
        except OSError:
            return False
        if status.st_size != self.size_bytes:
            return False
        return status.st_mtime_ns == self.modified_ns or store.sha256(path) == self.sha256


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a task read, how it ran, what it made.

    Attributes:
        stage: Stage that ran.
        key: Digest of everything that the outputs depend on; see `key_of`.
        engine: Name, version and device, as strings.
        settings: Settings in force, defaults included.
        inputs: Digest of each input, by role.
        outputs: Files written.
        coverage: `done`, `expected` and `unit`.
        facts: Stated facts.
        seconds: Time that the engine took.
        notices: What the user was told.
        videos: Videos found or converted, as plain values.
        project: Project that the delivery became.
    """

    stage: str
    key: str
    engine: dict[str, str]
    settings: dict[str, Any]
    inputs: dict[str, str]
    outputs: list[FileRecord]
    coverage: dict[str, Any]
    facts: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    notices: list[str] = field(default_factory=list)
    videos: list[dict[str, Any]] = field(default_factory=list)
    project: str = ""

    def write(self, path: Path) -> None:
        """Writes the manifest whole; call it after every output is in place."""
        store.write_json(path, {"schema": SCHEMA, **asdict(self)})

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads a manifest.

        Raises:
            NotFound: There is none.
            ResultsDiffer: It is damaged or of another schema.
        """
        value = store.read_json(path, schema=SCHEMA)
        del value["schema"]
        try:
            value["outputs"] = [FileRecord(**record) for record in value["outputs"]]
            return cls(**value)
        except (KeyError, TypeError) as error:
            raise ResultsDiffer(f"{path} is not a complete manifest: {error}.") from error

    @classmethod
    def matching(cls, path: Path, key: str) -> Self | None:
        """Returns the manifest at `path` if it has this key and all its outputs are intact."""
        try:
            manifest = cls.read(path)
        except (NotFound, ResultsDiffer):
            return None
        if manifest.key != key or not all(record.intact(path.parent) for record in manifest.outputs):
            return None
        return manifest


def key_of(
    *, stage: str, engine: Mapping[str, str], settings: Mapping[str, Any], inputs: Mapping[str, str]
) -> str:
    """Returns the digest of everything that a task's outputs depend on."""
    parts = {"stage": stage, "engine": dict(engine), "settings": dict(settings), "inputs": dict(inputs)}
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def digest_of(path: Path, made_by: Sequence[Path] = ()) -> str:
    """Returns the SHA-256 of an input, from the manifest of the task that made it when that still holds.

    Args:
        path: The input.
        made_by: Manifests that may have recorded it; spares hashing gigabytes again.
    """
    target = path.resolve()
    for manifest_path in made_by:
        try:
            manifest = Manifest.read(manifest_path)
        except (NotFound, ResultsDiffer):
            continue
        for record in manifest.outputs:
            if (manifest_path.parent / record.path).resolve() == target and record.intact(
                manifest_path.parent
            ):
                return record.sha256
    return store.sha256(path)
