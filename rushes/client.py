"""The client of JobService: create jobs and follow them, across restarts of the server."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import Self, TypeVar

import grpc
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from rushes.api.jobs.v1 import jobs_pb2 as pb
from rushes.api.jobs.v1 import jobs_pb2_grpc as pb_grpc
from rushes.errors import Unavailable
from rushes.grpc_errors import from_call

_TIMEOUT_S = 10

JOB_ENDED = frozenset(
    {pb.JobState.JOB_STATE_SUCCEEDED, pb.JobState.JOB_STATE_FAILED, pb.JobState.JOB_STATE_CANCELLED}
)

T = TypeVar("T")


class JobsClient:
    """Calls JobService, again while the server is away; a repeated retry is refused as still running.

    Args:
        address: Where the server listens, as host:port.
        patience_s: How long to try again while the server is away.
    """

    def __init__(self, address: str, patience_s: float = 60) -> None:
        self._patience_s = patience_s
        self._channel = grpc.aio.insecure_channel(
            address,
            options=[
                ("grpc.max_receive_message_length", 16 << 20),
                ("grpc.max_reconnect_backoff_ms", 1000),
                ("grpc.initial_reconnect_backoff_ms", 100),
            ],
        )
        self._stub = pb_grpc.JobServiceStub(self._channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._channel.close()

    async def create(self, spec: pb.JobSpec) -> pb.Job:
        """Creates a job.

        Raises:
            RushesError: Whatever the server refuses it for.
        """
        request = pb.CreateJobRequest(request_id=str(uuid.uuid4()), spec=spec)
        return (await self._call(lambda: self._stub.CreateJob(request, timeout=_TIMEOUT_S))).job

    async def get(self, name: str) -> pb.Job:
        """Returns one job.

        Raises:
            NotFound: There is no such job.
        """
        request = pb.GetJobRequest(name=name)
        return (await self._call(lambda: self._stub.GetJob(request, timeout=_TIMEOUT_S))).job

    async def list(self) -> AsyncIterator[pb.Job]:
        """Yields every job, newest first, without its tasks."""
        token = ""
        while True:
            request = pb.ListJobsRequest(page_token=token)
            response = await self._call(lambda: self._stub.ListJobs(request, timeout=_TIMEOUT_S))  # noqa: B023
            for job in response.jobs:
                yield job
            if not (token := response.next_page_token):
                return

    async def watch(self, name: str) -> AsyncIterator[pb.Job]:
        """Yields a job now and after each change, until it has ended.

        Raises:
            NotFound: There is no such job.
            Unavailable: The server stayed away for too long.
        """
        loop = asyncio.get_running_loop()
        last_heard = loop.time()
        while True:
            try:
                async for response in self._stub.WatchJob(pb.WatchJobRequest(name=name)):
                    last_heard = loop.time()
                    yield response.job
                    if response.job.state in JOB_ENDED:
                        return
            except grpc.aio.AioRpcError as error:
                failure = from_call(error)
                if not failure.retryable or loop.time() - last_heard > self._patience_s:
                    raise failure from error
            await asyncio.sleep(0.2)  # The server went, or shut down: follow its successor.

    async def cancel(self, name: str) -> pb.Job:
        """Asks for the end of a job.

        Raises:
            NotFound: There is no such job.
        """
        request = pb.CancelJobRequest(name=name)
        return (await self._call(lambda: self._stub.CancelJob(request, timeout=_TIMEOUT_S))).job

    async def retry(self, name: str, stages: tuple[str, ...] = ()) -> pb.Job:
        """Runs again what did not succeed, or the stages named.

        Raises:
            NotFound: There is no such job.
            InvalidInput: It still runs, or nothing is to be run again.
        """
        request = pb.RetryJobRequest(name=name, stages=stages)
        return (await self._call(lambda: self._stub.RetryJob(request, timeout=_TIMEOUT_S))).job

    async def _call(self, call: Callable[[], Awaitable[T]]) -> T:
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(Unavailable),
            wait=wait_random_exponential(multiplier=0.1, max=2),
            stop=stop_after_delay(self._patience_s),
            reraise=True,
        ):
            with attempt:
                try:
                    return await call()
                except grpc.aio.AioRpcError as error:
                    raise from_call(error) from error
        raise AssertionError  # tenacity returns or raises
