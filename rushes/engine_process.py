"""The worker's side of an engine process: start it, give it a task, kill it with all its children."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from rushes.api.events.v1.events_pb2 import Task, TaskEvent
from rushes.errors import EngineCrashed, RushesError
from rushes.frames import frame, next_frame

log = logging.getLogger(__name__)


class EngineProcess:
    """A process that runs one task at a time and keeps its models warm in between.

    It leads a process group of its own, so that killing it takes ffmpeg and helpers along. It is
    not made with a process pool of a library, because those neither stream progress nor kill groups.

    Args:
        workspace: Storage root.
        stages: Stages whose default engines are loaded at the start.
        stall_timeout_s: Silence after which a running task is taken for hung.
    """

    def __init__(self, workspace: Path, stages: Sequence[str], stall_timeout_s: float) -> None:
        self._workspace = workspace
        self._stages = stages
        self._stall_timeout_s = stall_timeout_s
        self._starting = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def start(self) -> None:
        """Starts the process when it is not running, and waits until its engines are loaded.

        Raises:
            EngineCrashed: It died, or hung, on the way.
        """
        async with self._starting:  # The warm-up and the first task may both come here.
            if self._process is None or self._process.returncode is not None:
                await self.kill()
                try:
                    await self._launch()
                except BaseException:
                    await self.kill()
                    raise

    async def _launch(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "rushes.engine_host",
                str(theirs.fileno()),
                str(self._workspace),
                *self._stages,
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )
        self._reader, self._writer = await asyncio.open_connection(sock=ours)
        try:
            async with asyncio.timeout(self._stall_timeout_s):
                warm = await next_frame(self._reader)
        except TimeoutError:
            warm = None
        if warm is None:
            raise EngineCrashed(
                "The engine process did not start.",
                remedy="The log of the service says why; see also `rushes doctor`.",
            )

    async def run(self, task: Task, listen: Callable[[TaskEvent], None]) -> TaskEvent:
        """Runs a task and returns its last event, `succeeded` or `failed`.

        Cancelling this coroutine kills the process group.

        Args:
            task: The task.
            listen: Called with each progress and notice on the way.

        Raises:
            EngineCrashed: The process died, or showed no progress for too long.
        """
        await self.start()
        assert self._process is not None
        assert self._reader is not None
        assert self._writer is not None
        finished = False
        try:
            self._writer.write(frame(task.SerializeToString()))
            while True:
                async with asyncio.timeout(self._stall_timeout_s):
                    payload = await next_frame(self._reader)
                if payload is None:
                    code = await self._process.wait()
                    raise EngineCrashed(
                        f"The {task.stage} engine died on {task.video or 'the project'} ({_death(code)}).",
                        remedy="It is tried again; if it dies each time, look at memory and at the log.",
                    )
                event = TaskEvent.FromString(payload)
                if event.HasField("succeeded") or event.HasField("failed"):
                    # After an unknown failure the host ends itself, and must not be given another task.
                    finished = event.failed.failure.reason != RushesError.reason
                    return event
                listen(event)
        except TimeoutError as error:
            raise EngineCrashed(
                f"The {task.stage} engine showed no progress for {self._stall_timeout_s:.0f} s "
                f"on {task.video or 'the project'} and was stopped."
            ) from error
        finally:
            if not finished:
                await self.kill()

    async def kill(self) -> None:
        """Kills the process and all its children at once."""
        process, self._process = self._process, None
        if self._writer is not None:
            self._writer.close()
            self._reader = self._writer = None
        if process is not None:
            # The group outlives its leader while a child of it runs, so it is killed even then.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


def _death(code: int) -> str:
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"
