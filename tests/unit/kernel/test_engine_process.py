"""Engine processes: warm between tasks, killable with all their children, gone with their worker."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rushes.api.events.v1.events_pb2 import Task, TaskEvent
from rushes.engine_process import EngineProcess
from rushes.errors import EngineCrashed

pytestmark = pytest.mark.usefixtures("probe_stage")


def probe_task(workspace: Path, name: str = "clip", **settings: str) -> Task:
    (workspace / f"{name}.mp4").write_bytes(b"media")
    task = Task(job="j", id="probe", stage="probe", source=f"{name}.mp4", output=name, attempt=1)
    task.engine.settings.update(settings)
    (workspace / name).mkdir(exist_ok=True)
    return task


@pytest.fixture
async def process(tmp_path: Path) -> AsyncIterator[EngineProcess]:
    engine = EngineProcess(tmp_path, ["probe"], stall_timeout_s=20)
    yield engine
    await engine.kill()


def alive(pid: int) -> bool:
    try:
        with Path(f"/proc/{pid}/stat").open() as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def gone(pid: int) -> bool:
    for _ in range(40):
        if not alive(pid):
            return True
        await asyncio.sleep(0.05)
    return False


async def test_the_engine_stays_warm_between_tasks(tmp_path: Path, process: EngineProcess) -> None:
    heard: list[TaskEvent] = []
    for name in ("a", "b"):
        event = await process.run(probe_task(tmp_path, name), heard.append)
        assert event.HasField("succeeded"), event
    first, second = ((tmp_path / name / "probe.txt").read_text() for name in ("a", "b"))
    assert first.split(" in ")[1] == second.split(" in ")[1], "one process"
    assert second.startswith("run 2"), "one engine"
    assert heard[0].progress.phase == "probe"


async def test_a_repeated_task_is_found_done(tmp_path: Path, process: EngineProcess) -> None:
    task = probe_task(tmp_path)
    first = await process.run(task, lambda _: None)
    second = await process.run(task, lambda _: None)
    assert (first.succeeded.result.cached, second.succeeded.result.cached) == (False, True)
    artifact = second.succeeded.result.artifacts[0]
    assert (artifact.role, artifact.path) == ("probe", "clip/probe.txt")


async def test_a_crash_costs_one_task_and_is_named(tmp_path: Path, process: EngineProcess) -> None:
    with pytest.raises(EngineCrashed, match="SIGKILL"):
        await process.run(probe_task(tmp_path, action="crash"), lambda _: None)
    event = await process.run(probe_task(tmp_path, "next"), lambda _: None)
    assert event.HasField("succeeded")


async def test_a_hang_is_ended(tmp_path: Path) -> None:
    process = EngineProcess(tmp_path, ["probe"], stall_timeout_s=5)
    await process.start()
    process._stall_timeout_s = 0.5
    with pytest.raises(EngineCrashed, match="no progress"):
        await process.run(probe_task(tmp_path, action="hang"), lambda _: None)


async def test_a_cancelled_task_takes_its_grandchildren_along(tmp_path: Path, process: EngineProcess) -> None:
    running = asyncio.create_task(process.run(probe_task(tmp_path, action="spawn"), lambda _: None))
    note = tmp_path / "clip" / "child.pid"
    while not (note.exists() and note.read_text()):
        await asyncio.sleep(0.05)
        assert not running.done()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await gone(int(note.read_text()))


async def test_failures_and_defects_are_reported_not_raised(tmp_path: Path, process: EngineProcess) -> None:
    failed = await process.run(probe_task(tmp_path, action="fail"), lambda _: None)
    assert (failed.failed.failure.reason, failed.failed.failure.message) == (
        "MEDIA_UNREADABLE",
        "clip.mp4 is broken.",
    )
    defect = await process.run(probe_task(tmp_path, action="defect"), lambda _: None)
    assert defect.failed.failure.reason == "INTERNAL"
    assert not (tmp_path / "clip" / "probe.manifest.json").exists()
    after = await process.run(probe_task(tmp_path, "next"), lambda _: None)
    assert after.HasField("succeeded"), "a new engine, for the old one may be broken"


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        pytest.param({"colour": "red"}, "SETTINGS_INVALID", id="unknown key"),
        pytest.param({"seconds": "soon"}, "SETTINGS_INVALID", id="bad value"),
    ],
)
async def test_bad_settings_are_refused(
    tmp_path: Path, process: EngineProcess, settings: dict[str, str], reason: str
) -> None:
    event = await process.run(probe_task(tmp_path, **settings), lambda _: None)
    assert event.failed.failure.reason == reason


async def test_a_path_outside_the_workspace_is_refused(tmp_path: Path, process: EngineProcess) -> None:
    task = probe_task(tmp_path)
    task.source = "../../etc/passwd"
    event = await process.run(task, lambda _: None)
    assert event.failed.failure.reason == "OUTSIDE_WORKSPACE"


async def test_what_libraries_print_is_not_taken_for_an_answer(
    tmp_path: Path, process: EngineProcess
) -> None:
    event = await process.run(probe_task(tmp_path, action="print"), lambda _: None)
    assert event.HasField("succeeded")


async def test_the_engine_ends_with_its_worker_whatever_way_that_goes(tmp_path: Path) -> None:
    probe_task(tmp_path, action="spawn")
    worker = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from rushes.api.events.v1.events_pb2 import Task\n"
        "from rushes.engine_process import EngineProcess\n"
        "task = Task(job='j', id='probe', stage='probe', source='clip.mp4', output='clip')\n"
        "task.engine.settings['action'] = 'spawn'\n"
        "process = EngineProcess(Path(sys.argv[1]), ['probe'], 20)\n"
        "asyncio.run(process.run(task, lambda _: None))\n"
    )
    running = await asyncio.create_subprocess_exec(sys.executable, "-c", worker, str(tmp_path))
    note = tmp_path / "clip" / "child.pid"
    while not (note.exists() and note.read_text()):
        await asyncio.sleep(0.05)
        assert running.returncode is None
    running.send_signal(signal.SIGKILL)
    await running.wait()
    assert await gone(int(note.read_text()))


async def test_a_folder_keeps_the_results_of_one_video(tmp_path: Path, process: EngineProcess) -> None:
    await process.run(probe_task(tmp_path), lambda _: None)
    (tmp_path / "clip.mp4").write_bytes(b"other media")
    event = await process.run(probe_task_of(tmp_path), lambda _: None)
    assert event.failed.failure.reason == "INVALID_INPUT"
    assert "another video" in event.failed.failure.message


def probe_task_of(workspace: Path) -> Task:
    return Task(job="j", id="probe", stage="probe", source="clip.mp4", output="clip", attempt=1)
