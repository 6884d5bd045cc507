"""The gRPC door of the tracking service: proto in, engine, proto out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc

from rushes.api.common.v1.common_pb2 import FrameRange, Rational
from rushes.api.tracking.v1 import tracking_pb2 as pb
from rushes.api.tracking.v1 import tracking_pb2_grpc as pb_grpc
from rushes.artifacts import TrackTable
from rushes.operations import Operations, followed

FULL_NAME = "rushes.api.tracking.v1.TrackingService"

Context = grpc.aio.ServicerContext[object, object]


class Servicer(pb_grpc.TrackingServiceServicer):
    """TrackFaces for other systems; the orchestrator's tasks come over the bus."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    async def StartTrackFaces(  # noqa: N802 - named by the contract
        self, request: pb.StartTrackFacesRequest, context: Context
    ) -> pb.StartTrackFacesResponse:
        """Starts the work in the background."""
        return pb.StartTrackFacesResponse(operation=self._operations.start("tracking", request.work))

    async def TrackFaces(  # noqa: N802
        self, request: pb.TrackFacesRequest, context: Context
    ) -> AsyncIterator[pb.TrackFacesResponse]:
        """Does the work while the caller waits."""
        operation = self._operations.start("tracking", request.work)
        async for item in followed(self._operations, operation, "tracks"):
            if isinstance(item, Path):
                yield pb.TrackFacesResponse(track_list=await asyncio.to_thread(_track_list, item))
            else:
                yield pb.TrackFacesResponse(progress=item)


def _track_list(path: Path) -> pb.TrackList:
    table = TrackTable(path)
    tracks: dict[int, pb.Track] = {}
    for sighting in table:
        track = tracks.get(sighting.track)
        if track is None:
            frames = FrameRange(start_frame=sighting.frame)
            track = tracks[sighting.track] = pb.Track(id=sighting.track, label=sighting.label, frames=frames)
        track.frames.end_frame = sighting.frame + 1
        track.seen_count += 1
    rate = table.header.frame_rate
    return pb.TrackList(
        frame_rate=Rational(numerator=rate.numerator, denominator=rate.denominator),
        frame_count=table.header.frame_count,
        tracks=[tracks[number] for number in sorted(tracks)],
    )


def register(operations: Operations, server: grpc.aio.Server) -> None:
    """Adds the servicer to a server."""
    pb_grpc.add_TrackingServiceServicer_to_server(Servicer(operations), server)
