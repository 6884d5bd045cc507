"""Where the exports of a video go, so that nothing that was delivered is ever overwritten."""

from __future__ import annotations

import os
from collections.abc import Mapping
from itertools import count
from pathlib import Path

from rushes.stage import Unit

SUFFIXES = {"scenes_csv": ".csv", "audio_json": "_audio.json", "tracking_json": ".json"}
"""What follows the video's stem, by role."""


def export_paths(unit: Unit) -> Mapping[str, Path]:
    """Returns the place of each export by role.

    In a project it is beside the video in `docs/`. Where the delivery held a file of that name, or
    another video's export has it (`a_audio.mp4` beside `a.mp4`), ours becomes `<name>.rushes<suffix>`.
    Outside a project it is the analysis folder, because the video's own folder is the user's.
    """
    video = unit.require_video()
    if unit.project is None:
        return {role: video.analysis / f"{video.video.stem}{suffix}" for role, suffix in SUFFIXES.items()}
    folder = Path(os.path.realpath(video.video.parent))
    originals = unit.project.originals / folder.relative_to(os.path.realpath(unit.project.docs))
    paths = {}
    for role, suffix in SUFFIXES.items():
        wanted = Path(f"{video.video.stem}{suffix}")
        name = wanted.name
        if role == "audio_json" and _is_video(folder, originals, wanted.stem):
            name = f"{wanted.stem}.rushes{wanted.suffix}"
        for number in count(1):
            if not os.path.lexists(originals / name):
                break
            name = f"{wanted.stem}.rushes{number if number > 1 else ''}{wanted.suffix}"
        paths[role] = folder / name
    return paths


def _is_video(folder: Path, originals: Path, stem: str) -> bool:
    from rushes.media import is_video_name

    if os.path.lexists(folder / f"{stem}.mp4"):
        return True
    if not originals.is_dir():
        return False
    return any(path.stem == stem and is_video_name(path) for path in originals.iterdir())
