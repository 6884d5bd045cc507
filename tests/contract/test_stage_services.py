"""The gRPC doors of the stage services, over real sockets, with the real engines."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from rushes.api.audio.v1 import audio_pb2, audio_pb2_grpc
from rushes.api.operations.v1 import operations_pb2, operations_pb2_grpc
from rushes.api.scenes.v1 import scenes_pb2, scenes_pb2_grpc
from rushes.api.tracking.v1 import tracking_pb2, tracking_pb2_grpc
from rushes.client import JobsClient
from rushes.grpc_errors import from_call
from rushes.stack import Stack

pytestmark = pytest.mark.system

StackMaker = Callable[[Path], AbstractAsyncContextManager[tuple[Stack, JobsClient]]]
Channel = Callable[[str], grpc.aio.Channel]
REQUEST_ID = "0b0ef6c4-7d0e-4b61-9c39-0c8d9b3c9a55"


@pytest.fixture
def clip(ffmpeg: Callable[..., None], tmp_path: Path) -> Path:
    """Two clearly different shots of one second each, with a tone."""
    path = tmp_path / "clips" / "two shots.mp4"
    path.parent.mkdir()
    ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=1"),
        *("-f", "lavfi", "-i", "mandelbrot=size=320x180:rate=25,trim=duration=1"),
        *("-f", "lavfi", "-i", "sine=frequency=300:duration=2"),
        *("-filter_complex", "[0][1]concat=n=2:v=1:a=0[v]", "-map", "[v]", "-map", "2:a"),
        *("-pix_fmt", "yuv420p", path),
    )
    return path


@pytest.fixture
async def channel(
    start_stack: StackMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Channel]:
    """Opens channels to the services of a running stack, once they answer."""
    monkeypatch.setenv("RUSHES_WARM", "false")
    monkeypatch.setenv("RUSHES_MODELS_DIR", str(tmp_path / "no models"))
    opened: list[grpc.aio.Channel] = []
    async with start_stack(tmp_path):
        addresses = json.loads((tmp_path / ".rushes" / "stack.json").read_text())["addresses"]

        def open_channel(service: str) -> grpc.aio.Channel:
            opened.append(
                grpc.aio.insecure_channel(
                    addresses[service], options=[("grpc.max_reconnect_backoff_ms", 200)]
                )
            )
            return opened[-1]

        yield open_channel
        for each in opened:
            await each.close()


def work(**values: str) -> operations_pb2.Work:
    return operations_pb2.Work(
        **{"video_uri": "clips/two shots.mp4", "output_uri": "out", "request_id": REQUEST_ID, **values}
    )


async def test_shots_stream_back_to_who_waits(channel: Channel, clip: Path) -> None:
    stub = scenes_pb2_grpc.ScenesServiceStub(channel("scenes"))
    request = scenes_pb2.DetectShotsRequest(work=work(video_uri=f"file://{clip}".replace(" ", "%20")))
    answers = [answer async for answer in stub.DetectShots(request, wait_for_ready=True, timeout=60)]
    shots = answers[-1].shot_list
    assert (shots.frame_count, shots.frame_rate.numerator) == (50, 25)
    assert [(shot.frames.start_frame, shot.frames.end_frame) for shot in shots.shots] == [(0, 25), (25, 50)]
    assert 0.5 < shots.shots[0].cut_probability <= 1
    assert not shots.shots[1].HasField("cut_probability")
    assert all(answer.HasField("progress") for answer in answers[:-1])


async def test_speech_and_tracks_stream_back_as_well(channel: Channel, clip: Path) -> None:
    audio = audio_pb2_grpc.AudioServiceStub(channel("audio"))
    async for said in audio.Diarize(audio_pb2.DiarizeRequest(work=work()), wait_for_ready=True, timeout=60):
        last = said
    assert last.diarization.duration_seconds == pytest.approx(2, abs=0.1)
    assert not last.diarization.no_audio_track
    tracking = tracking_pb2_grpc.TrackingServiceStub(channel("tracking"))
    async for seen in tracking.TrackFaces(
        tracking_pb2.TrackFacesRequest(work=work()), wait_for_ready=True, timeout=60
    ):
        answer = seen
    assert answer.track_list.frame_count == 50


async def test_an_operation_is_started_watched_found_again_and_listed(channel: Channel, clip: Path) -> None:
    scenes = channel("scenes")
    stub = scenes_pb2_grpc.ScenesServiceStub(scenes)
    operations = operations_pb2_grpc.OperationsServiceStub(scenes)
    request = scenes_pb2.StartDetectShotsRequest(work=work())
    started = (await stub.StartDetectShots(request, wait_for_ready=True, timeout=30)).operation
    assert started.name == f"operations/{REQUEST_ID}"
    again = (await stub.StartDetectShots(request, timeout=10)).operation
    assert again.name == started.name
    watch = operations.WatchOperation(operations_pb2.WatchOperationRequest(name=started.name), timeout=60)
    async for update in watch:
        last = update.operation
    assert last.state == operations_pb2.OPERATION_STATE_SUCCEEDED
    roles = {artifact.role: artifact.path for artifact in last.result.artifacts}
    assert roles["shots"] == "out/shots.json"
    got = await operations.GetOperation(operations_pb2.GetOperationRequest(name=started.name), timeout=10)
    assert got.operation == last
    listed = await operations.ListOperations(operations_pb2.ListOperationsRequest(), timeout=10)
    assert [operation.name for operation in listed.operations] == [started.name]


async def test_a_cancelled_operation_ends_as_such(
    channel: Channel, ffmpeg: Callable[..., None], tmp_path: Path
) -> None:
    (tmp_path / "clips").mkdir()
    ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=25:duration=120"),
        *("-pix_fmt", "yuv420p", "-preset", "ultrafast", tmp_path / "clips" / "two shots.mp4"),
    )
    tracking = channel("tracking")
    stub = tracking_pb2_grpc.TrackingServiceStub(tracking)
    operations = operations_pb2_grpc.OperationsServiceStub(tracking)
    request = tracking_pb2.StartTrackFacesRequest(work=work())
    name = (await stub.StartTrackFaces(request, wait_for_ready=True, timeout=30)).operation.name
    async for update in operations.WatchOperation(operations_pb2.WatchOperationRequest(name=name)):
        if update.operation.HasField("progress"):
            break
    cancelled = await operations.CancelOperation(operations_pb2.CancelOperationRequest(name=name), timeout=2)
    assert cancelled.operation.state == operations_pb2.OPERATION_STATE_CANCELLED
    assert not (tmp_path / "out" / "tracks.parquet").exists()


@pytest.mark.parametrize(
    ("values", "code", "reason"),
    [
        pytest.param(
            {"video_uri": "../outside.mp4"}, "PERMISSION_DENIED", "OUTSIDE_WORKSPACE", id="video outside"
        ),
        pytest.param({"output_uri": "/etc"}, "PERMISSION_DENIED", "OUTSIDE_WORKSPACE", id="output outside"),
        pytest.param({"video_uri": "clips/none.mp4"}, "NOT_FOUND", "NOT_FOUND", id="no such file"),
        pytest.param({"video_uri": "http://host/x.mp4"}, "INVALID_ARGUMENT", "INVALID_INPUT", id="a link"),
    ],
)
async def test_refusals_carry_code_and_reason(
    channel: Channel, clip: Path, values: dict[str, str], code: str, reason: str
) -> None:
    stub = scenes_pb2_grpc.ScenesServiceStub(channel("scenes"))
    request = scenes_pb2.StartDetectShotsRequest(work=work(**values))
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub.StartDetectShots(request, wait_for_ready=True, timeout=30)
    assert raised.value.code().name == code
    assert from_call(raised.value).reason == reason


async def test_a_failed_analysis_reaches_who_waits(channel: Channel, tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "two shots.mp4").write_text("no video at all")
    stub = scenes_pb2_grpc.ScenesServiceStub(channel("scenes"))
    with pytest.raises(grpc.aio.AioRpcError, match="two shots") as raised:
        async for _ in stub.DetectShots(
            scenes_pb2.DetectShotsRequest(work=work()), wait_for_ready=True, timeout=60
        ):
            pass
    assert from_call(raised.value).reason == "MEDIA_UNREADABLE"
    assert not list((tmp_path / "out").glob("*"))


async def test_a_deadline_ends_the_work(channel: Channel, clip: Path, tmp_path: Path) -> None:
    stub = scenes_pb2_grpc.ScenesServiceStub(channel("scenes"))
    operations = operations_pb2_grpc.OperationsServiceStub(channel("scenes"))
    listing = operations_pb2.ListOperationsRequest()
    await operations.ListOperations(listing, wait_for_ready=True, timeout=30)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        async for _ in stub.DetectShots(scenes_pb2.DetectShotsRequest(work=work()), timeout=0.3):
            pass
    assert raised.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    async with asyncio.timeout(10):
        while True:
            (operation,) = (await operations.ListOperations(listing, timeout=10)).operations
            if operation.state == operations_pb2.OPERATION_STATE_CANCELLED:
                return
            await asyncio.sleep(0.1)


@pytest.mark.parametrize(
    ("service", "name"),
    [
        ("ingest", "rushes.api.ingest.v1.IngestService"),
        ("scenes", "rushes.api.scenes.v1.ScenesService"),
        ("audio", "rushes.api.audio.v1.AudioService"),
        ("tracking", "rushes.api.tracking.v1.TrackingService"),
        ("delivery", "rushes.api.delivery.v1.DeliveryService"),
        ("orchestrator", "rushes.api.jobs.v1.JobService"),
    ],
)
async def test_each_service_tells_its_health_and_its_contract(
    channel: Channel, service: str, name: str
) -> None:
    opened = channel(service)
    health = health_pb2_grpc.HealthStub(opened)
    async with asyncio.timeout(30):
        while True:
            answer = await health.Check(
                health_pb2.HealthCheckRequest(service=name), wait_for_ready=True, timeout=30
            )
            if answer.status == health_pb2.HealthCheckResponse.SERVING:
                break
            await asyncio.sleep(0.1)
    reflection = reflection_pb2_grpc.ServerReflectionStub(opened)
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    async for response in reflection.ServerReflectionInfo(iter([request])):
        listed = {found.name for found in response.list_services_response.service}
    assert {name, "grpc.health.v1.Health"} <= listed
