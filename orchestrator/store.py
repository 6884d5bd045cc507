"""Where jobs survive a restart: one record a job and one a task in the key-value store."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

import nats.errors
import nats.js.errors
from nats.js.kv import KeyValue

from orchestrator.run import without_tasks
from rushes.api.jobs.v1.jobs_pb2 import Job, TaskStatus
from rushes.errors import ResultsDiffer, Unavailable

log = logging.getLogger(__name__)

_ATTEMPTS = 60


class JobStore:
    """Writes are fenced by the store's revisions: whoever has been overtaken finds out and stops."""

    def __init__(self, records: KeyValue) -> None:
        self._records = records
        self._revisions: dict[str, int] = {}

    async def load(self) -> list[Job]:
        """Returns every stored job, by creation."""
        try:
            keys = await self._records.keys()
        except nats.js.errors.NoKeysError:
            return []
        values: dict[str, bytes] = {}
        for key in keys:
            entry = await self._records.get(key)
            values[key] = entry.value or b""
            self._revisions[key] = entry.revision or 0
        jobs = []
        for key in keys:
            if "." not in key:
                job = Job.FromString(values[key])
                for task in job.tasks:
                    task.CopyFrom(TaskStatus.FromString(values[f"{key}.{task.id}"]))
                jobs.append(job)
        return sorted(jobs, key=lambda job: job.create_time.ToNanoseconds())

    async def save(self, job: Job, changed: Iterable[str]) -> None:
        """Stores the tasks that changed, then the job itself, which lists them.

        Raises:
            ResultsDiffer: Somebody else has written them in the meantime.
            Unavailable: The store does not answer.
        """
        identifier = job.name.removeprefix("jobs/")
        wanted = set(changed)
        for task in job.tasks:
            if task.id in wanted:
                await self._put(f"{identifier}.{task.id}", task.SerializeToString(deterministic=True))
        header = without_tasks(job)
        header.tasks.extend(TaskStatus(id=task.id) for task in job.tasks)
        await self._put(identifier, header.SerializeToString(deterministic=True))

    async def _put(self, key: str, value: bytes) -> None:
        for _ in range(_ATTEMPTS):
            try:
                self._revisions[key] = await self._records.update(key, value, self._revisions.get(key, 0))
                return
            except nats.js.errors.KeyWrongLastSequenceError as error:
                entry = await self._records.get(key)
                if entry.value != value:
                    raise ResultsDiffer(f"The record {key} was written by another orchestrator.") from error
                self._revisions[key] = entry.revision or 0  # Our own write, whose answer was lost.
                return
            except (nats.errors.Error, nats.js.errors.Error) as error:
                log.warning("The job store does not answer: %r; trying again.", error)
                await asyncio.sleep(1)
        raise Unavailable("The job store does not answer.")
