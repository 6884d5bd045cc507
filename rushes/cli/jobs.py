"""`rushes jobs`: look at the jobs of a running server, stop them, run them again."""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rushes.api.jobs.v1.jobs_pb2 import Job, JobState
from rushes.cli.display import Display
from rushes.cli.options import surroundings
from rushes.cli.report import STOPPED, exit_code, state_name
from rushes.cli.run import finish, follow
from rushes.client import JOB_ENDED, JobsClient
from rushes.errors import InvalidInput, NotFound
from rushes.stack import running

_PATIENCE_S = 5
"""Whoever asks about a job waits at the screen; a server that starts again is back sooner than that."""


class Server:
    """The server whose jobs are asked for.

    Args:
        address: Where it listens, as host:port; empty for the one that is set or runs on the workspace.
        workspace: Its workspace; none for the one that is set.

    Raises:
        NotFound: None is given, set or running.
    """

    def __init__(self, address: str, workspace: Path | None) -> None:
        chosen = surroundings(workspace)
        self.workspace = chosen.workspace
        self._options = ["--address", address] if address else []
        if workspace is not None:
            self._options += ["--workspace", str(workspace)]
        found = address or chosen.jobs_address
        if not found:
            stack = running(chosen.workspace)
            if stack is None:
                raise NotFound(
                    f"No server runs on {chosen.workspace}.",
                    remedy="Start one with `rushes up`, or name one with --address or RUSHES_JOBS_ADDRESS.",
                )
            found = stack.jobs_address
        self._address = found

    def client(self) -> JobsClient:
        """Returns a client of it."""
        return JobsClient(self._address, patience_s=_PATIENCE_S)

    def command(self, *words: str) -> str:
        """Returns what to type to reach it with another command."""
        return shlex.join(["rushes", "jobs", *words, *self._options])


def show_all(server: Server, *, as_json: bool) -> None:
    """Prints every job, newest first: one line each, or one JSON object."""

    async def collect() -> list[Job]:
        async with server.client() as client:
            return [job async for job in client.list()]

    columns = ("job", "state", "created", "project")
    lines = [
        (
            short(job.name),
            state_name(job.state, JobState),
            f"{job.create_time.ToDatetime().isoformat(timespec='seconds')}Z",
            job.project,
        )
        for job in asyncio.run(collect())
    ]
    if as_json:
        print(
            json.dumps(
                {"jobs": [dict(zip(columns, line, strict=True)) for line in lines]}, ensure_ascii=False
            )
        )
        return
    if sys.stdout.isatty():
        lines.insert(0, columns)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:  # Longer than the screen rather than cut: the identifiers are there to be copied.
        print("  ".join(map(str.ljust, line, widths)).rstrip())


def show(server: Server, job: str, *, as_json: bool) -> None:
    """Prints one job and its tasks."""

    async def go() -> Job:
        async with server.client() as client:
            return await client.get(await _name(client, job))

    found = asyncio.run(go())
    if not as_json:
        with Display() as display:
            display.show(found)
    finish(found, server.workspace, _seconds(found), with_json=as_json)


def watch(server: Server, job: str, *, as_json: bool) -> int:
    """Follows one job until it ends or Ctrl-C, and returns the exit code of `rushes run`."""

    async def go() -> Job:
        async with server.client() as client:
            with Display() as display:
                found = await client.get(await _name(client, job))
                return await follow(client, found, display, cancels=False)

    last = asyncio.run(go())
    finish(last, server.workspace, _seconds(last), with_json=as_json)
    if last.state in JOB_ENDED:
        return exit_code(last)
    print(f"The job goes on; to see it again: {server.command('watch', short(last.name))}", file=sys.stderr)
    return STOPPED


def cancel(server: Server, job: str) -> None:
    """Stops one job and says how it stands."""

    async def go() -> Job:
        async with server.client() as client:
            return await client.cancel(await _name(client, job))

    left = asyncio.run(go())
    if left.state == JobState.JOB_STATE_CANCELLED:
        print(f"{short(left.name)} is cancelled.")
    elif left.state in JOB_ENDED:
        print(f"{short(left.name)} has ended already: {state_name(left.state, JobState)}.")
    else:
        print(f"{short(left.name)} is being stopped.")


def retry(server: Server, job: str, stages: Sequence[str]) -> None:
    """Runs again what did not succeed, or the stages named."""

    async def go() -> Job:
        async with server.client() as client:
            return await client.retry(await _name(client, job), tuple(stages))

    name = short(asyncio.run(go()).name)
    print(f"{name} runs again; follow it with: {server.command('watch', name)}")


async def _name(client: JobsClient, text: str) -> str:
    return match(text, [job.name async for job in client.list()])


def match(text: str, names: Sequence[str]) -> str:
    """Returns the one name that is meant by an identifier or by its beginning.

    Args:
        text: Identifier of a job or what it begins with, with or without `jobs/`.
        names: Resource names of the jobs.

    Raises:
        NotFound: No name begins so.
        InvalidInput: Several do, or there is nothing to go by.
    """
    start = text.removeprefix("jobs/")
    if not start:
        raise InvalidInput("No job is named.", remedy="See `rushes jobs list`.")
    if (exact := f"jobs/{start}") in names:
        return exact
    found = [name for name in names if short(name).startswith(start)]
    if not found:
        raise NotFound(f"There is no job {start}.", remedy="See `rushes jobs list`.")
    if len(found) > 1:
        raise InvalidInput(
            f"{len(found)} jobs begin with {start}.",
            remedy=f"Say more of it: {', '.join(map(short, found))}.",
        )
    return found[0]


def short(name: str) -> str:
    """Returns the identifier in a job's resource name."""
    return name.removeprefix("jobs/")


def _seconds(job: Job) -> float:
    if not job.HasField("end_time"):
        return time.time() - job.create_time.ToNanoseconds() / 1e9
    return (job.end_time.ToNanoseconds() - job.create_time.ToNanoseconds()) / 1e9
