"""What Prometheus sees of a process, under the same names in all of them."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

TASKS = Counter("rushes_tasks", "Tasks that a worker has ended.", ["stage", "outcome"])
"""Outcomes: succeeded, cached, failed, given_back."""

TASK_SECONDS = Histogram(
    "rushes_task_seconds",
    "Time that an engine took for a task.",
    ["stage", "engine"],
    buckets=(0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600),
)
