"""The bus: tasks, events and job records on NATS JetStream.

| what | where |
|---|---|
| tasks | stream `RUSHES_TASKS`, work queue, `rushes.tasks.<service>.<stage>.<job>`, one consumer a service |
| events | stream `RUSHES_EVENTS`, `rushes.events.<job>.<task>`, read by the orchestrator |
| progress | core subject `rushes.progress.<job>.<task>`, not kept: the next one says more |
| advisories | stream `RUSHES_ADVISORIES`: tasks that the bus gave up on |
| job records | key-value bucket `RUSHES_JOBS`: `<job>` and `<job>.<task>` |
| cancels | core subject `rushes.cancel.<job>`, heard by every worker |

Works on server 2.9 (one filter a consumer, no metadata) and on 2.12 (no unknown fields).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext, api
from nats.js.kv import KeyValue
from tenacity import AsyncRetrying, retry_if_exception, stop_after_delay, wait_random_exponential

from rushes.api.events.v1.events_pb2 import Task, TaskEvent
from rushes.errors import InvalidInput, Unavailable
from rushes.pipeline import BY_STAGE, SERVICES
from rushes.settings import Settings

log = logging.getLogger(__name__)

TASKS = "RUSHES_TASKS"
EVENTS = "RUSHES_EVENTS"
ADVISORIES = "RUSHES_ADVISORIES"
JOBS = "RUSHES_JOBS"

_EVENT_ACK_WAIT_S = 10
"""An orchestrator takes milliseconds for an event; its successor must not wait long for what it held."""

_FETCH_S = 2
"""A restarted server has forgotten who was waiting, so nobody waits for long."""

_ADVISORY = "$JS.EVENT.ADVISORY.CONSUMER"
_STREAMS = (
    api.StreamConfig(
        name=TASKS,
        subjects=["rushes.tasks.>"],
        retention=api.RetentionPolicy.WORK_QUEUE,
        storage=api.StorageType.FILE,
        duplicate_window=120,
    ),
    api.StreamConfig(
        name=EVENTS,
        subjects=["rushes.events.>"],
        retention=api.RetentionPolicy.LIMITS,
        storage=api.StorageType.FILE,
        max_age=7 * 24 * 3600,
        duplicate_window=120,
    ),
    api.StreamConfig(
        name=ADVISORIES,
        subjects=[f"{_ADVISORY}.MAX_DELIVERIES.{TASKS}.>", f"{_ADVISORY}.MSG_TERMINATED.{TASKS}.>"],
        retention=api.RetentionPolicy.LIMITS,
        storage=api.StorageType.FILE,
        max_age=7 * 24 * 3600,
    ),
)


class Subscription:
    """A durable pull consumer; what it returns must be acknowledged."""

    def __init__(self, pull: JetStreamContext.PullSubscription, name: str) -> None:
        self._pull = pull
        self._name = name

    async def fetch(self) -> Msg | None:
        """Returns the next message, none after a while or while the server is away."""
        try:
            (message,) = await self._pull.fetch(1, timeout=_FETCH_S)
            return message
        except nats.errors.TimeoutError:
            return None
        except (nats.errors.Error, nats.js.errors.Error) as error:
            log.warning("The bus does not answer %s: %r; trying again.", self._name, error)
            await asyncio.sleep(0.5)
            return None


class Bus:
    """A connection to the bus that reconnects without end."""

    def __init__(self, client: Client, settings: Settings) -> None:
        self.client = client
        self._settings = settings
        self._stream = client.jetstream(timeout=5)

    @classmethod
    async def connect(cls, settings: Settings, name: str, *, patience_s: float = 30) -> Self:
        """Connects and makes sure that the streams exist.

        Raises:
            Unavailable: No server answered within `patience_s`.
        """
        client = Client()

        async def on_disconnect() -> None:
            log.warning("The connection to the bus is lost; reconnecting.")

        async def on_reconnect() -> None:
            log.info("The connection to the bus is back.")

        async def on_error(error: Exception) -> None:
            log.debug("Bus: %r", error)

        try:
            async with asyncio.timeout(patience_s):
                await client.connect(
                    settings.nats_url or "nats://127.0.0.1:4222",
                    name=name,
                    connect_timeout=2,
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=0.25,  # type: ignore[arg-type]  # only ever slept on
                    disconnected_cb=on_disconnect,
                    reconnected_cb=on_reconnect,
                    error_cb=on_error,
                )
        except TimeoutError as error:
            raise Unavailable(
                f"No NATS server answers at {settings.nats_url}.",
                remedy="Start nats-server with -js, or unset RUSHES_NATS_URL.",
            ) from error
        bus = cls(client, settings)
        await bus._ensure(patience_s)
        return bus

    async def _ensure(self, patience_s: float) -> None:
        async for attempt in _retrying(patience_s):
            with attempt:
                for stream in _STREAMS:
                    await self._stream.add_stream(stream)
                for service in SERVICES:
                    await self._stream.add_consumer(
                        TASKS,
                        api.ConsumerConfig(
                            durable_name=f"worker-{service}",
                            ack_policy=api.AckPolicy.EXPLICIT,
                            ack_wait=self._settings.ack_wait_s,
                            max_deliver=self._settings.max_deliveries,
                            filter_subject=f"rushes.tasks.{service}.>",
                            max_ack_pending=100_000,
                        ),
                    )
                await self._stream.create_key_value(
                    api.KeyValueConfig(bucket=JOBS, history=1, storage=api.StorageType.FILE)
                )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connection; what was not acknowledged is delivered again."""
        with suppress(nats.errors.Error):
            await self.client.close()

    async def send_task(self, task: Task) -> None:
        """Puts a task on the queue; the same attempt of the same task is only taken once.

        Raises:
            InvalidInput: It is too large for the bus.
            Unavailable: The server did not take it in time.
        """
        service = BY_STAGE[task.stage].service
        await self._publish(
            f"rushes.tasks.{service}.{task.stage}.{task.job}",
            task.SerializeToString(),
            message_id=f"{task.job}.{task.id}.{task.attempt}",
        )

    async def send_event(self, event: TaskEvent) -> None:
        """Records an event durably.

        Raises:
            InvalidInput: It is too large for the bus.
            Unavailable: The server did not take it in time.
        """
        await self._publish(f"rushes.events.{event.job}.{event.task}", event.SerializeToString())

    async def send_progress(self, event: TaskEvent) -> None:
        """Tells who listens how far a task is; lost while the server is away."""
        with suppress(nats.errors.Error):
            await self.client.publish(f"rushes.progress.{event.job}.{event.task}", event.SerializeToString())

    async def on_progress(self, callback: Callable[[bytes], Awaitable[None]]) -> None:
        """Calls back with each progress event from now on."""

        async def heard(message: Msg) -> None:
            await callback(message.data)

        await self.client.subscribe("rushes.progress.>", cb=heard)

    async def _publish(self, subject: str, payload: bytes, *, message_id: str | None = None) -> None:
        headers = {"Nats-Msg-Id": message_id} if message_id else None
        try:
            async for attempt in _retrying(120):
                with attempt:
                    await self._stream.publish(subject, payload, headers=headers)
        except nats.errors.MaxPayloadError as error:
            raise InvalidInput(
                f"What is to be said on {subject} is too large for the bus ({len(payload) // 1000} kB).",
                remedy="Split the delivery.",
            ) from error
        except (nats.errors.Error, nats.js.errors.Error) as error:
            raise Unavailable(f"The bus did not take a message on {subject}: {error!r}.") from error

    async def tasks(self, service: str) -> Subscription:
        """Returns the queue of a service's tasks."""
        return await self._bound(TASKS, f"worker-{service}")

    async def events(self) -> Subscription:
        """Returns the orchestrator's view of the events."""
        await self._stream.add_consumer(
            EVENTS,
            api.ConsumerConfig(
                durable_name="orchestrator",
                ack_policy=api.AckPolicy.EXPLICIT,
                ack_wait=_EVENT_ACK_WAIT_S,
            ),
        )
        return await self._bound(EVENTS, "orchestrator")

    async def advisories(self) -> Subscription:
        """Returns what the bus gave up on."""
        await self._stream.add_consumer(
            ADVISORIES,
            api.ConsumerConfig(
                durable_name="orchestrator",
                ack_policy=api.AckPolicy.EXPLICIT,
                ack_wait=_EVENT_ACK_WAIT_S,
            ),
        )
        return await self._bound(ADVISORIES, "orchestrator")

    async def _bound(self, stream: str, consumer: str) -> Subscription:
        pull = await self._stream.pull_subscribe_bind(consumer=consumer, stream=stream)
        return Subscription(pull, consumer)

    async def given_up(self, sequence: int) -> Task | None:
        """Returns a task that the bus gave up on; none when it is no longer there."""
        try:
            message = await self._stream.get_msg(TASKS, sequence)
        except nats.js.errors.NotFoundError:
            return None
        return Task.FromString(message.data or b"")

    async def drop(self, sequence: int) -> None:
        """Removes a task that the bus gave up on."""
        with suppress(nats.js.errors.NotFoundError):
            await self._stream.delete_msg(TASKS, sequence)

    async def withdraw(self, job: str) -> None:
        """Tells the workers to stop the running tasks of a job, and removes the queued ones.

        Raises:
            Unavailable: The server did not answer in time.
        """
        try:
            async for attempt in _retrying(120):
                with attempt:
                    await self.client.publish(f"rushes.cancel.{job}")
                    for service in SERVICES:
                        await self._stream.purge_stream(TASKS, subject=f"rushes.tasks.{service}.*.{job}")
        except (nats.errors.Error, nats.js.errors.Error) as error:
            raise Unavailable(f"The tasks of {job} cannot be withdrawn: {error!r}.") from error

    async def on_cancel(self, callback: Callable[[str], Awaitable[None]]) -> None:
        """Calls back with each job that is cancelled from now on."""

        async def heard(message: Msg) -> None:
            await callback(message.subject.rpartition(".")[2])

        await self.client.subscribe("rushes.cancel.*", cb=heard)

    async def records(self) -> KeyValue:
        """Returns the bucket of the job records."""
        return await self._stream.key_value(JOBS)


_PERMANENT = (
    nats.errors.BadSubjectError,
    nats.errors.MaxPayloadError,
    nats.js.errors.BadRequestError,
    nats.js.errors.NotFoundError,
)


def _may_heal(error: BaseException) -> bool:
    known = isinstance(error, nats.errors.Error | nats.js.errors.Error)
    return known and not isinstance(error, _PERMANENT)


def _retrying(patience_s: float) -> AsyncRetrying:
    return AsyncRetrying(
        retry=retry_if_exception(_may_heal),
        wait=wait_random_exponential(multiplier=0.05, max=2),
        stop=stop_after_delay(patience_s),
        reraise=True,
    )
