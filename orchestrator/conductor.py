"""The conductor: takes requests and events, keeps every job's record, sends what is ready."""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from collections.abc import AsyncIterator

from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp

from orchestrator import plan
from orchestrator.run import Run
from orchestrator.store import JobStore
from rushes.api.events.v1.events_pb2 import TaskEvent
from rushes.api.jobs.v1.jobs_pb2 import Job, JobSpec, JobState
from rushes.bus import Bus
from rushes.errors import EngineCrashed, InvalidInput, NotFound, to_failure
from rushes.settings import Settings
from rushes.workspace import Workspace, permit

log = logging.getLogger(__name__)

_WATCH_INTERVAL_S = 0.1


class Conductor:
    """Every job, in memory and in the store; one change at a time."""

    def __init__(self, bus: Bus, store: JobStore, settings: Settings) -> None:
        self._bus = bus
        self._store = store
        self._settings = settings
        self._workspace = Workspace(settings.workspace)
        self._runs: dict[str, Run] = {}
        self._changing = asyncio.Lock()
        self._changed = asyncio.Condition()
        self._abandoning: set[asyncio.Task[None]] = set()

    async def resume(self) -> None:
        """Loads every stored job and goes on with those that have not ended."""
        for job in await self._store.load():
            run = self._runs[job.name] = Run(job)
            if not run.ended:
                log.info("Going on with %s.", job.name)
                if job.state == JobState.JOB_STATE_CANCELLING:
                    await self._withdraw(run)
                await self._advance(run)

    async def create(self, spec: JobSpec, request_id: str) -> Job:
        """Creates a job; the same request_id returns the job that it made.

        Raises:
            InvalidInput: The spec names no delivery or an unknown stage, or request_id is no UUID.
            OutsideWorkspace: It reads from or delivers to a folder that is not allowed.
        """
        try:
            identifier = str(uuid.UUID(request_id)) if request_id else str(uuid.uuid4())
        except ValueError as error:
            raise InvalidInput(f"{request_id!r} is not a UUID.") from error
        if not spec.delivery:
            raise InvalidInput("The job names nothing to work on.")
        for uri in (*spec.delivery, *filter(None, [spec.output_dir])):
            permit(uri, self._workspace, self._settings.allowed_roots)
        async with self._changing:
            name = f"jobs/{identifier}"
            if name not in self._runs:
                job = Job(name=name, state=JobState.JOB_STATE_PENDING, spec=spec)
                job.create_time.GetCurrentTime()
                run = Run(job)
                run.begin()
                self._runs[name] = run
                await self._advance(run)
            return self._runs[name].job

    def get(self, name: str) -> Job:
        """Returns a job.

        Raises:
            NotFound: There is no such job.
        """
        return self._run(name).job

    def jobs(self) -> list[Job]:
        """Returns every job, newest first, without its tasks."""
        listed = []
        for run in reversed(self._runs.values()):
            job = Job()
            job.CopyFrom(run.job)
            del job.tasks[:]
            listed.append(job)
        return listed

    async def watch(self, name: str) -> AsyncIterator[Job]:
        """Yields a job now and after changes, a few times a second at most, until it has ended.

        Raises:
            NotFound: There is no such job.
        """
        run = self._run(name)
        while True:
            revision = run.job.revision
            yield run.job
            if run.ended and run.job.revision == revision:
                return
            async with self._changed:
                await self._changed.wait_for(lambda: run.job.revision != revision)  # noqa: B023 - awaited here
            if not run.ended:
                await asyncio.sleep(_WATCH_INTERVAL_S)

    async def cancel(self, name: str) -> Job:
        """Asks for the end of a job.

        Raises:
            NotFound: There is no such job.
        """
        run = self._run(name)
        async with self._changing:
            if not run.ended:
                run.cancel(_now())
                await self._advance(run)
                await self._withdraw(run)
        return run.job

    async def retry(self, name: str, stages: list[str]) -> Job:
        """Runs again what did not succeed, or the stages named.

        Raises:
            NotFound: There is no such job.
            InvalidInput: It still runs, or nothing is to be run again.
        """
        run = self._run(name)
        async with self._changing:
            run.retry(stages)
            await self._advance(run)
        return run.job

    async def follow_events(self) -> None:
        """Takes in what the workers report, without end."""
        events = await self._bus.events()
        while True:
            for message in await events.fetch(1, timeout_s=30):
                try:
                    event = TaskEvent.FromString(message.data)
                except DecodeError:
                    log.warning("A message that is no event was dropped: %s", message.subject)
                else:
                    await self._take(event)
                await message.ack()

    async def follow_advisories(self) -> None:
        """Ends the tasks that the bus gave up on, without end."""
        advisories = await self._bus.advisories()
        while True:
            for message in await advisories.fetch(1, timeout_s=30):
                if ".MAX_DELIVERIES." in message.subject:
                    await self._give_up(json.loads(message.data))
                await message.ack()

    async def _give_up(self, advisory: dict[str, int]) -> None:
        task = await self._bus.given_up(advisory["stream_seq"])
        if task is None:
            return
        event = TaskEvent(job=task.job, task=task.id, attempt=task.attempt)
        event.time.GetCurrentTime()
        error = EngineCrashed(
            f"{task.stage} of {task.video or 'the project'} was given to workers {advisory['deliveries']} "
            "times and none of them lived to finish it.",
            remedy="Look at the memory of the workers and at their logs, then: rushes jobs retry.",
        )
        event.failed.failure.CopyFrom(to_failure(error))
        event.failed.failure.retryable = False
        await self._take(event)

    async def _take(self, event: TaskEvent) -> None:
        run = self._runs.get(f"jobs/{event.job}")
        if run is None:
            log.warning("An event of the unknown job %s was dropped.", event.job)
            return
        async with self._changing:
            before = run.job.revision
            run.apply(event)
            if run.changed:
                await self._advance(run)
            elif run.job.revision != before:
                await self._tell()

    async def _advance(self, run: Run) -> None:
        run.settle(_now())
        if run.job.project and not run.job.output_dir:
            run.job.output_dir = str(self._workspace.project(run.job.project).root)
        for task in run.ready():
            run.send(task)
            # Sent before it is recorded: a crash in between sends the same attempt again, which the
            # bus drops as a repetition or the worker finds done.
            await self._bus.send_task(plan.message(run.job, task))
        await self._store.save(run.job, run.changed)
        run.changed.clear()
        if run.ended:
            log.info("%s has ended: %s.", run.job.name, JobState.Name(run.job.state))
        await self._tell()

    async def _withdraw(self, run: Run) -> None:
        await self._bus.withdraw(run.id)

        async def abandon() -> None:
            # A worker that lives answers at once, or at its next heartbeat.
            await asyncio.sleep(self._settings.ack_wait_s)
            async with self._changing:
                run.abandon(_now())
                await self._advance(run)

        task = asyncio.create_task(abandon())
        self._abandoning.add(task)
        task.add_done_callback(self._abandoning.discard)

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def _run(self, name: str) -> Run:
        try:
            return self._runs[name]
        except KeyError as error:
            raise NotFound(f"There is no {name!r}.", remedy="See `rushes jobs list`.") from error


def _now() -> Timestamp:
    now = Timestamp()
    now.GetCurrentTime()
    return now
