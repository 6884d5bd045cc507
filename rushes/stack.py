"""All processes on one machine: nats-server, the services and the orchestrator, watched over."""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import grpc
from grpc_health.v1 import health_pb2

from rushes import programs
from rushes.errors import AlreadyExists, MissingPart, Unavailable
from rushes.pipeline import SERVICES
from rushes.settings import Settings

log = logging.getLogger(__name__)

_READY_S = 30
_STOP_S = 8
_QUICK_END_S = 60
_QUICK_KILL_S = 2
"""Less than this is a quick death: an end of its own may come late in a start, a kill may not."""

_MAX_QUICK_DEATHS = 6


@dataclass
class _Part:
    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    process: asyncio.subprocess.Process | None = None
    quick_deaths: int = 0
    started: float = field(default=0.0)


class Stack:
    """The processes of one workspace; at most one stack a workspace, and it ends with its owner.

    Args:
        settings: Workspace, NATS server and slots.
        owner: Who starts it, for the message when another one is running.

    Attributes:
        jobs_address: Where JobService listens, as host:port.
        environment: Variables that its processes share; a further worker with them joins in.
        failed: Ends with an exception when a process cannot be kept running.
    """

    def __init__(self, settings: Settings, owner: str) -> None:
        self._settings = settings
        self._owner = owner
        self._home = settings.workspace.resolve() / ".rushes"
        self._parts: list[_Part] = []
        self._watchers: list[asyncio.Task[None]] = []
        self._lock: IO[str] | None = None
        self.jobs_address = ""
        self.environment: dict[str, str] = {}
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def __aenter__(self) -> Self:
        self._claim()
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def pids(self) -> dict[str, int]:
        """Process number of each part that runs."""
        return {part.name: part.process.pid for part in self._parts if part.process is not None}

    def _claim(self) -> None:
        (self._home / "logs").mkdir(parents=True, exist_ok=True)
        lock = (self._home / "lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            other = lock.read().strip() or "another process"
            lock.close()
            raise AlreadyExists(
                f"The workspace {self._settings.workspace} is in use by {other}.",
                remedy="Wait for it, or use another --workspace.",
            ) from error
        lock.truncate(0)
        lock.write(f"{self._owner} (process {os.getpid()})")
        lock.flush()
        self._lock = lock

    async def _start(self) -> None:
        nats_url = self._settings.nats_url
        if nats_url is None:
            program = programs.find("nats-server")
            if program is None:
                raise MissingPart("nats-server is not installed.", remedy="Run: apt-get install nats-server")
            port = free_port()
            nats_url = f"nats://127.0.0.1:{port}"
            command = [program, "-js", "-a", "127.0.0.1", "-p", str(port), "-sd", str(self._home / "nats")]
            self._add("nats-server", command, {})
        self.environment = {
            "RUSHES_WORKSPACE": str(self._settings.workspace.resolve()),
            "RUSHES_NATS_URL": nats_url,
            "RUSHES_GRPC_HOST": "127.0.0.1",
            "RUSHES_METRICS_PORT": "0",  # One port cannot serve six processes.
            "RUSHES_WARM": str(self._settings.warm),
            "RUSHES_SLOTS": str(self._settings.slots),
            "RUSHES_ALLOWED_ROOTS": os.pathsep.join(map(str, self._settings.allowed_roots)),
        }
        port = free_port()
        self.jobs_address = f"127.0.0.1:{port}"
        python = [sys.executable, "-m"]
        self._add(
            "orchestrator", [*python, "orchestrator"], {**self.environment, "RUSHES_GRPC_PORT": str(port)}
        )
        addresses = {"orchestrator": self.jobs_address}
        for service in SERVICES:
            port = free_port()
            addresses[service] = f"127.0.0.1:{port}"
            environment = {**self.environment, "RUSHES_GRPC_PORT": str(port)}
            self._add(service, [*python, f"services.{service}"], environment)
        note = {"owner": self._owner, "nats_url": nats_url, "addresses": addresses}
        (self._home / "stack.json").write_text(json.dumps(note))
        for part in self._parts:
            await self._launch(part)
        self._watchers = [asyncio.create_task(self._watch(part)) for part in self._parts]
        await self._serving(self.jobs_address)

    def _add(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        if setpriv := shutil.which("setpriv"):  # Even a killed owner leaves nothing running.
            command = [setpriv, "--pdeathsig", "TERM", *command]
        self._parts.append(_Part(name, command, {**os.environ, **environment}))

    async def _launch(self, part: _Part) -> None:
        with (self._home / "logs" / f"{part.name}.log").open("ab") as output:
            part.process = await asyncio.create_subprocess_exec(
                *part.command,
                env=part.environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C at the terminal is the owner's to answer.
            )
        part.started = time.monotonic()

    async def _watch(self, part: _Part) -> None:
        while part.process is not None:
            code = await part.process.wait()
            lived = time.monotonic() - part.started
            quick = lived < (_QUICK_END_S if code >= 0 else _QUICK_KILL_S)
            part.quick_deaths = part.quick_deaths + 1 if quick else 0
            if part.quick_deaths >= _MAX_QUICK_DEATHS:
                self._give_up(Unavailable(f"{part.name} cannot be kept running: {self._last_words(part)}"))
                return
            log.warning("%s ended (%d); starting it again.", part.name, code)
            await asyncio.sleep(min(0.2 * 2**part.quick_deaths, 5))
            try:
                await self._launch(part)
            except OSError as error:
                self._give_up(Unavailable(f"{part.name} cannot be started again: {error}."))
                return

    def _give_up(self, error: Unavailable) -> None:
        if not self.failed.done():
            self.failed.set_exception(error)

    def _last_words(self, part: _Part) -> str:
        path = self._home / "logs" / f"{part.name}.log"
        lines = path.read_text(errors="replace").strip().splitlines()
        return f"{lines[-1] if lines else 'it says nothing'} (all of it in {path})."

    async def _serving(self, address: str) -> None:
        deadline = time.monotonic() + _READY_S
        async with grpc.aio.insecure_channel(
            address, options=[("grpc.max_reconnect_backoff_ms", 200)]
        ) as channel:
            check = channel.unary_unary(
                "/grpc.health.v1.Health/Check",
                request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
                response_deserializer=health_pb2.HealthCheckResponse.FromString,
            )
            while time.monotonic() < deadline:
                if self.failed.done():
                    self.failed.result()
                with suppress(grpc.aio.AioRpcError):
                    answer = await check(health_pb2.HealthCheckRequest(), timeout=1)
                    if answer.status == health_pb2.HealthCheckResponse.SERVING:
                        return
                await asyncio.sleep(0.05)
        orchestrator = next(part for part in self._parts if part.name == "orchestrator")
        raise Unavailable(
            f"The orchestrator is not ready after {_READY_S} s: {self._last_words(orchestrator)}"
        )

    async def stop(self) -> None:
        """Stops every process, the bus last; kills what does not stop in time."""
        for watcher in self._watchers:
            watcher.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        await asyncio.gather(*(_end(part) for part in self._parts if part.name != "nats-server"))
        await asyncio.gather(*(_end(part) for part in self._parts))
        if self.failed.done():
            self.failed.exception()
        (self._home / "stack.json").unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.truncate(0)
            self._lock.close()
            self._lock = None


@dataclass(frozen=True, slots=True)
class RunningStack:
    """A stack that somebody else keeps up."""

    owner: str
    jobs_address: str


def running(workspace: Path) -> RunningStack | None:
    """Returns the stack that runs on a workspace, none when there is none."""
    home = workspace.resolve() / ".rushes"
    try:
        note = json.loads((home / "stack.json").read_text())
    except (OSError, ValueError):
        return None
    with (home / "lock").open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return RunningStack(note["owner"], note["addresses"]["orchestrator"])
    return None  # Nobody holds the lock: the note was left behind by a stack that was killed.


async def _end(part: _Part) -> None:
    process = part.process
    if process is None or process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(_STOP_S):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def free_port() -> int:
    """Returns a port of the loopback interface that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
