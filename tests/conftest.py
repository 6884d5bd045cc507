"""What the tests share: real media and weights where they are at hand, small clips made on the spot."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from rushes import settings
from rushes.client import JobsClient
from rushes.media.ffmpeg import program
from rushes.stack import Stack

SUPPORT = Path(__file__).parent / "support"
REQUIRED = os.environ.get("RUSHES_REQUIRE_MEDIA") == "1"


def _folder(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return Path(value).resolve() if value and Path(value).is_dir() else None


def _find(variable: str, name: str) -> Path:
    folder = _folder(variable)
    if folder is None or not (folder / name).is_file():
        message = f"{name} is not at hand: set {variable} to the folder that holds it"
        if REQUIRED:
            pytest.fail(message)
        pytest.skip(message)
    return folder / name


@pytest.fixture(scope="session")
def media() -> Callable[[str], Path]:
    """Returns a real clip or recording by name; skips the test by name where it is absent."""
    return lambda name: _find("RUSHES_TEST_MEDIA", name)


@pytest.fixture(scope="session")
def weights() -> Callable[[str], Path]:
    """Returns real model weights by their catalogue path; skips the test where they are absent."""
    return lambda name: _find("RUSHES_MODELS_DIR", name)


@pytest.fixture(scope="session")
def ffmpeg() -> Callable[..., None]:
    """Runs ffmpeg with these arguments to make small media."""

    def run(*arguments: str | Path) -> None:
        subprocess.run(
            [program(), "-hide_banner", "-nostdin", "-loglevel", "error", "-y", *map(str, arguments)],
            check=True,
        )

    return run


@pytest.fixture
def probe_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the stage `probe` of tests/support installed, here and in processes started from here."""
    folder = str(SUPPORT / "probe")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", folder)


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
    """Starts a stack of real processes on a workspace, with a client of it."""
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
