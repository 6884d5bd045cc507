"""The main program of a stage service: settings, logging, slots, the bus, the gRPC door."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

import grpc

from rushes import logs, settings
from rushes.api.operations.v1.operations_pb2_grpc import add_OperationsServiceServicer_to_server
from rushes.bus import Bus
from rushes.errors import RushesError
from rushes.operations import Operations
from rushes.serving import serving, until_signalled
from rushes.worker import Slots, Worker
from rushes.workspace import Workspace


def main(service: str, full_name: str, register: Callable[[Operations, grpc.aio.Server], None]) -> None:
    """Runs a stage service until it is told to stop.

    Args:
        service: Short name, for instance "scenes".
        full_name: Full name of its gRPC service.
        register: Adds its servicer to the server.
    """
    try:
        chosen = settings.load()
        logs.configure(service, chosen)
        asyncio.run(until_signalled(_run(service, full_name, register, chosen)))
    except RushesError as error:
        sys.exit(f"rushes {service}: {error.message} {error.remedy}")


async def _run(
    service: str,
    full_name: str,
    register: Callable[[Operations, grpc.aio.Server], None],
    chosen: settings.Settings,
) -> None:
    chosen.workspace.mkdir(parents=True, exist_ok=True)
    slots = Slots(service, chosen)
    operations = Operations(slots, Workspace(chosen.workspace))

    def add(server: grpc.aio.Server) -> None:
        register(operations, server)
        add_OperationsServiceServicer_to_server(operations, server)

    names = [full_name, "rushes.api.operations.v1.OperationsService"]
    try:
        async with (
            serving(chosen, names, add) as ready,
            await Bus.connect(chosen, f"rushes-{service}") as bus,
        ):
            await slots.start()
            await ready(True)
            try:
                await Worker(service, bus, slots, chosen).run()
            finally:
                await operations.close()
    finally:
        await slots.close()
