"""The gRPC door of the ingest service: proto in, engine, proto out."""

from __future__ import annotations

import grpc

from rushes.api.events.v1.events_pb2 import Task
from rushes.api.ingest.v1 import ingest_pb2 as pb
from rushes.api.ingest.v1 import ingest_pb2_grpc as pb_grpc
from rushes.operations import Operations

FULL_NAME = "rushes.api.ingest.v1.IngestService"

Context = grpc.aio.ServicerContext[object, object]


class Servicer(pb_grpc.IngestServiceServicer):
    """Extract and convert for other systems; the orchestrator's tasks come over the bus."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    async def StartExtract(  # noqa: N802 - named by the contract
        self, request: pb.StartExtractRequest, context: Context
    ) -> pb.StartExtractResponse:
        """Starts to unpack a delivery."""
        delivery = [str(self._operations.workspace.resolve(uri)) for uri in request.delivery_uris]
        task = Task(stage="extract", delivery=delivery, engine=request.engine)
        return pb.StartExtractResponse(operation=self._operations.submit(task, request.request_id))

    async def StartConvert(  # noqa: N802
        self, request: pb.StartConvertRequest, context: Context
    ) -> pb.StartConvertResponse:
        """Starts to convert a video."""
        task = Task(
            stage="convert",
            project=request.project,
            video=request.video,
            source=request.source,
            engine=request.engine,
        )
        return pb.StartConvertResponse(operation=self._operations.submit(task, request.request_id))


def register(operations: Operations, server: grpc.aio.Server) -> None:
    """Adds the servicer to a server."""
    pb_grpc.add_IngestServiceServicer_to_server(Servicer(operations), server)
