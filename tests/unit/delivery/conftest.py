"""A project with one small video, and ways to fill and run it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from rushes.api.common.v1.common_pb2 import EngineChoice, StageResult
from rushes.api.events.v1.events_pb2 import Task
from rushes.artifacts import Sighting, Speech, TrackHeader, Turn, write_json, write_speech, writing_tracks
from rushes.context import Context
from rushes.execution import Engines, execute
from rushes.stage import Stage, Unit
from rushes.workspace import Project, VideoFolder, Workspace

RATE = Fraction(25)
NAMES = ("_neutral", "jawOpen", "mouthFunnel", "mouthPucker")


class Listener(Context):
    """Remembers what a task said."""

    def __init__(self) -> None:
        self.notices: list[str] = []
        self.phases: list[tuple[str, float, float | None, str]] = []

    def progress(self, phase: str, done: float, total: float | None, unit: str) -> None:
        self.phases.append((phase, done, total, unit))

    def notice(self, message: str) -> None:
        self.notices.append(message)


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def project(workspace: Workspace, write_record: Callable[..., None]) -> Project:
    project = workspace.project("13 Camille")
    for folder in (project.docs, project.analysis, project.originals):
        folder.mkdir(parents=True)
    write_record(project, "clip")
    return project


@pytest.fixture
def write_record() -> Callable[..., None]:
    """Writes a project's record of its delivery, with these videos."""

    def write(project: Project, *stems: str) -> None:
        videos = [{"stem": stem, "source": f"originals/{stem}.mov"} for stem in stems]
        write_json(project.root / "project.json", {"schema": "rushes.project/1", "videos": videos})

    return write


@pytest.fixture(scope="session")
def clip(ffmpeg: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 frames at 25 fps, without sound."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc=size=64x48:rate=25:duration=8", "-pix_fmt", "yuv420p", path)
    return path


@pytest.fixture
def video(project: Project, clip: Path) -> VideoFolder:
    folder = project.video("clip")
    shutil.copy(clip, folder.video)
    folder.analysis.mkdir()
    return folder


@pytest.fixture
def run(workspace: Workspace, project: Project, listener: Listener) -> Callable[..., StageResult]:
    """Runs a stage on the project, or on one of its videos."""

    def start(stage: Stage[Any], video: VideoFolder | None = None, **settings: str) -> StageResult:
        task = Task(job="j", id="t", stage=stage.name, engine=EngineChoice(settings=settings))
        unit = Unit(task=task, workspace=workspace, project=project, video=video)
        return execute(stage, unit, listener, Engines())

    return start


@pytest.fixture
def write_tracks() -> Callable[..., None]:
    """Writes tracks whose mouths have the given openings: one sequence a track, None where unseen.

    An opening of NaN is a face without blendshapes.
    """

    def write(
        path: Path,
        faces: Sequence[Sequence[float | None]],
        *,
        extra: Sequence[Sighting] = (),
        rate: Fraction = RATE,
        frame_count: int = 0,
    ) -> None:
        count = frame_count or max(map(len, faces), default=0)
        with writing_tracks(path) as tracks:
            for frame in range(count):
                for track, openings in enumerate(faces, 1):
                    opening = openings[frame] if frame < len(openings) else None
                    if opening is not None:
                        shapes = None if opening != opening else (0.5, opening, opening / 2, 0.1)
                        tracks.add(
                            Sighting(
                                frame,
                                track,
                                900 - 100 * track,
                                10,
                                50.7,
                                60.9,
                                (925.9 - 100 * track, 40),
                                blendshapes=shapes,
                            )
                        )
                for sighting in extra:
                    if sighting.frame == frame:
                        tracks.add(sighting)
            tracks.finish(TrackHeader(rate, count, 1280, 720, "test", NAMES))

    return write


@pytest.fixture
def say() -> Callable[..., None]:
    """Writes `speech.json` from (start, end, speaker) in seconds."""

    def write(video: VideoFolder, *turns: tuple[float, float, str], has_audio: bool = True) -> None:
        speech = Speech([Turn(*turn) for turn in turns], 8.0 if has_audio else 0.0, has_audio)
        write_speech(video.speech, speech)

    return write
