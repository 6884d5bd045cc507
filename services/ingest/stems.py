"""Stems: the one name of a video within its project, from the path that it was delivered under."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import PurePosixPath

from services.ingest.members import identity


def stems_of(videos: Sequence[PurePosixPath], others: Collection[PurePosixPath] = ()) -> list[str]:
    """Returns the stem of each video: its path without suffix, or with it where two would be the same.

    Args:
        videos: Paths of the videos, no two the same on any file system.
        others: Paths of the other files beside them, whose places `<stem>.mp4` must leave alone.
    """
    taken = {identity(path) for path in others}
    taken |= {identity(folder) for path in (*videos, *others) for folder in path.parents}
    stems = [str(path.with_suffix("")) for path in videos]
    while True:
        count = Counter(map(identity, stems))
        clashing = [
            index
            for index, stem in enumerate(stems)
            if stem != str(videos[index]) and (count[identity(stem)] > 1 or identity(f"{stem}.mp4") in taken)
        ]
        if not clashing:
            return stems
        for index in clashing:
            stems[index] = str(videos[index])
