"""Finished projects at their destination: their manifest, their versions, and whether they are intact."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path

from rushes.artifacts import read_json, sha256, sync
from rushes.errors import NotFound, ResultsDiffer
from services.delivery.completeness import Gap
from services.delivery.inventory import Item

SCHEMA = "rushes.delivery/1"
MANIFEST = "rushes.json"


def versions(output: Path, name: str) -> Iterator[Path]:
    """Yields the folders that a project may be delivered to, in order of preference, without end."""
    yield output / name
    yield from (output / f"{name} v{number}" for number in count(2))


def write_manifest(
    folder: Path, project: str, items: Sequence[Item], hashes: Mapping[str, str], missing: Sequence[Gap]
) -> None:
    """Writes the list of what was delivered.

    Args:
        folder: The delivery, still under its temporary name.
        project: Name of the project.
        items: Files delivered.
        hashes: SHA-256 of each by path.
        missing: What the project lacks.
    """
    files = [
        {"path": item.path, "size_bytes": item.size_bytes, "sha256": hashes[item.path]} for item in items
    ]
    rows = ",\n".join(json.dumps(file, ensure_ascii=False) for file in files)
    head = {"schema": SCHEMA, "project": project, "complete": not missing, "missing": _listed(missing)}
    lines = [f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in head.items()]
    # Not through `replacing`: that sets the file's mode, which a FUSE or NTFS disk may refuse.
    path = folder / MANIFEST
    text = "{" + ",\n".join([*lines, f'"files": [\n{rows}\n]']) + "}\n"
    path.write_text(text, encoding="utf-8", newline="")
    sync(path)


def _listed(missing: Sequence[Gap]) -> list[dict[str, object]]:
    return [{"video": gap.video, "stages": list(gap.stages)} for gap in missing]


def same(
    folder: Path, project: str, items: Sequence[Item], missing: Sequence[Gap], check: Callable[[], None]
) -> bool:
    """Tells whether a folder holds, intact, what the project would deliver.

    Manifests of stages do not count: they also tell how long the work took.

    Args:
        folder: An earlier delivery, or anything else of that name.
        project: Name of the project.
        items: Files to deliver.
        missing: What the project lacks.
        check: Called before each file; may raise to stop.
    """
    try:
        earlier = read_json(folder / MANIFEST, schema=SCHEMA)
        owner, lacked = earlier["project"], earlier["missing"]
        listed = {
            file["path"]: (file["size_bytes"], file["sha256"])
            for file in earlier["files"]
            if not _is_provenance(file["path"])
        }
    except (NotFound, ResultsDiffer, NotADirectoryError, KeyError, TypeError):
        return False  # Not a delivery of ours: another version goes beside it.
    wanted = {item.path: item for item in items if not _is_provenance(item.path)}
    sizes = {path: size for path, (size, _) in listed.items()}
    if (owner, lacked) != (project, _listed(missing)):
        return False
    if sizes != {path: item.size_bytes for path, item in wanted.items()}:
        return False
    for path, (size, digest) in listed.items():
        check()
        place = folder / path
        if not place.is_file() or place.stat().st_size != size:
            return False
        if sha256(wanted[path].source) != digest or sha256(place) != digest:
            return False
    return True


def _is_provenance(path: str) -> bool:
    return path.startswith("analysis/") and path.endswith(".manifest.json")
