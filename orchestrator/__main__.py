"""Starts the orchestrator."""

from __future__ import annotations

import asyncio
import sys

import grpc

from orchestrator.conductor import Conductor
from orchestrator.service import FULL_NAME, Servicer
from orchestrator.store import JobStore
from rushes import logs, settings
from rushes.api.jobs.v1.jobs_pb2_grpc import add_JobServiceServicer_to_server
from rushes.bus import Bus
from rushes.concurrency import together
from rushes.errors import RushesError
from rushes.serving import serving, until_signalled


def main() -> None:
    """Runs the orchestrator until it is told to stop."""
    try:
        chosen = settings.load()
        logs.configure("orchestrator", chosen)
        asyncio.run(until_signalled(_run(chosen)))
    except RushesError as error:
        sys.exit(f"rushes orchestrator: {error.message} {error.remedy}")


async def _run(chosen: settings.Settings) -> None:
    async with await Bus.connect(chosen, "rushes-orchestrator") as bus:
        conductor = Conductor(bus, JobStore(await bus.records()), chosen)

        def register(server: grpc.aio.Server) -> None:
            add_JobServiceServicer_to_server(Servicer(conductor), server)

        await conductor.resume()  # Before anybody can ask: a job not loaded yet would seem not to exist.
        async with serving(chosen, [FULL_NAME], register) as ready:
            await ready(True)
            await together(conductor.follow_events(), conductor.follow_advisories(), conductor.lost())


if __name__ == "__main__":
    main()
