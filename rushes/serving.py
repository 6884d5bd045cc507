"""A gRPC server as every process of rushes runs it: health, reflection, errors, signals, drain."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health
from grpc_reflection.v1alpha import reflection
from prometheus_client import start_http_server

from rushes.concurrency import stopped
from rushes.grpc_errors import ErrorInterceptor
from rushes.settings import Settings

log = logging.getLogger(__name__)

HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
_DRAIN_S = 5
_MAX_MESSAGE_BYTES = 16 << 20


@asynccontextmanager
async def serving(
    settings: Settings, services: Sequence[str], register: Callable[[grpc.aio.Server], None]
) -> AsyncIterator[Callable[[bool], Awaitable[None]]]:
    """Serves until the block ends, then refuses new calls and waits for the running ones.

    Args:
        settings: Where to listen.
        services: Full names of the services, for health and reflection.
        register: Adds the servicers to the server.

    Yields:
        A function that tells the health checks whether the process is ready for work.
    """
    server = grpc.aio.server(
        interceptors=[ErrorInterceptor()],
        options=[
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
        ],
    )
    register(server)
    checks = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    reflection.enable_server_reflection([*services, HEALTH, reflection.SERVICE_NAME], server)
    port = server.add_insecure_port(f"{settings.grpc_host}:{settings.grpc_port}")

    async def ready(yes: bool) -> None:
        status = health_pb2.HealthCheckResponse.SERVING if yes else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ("", *services):
            await checks.set(name, status)

    await ready(False)
    await server.start()
    if settings.metrics_port:
        start_http_server(settings.metrics_port, settings.grpc_host)
    log.info("Listening on %s:%d.", settings.grpc_host, port)
    try:
        yield ready
    finally:
        await checks.enter_graceful_shutdown()
        await server.stop(_DRAIN_S)


async def until_signalled(work: Coroutine[Any, Any, None]) -> None:
    """Runs until `work` ends or SIGTERM or SIGINT arrives, then cancels it and waits for it."""
    loop = asyncio.get_running_loop()
    signalled = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signalled.set)
    working, waiting = asyncio.create_task(work), asyncio.create_task(signalled.wait())
    await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
    await stopped(waiting)
    if working.done():
        working.result()
    else:
        log.info("Stopping on request.")
        await stopped(working, again_s=_DRAIN_S + 1)
