"""One job as it runs: how events and requests change it; pure, no clock but the one given."""

from __future__ import annotations

from collections.abc import Collection

from google.protobuf.timestamp_pb2 import Timestamp

from orchestrator import plan
from rushes.api.common.v1.common_pb2 import Failure
from rushes.api.events.v1.events_pb2 import TaskEvent
from rushes.api.jobs.v1.jobs_pb2 import Job, JobState, TaskState, TaskStatus
from rushes.errors import Cancelled, InvalidInput

ENDED = frozenset(
    {
        TaskState.TASK_STATE_SUCCEEDED,
        TaskState.TASK_STATE_FAILED,
        TaskState.TASK_STATE_SKIPPED,
        TaskState.TASK_STATE_CANCELLED,
    }
)
JOB_ENDED = frozenset({JobState.JOB_STATE_SUCCEEDED, JobState.JOB_STATE_FAILED, JobState.JOB_STATE_CANCELLED})
_UNDER_WAY = frozenset({TaskState.TASK_STATE_QUEUED, TaskState.TASK_STATE_RUNNING})
_MAX_ATTEMPTS = 3


class Run:
    """A job and its rules. Every change counts up the revision and marks what must be stored.

    Attributes:
        job: The job; change it only through the methods.
        changed: Identifiers of the tasks that differ from what is stored.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.changed: set[str] = set()
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
            del self.job.tasks[:]
            self.job.ClearField("videos")
            self._tasks.clear()
            self.begin()
        for task in self.job.tasks:  # In an order in which they can run, so one pass finds all that follow.
            if task.id in again or again.intersection(task.needs):
                again.add(task.id)
                for field in ("progress", "result", "failure", "start_time", "end_time", "notices"):
                    task.ClearField(field)
                task.state = TaskState.TASK_STATE_WAITING
                self._touch(task)
        self.job.state = JobState.JOB_STATE_PENDING
        self.job.ClearField("end_time")
        self.job.revision += 1

    def settle(self, time: Timestamp) -> None:
        """Skips what can no longer run and ends the job when nothing is left."""
        for task in self._waiting():
            failed = [need for need in map(self._tasks.__getitem__, task.needs) if self._is_lost(need)]
            if failed and not self._can_run(task) and self._hopeless(task):
                names = ", ".join(dict.fromkeys(f"{need.stage} of {need.video}" for need in failed[:3]))
                task.failure.CopyFrom(
                    Failure(
                        reason="SKIPPED",
                        message=f"Not run, because {names} did not succeed.",
                        remedy="Mend the cause, then: rushes jobs retry.",
                    )
                )
                self._end(task, TaskState.TASK_STATE_SKIPPED, time)
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
        task.result.CopyFrom(result)
        del task.notices[:]
        task.notices.extend(result.notices)
        self._end(task, TaskState.TASK_STATE_SUCCEEDED, event.time)
        if task.stage == "extract":
            self.job.project = result.project
            self.job.videos.extend(result.videos)
            self._add(plan.tasks_of_videos(self.job, result.videos))
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
        elif failure.retryable and task.attempt < _MAX_ATTEMPTS:
            task.state = TaskState.TASK_STATE_WAITING
            task.ClearField("progress")
        else:
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
        if task.stage == "finalize" and self.job.spec.deliver_incomplete:
            return all(state in ENDED for state in needs) and TaskState.TASK_STATE_SUCCEEDED in needs
        return all(state == TaskState.TASK_STATE_SUCCEEDED for state in needs)

    def _hopeless(self, task: TaskStatus) -> bool:
        if task.stage == "finalize" and self.job.spec.deliver_incomplete:
            return all(self._tasks[need].state in ENDED for need in task.needs)
        return True

    @staticmethod
    def _is_lost(task: TaskStatus) -> bool:
        return task.state in ENDED and task.state != TaskState.TASK_STATE_SUCCEEDED

    def _add(self, tasks: Collection[TaskStatus]) -> None:
        for task in tasks:
            self.job.tasks.append(task)
            added = self.job.tasks[-1]
            self._tasks[added.id] = added
            self._touch(added)

    def _touch(self, task: TaskStatus) -> None:
        self.changed.add(task.id)
        self.job.revision += 1
