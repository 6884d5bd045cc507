"""What the user sees of a job while it runs: bars on a terminal, plain lines elsewhere; all on stderr."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from rushes.api.common.v1 import common_pb2
from rushes.api.jobs.v1.jobs_pb2 import Job, TaskState, TaskStatus

_MARKS = {
    TaskState.TASK_STATE_SUCCEEDED: "[green]✓[/green]",
    TaskState.TASK_STATE_FAILED: "[red]✗[/red]",
    TaskState.TASK_STATE_SKIPPED: "[yellow]–[/yellow]",
    TaskState.TASK_STATE_CANCELLED: "[yellow]■[/yellow]",
}
_COUNTED = {TaskState.TASK_STATE_SKIPPED: "not run", TaskState.TASK_STATE_CANCELLED: "cancelled"}
"""Ends that are told once a video: one cause brings them to many tasks at the same time."""

_TOLD_FACTS = ("shots", "speakers", "tracks")
"""Facts of a result that are told with it, where it has them; each is a number."""


class Display:
    """One line for each video and stage."""

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
        counts: dict[str, Counter[TaskState.ValueType]] = {}
        for task in job.tasks:
            for notice in task.notices:
                self._once(task.id, notice, f"[yellow]![/yellow] {_label(task)}  {escape(notice)}")
            if task.state == TaskState.TASK_STATE_RUNNING:
                self._update(task)
            elif task.state in _MARKS:
                self._finish(task)
            if task.video:
                counts.setdefault(task.video, Counter())[task.state] += 1
        for video, states in counts.items():
            if _MARKS.keys() >= states.keys():  # Not before the end: each count is said once.
                for state, words in _COUNTED.items():
                    if count := states[state]:
                        text = f"{_MARKS[state]} {escape(video)}  {_number(str(count), 'stages')} {words}"
                        self._once(f"video {video}", words, text)

    def _update(self, task: TaskStatus) -> None:
        progress = task.progress
        if not self._console.is_terminal:
            self._once(task.id, "begins", f"  {_label(task)}  begins")
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
        if task.video and task.state in _COUNTED:
            return
        text = f"{_MARKS[task.state]} {_label(task)}"
        if task.state == TaskState.TASK_STATE_SUCCEEDED:
            result = task.result
            text += f"  {result.elapsed.ToTimedelta().total_seconds():.1f} s  {escape(result.engine.name)}"
            text += " (cached)" if result.cached else f" on {result.engine.device}"
            told = [_number(result.facts[name], name) for name in _TOLD_FACTS if name in result.facts]
            text += f"  {escape(', '.join(told))}" if told else ""
        elif task.failure.message:
            text += f"  {escape(task.failure.message)}"
        self._once(task.id, f"ended {task.attempt}", text)

    def _once(self, of: str, key: str, text: str) -> None:
        if (of, key) not in self._said:
            self._said.add((of, key))
            self._console.print(text, soft_wrap=True)


def _label(task: TaskStatus) -> str:
    return f"{task.stage:<9} {escape(task.video)}".rstrip()


def _number(count: str, plural: str) -> str:
    return f"{count} {plural.removesuffix('s') if count == '1' else plural}"


def _detail(progress: common_pb2.Progress) -> str:
    if not progress.rate_per_second:
        return escape(progress.phase)
    text = f"{progress.phase}  {progress.rate_per_second:.0f} {progress.unit}/s"
    if progress.HasField("total") and progress.total > progress.done:
        left = timedelta(seconds=round((progress.total - progress.done) / progress.rate_per_second))
        text += f"  {left} left"
    return escape(text)
