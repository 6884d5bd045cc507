"""The public JobService: proto in, conductor, proto out."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc

from orchestrator.conductor import Conductor
from orchestrator.run import without_tasks
from rushes.api.jobs.v1 import jobs_pb2 as pb
from rushes.api.jobs.v1 import jobs_pb2_grpc as pb_grpc
from rushes.paging import page

FULL_NAME = "rushes.api.jobs.v1.JobService"

Context = grpc.aio.ServicerContext[object, object]


class Servicer(pb_grpc.JobServiceServicer):
    """The door for clients."""

    def __init__(self, conductor: Conductor) -> None:
        self._conductor = conductor

    async def CreateJob(  # noqa: N802 - named by the contract
        self, request: pb.CreateJobRequest, context: Context
    ) -> pb.CreateJobResponse:
        """Creates a job."""
        return pb.CreateJobResponse(job=await self._conductor.create(request.spec, request.request_id))

    async def GetJob(self, request: pb.GetJobRequest, context: Context) -> pb.GetJobResponse:  # noqa: N802
        """Returns one job."""
        return pb.GetJobResponse(job=self._conductor.get(request.name))

    async def ListJobs(self, request: pb.ListJobsRequest, context: Context) -> pb.ListJobsResponse:  # noqa: N802
        """Lists jobs, newest first."""
        jobs, token = page(self._conductor.jobs(), request.page_size, request.page_token)
        return pb.ListJobsResponse(jobs=map(without_tasks, jobs), next_page_token=token)

    async def WatchJob(  # noqa: N802
        self, request: pb.WatchJobRequest, context: Context
    ) -> AsyncIterator[pb.WatchJobResponse]:
        """Sends the job now and after each change."""
        async for job in self._conductor.watch(request.name):
            yield pb.WatchJobResponse(job=job)

    async def CancelJob(  # noqa: N802
        self, request: pb.CancelJobRequest, context: Context
    ) -> pb.CancelJobResponse:
        """Stops a job."""
        return pb.CancelJobResponse(job=await self._conductor.cancel(request.name))

    async def RetryJob(  # noqa: N802
        self, request: pb.RetryJobRequest, context: Context
    ) -> pb.RetryJobResponse:
        """Runs again what did not succeed."""
        return pb.RetryJobResponse(job=await self._conductor.retry(request.name, list(request.stages)))
