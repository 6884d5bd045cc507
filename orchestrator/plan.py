"""The plan of a job: which tasks it has and what each waits for; pure."""

from __future__ import annotations

from collections.abc import Sequence

from rushes.api.common.v1.common_pb2 import Video
from rushes.api.events.v1.events_pb2 import Task
from rushes.api.jobs.v1.jobs_pb2 import Job, TaskState, TaskStatus
from rushes.pipeline import BY_STAGE, Step, closure


def first_tasks(job: Job) -> list[TaskStatus]:
    """Returns the tasks that can be planned before the delivery has been opened.

    Raises:
        InvalidInput: The job names an unknown stage.
    """
    return [
        TaskStatus(id=step.stage, stage=step.stage, state=TaskState.TASK_STATE_WAITING)
        for step in closure(job.spec.stages)
        if not step.per_video and not step.needs
    ]


def tasks_of_videos(job: Job, videos: Sequence[Video], *, attempt: int = 0) -> list[TaskStatus]:
    """Returns the tasks that follow once the videos are known, in an order in which they can run.

    Args:
        job: What was asked.
        videos: What the delivery holds.
        attempt: Attempt from which each of them counts up when it is sent.
    """
    steps = closure(job.spec.stages)
    chosen = {step.stage for step in steps}
    tasks: list[TaskStatus] = []

    def add(identifier: str, step: Step, stem: str, needs: list[str]) -> None:
        task = TaskStatus(id=identifier, stage=step.stage, video=stem, needs=needs, attempt=attempt)
        task.state = TaskState.TASK_STATE_WAITING
        tasks.append(task)

    for number, video in enumerate(videos, start=1):
        for step in filter(lambda step: step.per_video, steps):
            add(
                _id(step.stage, number),
                step,
                video.stem,
                [_id(stage, number) for stage in _before(step, chosen)],
            )
    for step in steps:
        if not step.per_video and step.needs:
            before = set(_before(step, chosen))
            add(step.stage, step, "", [task.id for task in tasks if task.stage in before])
    return tasks


def message(job: Job, status: TaskStatus) -> Task:
    """Returns what a worker needs to know to run a task."""
    task = Task(
        job=job.name.removeprefix("jobs/"),
        id=status.id,
        stage=status.stage,
        project=job.project,
        video=status.video,
        engine=job.spec.engines[status.stage] if status.stage in job.spec.engines else None,
        attempt=status.attempt,
        job_create_time=job.create_time,
    )
    if status.stage == "extract":
        task.delivery.extend(job.spec.delivery)
    if status.stage == "finalize" and job.spec.output_dir:
        task.engine.settings["output"] = job.spec.output_dir
    task.source = next((video.source for video in job.videos if video.stem == status.video), "")
    return task


def _before(step: Step, chosen: set[str]) -> list[str]:
    # What extract made is there by the time that its videos are known.
    return [stage for stage in (*step.needs, *step.after) if stage in chosen and BY_STAGE[stage].needs]


def _id(stage: str, number: int) -> str:
    return f"{stage}-{number}"
