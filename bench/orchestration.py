"""What orchestration costs: start-up, time added to each task, a job in which all is cached; as JSON.

    python -m bench.orchestration [--videos 20] [--rounds 3]

Runs real processes (nats-server, five services, the orchestrator) with stages that do nothing, so
that what is left is the orchestration. Every job must succeed in full, or there are no figures.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from bench.machine import description
from rushes import settings
from rushes.api.common.v1.common_pb2 import EngineChoice
from rushes.api.jobs.v1.jobs_pb2 import Job, JobSpec, JobState
from rushes.client import JobsClient
from rushes.stack import Stack

_NOOP = Path(__file__).parent.parent / "tests" / "support" / "noop"


def _help_seconds(rounds: int) -> float:
    times = []
    for _ in range(rounds):
        started = time.monotonic()
        subprocess.run([sys.executable, "-m", "rushes.cli", "--help"], check=True, stdout=subprocess.DEVNULL)
        times.append(time.monotonic() - started)
    return statistics.median(times)


async def _ready_seconds(*, warm: bool) -> float:
    """Time from nothing to every process serving; with `warm`, with its models loaded."""
    with tempfile.TemporaryDirectory() as folder:
        chosen = settings.load(workspace=Path(folder)).model_copy(update={"warm": warm})
        started = time.monotonic()
        async with Stack(chosen, "bench"):
            note = json.loads((Path(folder) / ".rushes" / "stack.json").read_text())
            await asyncio.gather(*(_serving(address) for address in note["addresses"].values()))
            return time.monotonic() - started


async def _serving(address: str) -> None:
    async with grpc.aio.insecure_channel(
        address, options=[("grpc.max_reconnect_backoff_ms", 100)]
    ) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        while True:
            answer = await stub.Check(health_pb2.HealthCheckRequest(), wait_for_ready=True, timeout=60)
            if answer.status == health_pb2.HealthCheckResponse.SERVING:
                return
            await asyncio.sleep(0.02)


async def _job(client: JobsClient, videos: int) -> tuple[Job, float]:
    spec = JobSpec(delivery=["anything"], engines={"extract": EngineChoice(settings={"videos": str(videos)})})
    started = time.monotonic()
    job = await client.create(spec)
    async for snapshot in client.watch(job.name):
        job = snapshot
    seconds = time.monotonic() - started
    if job.state != JobState.JOB_STATE_SUCCEEDED:
        sys.exit(f"{job.name} ended as {JobState.Name(job.state)}: no figures.")
    return job, seconds


def _engine_seconds(job: Job) -> float:
    return sum(task.result.elapsed.ToNanoseconds() / 1e9 for task in job.tasks)


async def _task_figures(videos: int, rounds: int) -> dict[str, object]:
    os.environ["PYTHONPATH"] = str(_NOOP)
    with tempfile.TemporaryDirectory() as folder:
        async with (
            Stack(settings.load(workspace=Path(folder)), "bench") as stack,
            JobsClient(stack.jobs_address) as client,
        ):
            await _job(client, 1)  # The first one waits for the engine processes.
            chains, rates = [], []
            for _ in range(rounds):
                job, seconds = await _job(client, 1)
                chains.append(1000 * (seconds - _engine_seconds(job)) / len(job.tasks))
                job, seconds = await _job(client, videos)
                rates.append(len(job.tasks) / seconds)
    del os.environ["PYTHONPATH"]
    return {
        "added_ms_per_task_one_after_the_other": round(statistics.median(chains), 1),
        "tasks_per_second": round(statistics.median(rates), 1),
        "videos": videos,
    }


def main() -> None:
    """Measures, and prints JSON."""
    parser = argparse.ArgumentParser(description="Measures the cost of orchestration.")
    parser.add_argument("--videos", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    figures = {
        "machine": description(["grpcio", "nats-py"]),
        "help_seconds": round(_help_seconds(options.rounds), 2),
        "stack_ready_seconds": round(asyncio.run(_ready_seconds(warm=False)), 2),
        "stack_ready_with_models_seconds": round(asyncio.run(_ready_seconds(warm=True)), 2),
        "tasks": asyncio.run(_task_figures(options.videos, options.rounds)),
    }
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
