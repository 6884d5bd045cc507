"""What the user sees of a job: lines while it runs, a summary and a JSON object at its end."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from rushes.api.common.v1 import common_pb2
from rushes.api.jobs.v1.jobs_pb2 import Job, JobState, TaskState, TaskStatus
from rushes.errors import BY_REASON, InvalidInput

_MARKS = {
    TaskState.TASK_STATE_SUCCEEDED: "[green]✓[/green]",
    TaskState.TASK_STATE_FAILED: "[red]✗[/red]",
    TaskState.TASK_STATE_SKIPPED: "[yellow]–[/yellow]",
    TaskState.TASK_STATE_CANCELLED: "[yellow]■[/yellow]",
}


def state_name(state: int, kind: Any = TaskState) -> str:
    """Returns an enum value as users read it, for instance `succeeded`."""
    return str(kind.Name(state)).rpartition("_STATE_")[2].lower()


class Display:
    """One line for each video and stage: bars on a terminal, plain lines elsewhere; all on stderr."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f} %  {task.fields[detail]}"),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._rows: dict[str, TaskID] = {}
        self._said: set[tuple[str, str]] = set()

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def say(self, message: str) -> None:
        """Prints one line above the bars."""
        self._console.print(escape(message), soft_wrap=True)

    def show(self, job: Job) -> None:
        """Shows where a job stands."""
        for task in job.tasks:
            for notice in task.notices:
                self._once(task, f"[yellow]![/yellow] {_label(task)}  {escape(notice)}", notice)
            if task.state == TaskState.TASK_STATE_RUNNING:
                self._update(task)
            elif task.state in _MARKS:
                self._finish(task)

    def _update(self, task: TaskStatus) -> None:
        progress = task.progress
        self._once(task, f"  {_label(task)}  begins", "begins", only_lines=True)
        if task.id not in self._rows:
            self._rows[task.id] = self._bars.add_task(_label(task), total=1, detail="")
        known = progress.HasField("total") and progress.total > 0
        self._bars.update(
            self._rows[task.id],
            completed=min(progress.done / progress.total, 1) if known else 0,
            detail=_detail(progress),
        )

    def _finish(self, task: TaskStatus) -> None:
        if (row := self._rows.pop(task.id, None)) is not None:
            self._bars.remove_task(row)
        text = f"{_MARKS[task.state]} {_label(task)}"
        if task.state == TaskState.TASK_STATE_SUCCEEDED:
            result = task.result
            text += f"  {result.elapsed.ToTimedelta().total_seconds():.1f} s  {result.engine.name}"
            text += " (cached)" if result.cached else f" on {result.engine.device}"
        elif task.failure.message:
            text += f"  {escape(task.failure.message)}"
        self._once(task, text, f"ended {task.attempt}")

    def _once(self, task: TaskStatus, text: str, key: str, *, only_lines: bool = False) -> None:
        if (task.id, key) not in self._said and not (only_lines and self._console.is_terminal):
            self._said.add((task.id, key))
            self._console.print(text, soft_wrap=True)


def _label(task: TaskStatus) -> str:
    return f"{task.stage:<9} {escape(task.video)}".rstrip()


def _detail(progress: common_pb2.Progress) -> str:
    if not progress.rate_per_second:
        return escape(progress.phase)
    text = f"{progress.phase}  {progress.rate_per_second:.0f} {progress.unit}/s"
    if progress.HasField("total") and progress.total > progress.done:
        left = timedelta(seconds=round((progress.total - progress.done) / progress.rate_per_second))
        text += f"  {left} left"
    return escape(text)


def as_json(job: Job, workspace: Path, seconds: float) -> dict[str, Any]:
    """Returns a job as other programs read it."""
    project = workspace / "projects" / job.project if job.project else None
    by_video: dict[str, dict[str, Any]] = {video.stem: {} for video in job.videos}
    whole: dict[str, Any] = {}
    for task in job.tasks:
        by_video.get(task.video, whole)[task.stage] = _task_json(task)
    return {
        "job": job.name,
        "state": state_name(job.state, JobState),
        "project": job.project,
        "output_dir": job.output_dir,
        "seconds": round(seconds, 3),
        "stages": whole,
        "videos": [
            {
                "stem": video.stem,
                "path": str(project / "docs" / f"{video.stem}.mp4") if project else "",
                "frames": video.frame_count,
                "fps": video.frame_rate.numerator / (video.frame_rate.denominator or 1),
                "stages": by_video[video.stem],
            }
            for video in job.videos
        ],
    }


def _task_json(task: TaskStatus) -> dict[str, Any]:
    result = task.result
    ended = task.state == TaskState.TASK_STATE_SUCCEEDED
    failure = task.failure if task.HasField("failure") else None
    return {
        "state": state_name(task.state),
        "seconds": result.elapsed.ToTimedelta().total_seconds() if ended else None,
        "engine": result.engine.name if ended else None,
        "device": result.engine.device if ended else None,
        "cached": result.cached if ended else None,
        "coverage": coverage_json(result) if ended else None,
        "facts": dict(result.facts) if ended else {},
        "notices": list(task.notices),
        "error": {"reason": failure.reason, "message": failure.message, "remedy": failure.remedy}
        if failure
        else None,
    }


def coverage_json(result: common_pb2.StageResult) -> dict[str, Any]:
    """Returns a coverage as plain values."""
    unit = common_pb2.CoverageUnit.Name(result.coverage.unit).rpartition("_UNIT_")[2].lower()
    return {"done": result.coverage.done, "expected": result.coverage.expected, "unit": unit}


def exit_code(job: Job) -> int:
    """Returns 0 when all succeeded, 2 when the delivery itself is bad, else 1."""
    if job.state == JobState.JOB_STATE_SUCCEEDED:
        return 0
    for task in job.tasks:
        kind = BY_REASON.get(task.failure.reason)
        if task.stage == "extract" and kind is not None and issubclass(kind, InvalidInput):
            return 2
    return 1


def print_summary(job: Job, seconds: float, file: Any = sys.stdout) -> None:
    """Prints how a job ended and where its results are."""
    counts: dict[str, int] = {}
    for task in job.tasks:
        counts[state_name(task.state)] = counts.get(state_name(task.state), 0) + 1
    tasks = ", ".join(f"{count} {name}" for name, count in counts.items())
    print(f"{job.name} {state_name(job.state, JobState)} in {seconds:.1f} s ({tasks})", file=file)
    for task in job.tasks:
        if task.state == TaskState.TASK_STATE_FAILED:
            print(
                f"  {task.stage} {task.video}: {task.failure.message} {task.failure.remedy}".rstrip(),
                file=file,
            )
    if job.output_dir:
        print(f"Results: {job.output_dir}", file=file)
