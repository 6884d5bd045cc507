"""Any process may be killed at any moment, and the job ends with the same artefacts."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import grpc
import nats
import pytest

from rushes.api.common.v1.common_pb2 import EngineChoice
from rushes.api.events.v1.events_pb2 import Task
from rushes.api.jobs.v1 import jobs_pb2 as pb
from rushes.api.jobs.v1.jobs_pb2 import Job, JobSpec, JobState, TaskState
from rushes.api.jobs.v1.jobs_pb2_grpc import JobServiceStub
from rushes.client import JobsClient
from rushes.errors import InvalidInput, OutsideWorkspace
from rushes.pipeline import BY_STAGE, SERVICES
from rushes.stack import Stack

REQUEST_ID = "7f7f2c52-29a4-4ab6-9ac8-1f5f2f9b2d11"

StackMaker = Callable[[Path], AbstractAsyncContextManager[tuple[Stack, JobsClient]]]

pytestmark = [pytest.mark.system, pytest.mark.usefixtures("noop_stages")]


def slow_spec(videos: int, seconds: float, **settings: str) -> JobSpec:
    engines = {stage: EngineChoice(settings={"seconds": str(seconds), **settings}) for stage in BY_STAGE}
    engines["extract"].settings["videos"] = str(videos)
    return JobSpec(delivery=["anything"], engines=engines)


async def ended(client: JobsClient, job: Job) -> Job:
    async with asyncio.timeout(90):
        async for snapshot in client.watch(job.name):
            job = snapshot
    return job


async def until_runs(client: JobsClient, job: Job, service: str) -> None:
    async with asyncio.timeout(60):
        async for snapshot in client.watch(job.name):
            for task in snapshot.tasks:
                if task.state == TaskState.TASK_STATE_RUNNING and BY_STAGE[task.stage].service == service:
                    return
    pytest.fail(f"{service} never ran")


def artefacts(workspace: Path) -> dict[str, str]:
    """Every artefact by its path in its project; manifests hold times, so only their presence counts."""
    (project,) = (workspace / "projects").iterdir()
    return {
        str(path.relative_to(project)): ""
        if path.name.endswith(".manifest.json")
        else hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(project.rglob("*"))
        if path.is_file()
    }


def kill(stack: Stack, part: str) -> None:
    os.kill(stack.pids[part], signal.SIGKILL)


@pytest.mark.parametrize("part", [*SERVICES, "orchestrator", "nats-server"])
async def test_a_killed_process_costs_time_and_nothing_else(
    part: str, start_stack: StackMaker, tmp_path: Path
) -> None:
    async with start_stack(tmp_path) as (stack, client):
        job = await client.create(slow_spec(videos=2, seconds=0.4))
        await until_runs(client, job, part if part in SERVICES else "tracking")
        killed = stack.pids[part]
        kill(stack, part)
        job = await ended(client, job)
        assert JobState.Name(job.state) == "JOB_STATE_SUCCEEDED"
        assert stack.pids[part] != killed
    expected = {f"analysis/{stage}.txt" for stage in ("extract", "finalize")} | {
        f"analysis/clip {n}/{stage}.txt" for n in range(2) for stage in BY_STAGE if BY_STAGE[stage].per_video
    }
    found = artefacts(tmp_path)
    assert {name for name in found if name.endswith(".txt")} == expected
    assert not [name for name in found if ".partial" in name]


async def test_everything_killed_at_once_is_gone_on_with_by_the_next_stack(
    start_stack: StackMaker, tmp_path: Path
) -> None:
    async with start_stack(tmp_path) as (stack, client):
        job = await client.create(slow_spec(videos=2, seconds=0.4))
        await until_runs(client, job, "scenes")
        for part in stack.pids:
            kill(stack, part)
    async with start_stack(tmp_path) as (_, client):
        job = await ended(client, job)
        assert JobState.Name(job.state) == "JOB_STATE_SUCCEEDED"


async def test_cancel_stops_what_runs_and_what_waits(start_stack: StackMaker, tmp_path: Path) -> None:
    async with start_stack(tmp_path) as (_, client):
        job = await client.create(slow_spec(videos=3, seconds=30))
        job = await client.get(job.name)
        await until_runs(client, job, "ingest")
        await client.cancel(job.name)
        async with asyncio.timeout(10):
            job = await ended(client, job)
        assert JobState.Name(job.state) == "JOB_STATE_CANCELLED"
        assert {task.state for task in job.tasks} == {TaskState.TASK_STATE_CANCELLED}
        # The slot is free again, at once.
        other = await ended(client, await client.create(slow_spec(videos=1, seconds=0)))
        assert JobState.Name(other.state) == "JOB_STATE_SUCCEEDED"


async def test_a_failed_video_is_retried_and_then_delivered(start_stack: StackMaker, tmp_path: Path) -> None:
    async with start_stack(tmp_path) as (_, client):
        spec = slow_spec(videos=2, seconds=0)
        spec.engines["audio"].settings["fail_on"] = "clip 1"
        job = await ended(client, await client.create(spec))
        states = {task.id: TaskState.Name(task.state).removeprefix("TASK_STATE_") for task in job.tasks}
        assert JobState.Name(job.state) == "JOB_STATE_FAILED"
        assert (states["audio-2"], states["export-2"], states["export-1"]) == (
            "FAILED",
            "SKIPPED",
            "SUCCEEDED",
        )
        failure = next(task.failure for task in job.tasks if task.id == "audio-2")
        assert failure.message == "clip 1.mp4 is broken."
        job = await client.retry(job.name)
        job = await ended(client, job)
        assert JobState.Name(job.state) == "JOB_STATE_FAILED", "the cause is still there"
        attempts = {task.id: task.attempt for task in job.tasks}
        assert (attempts["audio-2"], attempts["audio-1"]) == (2, 1)


async def test_what_was_cancelled_or_failed_runs_again_at_once(
    start_stack: StackMaker, tmp_path: Path
) -> None:
    async with start_stack(tmp_path) as (_, client):
        job = await client.create(slow_spec(videos=2, seconds=0.3))
        await until_runs(client, job, "scenes")
        await client.cancel(job.name)
        assert JobState.Name((await ended(client, job)).state) == "JOB_STATE_CANCELLED"
        await client.retry(job.name)
        assert JobState.Name((await ended(client, job)).state) == "JOB_STATE_SUCCEEDED"
        await client.retry(job.name, ("extract",))
        job = await ended(client, job)
        assert JobState.Name(job.state) == "JOB_STATE_SUCCEEDED"
        assert all(task.result.cached for task in job.tasks)


async def test_a_caller_who_goes_away_leaves_no_half_made_job(
    start_stack: StackMaker, tmp_path: Path
) -> None:
    async with start_stack(tmp_path) as (stack, client):
        request = pb.CreateJobRequest(request_id=REQUEST_ID, spec=slow_spec(videos=1, seconds=0))
        async with grpc.aio.insecure_channel(stack.jobs_address) as channel:
            stub = JobServiceStub(channel)
            os.kill(stack.pids["nats-server"], signal.SIGSTOP)
            with pytest.raises(grpc.aio.AioRpcError):
                await stub.CreateJob(request, timeout=0.5)
            os.kill(stack.pids["nats-server"], signal.SIGCONT)
            job = (await stub.CreateJob(request, timeout=10)).job
        assert JobState.Name((await ended(client, job)).state) == "JOB_STATE_SUCCEEDED"


async def test_a_foreign_message_blocks_nobody(start_stack: StackMaker, tmp_path: Path) -> None:
    async with start_stack(tmp_path) as (_, client):
        await ended(client, await client.create(slow_spec(videos=1, seconds=0)))
        note = json.loads((tmp_path / ".rushes" / "stack.json").read_text())
        connection = await nats.connect(note["nats_url"])
        for payload in (b"", b"not a task", Task(job="..", id="a.b", stage="scenes").SerializeToString()):
            await connection.jetstream().publish("rushes.tasks.scenes.scenes.someone", payload)
        await connection.jetstream().publish("rushes.events.someone.else", b"not an event")
        await connection.close()
        async with asyncio.timeout(15):
            job = await ended(client, await client.create(slow_spec(videos=1, seconds=0)))
        assert JobState.Name(job.state) == "JOB_STATE_SUCCEEDED"


async def test_a_job_may_only_ask_for_what_it_runs_and_is_allowed(
    start_stack: StackMaker, tmp_path: Path
) -> None:
    async with start_stack(tmp_path / "workspace") as (_, client):
        for spec in (
            JobSpec(delivery=[str(tmp_path / "private.zip")]),
            JobSpec(delivery=["x.zip"], output_dir="/etc"),
        ):
            with pytest.raises(OutsideWorkspace):
                await client.create(spec)
        with pytest.raises(InvalidInput, match="audio"):
            await client.create(
                JobSpec(delivery=["x.zip"], stages=["scenes"], engines={"audio": EngineChoice(name="noop")})
            )
        sneaky = slow_spec(videos=1, seconds=0)
        sneaky.engines["finalize"].settings["output"] = "/etc"
        job = await ended(client, await client.create(sneaky))
        assert job.tasks[-1].failure.reason == "OUTSIDE_WORKSPACE"


async def test_the_same_request_makes_one_job(start_stack: StackMaker, tmp_path: Path) -> None:
    async with start_stack(tmp_path) as (stack, client):
        async with grpc.aio.insecure_channel(stack.jobs_address) as channel:
            stub = JobServiceStub(channel)
            request = pb.CreateJobRequest(request_id=REQUEST_ID, spec=slow_spec(videos=1, seconds=0))
            first, second = await stub.CreateJob(request), await stub.CreateJob(request)
        assert first.job.name == second.job.name
        assert [job.name async for job in client.list()] == [first.job.name]
