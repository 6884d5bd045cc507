"""Tasks that are stopped are stopped, even those that a first cancellation does not reach."""

import asyncio

import pytest

from rushes.concurrency import stopped, together


async def deaf(times: int) -> None:
    """Swallows so many cancellations, as `asyncio.wait_for` may."""
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            times -= 1
            if times < 0:
                raise


async def test_a_swallowed_cancellation_is_repeated() -> None:
    tasks = [asyncio.create_task(deaf(times)) for times in (0, 1, 2)]
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await stopped(*tasks)
    assert all(task.cancelled() for task in tasks)


async def test_one_failure_stops_the_others_and_comes_out_as_it_is() -> None:
    async def fail() -> None:
        raise LookupError("gone")

    async with asyncio.timeout(5):
        with pytest.raises(LookupError, match="gone"):
            await together(deaf(1), fail())


async def test_a_cancelled_caller_stops_all() -> None:
    seen: list[asyncio.Task[None]] = []

    async def child() -> None:
        task = asyncio.current_task()
        assert task is not None
        seen.append(task)
        await deaf(1)

    caller = asyncio.create_task(together(child(), child()))
    await asyncio.sleep(0.05)
    async with asyncio.timeout(5):
        await stopped(caller)
    assert [task.cancelled() for task in seen] == [True, True]
