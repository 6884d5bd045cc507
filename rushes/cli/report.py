"""What the user gets of a job in the end: a summary, a JSON object and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rushes.api.common.v1 import common_pb2
from rushes.api.jobs.v1.jobs_pb2 import Job, JobState, TaskState, TaskStatus
from rushes.client import JOB_ENDED
from rushes.errors import BY_REASON, Cancelled, InvalidInput, RushesError

STOPPED = 130
"""Exit code of what was stopped on request, as shells have it for Ctrl-C."""

_MOST_NAMES = 5


def state_name(state: int, kind: Any = TaskState) -> str:
    """Returns an enum value as users read it, for instance `succeeded`."""
    return str(kind.Name(state)).rpartition("_STATE_")[2].lower()


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


def error_json(error: RushesError) -> dict[str, Any]:
    """Returns what other programs read in place of a job that could not be shown to its end."""
    return {
        "state": "cancelled" if isinstance(error, Cancelled) else "failed",
        "error": {"reason": error.reason, "message": error.message, "remedy": error.remedy},
    }


def exit_code_of(error: RushesError) -> int:
    """Returns the exit code of a command that ends with an error."""
    if isinstance(error, Cancelled):
        return STOPPED
    return 2 if isinstance(error, InvalidInput) else 1


def exit_code(job: Job) -> int:
    """Returns 0 when all succeeded, 2 when nothing of the delivery is usable, 130 when stopped, else 1."""
    if job.state == JobState.JOB_STATE_SUCCEEDED:
        return 0
    if job.state == JobState.JOB_STATE_CANCELLED:
        return STOPPED
    for stage in ("extract", "convert"):
        tasks = [task for task in job.tasks if task.stage == stage]
        if tasks and all(map(_is_bad_input, tasks)):
            return 2
    return 1


def _is_bad_input(task: TaskStatus) -> bool:
    kind = BY_REASON.get(task.failure.reason)
    return kind is not None and issubclass(kind, InvalidInput)


def print_summary(job: Job, seconds: float, file: Any = None) -> None:
    """Prints how a job ended, what there is to know about it, and where its results are."""
    counts: dict[str, int] = {}
    notices: dict[tuple[str, str], list[str]] = {}
    for task in job.tasks:
        counts[state_name(task.state)] = counts.get(state_name(task.state), 0) + 1
        for notice in dict.fromkeys(task.notices):
            notices.setdefault((task.stage, notice), []).append(task.video)
    tasks = ", ".join(f"{count} {name}" for name, count in counts.items())
    lines = [f"{job.name} {state_name(job.state, JobState)} in {seconds:.1f} s ({tasks})"]
    for (stage, notice), videos in notices.items():
        of = videos[0] if len(videos) == 1 else f"of {len(videos)} videos"
        lines.append(f"  ! {f'{stage} {of}'.rstrip()}: {notice}")
    for task in job.tasks:
        if task.state == TaskState.TASK_STATE_FAILED:
            label = f"{task.stage} {task.video}".rstrip()
            lines.append(f"  ✗ {label}: {task.failure.message} {task.failure.remedy}".rstrip())
    lines += _whereabouts(job)
    print("\n".join(lines), file=file or sys.stdout)


def _whereabouts(job: Job) -> list[str]:
    """Says where the results are, or what keeps them from being delivered and what to do."""
    if not job.output_dir:
        return []
    finalize = next((task for task in job.tasks if task.stage == "finalize"), None)
    if finalize is None or finalize.state == TaskState.TASK_STATE_SUCCEEDED:
        return [f"Results: {job.output_dir}"]
    if job.state not in JOB_ENDED:
        return [f"Work so far, not delivered yet: {job.output_dir}"]
    lines = [f"Work so far: {job.output_dir}"]
    if job.state == JobState.JOB_STATE_CANCELLED:
        return [
            "Not delivered: the job was cancelled.",
            *lines,
            "The same delivery run again goes on from there: what is done comes from the cache.",
        ]
    if finalize.state == TaskState.TASK_STATE_FAILED:
        return ["Not delivered: see finalize above.", *lines]
    needed = [task for task in job.tasks if task.id in finalize.needs]
    lost = [task.video for task in needed if task.state != TaskState.TASK_STATE_SUCCEEDED]
    names = _names(list(dict.fromkeys(lost)))
    lines.insert(0, f"Not delivered, because not every stage succeeded for: {names}.")
    if not job.spec.deliver_incomplete and len(lost) < len(needed):
        lines.append("`rushes run` with --deliver-incomplete delivers what succeeded.")
    return lines


def _names(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
