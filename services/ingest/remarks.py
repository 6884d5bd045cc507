"""What the user is told about a delivery that has landed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from rushes.workspace import Project
from services.ingest.projects import RECORD, ProjectRecord

_SOUND_SUFFIXES = frozenset(
    suffix
    for line in (
        ".wav .bwf .w64 .rf64 .aif .aiff .aifc .caf .flac .mp3 .m4a .aac .ogg .oga .opus",
        ".wma .mka .mp2 .ac3 .eac3 .dts .amr .au .snd",
    )
    for suffix in line.split()
)
_NAMED = 5


def remarks(project: Project, record: ProjectRecord) -> Iterator[str]:
    """Yields what is worth telling about a project, the same whenever it is asked.

    Args:
        project: The project; the names of its originals are read.
        record: Its record.
    """
    if record.renamed:
        yield f"{len(record.renamed)} files were renamed; {RECORD} has their delivered names."
    if record.skipped:
        first = record.skipped[0]
        yield f"{len(record.skipped)} links or special files were left out, for instance {first!r}."
    if sounds := _sounds(project.originals):
        yield f"Sound files are kept but not analysed, only the sound of videos is: {_some(sounds)}."
    kept = [video["stem"] for video in record.videos if video["source"] == f"originals/{video['stem']}"]
    if kept:
        yield f"Videos whose names would be the same without their suffix keep it as part: {_some(kept)}."


def _sounds(folder: Path) -> list[str]:
    return sorted(
        (Path(root) / name).relative_to(folder).as_posix()
        for root, _, names in os.walk(folder)
        for name in names
        if Path(name).suffix.lower() in _SOUND_SUFFIXES
    )


def _some(names: Sequence[str]) -> str:
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")
