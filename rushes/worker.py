"""A worker: runs the tasks of one service, from the bus and from its gRPC door, on the same slots."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import nats.errors
import nats.js.errors
from google.protobuf.message import DecodeError
from nats.aio.msg import Msg
from nats.js.kv import KeyValue
from structlog.contextvars import bound_contextvars

from rushes.api.events.v1.events_pb2 import Task, TaskEvent, TaskStarted
from rushes.api.jobs.v1.jobs_pb2 import Job, JobState
from rushes.bus import Bus
from rushes.concurrency import stopped, together
from rushes.engine_process import EngineProcess
from rushes.errors import Cancelled, EngineCrashed, InvalidInput, RushesError, Unavailable, to_failure
from rushes.metrics import TASK_SECONDS, TASKS
from rushes.pipeline import stages_of
from rushes.settings import Settings

log = logging.getLogger(__name__)

_STOPPED = (JobState.JOB_STATE_CANCELLING, JobState.JOB_STATE_CANCELLED)
_JOB_ID = re.compile(r"[0-9a-f-]{36}")
_TASK_ID = re.compile(r"[a-z]+(-\d+)?")
_RETRY_DELAY_S = 2.0
_RETRY_DELAY_MAX_S = 60.0
_GIVE_BACK_S = 3.0


class Slots:
    """A fixed number of engine processes, lent one task at a time."""

    def __init__(self, service: str, settings: Settings) -> None:
        self._idle: asyncio.Queue[EngineProcess] = asyncio.Queue()
        warm = stages_of(service) if settings.warm else []
        self._all = [
            EngineProcess(settings.workspace, warm, settings.stall_timeout_s) for _ in range(settings.slots)
        ]
        for process in self._all:
            self._idle.put_nowait(process)
        self._changed = asyncio.Event()
        self._changed.set()

    async def start(self) -> None:
        """Starts every process, so that the first task does not wait for it."""
        await asyncio.gather(*(process.start() for process in self._all))

    async def free(self) -> None:
        """Waits until a slot is idle."""
        while self._idle.empty():
            self._changed.clear()
            await self._changed.wait()

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[EngineProcess]:
        """Yields an idle process, once there is one."""
        process = await self._idle.get()
        try:
            yield process
        finally:
            self._idle.put_nowait(process)
            self._changed.set()

    async def close(self) -> None:
        """Kills every process."""
        await asyncio.gather(*(process.kill() for process in self._all))


class Worker:
    """Takes tasks of a service from the bus and reports what becomes of them."""

    def __init__(self, service: str, bus: Bus, slots: Slots, settings: Settings) -> None:
        self.name = f"{socket.gethostname()}:{os.getpid()}"
        self._service = service
        self._bus = bus
        self._slots = slots
        self._settings = settings
        self._running: dict[str, set[asyncio.Task[TaskEvent]]] = {}

    async def run(self) -> None:
        """Works until cancelled; a cancelled task is given back to the bus unfinished."""
        await self._bus.on_cancel(self._stop_job)
        records = await self._bus.records()
        pulls = (self._pull(records) for _ in range(self._settings.slots))
        await together(*pulls, again_s=_GIVE_BACK_S + 1)

    async def _pull(self, records: KeyValue) -> None:
        queue = await self._bus.tasks(self._service)
        while True:
            await self._slots.free()
            message = await queue.fetch()
            if message is None:
                continue
            task = self._accepted(message)
            if task is None:
                log.warning("A message that is no task of this service was dropped: %s", message.subject)
                await _settle(message.term())
                continue
            with bound_contextvars(job=task.job, task=task.id, video=task.video):
                await self._handle(task, message, records)

    def _accepted(self, message: Msg) -> Task | None:
        """Returns the task of a message, none when it is not what the orchestrator sends to this service."""
        try:
            task = Task.FromString(message.data)
        except DecodeError:
            return None
        subject = f"rushes.tasks.{self._service}.{task.stage}.{task.job}"
        sound = (
            message.subject == subject
            and task.stage in stages_of(self._service)
            and _JOB_ID.fullmatch(task.job)
            and _TASK_ID.fullmatch(task.id)
        )
        return task if sound else None

    async def _handle(self, task: Task, message: Msg, records: KeyValue) -> None:
        delivery = message.metadata.num_delivered
        log.info("%s begins (attempt %d, delivery %d).", task.stage, task.attempt, delivery)
        progress: asyncio.Queue[TaskEvent] = asyncio.Queue()
        # Known to `_stop_job` before the record is asked, so that no cancel falls in between.
        work = asyncio.create_task(self._work(task, delivery, records, progress.put_nowait))
        self._running.setdefault(task.job, set()).add(work)
        forward = asyncio.create_task(self._forward(task, delivery, progress))
        heartbeat = asyncio.create_task(self._heartbeat(task, message, records, work))
        try:
            event = await work
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current is not None and current.cancelling():
                await self._give_back(task, message, "the worker shuts down")
                raise
            event = _failed(Cancelled("Stopped on request."))
        except EngineCrashed as error:
            event = _failed(error)
        finally:
            self._running[task.job].discard(work)
            if not self._running[task.job]:
                del self._running[task.job]
            await stopped(heartbeat, forward, work)
        if event.failed.failure.retryable and delivery < self._settings.max_deliveries:
            delay_s = min(_RETRY_DELAY_S * 2 ** (delivery - 1), _RETRY_DELAY_MAX_S)
            await self._give_back(task, message, event.failed.failure.message, delay_s=delay_s)
        else:
            await self._finish(task, message, event)

    async def _work(
        self, task: Task, delivery: int, records: KeyValue, listen: Callable[[TaskEvent], None]
    ) -> TaskEvent:
        if await _stopped(records, task.job):
            return _failed(Cancelled("Stopped on request."))
        await self._report(task, delivery, TaskEvent(started=TaskStarted()))
        async with self._slots.lend() as process:
            return await process.run(task, listen)

    async def _finish(self, task: Task, message: Msg, event: TaskEvent) -> None:
        # The event is durable before the message goes: a crash in between repeats a cached task.
        try:
            await self._report(task, message.metadata.num_delivered, event)
        except InvalidInput as error:  # A result that no message can carry is a failure, and said to be.
            event = _failed(error)
            await self._report(task, message.metadata.num_delivered, event)
        if event.HasField("succeeded"):
            result = event.succeeded.result
            log.info("%s is done%s.", task.stage, " (cached)" if result.cached else "")
            TASKS.labels(task.stage, "cached" if result.cached else "succeeded").inc()
            if not result.cached:
                TASK_SECONDS.labels(task.stage, result.engine.name).observe(
                    result.elapsed.ToNanoseconds() / 1e9
                )
            await _settle(message.ack())
        else:
            log.info("%s has failed: %s", task.stage, event.failed.failure.message)
            TASKS.labels(task.stage, "failed").inc()
            await _settle(message.term())

    async def _give_back(self, task: Task, message: Msg, reason: str, delay_s: float | None = None) -> None:
        log.warning("%s is given back: %s", task.stage, reason)
        TASKS.labels(task.stage, "given_back").inc()
        event = TaskEvent()
        event.released.reason = reason
        with suppress(Unavailable, TimeoutError):  # The bus redelivers after ack_wait anyway.
            async with asyncio.timeout(_GIVE_BACK_S):
                await self._report(task, message.metadata.num_delivered, event)
        await _settle(message.nak(delay=delay_s))

    async def _forward(self, task: Task, delivery: int, events: asyncio.Queue[TaskEvent]) -> None:
        while True:
            event = await events.get()
            if event.HasField("progress"):
                self._sign(task, delivery, event)
                await self._bus.send_progress(event)
            else:
                with suppress(Unavailable):  # A notice comes again with the result.
                    await self._report(task, delivery, event)

    async def _heartbeat(
        self, task: Task, message: Msg, records: KeyValue, work: asyncio.Task[TaskEvent]
    ) -> None:
        while True:
            await asyncio.sleep(self._settings.heartbeat_s)
            await _settle(message.in_progress())
            if await _stopped(records, task.job):  # The cancel itself may have been missed.
                work.cancel()

    async def _report(self, task: Task, delivery: int, event: TaskEvent) -> None:
        self._sign(task, delivery, event)
        await self._bus.send_event(event)

    def _sign(self, task: Task, delivery: int, event: TaskEvent) -> None:
        event.job, event.task, event.attempt, event.worker = task.job, task.id, task.attempt, self.name
        event.delivery_count = delivery
        event.time.GetCurrentTime()

    async def _stop_job(self, job: str) -> None:
        for work in self._running.get(job, set()).copy():
            work.cancel()


def _failed(error: RushesError) -> TaskEvent:
    event = TaskEvent()
    event.failed.failure.CopyFrom(to_failure(error))
    return event


async def _stopped(records: KeyValue, job: str) -> bool:
    try:
        entry = await records.get(job)
    except (nats.errors.Error, nats.js.errors.Error):
        return False  # Unknown or out of reach: the work goes on, and is harmless.
    return Job.FromString(entry.value or b"").state in _STOPPED


async def _settle(acknowledgement: Awaitable[None]) -> None:
    with suppress(nats.errors.Error):  # Lost with the connection: the bus delivers again, and finds it done.
        await acknowledgement
