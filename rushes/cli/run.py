"""`rushes run`: a delivery through every stage, on a private stack or on a running one."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from rushes.api.jobs.v1.jobs_pb2 import Job, JobSpec
from rushes.cli.display import Display
from rushes.cli.options import engine_choices, surroundings
from rushes.cli.report import as_json, exit_code, print_summary
from rushes.client import JOB_ENDED, JobsClient
from rushes.errors import Cancelled, InvalidInput, Unavailable
from rushes.settings import Settings
from rushes.stack import Stack, running


def run(
    delivery: Sequence[Path],
    *,
    workspace: Path | None,
    output: Path | None,
    stages: Sequence[str],
    engines: Sequence[str],
    settings: Sequence[str],
    deliver_incomplete: bool,
    as_json: bool,
) -> int:
    """Runs a delivery and returns the exit code; see `rushes.cli.report.exit_code`.

    Raises:
        InvalidInput: A path does not exist or an option is wrong; nothing has been started then.
    """
    chosen = surroundings(workspace)
    if missing := [str(path) for path in delivery if not path.exists()]:
        raise InvalidInput(f"There is no {', '.join(missing)}.")
    choices = engine_choices(engines, settings, stages)
    if output is not None:
        # One level only: a whole missing path is more likely a drive that is not mounted.
        if not output.parent.is_dir():
            raise InvalidInput(f"There is no folder {output.parent} to hold the results.")
        if output.exists() and not output.is_dir():
            raise InvalidInput(f"{output} is not a folder; --output is the folder that receives the project.")
        output.mkdir(exist_ok=True)
    spec = JobSpec(
        delivery=[str(path.resolve()) for path in delivery],
        stages=stages,
        engines=choices,
        output_dir=str(output.resolve()) if output else "",
        deliver_incomplete=deliver_incomplete,
    )
    try:
        return asyncio.run(_run(spec, chosen, as_json=as_json))
    except asyncio.CancelledError as error:
        raise Cancelled("Stopped on request, before there was a job.") from error


async def _run(spec: JobSpec, chosen: Settings, *, as_json: bool) -> int:
    started = time.monotonic()
    body = asyncio.current_task()
    if body is not None:  # Until there is a job to cancel.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, body.cancel)
    with Display() as display:
        async with _server(chosen, spec, display) as address, JobsClient(address) as client:
            job = await client.create(spec)
            job = await follow(client, job, display, cancels=True)
    finish(job, chosen.workspace, time.monotonic() - started, with_json=as_json)
    return exit_code(job)


@asynccontextmanager
async def _server(chosen: Settings, spec: JobSpec, display: Display) -> AsyncIterator[str]:
    if chosen.jobs_address:
        display.say(f"Using the server at {chosen.jobs_address}.")
        yield chosen.jobs_address
        return
    other = running(chosen.workspace)
    if other is not None and other.owner == "rushes up":
        display.say(f"Using the stack that runs on {chosen.workspace}.")
        yield other.jobs_address
        return
    display.say(f"Workspace: {chosen.workspace.resolve()}")
    display.say("Starting the services…")
    # A stack for one job loads what the job turns out to need, which is nothing when all is cached.
    # It may touch what its user has named, and nothing else.
    named = tuple(map(Path, filter(None, [*spec.delivery, spec.output_dir])))
    private = chosen.model_copy(update={"warm": False, "allowed_roots": (*chosen.allowed_roots, *named)})
    async with Stack(private, "rushes run") as stack:
        body = asyncio.current_task()
        assert body is not None
        gone: list[Unavailable] = []

        def give_up(future: asyncio.Future[None]) -> None:
            error = None if future.cancelled() else future.exception()
            if isinstance(error, Unavailable):
                gone.append(error)
                body.cancel()

        stack.failed.add_done_callback(give_up)
        try:
            await _stop_leftovers(stack.jobs_address, display)
            yield stack.jobs_address
        except asyncio.CancelledError:
            if gone:
                raise gone[0] from None
            raise
        finally:
            stack.failed.remove_done_callback(give_up)


async def _stop_leftovers(address: str, display: Display) -> None:
    # A stack for one job must not spend hours on another that a killed run has left in this workspace.
    async with JobsClient(address) as client:
        async for job in client.list():
            if job.state not in JOB_ENDED:
                display.say(f"Stopping {job.name}, left behind by an earlier run; what it has done is kept.")
                await client.cancel(job.name)


async def follow(client: JobsClient, job: Job, display: Display, *, cancels: bool) -> Job:
    """Shows a job until it has ended and returns it as it was last.

    With `cancels` the first Ctrl-C or SIGTERM cancels the job, and only a second Ctrl-C leaves; otherwise
    the first one leaves, and the job goes on.
    """
    loop = asyncio.get_running_loop()
    viewer = asyncio.current_task()
    assert viewer is not None
    requests: set[asyncio.Task[Job]] = set()
    left = False

    def leave() -> None:
        nonlocal left
        left = True
        viewer.cancel()

    def interrupt() -> None:
        display.say("Stopping the job; press Ctrl-C again to leave at once.")
        loop.remove_signal_handler(signal.SIGINT)
        request = asyncio.create_task(client.cancel(job.name))
        requests.add(request)
        request.add_done_callback(answered)

    def answered(request: asyncio.Task[Job]) -> None:
        if not request.cancelled() and (error := request.exception()) is not None:
            display.say(f"The job could not be cancelled: {error}")

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupt if cancels else leave)
    try:
        async for snapshot in client.watch(job.name):
            display.show(snapshot)
            job = snapshot
    except asyncio.CancelledError:
        if not left:
            raise
        viewer.uncancel()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
    return job


def finish(job: Job, workspace: Path, seconds: float, *, with_json: bool) -> None:
    """Prints the summary, or it on stderr and one JSON object on stdout."""
    print_summary(job, seconds, sys.stderr if with_json else sys.stdout)
    if with_json:
        print(json.dumps(as_json(job, workspace.resolve(), seconds), ensure_ascii=False))
