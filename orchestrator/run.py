"""One job as it runs: how events and requests change it; pure, no clock but the one given."""

from __future__ import annotations

from collections.abc import Collection

from google.protobuf.timestamp_pb2 import Timestamp

from orchestrator import plan
from rushes.api.common.v1.common_pb2 import Failure
from rushes.api.events.v1.events_pb2 import TaskEvent
from rushes.api.jobs.v1.jobs_pb2 import Job, JobState, TaskState, TaskStatus
from rushes.errors import Cancelled, InvalidInput, to_failure

ENDED = frozenset(
    {
        TaskState.TASK_STATE_SUCCEEDED,
        TaskState.TASK_STATE_FAILED,
        TaskState.TASK_STATE_SKIPPED,
        TaskState.TASK_STATE_CANCELLED,
    }
)
JOB_ENDED = frozenset({JobState.JOB_STATE_SUCCEEDED, JobState.JOB_STATE_FAILED, JobState.JOB_STATE_CANCELLED})
_NAMED = 5
_UNDER_WAY = frozenset({TaskState.TASK_STATE_QUEUED, TaskState.TASK_STATE_RUNNING})
MAX_VIDEOS = 2000
MAX_VIDEO_BYTES = 400_000
"""Limits of one job: its record, which lists its videos and tasks, must fit into a message of the bus."""


class Run:
    """A job and its rules. Every change counts up the revision and marks what must be stored.

    Attributes:
        job: The job; change it only through the methods.
        changed: Identifiers of the tasks that differ from what is stored.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.changed: set[str] = set()
        self._deliveries: dict[str, int] = {}
        self._tasks = {task.id: task for task in job.tasks}

    @property
    def id(self) -> str:
        """Identifier of the job."""
        return self.job.name.removeprefix("jobs/")

    @property
    def ended(self) -> bool:
        """Whether nothing is left to happen."""
        return self.job.state in JOB_ENDED

    def task(self, identifier: str) -> TaskStatus:
        """Returns one task."""
        return self._tasks[identifier]

    def begin(self) -> None:
        """Plans the first tasks of a new job."""
        self._add(plan.first_tasks(self.job))

    def ready(self) -> list[TaskStatus]:
        """Returns the tasks that can be sent now."""
        if self.ended or self.job.state == JobState.JOB_STATE_CANCELLING:
            return []
        return [task for task in self._waiting() if self._can_run(task)]

    def send(self, task: TaskStatus) -> None:
        """Marks a task as sent; its message carries the attempt that this counts up."""
        task.attempt += 1
        self._deliveries.pop(task.id, None)
        task.state = TaskState.TASK_STATE_QUEUED
        self._touch(task)
        if self.job.state == JobState.JOB_STATE_PENDING:
            self.job.state = JobState.JOB_STATE_RUNNING

    def apply(self, event: TaskEvent) -> None:
        """Takes in what a worker reports; repeated, late and foreign events change nothing."""
        task = self._tasks.get(event.task)
        if task is None or task.state not in _UNDER_WAY or event.attempt != task.attempt:
            return
        kind = event.WhichOneof("kind")
        latest = self._deliveries.get(task.id, 0)
        if event.delivery_count < latest and kind != "succeeded":
            return  # A worker that was given up for lost speaks of a task that another one has now.
        self._deliveries[task.id] = max(latest, event.delivery_count)
        if kind == "started":
            task.state = TaskState.TASK_STATE_RUNNING
            task.ClearField("progress")
            if not task.HasField("start_time"):
                task.start_time.CopyFrom(event.time)
        elif kind == "progress":
            task.state = TaskState.TASK_STATE_RUNNING
            task.progress.CopyFrom(event.progress)
            self.job.revision += 1
            return  # Too frequent to be stored, and not missed after a restart.
        elif kind == "notice":
            if event.notice.message not in task.notices:
                task.notices.append(event.notice.message)
        elif kind == "released":
            task.state = TaskState.TASK_STATE_QUEUED
            task.ClearField("progress")
        elif kind == "succeeded":
            self._succeed(task, event)
        elif kind == "failed":
            self._fail(task, event.failed.failure, event.time)
        self._touch(task)

    def cancel(self, time: Timestamp) -> None:
        """Asks for the end: what waits is cancelled at once, what runs when its worker says so."""
        if self.ended:
            return
        self.job.state = JobState.JOB_STATE_CANCELLING
        for task in self.job.tasks:
            if task.state in {TaskState.TASK_STATE_WAITING, TaskState.TASK_STATE_QUEUED}:
                self._end(task, TaskState.TASK_STATE_CANCELLED, time)

    def abandon(self, time: Timestamp) -> None:
        """Ends a cancel whose workers never answered."""
        if self.job.state == JobState.JOB_STATE_CANCELLING:
            for task in self.job.tasks:
                if task.state not in ENDED:
                    self._end(task, TaskState.TASK_STATE_CANCELLED, time)

    def retry(self, stages: Collection[str]) -> None:
        """Makes tasks wait again: those of the stages, else what did not succeed, and all that needs them.

        Raises:
            InvalidInput: The job still runs, or there is nothing to run again.
        """
        if not self.ended:
            raise InvalidInput(f"{self.job.name} still runs.", remedy="Cancel it, or wait for its end.")
        again = {
            task.id
            for task in self.job.tasks
            if (task.stage in stages if stages else task.state != TaskState.TASK_STATE_SUCCEEDED)
        }
        if not again:
            raise InvalidInput(f"{self.job.name} has nothing to run again.")
        if "extract" in again:
            # What follows is planned anew once it has run. Its attempt goes on from the highest one, and
            # theirs from its own, so that no late event or repeated message of before can be taken for new.
            (extract,) = (task for task in self.job.tasks if task.stage == "extract")
            extract.attempt = max(task.attempt for task in self.job.tasks)
            kept = TaskStatus(id=extract.id, stage=extract.stage, attempt=extract.attempt)
            del self.job.tasks[:]
            self.job.ClearField("videos")
            self._tasks.clear()
            self._add([kept])
        for task in self.job.tasks:  # In an order in which they can run, so one pass finds all that follow.
            if task.id in again or again.intersection(task.needs):
                again.add(task.id)
                for field in ("progress", "result", "failure", "start_time", "end_time", "notices"):
                    task.ClearField(field)
                task.state = TaskState.TASK_STATE_WAITING
                self._touch(task)
        self.job.state = JobState.JOB_STATE_PENDING
        self.job.ClearField("end_time")
        self.job.ClearField("output_dir")  # What was delivered before is not what this run delivers.
        self.job.revision += 1

    def settle(self, time: Timestamp) -> None:
        """Skips what can no longer run and ends the job when nothing is left."""
        for task in self._waiting():
            if self.job.state != JobState.JOB_STATE_CANCELLING and self._is_lost(task):
                task.failure.CopyFrom(
                    Failure(
                        reason="SKIPPED",
                        message=f"Not run, because {self._causes(task)} did not succeed.",
                        remedy="Mend the cause, then: rushes jobs retry.",
                    )
                )
                self._end(task, TaskState.TASK_STATE_SKIPPED, time)
        if self.job.state == JobState.JOB_STATE_CANCELLING:
            for task in self.job.tasks:
                if task.state in {TaskState.TASK_STATE_WAITING, TaskState.TASK_STATE_QUEUED}:
                    self._end(task, TaskState.TASK_STATE_CANCELLED, time)
        if self.ended or not all(task.state in ENDED for task in self.job.tasks):
            return
        states = {task.state for task in self.job.tasks}
        if self.job.state == JobState.JOB_STATE_CANCELLING:
            self.job.state = JobState.JOB_STATE_CANCELLED
        elif states == {TaskState.TASK_STATE_SUCCEEDED}:
            self.job.state = JobState.JOB_STATE_SUCCEEDED
        else:
            self.job.state = JobState.JOB_STATE_FAILED
        self.job.end_time.CopyFrom(time)
        self.job.revision += 1

    def _succeed(self, task: TaskStatus, event: TaskEvent) -> None:
        result = event.succeeded.result
        size = sum(video.ByteSize() for video in result.videos)
        if len(result.videos) > MAX_VIDEOS or size > MAX_VIDEO_BYTES:
            error = InvalidInput(
                f"The delivery holds {len(result.videos)} videos, whose names take {size // 1000} kB; "
                f"one job takes {MAX_VIDEOS} videos and {MAX_VIDEO_BYTES // 1000} kB at most.",
                remedy="Split the delivery.",
            )
            self._fail(task, to_failure(error), event.time)
            return
        task.result.CopyFrom(result)
        del task.notices[:]
        task.notices.extend(result.notices)
        self._end(task, TaskState.TASK_STATE_SUCCEEDED, event.time)
        if task.stage == "extract":
            self.job.project = result.project
            self.job.videos.extend(result.videos)
            self._add(plan.tasks_of_videos(self.job, result.videos, attempt=task.attempt - 1))
        elif task.stage == "convert":
            for made in result.videos:
                for video in self.job.videos:
                    if video.stem == made.stem:
                        video.CopyFrom(made)
        elif task.stage == "finalize":
            self.job.output_dir = result.facts["output"]

    def _fail(self, task: TaskStatus, failure: Failure, time: Timestamp) -> None:
        if failure.reason == Cancelled.reason:
            self._end(task, TaskState.TASK_STATE_CANCELLED, time)
        else:  # For good: the workers have tried again whatever could pass.
            task.failure.CopyFrom(failure)
            self._end(task, TaskState.TASK_STATE_FAILED, time)

    def _end(self, task: TaskStatus, state: TaskState.ValueType, time: Timestamp) -> None:
        task.state = state
        task.ClearField("progress")
        task.end_time.CopyFrom(time)
        self._touch(task)

    def _waiting(self) -> list[TaskStatus]:
        return [task for task in self.job.tasks if task.state == TaskState.TASK_STATE_WAITING]

    def _can_run(self, task: TaskStatus) -> bool:
        needs = [self._tasks[need].state for need in task.needs]
        if self._takes_what_there_is(task):
            return all(state in ENDED for state in needs) and TaskState.TASK_STATE_SUCCEEDED in needs
        return all(state == TaskState.TASK_STATE_SUCCEEDED for state in needs)

    def _is_lost(self, task: TaskStatus) -> bool:
        """Tells whether a waiting task can never run."""
        needs = [self._tasks[need].state for need in task.needs]
        if self._takes_what_there_is(task):
            return all(state in ENDED for state in needs) and not self._can_run(task)
        return any(state in ENDED and state != TaskState.TASK_STATE_SUCCEEDED for state in needs)

    def _takes_what_there_is(self, task: TaskStatus) -> bool:
        return task.stage == "finalize" and self.job.spec.deliver_incomplete

    def _causes(self, task: TaskStatus) -> str:
        """Names the tasks whose own failure keeps a task from running, a few of them."""
        causes: dict[str, None] = {}
        seen, needs = set(task.needs), list(task.needs)
        for name in needs:  # Grows on the way: what a skipped need itself needed comes after it.
            need = self._tasks[name]
            if need.state in {TaskState.TASK_STATE_FAILED, TaskState.TASK_STATE_CANCELLED}:
                causes[f"{need.stage} of {need.video}".removesuffix(" of ")] = None
            elif need.state == TaskState.TASK_STATE_SKIPPED:
                needs += sorted(set(need.needs) - seen)
                seen.update(need.needs)
        if len(causes) > _NAMED:
            return f"{', '.join(list(causes)[:_NAMED])} and {len(causes) - _NAMED} more"
        return ", ".join(causes) or "what it needs"

    def _add(self, tasks: Collection[TaskStatus]) -> None:
        for task in tasks:
            self.job.tasks.append(task)
            added = self.job.tasks[-1]
            self._tasks[added.id] = added
            self._touch(added)

    def _touch(self, task: TaskStatus) -> None:
        self.changed.add(task.id)
        self.job.revision += 1


def without_tasks(job: Job) -> Job:
    """Returns a copy of a job that lists no tasks; there may be thousands of them."""
    copy = Job()
    for field, value in job.ListFields():
        if field.name in {"spec", "create_time", "end_time"}:
            getattr(copy, field.name).CopyFrom(value)
        elif field.name == "videos":
            copy.videos.extend(value)
        elif field.name != "tasks":
            setattr(copy, field.name, value)
    return copy
