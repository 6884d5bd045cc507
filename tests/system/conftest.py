"""A whole stack of real processes: nats-server, five services and the orchestrator on loopback."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from rushes import settings
from rushes.client import JobsClient
from rushes.stack import Stack

SUPPORT = Path(__file__).parent.parent / "support"

StackMaker = Callable[[Path], AbstractAsyncContextManager[tuple[Stack, JobsClient]]]


@pytest.fixture
def noop_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts stages that do next to nothing in place of the real ones."""
    monkeypatch.setenv("PYTHONPATH", str(SUPPORT / "noop"))


@pytest.fixture
def quick_bus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the bus give up on a silent worker after seconds instead of a minute."""
    monkeypatch.setenv("RUSHES_ACK_WAIT_S", "3")
    monkeypatch.setenv("RUSHES_HEARTBEAT_S", "1")


@pytest.fixture
def start_stack(quick_bus: None) -> StackMaker:
    """Starts a stack on a workspace, with a client of it."""
    if shutil.which("nats-server") is None:
        pytest.fail("nats-server is not installed: run make setup")

    @asynccontextmanager
    async def start(workspace: Path) -> AsyncIterator[tuple[Stack, JobsClient]]:
        async with (
            Stack(settings.load(workspace=workspace), "tests") as stack,
            JobsClient(stack.jobs_address) as client,
        ):
            yield stack, client

    return start
