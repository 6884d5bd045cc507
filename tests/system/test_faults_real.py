"""The real engines on real footage, with every process killed on the way: the artefacts are the same."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from rushes.api.jobs.v1.jobs_pb2 import Job, JobSpec, JobState, TaskState
from rushes.client import JobsClient
from rushes.pipeline import BY_STAGE, SERVICES
from rushes.stack import Stack

StackMaker = Callable[[Path], AbstractAsyncContextManager[tuple[Stack, JobsClient]]]

pytestmark = [pytest.mark.system, pytest.mark.media, pytest.mark.models]


@pytest.fixture
def delivery(media: Callable[[str], Path], ffmpeg: Callable[..., None], tmp_path: Path) -> Path:
    folder = tmp_path / "13 Camille"
    folder.mkdir()
    for name, start in (("scenes_testvideo", "0"), ("speech_face_1", "1")):
        ffmpeg("-ss", start, "-i", media(f"{name}.mp4"), "-t", "6", folder / f"{name}.mov")
    return folder


@pytest.fixture(autouse=True)
def allowed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RUSHES_ALLOWED_ROOTS", str(tmp_path))


async def ended(client: JobsClient, job: Job) -> Job:
    async with asyncio.timeout(200):
        async for snapshot in client.watch(job.name):
            job = snapshot
    return job


async def kill_when_it_works(stack: Stack, client: JobsClient, job: Job, part: str) -> bool:
    """Kills a part as soon as one of its tasks runs; tells whether the job was still running then."""
    async for snapshot in client.watch(job.name):
        busy = {
            BY_STAGE[task.stage].service
            for task in snapshot.tasks
            if task.state == TaskState.TASK_STATE_RUNNING
        }
        if part in busy or (part not in SERVICES and busy):
            os.kill(stack.pids[part], signal.SIGKILL)
            return True
    return False


def artefacts(workspace: Path) -> dict[str, str]:
    """The content of every file of the one project, those apart that state times."""
    (project,) = (workspace / "projects").iterdir()
    return {
        str(path.relative_to(project)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(project.rglob("*"))
        if path.is_file() and not path.name.endswith(".manifest.json") and path.name != "project.json"
    }


async def test_a_job_in_which_everything_dies_once_ends_like_an_undisturbed_one(
    start_stack: StackMaker, delivery: Path, weights: Callable[[str], Path], tmp_path: Path
) -> None:
    weights("mediapipe/face_landmarker.task")
    async with start_stack(tmp_path / "quiet") as (_, client):
        job = await ended(client, await client.create(JobSpec(delivery=[str(delivery)])))
        assert JobState.Name(job.state) == "JOB_STATE_SUCCEEDED"
    async with start_stack(tmp_path / "noisy") as (stack, client):
        job = await client.create(JobSpec(delivery=[str(delivery)]))
        killed = [
            part
            for part in ("ingest", "nats-server", "scenes", "audio", "orchestrator", "tracking", "delivery")
            if await kill_when_it_works(stack, client, job, part)
        ]
        job = await ended(client, job)
    assert JobState.Name(job.state) == "JOB_STATE_SUCCEEDED"
    assert {"ingest", "nats-server", "scenes", "orchestrator", "tracking"} <= set(killed)
    expected, found = artefacts(tmp_path / "quiet"), artefacts(tmp_path / "noisy")
    assert found == expected
    assert {"docs/speech_face_1.mp4", "docs/speech_face_1.json"} <= set(found)
