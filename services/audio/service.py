"""The gRPC door of the audio service: proto in, engine, proto out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc

from rushes.api.audio.v1 import audio_pb2 as pb
from rushes.api.audio.v1 import audio_pb2_grpc as pb_grpc
from rushes.artifacts import read_speech
from rushes.operations import Operations, followed

FULL_NAME = "rushes.api.audio.v1.AudioService"

Context = grpc.aio.ServicerContext[object, object]


class Servicer(pb_grpc.AudioServiceServicer):
    """Diarize for other systems; the orchestrator's tasks come over the bus."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    async def StartDiarize(  # noqa: N802 - named by the contract
        self, request: pb.StartDiarizeRequest, context: Context
    ) -> pb.StartDiarizeResponse:
        """Starts the work in the background."""
        return pb.StartDiarizeResponse(operation=self._operations.start("audio", request.work))

    async def Diarize(  # noqa: N802
        self, request: pb.DiarizeRequest, context: Context
    ) -> AsyncIterator[pb.DiarizeResponse]:
        """Does the work while the caller waits."""
        operation = self._operations.start("audio", request.work)
        async for item in followed(self._operations, operation, "speech"):
            if isinstance(item, Path):
                yield pb.DiarizeResponse(diarization=await asyncio.to_thread(_diarization, item))
            else:
                yield pb.DiarizeResponse(progress=item)


def _diarization(path: Path) -> pb.Diarization:
    speech = read_speech(path)
    return pb.Diarization(
        turns=[
            pb.Turn(start_seconds=turn.start, end_seconds=turn.end, speaker=turn.speaker)
            for turn in speech.turns
        ],
        duration_seconds=speech.duration,
        no_audio_track=not speech.has_audio,
    )


def register(operations: Operations, server: grpc.aio.Server) -> None:
    """Adds the servicer to a server."""
    pb_grpc.add_AudioServiceServicer_to_server(Servicer(operations), server)
