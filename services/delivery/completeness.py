"""What a project still lacks: videos that were not converted, and stages that others of its videos have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rushes.artifacts import read_json
from rushes.errors import ResultsDiffer
from rushes.pipeline import BY_STAGE
from rushes.workspace import Project, VideoFolder

_RECORD = "project.json"
_RECORD_SCHEMA = "rushes.project/1"
_MANIFEST = ".manifest.json"
_ORDER = list(BY_STAGE)


@dataclass(frozen=True, slots=True)
class Gap:
    """A video, and the stages whose results it lacks, in the order of the pipeline."""

    video: str
    stages: Sequence[str]


def gaps(project: Project) -> list[Gap]:
    """Returns the videos of a project's record that lack something, in its order.

    A video lacks `convert` without its file in `docs/`, and any stage that has a manifest for another
    video but none for it.

    Raises:
        NotFound: The project has no record of its delivery.
        ResultsDiffer: The record is damaged.
    """
    record = read_json(project.root / _RECORD, schema=_RECORD_SCHEMA)
    try:
        videos = [str(video["stem"]) for video in record["videos"]]
    except (KeyError, TypeError) as error:
        raise ResultsDiffer(f"{project.root / _RECORD} is not a complete record: {error}.") from error
    folders = {video: project.video(video) for video in videos}
    done = {video: _stages(folder) for video, folder in folders.items()}
    wanted = {stage for stages in done.values() for stage in stages}
    found = []
    for video, folder in folders.items():
        absent = wanted - done[video]
        if not folder.video.is_file():
            absent.add("convert")
        if absent:
            found.append(Gap(video, sorted(absent, key=_rank)))
    return found


def _stages(folder: VideoFolder) -> set[str]:
    return {path.name.removesuffix(_MANIFEST) for path in folder.analysis.glob(f"*{_MANIFEST}")}


def _rank(stage: str) -> tuple[int, str]:
    return (_ORDER.index(stage) if stage in _ORDER else len(_ORDER)), stage
