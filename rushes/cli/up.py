"""`rushes up`: the whole stack on this machine, kept running."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from pathlib import Path

from rushes import logs
from rushes.cli.options import surroundings
from rushes.settings import Settings
from rushes.stack import Stack


def keep_up(workspace: Path | None, allow: Sequence[Path]) -> None:
    """Starts every process and keeps them running until Ctrl-C.

    Raises:
        InvalidInput: The workspace is not a folder.
        AlreadyExists: A stack runs on this workspace already.
        Unavailable: A process cannot be kept running.
    """
    chosen = surroundings(workspace)
    roots = (*chosen.allowed_roots, *(path.resolve() for path in allow))
    chosen = chosen.model_copy(update={"allowed_roots": roots})
    logs.configure("up", chosen)
    asyncio.run(_keep(chosen))


async def _keep(chosen: Settings) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with Stack(chosen, "rushes up") as stack:
        print(
            f"rushes is up on {chosen.workspace.resolve()}; jobs at {stack.jobs_address}. Ctrl-C stops it.",
            flush=True,
        )
        stack.failed.add_done_callback(lambda _: stopped.set())
        await stopped.wait()
        if stack.failed.done():
            stack.failed.result()
