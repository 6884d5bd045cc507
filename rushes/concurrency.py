"""Stopping asyncio tasks for certain.

One `cancel()` is not enough: `asyncio.wait_for` of Python 3.11, which client libraries use, swallows a
cancellation that arrives together with its result, and the task goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

_AGAIN_S = 0.2


async def stopped(*tasks: asyncio.Task[Any], again_s: float = _AGAIN_S) -> None:
    """Cancels tasks until each of them has ended, even when the caller is cancelled meanwhile.

    How they ended is not looked at.

    Args:
        tasks: Tasks to stop.
        again_s: Time before one that goes on is cancelled again; longer than its clean-up takes.
    """
    interrupted = False
    while pending := [task for task in tasks if not task.done()]:
        for task in pending:
            task.cancel()
        try:
            await asyncio.wait(pending, timeout=again_s)
        except asyncio.CancelledError:
            interrupted = True
    for task in tasks:
        if not task.cancelled():
            task.exception()  # Looked at, so that asyncio does not complain.
    if interrupted:
        raise asyncio.CancelledError


async def together(*coroutines: Coroutine[Any, Any, None], again_s: float = _AGAIN_S) -> None:
    """Runs coroutines side by side; when one fails, or the caller is cancelled, all are stopped.

    Args:
        coroutines: What to run.
        again_s: As for `stopped`.

    Raises:
        Exception: What the first one to fail has raised, as it is.
    """
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        await stopped(*tasks, again_s=again_s)
