"""Projects in the workspace: the record that each one keeps of its delivery, and how to find it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Self

from rushes.artifacts import read_json, write_json
from rushes.errors import NotFound, ResultsDiffer
from rushes.workspace import Project, Workspace
from services.ingest.members import identity

SCHEMA = "rushes.project/1"
RECORD = "project.json"


@dataclass(frozen=True, slots=True)
class ProjectRecord:
    """What a project keeps of its delivery, in `project.json`.

    Attributes:
        digest: What identifies the delivery.
        delivery: Names of what was delivered.
        created: When the job was created (ISO 8601, UTC), or empty.
        files: Number of files that landed.
        videos: `stem` and `source` of each video.
        facts: Facts stated by the extraction.
        renamed: Delivered name of each file that could not keep it, by its path in the project.
        skipped: Names of what was left out: links that lead out, devices.
    """

    digest: str
    delivery: Sequence[str]
    created: str
    files: int
    videos: Sequence[Mapping[str, str]]
    facts: Mapping[str, str]
    renamed: Mapping[str, str] = field(default_factory=dict)
    skipped: Sequence[str] = ()

    def write(self, root: Path) -> None:
        """Writes the record into a project's folder."""
        write_json(root / RECORD, {"schema": SCHEMA, **asdict(self)})

    @classmethod
    def read(cls, root: Path) -> Self:
        """Reads the record of a project.

        Raises:
            NotFound: There is none.
            ResultsDiffer: It is damaged.
        """
        value = read_json(root / RECORD, schema=SCHEMA)
        del value["schema"]
        try:
            return cls(**value)
        except TypeError as error:
            raise ResultsDiffer(f"{root / RECORD} is not a complete record: {error}.") from error


def find(workspace: Workspace, digest: str) -> Project | None:
    """Returns the project that a delivery has become, or none."""
    for name in _names(workspace):
        project = Project(workspace.projects / name)
        try:
            if ProjectRecord.read(project.root).digest == digest:
                return project
        except (NotFound, ResultsDiffer):
            continue  # Something else lies there; it only keeps its name.
    return None


def place_for(workspace: Workspace, digest: str, name: str) -> Project:
    """Returns the project of a delivery, or where it is to be made: `name`, else `name-2` and so on."""
    if found := find(workspace, digest):
        return found
    taken = set(map(identity, _names(workspace)))
    free = (
        numbered for n in count(1) if identity(numbered := name if n == 1 else f"{name}-{n}") not in taken
    )
    return Project(workspace.projects / next(free))


def _names(workspace: Workspace) -> list[str]:
    if not workspace.projects.is_dir():
        return []
    return sorted(path.name for path in workspace.projects.iterdir() if not path.name.startswith("."))


def iso(created: datetime | None) -> str:
    """Returns a time (UTC) as the record holds it."""
    return created.isoformat() if created else ""
