"""The gRPC door of the scenes service: proto in, engine, proto out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc

from rushes.api.common.v1.common_pb2 import FrameRange, Rational
from rushes.api.scenes.v1 import scenes_pb2 as pb
from rushes.api.scenes.v1 import scenes_pb2_grpc as pb_grpc
from rushes.artifacts import read_shots
from rushes.operations import Operations, followed

FULL_NAME = "rushes.api.scenes.v1.ScenesService"

Context = grpc.aio.ServicerContext[object, object]


class Servicer(pb_grpc.ScenesServiceServicer):
    """DetectShots for other systems; the orchestrator's tasks come over the bus."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    async def StartDetectShots(  # noqa: N802 - named by the contract
        self, request: pb.StartDetectShotsRequest, context: Context
    ) -> pb.StartDetectShotsResponse:
        """Starts the work in the background."""
        return pb.StartDetectShotsResponse(operation=self._operations.start("scenes", request.work))

    async def DetectShots(  # noqa: N802
        self, request: pb.DetectShotsRequest, context: Context
    ) -> AsyncIterator[pb.DetectShotsResponse]:
        """Does the work while the caller waits."""
        operation = self._operations.start("scenes", request.work)
        async for item in followed(self._operations, operation, "shots"):
            if isinstance(item, Path):
                yield pb.DetectShotsResponse(shot_list=await asyncio.to_thread(_shot_list, item))
            else:
                yield pb.DetectShotsResponse(progress=item)


def _shot_list(path: Path) -> pb.ShotList:
    shots = read_shots(path)
    return pb.ShotList(
        frame_rate=Rational(numerator=shots.frame_rate.numerator, denominator=shots.frame_rate.denominator),
        frame_count=shots.frame_count,
        shots=[
            pb.Shot(
                frames=FrameRange(start_frame=shot.start, end_frame=shot.end),
                cut_probability=shot.cut_probability,
            )
            for shot in shots.shots
        ],
    )


def register(operations: Operations, server: grpc.aio.Server) -> None:
    """Adds the servicer to a server."""
    pb_grpc.add_ScenesServiceServicer_to_server(Servicer(operations), server)
