"""`rushes jobs`: look at the jobs of a running server, stop them, run them again."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from rushes import settings
from rushes.api.jobs.v1.jobs_pb2 import Job, JobState
from rushes.cli.report import Display, as_json, exit_code, print_summary, state_name
from rushes.cli.run import finish, follow
from rushes.client import JobsClient
from rushes.errors import NotFound
from rushes.stack import running


def server(address: str, workspace: Path | None) -> str:
    """Returns the address of the server to ask.

    Raises:
        NotFound: None is given, set or running.
    """
    chosen = settings.load(workspace=workspace)
    if found := address or chosen.jobs_address:
        return found
    if stack := running(chosen.workspace):
        return stack.jobs_address
    raise NotFound(
        f"No server runs on {chosen.workspace}.",
        remedy="Start one with `rushes up`, or name one with --address or RUSHES_JOBS_ADDRESS.",
    )


def show_all(address: str) -> None:
    """Prints every job, newest first."""

    async def collect() -> list[Job]:
        async with JobsClient(address) as client:
            return [job async for job in client.list()]

    table = Table("job", "state", "created", "project", box=None)
    for job in asyncio.run(collect()):
        created = job.create_time.ToDatetime().isoformat(" ", "seconds")
        table.add_row(_short(job), state_name(job.state, JobState), f"{created} UTC", job.project)
    Console(highlight=False).print(table)


def show(address: str, job: str, *, as_json: bool) -> None:
    """Prints one job and its tasks."""
    found = asyncio.run(_ask(address, job))
    if as_json:
        print(json.dumps(_json(found), ensure_ascii=False))
        return
    with Display() as display:
        display.show(found)
    print_summary(found, _seconds(found))


def watch(address: str, job: str, *, as_json: bool) -> int:
    """Follows one job until it ends and returns the exit code of `rushes run`."""
    started = time.monotonic()

    async def go() -> Job:
        async with JobsClient(address) as client:
            with Display() as display:
                return await follow(client, await client.get(_name(job)), display)

    ended = asyncio.run(go())
    finish(ended, settings.load().workspace, time.monotonic() - started, with_json=as_json)
    return exit_code(ended)


def cancel(address: str, job: str) -> None:
    """Stops one job."""

    async def go() -> Job:
        async with JobsClient(address) as client:
            return await client.cancel(_name(job))

    print(f"{_short(asyncio.run(go()))} is being stopped.")


def retry(address: str, job: str, stages: Sequence[str]) -> None:
    """Runs again what did not succeed, or the stages named."""

    async def go() -> Job:
        async with JobsClient(address) as client:
            return await client.retry(_name(job), tuple(stages))

    print(f"{_short(asyncio.run(go()))} runs again.")


async def _ask(address: str, job: str) -> Job:
    async with JobsClient(address) as client:
        return await client.get(_name(job))


def _name(job: str) -> str:
    return job if job.startswith("jobs/") else f"jobs/{job}"


def _short(job: Job) -> str:
    return job.name.removeprefix("jobs/")


def _seconds(job: Job) -> float:
    if not job.HasField("end_time"):
        return time.time() - job.create_time.ToNanoseconds() / 1e9
    return (job.end_time.ToNanoseconds() - job.create_time.ToNanoseconds()) / 1e9


def _json(job: Job) -> dict[str, object]:
    return as_json(job, settings.load().workspace.resolve(), _seconds(job))
