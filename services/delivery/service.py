"""The gRPC door of the delivery service: proto in, engine, proto out."""

from __future__ import annotations

import grpc

from rushes.api.delivery.v1 import delivery_pb2 as pb
from rushes.api.delivery.v1 import delivery_pb2_grpc as pb_grpc
from rushes.api.events.v1.events_pb2 import Task
from rushes.operations import Operations

FULL_NAME = "rushes.api.delivery.v1.DeliveryService"

Context = grpc.aio.ServicerContext[object, object]


class Servicer(pb_grpc.DeliveryServiceServicer):
    """The stages of delivery for other systems; the orchestrator's tasks come over the bus."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    async def StartSpeaking(  # noqa: N802 - named by the contract
        self, request: pb.StartSpeakingRequest, context: Context
    ) -> pb.StartSpeakingResponse:
        """Starts to find which face speaks."""
        task = Task(stage="speaking", project=request.project, video=request.video, engine=request.engine)
        return pb.StartSpeakingResponse(operation=self._operations.submit(task, request.request_id))

    async def StartExport(  # noqa: N802
        self, request: pb.StartExportRequest, context: Context
    ) -> pb.StartExportResponse:
        """Starts to write the files that editors open."""
        task = Task(stage="export", project=request.project, video=request.video, engine=request.engine)
        return pb.StartExportResponse(operation=self._operations.submit(task, request.request_id))

    async def StartFinalize(  # noqa: N802
        self, request: pb.StartFinalizeRequest, context: Context
    ) -> pb.StartFinalizeResponse:
        """Starts to copy a finished project out."""
        task = Task(stage="finalize", project=request.project, engine=request.engine)
        return pb.StartFinalizeResponse(operation=self._operations.submit(task, request.request_id))


def register(operations: Operations, server: grpc.aio.Server) -> None:
    """Adds the servicer to a server."""
    pb_grpc.add_DeliveryServiceServicer_to_server(Servicer(operations), server)
