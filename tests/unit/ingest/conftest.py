"""What the tests of ingest share: tiny videos, archives made on the spot, and one way to run a task."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from rushes.api.common.v1.common_pb2 import EngineChoice, StageResult
from rushes.api.events.v1.events_pb2 import Task
from rushes.context import Context
from rushes.execution import Engines, execute
from rushes.stage import Unit
from rushes.workspace import Workspace
from services.ingest import convert, extract

CREATED = datetime(2025, 10, 6, 7, 51, 55, tzinfo=UTC)


class Recorder(Context):
    """Keeps what a task tells."""

    def __init__(self) -> None:
        self.notices: list[str] = []
        self.phases: list[tuple[str, float, float | None, str]] = []

    def notice(self, message: str) -> None:
        self.notices.append(message)

    def progress(self, phase: str, done: float, total: float | None, unit: str) -> None:
        self.phases.append((phase, done, total, unit))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def told() -> Recorder:
    return Recorder()


@pytest.fixture
def do_extract(workspace: Workspace, told: Recorder) -> Callable[..., StageResult]:
    """Runs `extract` on deliveries; keywords are settings, `task` and `created` aside."""

    def run(
        *delivery: Path, task: str = "t", created: datetime | None = CREATED, **settings: object
    ) -> StageResult:
        time = None
        if created:
            time = Timestamp()
            time.FromDatetime(created)
        asked = Task(
            job="job",
            id=task,
            stage="extract",
            delivery=map(str, delivery),
            job_create_time=time,
            engine=EngineChoice(settings={key: str(value) for key, value in settings.items()}),
        )
        return execute(extract.STAGE, Unit(task=asked, workspace=workspace), told, Engines())

    return run


@pytest.fixture
def do_convert(workspace: Workspace, told: Recorder) -> Callable[..., StageResult]:
    """Runs `convert` on `originals/<name>` of the project `p`; keywords are settings."""

    def run(name: str, **settings: object) -> StageResult:
        project = workspace.project("p")
        stem = Path(name).stem
        asked = Task(
            job="job",
            id=stem,
            stage="convert",
            project="p",
            video=stem,
            source=f"originals/{name}",
            engine=EngineChoice(settings={key: str(value) for key, value in settings.items()}),
        )
        unit = Unit(task=asked, workspace=workspace, project=project, video=project.video(stem))
        return execute(convert.STAGE, unit, told, Engines())

    return run


@pytest.fixture
def originals(workspace: Workspace) -> Path:
    """Folder of the delivered files of the project `p`."""
    folder = workspace.project("p").originals
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def make_zip(tmp_path: Path) -> Callable[..., Path]:
    """Makes a zip with these members, given as name and content."""

    def make(name: str, members: Mapping[str, bytes | str]) -> Path:
        path = tmp_path / "in" / name
        path.parent.mkdir(exist_ok=True)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            for member, content in members.items():
                file.writestr(member, content)
        return path

    return make


@pytest.fixture
def tree() -> Callable[[Path], dict[str, bytes]]:
    """Returns every file below a folder, by its path."""
    return lambda folder: {
        str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }
