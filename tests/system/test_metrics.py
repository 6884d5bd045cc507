"""A service tells Prometheus what it has done."""

from __future__ import annotations

import asyncio
import os
import sys
import urllib.request
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from rushes.api.jobs.v1.jobs_pb2 import JobSpec
from rushes.client import JobsClient
from rushes.stack import Stack, free_port

StackMaker = Callable[[Path], AbstractAsyncContextManager[tuple[Stack, JobsClient]]]

pytestmark = [pytest.mark.system, pytest.mark.usefixtures("noop_stages")]


def scrape(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        return str(answer.read(), "utf-8")


async def test_tasks_are_counted_by_stage_and_outcome(start_stack: StackMaker, tmp_path: Path) -> None:
    async with start_stack(tmp_path) as (stack, client):
        # A second worker of one service, as an operator would add it, with its metrics open.
        port = free_port()
        environment = {**os.environ, **stack.environment, "RUSHES_METRICS_PORT": str(port)}
        worker = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.scenes", env=environment, stderr=asyncio.subprocess.DEVNULL
        )
        try:
            async with asyncio.timeout(60):
                while True:
                    job = await client.create(JobSpec(delivery=["x"], stages=["scenes"]))
                    async for _ in client.watch(job.name):
                        pass
                    try:
                        text = await asyncio.to_thread(scrape, port)
                    except OSError:
                        continue  # Not listening yet.
                    if 'rushes_tasks_total{outcome="succeeded",stage="scenes"}' in text:
                        break
        finally:
            worker.terminate()
            await worker.wait()
    assert 'rushes_task_seconds_count{engine="noop",stage="scenes"}' in text
    assert worker.returncode == 0, "a clean end on SIGTERM"
