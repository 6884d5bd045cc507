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

from rushes import settings as process_settings
from rushes.api.jobs.v1.jobs_pb2 import Job, JobSpec
from rushes.cli.options import engine_choices
from rushes.cli.report import Display, as_json, exit_code, print_summary
from rushes.client import JobsClient
from rushes.errors import InvalidInput, Unavailable
from rushes.pipeline import closure
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
    """Runs a delivery and returns the exit code: 0 all succeeded, 1 something failed, 2 bad input.

    Raises:
        InvalidInput: A path does not exist or an option is wrong; nothing has been started then.
    """
    chosen = process_settings.load(workspace=workspace)
    if missing := [str(path) for path in delivery if not path.exists()]:
        raise InvalidInput(f"There is no {', '.join(missing)}.")
    closure(stages)
    if output is not None:
        # One level only: a whole missing path is more likely a drive that is not mounted.
        if not output.parent.is_dir():
            raise InvalidInput(f"There is no {output.parent} to hold the results.")
        output.mkdir(exist_ok=True)
    spec = JobSpec(
        delivery=[str(path.resolve()) for path in delivery],
        stages=stages,
        engines=engine_choices(engines, settings),
        output_dir=str(output.resolve()) if output else "",
        deliver_incomplete=deliver_incomplete,
    )
    return asyncio.run(_run(spec, chosen, as_json=as_json))


async def _run(spec: JobSpec, chosen: Settings, *, as_json: bool) -> int:
    started = time.monotonic()
    with Display() as display:
        async with _server(chosen, spec, display) as address, JobsClient(address) as client:
            job = await client.create(spec)
            job = await follow(client, job, display)
    finish(job, chosen.workspace, time.monotonic() - started, with_json=as_json)
    return exit_code(job)


@asynccontextmanager
async def _server(chosen: Settings, spec: JobSpec, display: Display) -> AsyncIterator[str]:
    if chosen.jobs_address:
        yield chosen.jobs_address
        return
    other = running(chosen.workspace)
    if other is not None and other.owner == "rushes up":
        display.say(f"Using the stack that runs on {chosen.workspace}.")
        yield other.jobs_address
        return
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
            yield stack.jobs_address
        except asyncio.CancelledError:
            if gone:
                raise gone[0] from None
            raise
        finally:
            stack.failed.remove_done_callback(give_up)


async def follow(client: JobsClient, job: Job, display: Display) -> Job:
    """Shows a job until it has ended; the first Ctrl-C cancels it, a second one leaves."""
    loop = asyncio.get_running_loop()
    cancels: set[asyncio.Task[Job]] = set()

    def interrupt() -> None:
        display.say("Stopping the job; press Ctrl-C again to leave at once.")
        loop.remove_signal_handler(signal.SIGINT)
        cancels.add(asyncio.create_task(client.cancel(job.name)))

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupt)
    try:
        async for snapshot in client.watch(job.name):
            display.show(snapshot)
            job = snapshot
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
    return job


def finish(job: Job, workspace: Path, seconds: float, *, with_json: bool) -> None:
    """Prints the summary, or it on stderr and one JSON object on stdout."""
    print_summary(job, seconds, sys.stderr if with_json else sys.stdout)
    if with_json:
        print(json.dumps(as_json(job, workspace.resolve(), seconds), ensure_ascii=False))
