"""The conductor: takes requests and events, keeps every job's record, sends what is ready."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp

from orchestrator import plan
from orchestrator.run import Run
from orchestrator.store import JobStore
from rushes.api.events.v1.events_pb2 import TaskEvent
from rushes.api.jobs.v1.jobs_pb2 import Job, JobSpec, JobState
from rushes.bus import Bus
from rushes.errors import EngineCrashed, InvalidInput, NotFound, to_failure
from rushes.identifiers import identifier_of
from rushes.pipeline import closure
from rushes.settings import Settings
from rushes.workspace import Workspace, permit

log = logging.getLogger(__name__)

_WATCH_INTERVAL_S = 0.1
_MAX_SPEC_BYTES = 256 * 1024

T = TypeVar("T")


class Conductor:
    """Every job, in memory and in the store; one change at a time.

    A change that cannot be sent or stored to its end leaves memory and store at odds; `lost` then
    ends the process, and its successor goes on from what is stored.
    """

    def __init__(self, bus: Bus, store: JobStore, settings: Settings) -> None:
        self._bus = bus
        self._store = store
        self._settings = settings
        self._workspace = Workspace(settings.workspace)
        self._runs: dict[str, Run] = {}
        self._changing = asyncio.Lock()
        self._changed = asyncio.Condition()
        self._owned: set[asyncio.Task[Any]] = set()
        self._lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def resume(self) -> None:
        """Loads every stored job and goes on with those that have not ended."""
        for job in await self._store.load():
            run = self._runs[job.name] = Run(job)
            if not run.ended:
                log.info("Going on with %s.", job.name)
                async with self._changing:
                    await self._advance(run)
                if job.state == JobState.JOB_STATE_CANCELLING:
                    await self._withdraw(run)

    async def lost(self) -> None:
        """Waits until memory and store are at odds.

        Raises:
            RushesError: What kept a change from being sent or stored.
        """
        await self._lost

    async def create(self, spec: JobSpec, request_id: str) -> Job:
        """Creates a job; the same request_id returns the job that it made.

        Raises:
            InvalidInput: The spec names no delivery or an unknown stage, has settings for a stage
                that it does not run, or is too large; or request_id is no UUID.
            OutsideWorkspace: It reads from or delivers to a folder that is not allowed.
        """
        identifier = identifier_of(request_id)
        if not spec.delivery:
            raise InvalidInput("The job names nothing to work on.")
        if spec.ByteSize() > _MAX_SPEC_BYTES:
            raise InvalidInput(f"The job's description exceeds {_MAX_SPEC_BYTES // 1024} kB.")
        for uri in (*spec.delivery, *filter(None, [spec.output_dir])):
            permit(uri, self._workspace, self._settings.allowed_roots)
        stages = {step.stage for step in closure(spec.stages)}
        if unused := sorted(set(spec.engines) - stages):
            raise InvalidInput(f"Settings are given for {', '.join(unused)}, which the job does not run.")
        return await self._finish(self._create(spec, f"jobs/{identifier}"))

    async def _create(self, spec: JobSpec, name: str) -> Job:
        async with self._changing:
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
        """Returns every job, newest first."""
        return [run.job for run in reversed(self._runs.values())]

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
        """Asks for the end of a job; one that has ended stays as it is.

        Raises:
            NotFound: There is no such job.
        """
        return await self._finish(self._cancel(self._run(name)))

    async def _cancel(self, run: Run) -> Job:
        async with self._changing:
            if run.ended:
                return run.job
            run.cancel(_now())
            await self._advance(run)
            await self._withdraw(run)  # Before anybody can retry: it takes away whatever is queued.
        return run.job

    async def retry(self, name: str, stages: list[str]) -> Job:
        """Runs again what did not succeed, or the stages named.

        Raises:
            NotFound: There is no such job.
            InvalidInput: A stage is unknown, the job still runs, or nothing is to be run again.
        """
        closure(stages)
        return await self._finish(self._retry(self._run(name), stages))

    async def _retry(self, run: Run, stages: list[str]) -> Job:
        async with self._changing:
            run.retry(stages)
            # Stored before anything is sent: a worker drops the tasks of a job that is stored as cancelled.
            await self._save(run)
            await self._advance(run)
        return run.job

    async def follow_events(self) -> None:
        """Takes in what the workers report, without end."""
        await self._bus.on_progress(self._take_bytes)
        events = await self._bus.events()
        while True:
            if message := await events.fetch():
                await self._take_bytes(message.data)
                await message.ack()

    async def follow_advisories(self) -> None:
        """Ends the tasks that the bus gave up on, without end."""
        advisories = await self._bus.advisories()
        while True:
            if message := await advisories.fetch():
                if ".MAX_DELIVERIES." in message.subject:
                    await self._give_up(json.loads(message.data))
                await message.ack()

    async def _give_up(self, advisory: dict[str, int]) -> None:
        task = await self._bus.given_up(advisory["stream_seq"])
        if task is None:
            return
        deliveries = advisory["deliveries"]
        event = TaskEvent(job=task.job, task=task.id, attempt=task.attempt, delivery_count=deliveries)
        event.time.GetCurrentTime()
        error = EngineCrashed(
            f"{task.stage} of {task.video or 'the project'} was begun {deliveries} times and never finished.",
            remedy="Its workers died or were stopped; see their memory and logs, then: rushes jobs retry.",
        )
        event.failed.failure.CopyFrom(to_failure(error))
        await self._take(event)
        await self._bus.drop(advisory["stream_seq"])

    async def _take_bytes(self, data: bytes) -> None:
        try:
            event = TaskEvent.FromString(data)
        except DecodeError:
            log.warning("A message that is no event was dropped.")
        else:
            await self._finish(self._take(event))

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
        try:
            for task in run.ready():
                run.send(task)
                # Sent before it is stored: a crash in between sends the same attempt again, which the
                # bus drops as a repetition or the worker finds done.
                await self._bus.send_task(plan.message(run.job, task))
            await self._save(run)
        except BaseException as error:
            if not self._lost.done():
                self._lost.set_exception(error)
            raise
        if run.ended:
            log.info("%s has ended: %s.", run.job.name, JobState.Name(run.job.state))
        await self._tell()

    async def _save(self, run: Run) -> None:
        await self._store.save(run.job, run.changed)
        run.changed.clear()

    async def _withdraw(self, run: Run) -> None:
        async def abandon() -> None:
            # A worker that lives answers at once, or at its next heartbeat.
            await asyncio.sleep(self._settings.ack_wait_s)
            async with self._changing:
                if run.job.state == JobState.JOB_STATE_CANCELLING:
                    run.abandon(_now())
                    await self._advance(run)

        self._own(abandon())
        await self._bus.withdraw(run.id)

    def _own(self, change: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(change)
        self._owned.add(task)
        task.add_done_callback(self._owned.discard)
        return task

    async def _finish(self, change: Coroutine[Any, Any, T]) -> T:
        """Sees a change through, even when the caller who asked for it goes away."""
        return await asyncio.shield(self._own(change))

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def _run(self, name: str) -> Run:
        try:
            return self._runs[name]
        except KeyError as error:
            raise NotFound(f"There is no {name[:60]!r}.", remedy="See `rushes jobs list`.") from error


def _now() -> Timestamp:
    now = Timestamp()
    now.GetCurrentTime()
    return now
