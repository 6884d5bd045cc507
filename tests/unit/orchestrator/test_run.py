"""A job's rules: what events and requests do to it."""

from collections.abc import Callable

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from orchestrator import plan
from orchestrator.run import MAX_VIDEOS, Run
from rushes.api.common.v1.common_pb2 import Failure, Video
from rushes.api.events.v1.events_pb2 import TaskEvent
from rushes.api.jobs.v1.jobs_pb2 import Job, JobSpec, JobState, TaskState
from rushes.errors import InvalidInput

NOW = Timestamp(seconds=1_700_000_000)


def new_run(*stages: str, deliver_incomplete: bool = False) -> Run:
    spec = JobSpec(delivery=["/in/13_Camille.zip"], stages=stages, deliver_incomplete=deliver_incomplete)
    run = Run(Job(name="jobs/j", state=JobState.JOB_STATE_PENDING, spec=spec))
    run.begin()
    return run


def event(run: Run, task: str, **kind: object) -> TaskEvent:
    made = TaskEvent(job="j", task=task, attempt=run.task(task).attempt, time=NOW)
    for name, value in kind.items():
        getattr(made, name).SetInParent()
        if value is not None:
            getattr(made, name).CopyFrom(value)
    return made


def succeed(run: Run, task: str, videos: int = 0) -> None:
    made = event(run, task, succeeded=None)
    if task == "extract":
        made.succeeded.result.project = "13 Camille"
        made.succeeded.result.videos.extend(
            Video(stem=f"clip {number}", source=f"originals/clip {number}.mov") for number in range(videos)
        )
    if task == "finalize":
        made.succeeded.result.facts["output"] = "/out/13 Camille"
    run.apply(made)
    run.settle(NOW)


def fail(run: Run, task: str) -> None:
    failed = event(run, task, failed=None)
    failed.failed.failure.CopyFrom(Failure(reason="MEDIA_UNREADABLE", message="broken"))
    run.apply(failed)
    run.settle(NOW)


def send_ready(run: Run) -> list[str]:
    sent = run.ready()
    for task in sent:
        run.send(task)
    return [task.id for task in sent]


def finish(run: Run, decide: Callable[[str], bool] = lambda _: True) -> None:
    while sent := send_ready(run):
        for task in sent:
            (succeed if decide(task) else fail)(run, task, **({"videos": 2} if task == "extract" else {}))


def states(run: Run) -> dict[str, str]:
    return {task.id: TaskState.Name(task.state).removeprefix("TASK_STATE_") for task in run.job.tasks}


def test_a_delivery_goes_through_every_stage_in_order() -> None:
    run = new_run()
    assert send_ready(run) == ["extract"]
    assert run.job.state == JobState.JOB_STATE_RUNNING
    succeed(run, "extract", videos=2)
    assert send_ready(run) == ["convert-1", "convert-2"]
    succeed(run, "convert-1")
    assert send_ready(run) == ["scenes-1", "audio-1"], "one video does not wait for another"
    succeed(run, "scenes-1")
    assert send_ready(run) == ["tracking-1"], "tracks need the cuts"
    succeed(run, "audio-1")
    succeed(run, "tracking-1")
    assert send_ready(run) == ["speaking-1"]
    finish_rest = ["speaking-1", "convert-2"]
    for task in finish_rest:
        succeed(run, task)
    finish(run)
    assert run.job.state == JobState.JOB_STATE_SUCCEEDED
    assert set(states(run).values()) == {"SUCCEEDED"}
    assert run.job.output_dir == "/out/13 Camille"
    assert run.job.project == "13 Camille"


def test_a_failed_video_stops_neither_the_others_nor_is_it_delivered() -> None:
    run = new_run()
    finish(run, lambda task: task != "convert-1")
    assert run.job.state == JobState.JOB_STATE_FAILED
    found = states(run)
    assert found["convert-1"] == "FAILED"
    assert {found[f"{stage}-1"] for stage in ("scenes", "audio", "tracking", "export")} == {"SKIPPED"}
    assert {found[f"{stage}-2"] for stage in ("scenes", "audio", "tracking", "export")} == {"SUCCEEDED"}
    assert found["finalize"] == "SKIPPED"
    assert "clip 0" in run.task("finalize").failure.message


def test_an_incomplete_project_is_delivered_on_request() -> None:
    run = new_run(deliver_incomplete=True)
    finish(run, lambda task: task != "convert-1")
    assert states(run)["finalize"] == "SUCCEEDED"
    assert run.job.state == JobState.JOB_STATE_FAILED, "something did fail"


def test_nothing_is_delivered_when_every_video_failed() -> None:
    run = new_run(deliver_incomplete=True)
    finish(run, lambda task: not task.startswith("convert"))
    assert states(run)["finalize"] == "SKIPPED"
    assert run.ended


def test_some_stages_only() -> None:
    run = new_run("scenes")
    finish(run)
    assert list(states(run)) == ["extract", "convert-1", "scenes-1", "convert-2", "scenes-2"]
    assert run.job.state == JobState.JOB_STATE_SUCCEEDED


def test_repeated_late_and_foreign_events_change_nothing() -> None:
    run = new_run()
    send_ready(run)
    late = event(run, "extract", failed=None)
    succeed(run, "extract", videos=1)
    before = Job()
    before.CopyFrom(run.job)
    run.apply(late)
    run.apply(event(run, "extract", succeeded=None))
    run.apply(TaskEvent(job="j", task="grading-1", attempt=1))
    assert run.job == before


def test_an_event_of_an_earlier_attempt_is_fenced() -> None:
    run = new_run()
    send_ready(run)
    early = event(run, "extract", succeeded=None)
    fail(run, "extract")
    run.retry([])
    assert send_ready(run) == ["extract"]
    run.apply(early)
    assert states(run)["extract"] == "QUEUED"


def test_a_worker_given_up_for_lost_cannot_fail_the_task_of_its_successor() -> None:
    run = new_run()
    send_ready(run)
    for delivery in (1, 2):
        begun = event(run, "extract", started=None)
        begun.delivery_count = delivery
        run.apply(begun)
    for late in (event(run, "extract", failed=None), event(run, "extract", released=None)):
        late.delivery_count = 1
        run.apply(late)
        assert states(run)["extract"] == "RUNNING"
    done = event(run, "extract", succeeded=None)
    done.delivery_count = 1
    run.apply(done)
    assert states(run)["extract"] == "SUCCEEDED", "what is done is done, whoever did it"


def test_a_task_given_back_waits_for_a_worker_again() -> None:
    run = new_run()
    send_ready(run)
    run.apply(event(run, "extract", started=None))
    assert states(run)["extract"] == "RUNNING"
    run.apply(event(run, "extract", released=None))
    assert states(run)["extract"] == "QUEUED"
    assert run.ready() == []


def test_cancel_is_a_request_and_its_end_a_state() -> None:
    run = new_run()
    send_ready(run)
    succeed(run, "extract", videos=2)
    send_ready(run)
    run.apply(event(run, "convert-1", started=None))
    run.cancel(NOW)
    run.settle(NOW)
    assert run.job.state == JobState.JOB_STATE_CANCELLING
    assert run.ready() == []
    stopped = event(run, "convert-1", failed=None)
    stopped.failed.failure.reason = "CANCELLED"
    run.apply(stopped)
    run.settle(NOW)
    assert run.job.state == JobState.JOB_STATE_CANCELLED
    assert set(states(run).values()) == {"SUCCEEDED", "CANCELLED"}


def test_a_cancel_that_no_worker_answers_ends_all_the_same() -> None:
    run = new_run()
    send_ready(run)
    run.apply(event(run, "extract", started=None))
    run.cancel(NOW)
    run.abandon(NOW)
    run.settle(NOW)
    assert run.job.state == JobState.JOB_STATE_CANCELLED


def test_retry_runs_what_failed_and_what_was_skipped_for_it() -> None:
    run = new_run()
    finish(run, lambda task: task != "tracking-2")
    run.retry([])
    assert send_ready(run) == ["tracking-2"]
    succeed(run, "tracking-2")
    finish(run)
    assert run.job.state == JobState.JOB_STATE_SUCCEEDED


def test_retry_of_a_stage_takes_what_rests_on_it_along() -> None:
    run = new_run()
    finish(run)
    run.retry(["audio"])
    waiting = {task for task, state in states(run).items() if state == "WAITING"}
    assert waiting == {
        "audio-1", "speaking-1", "export-1", "audio-2", "speaking-2", "export-2", "finalize",
    }  # fmt: skip


def test_retry_of_the_extraction_plans_anew_under_new_attempts() -> None:
    run = new_run()
    finish(run)
    run.retry(["audio"])
    finish(run)
    used = {task.id: task.attempt for task in run.job.tasks}
    run.retry(["extract"])
    assert list(states(run)) == ["extract"]
    finish(run)
    assert run.job.state == JobState.JOB_STATE_SUCCEEDED
    assert len(run.job.videos) == 2
    assert all(task.attempt > used[task.id] for task in run.job.tasks)


def test_a_delivery_of_too_many_videos_is_refused() -> None:
    run = new_run()
    send_ready(run)
    succeed(run, "extract", videos=MAX_VIDEOS + 1)
    assert run.job.state == JobState.JOB_STATE_FAILED
    assert run.task("extract").failure.reason == "INVALID_INPUT"


def test_a_delivery_whose_names_do_not_fit_the_record_is_refused() -> None:
    run = new_run()
    send_ready(run)
    done = event(run, "extract", succeeded=None)
    name = "é" * 120
    done.succeeded.result.videos.extend(Video(stem=f"{name}{number}") for number in range(1900))
    run.apply(done)
    run.settle(NOW)
    assert run.task("extract").failure.reason == "INVALID_INPUT"
    assert "Split" in run.task("extract").failure.remedy


def test_what_becomes_ready_while_a_job_is_cancelled_is_cancelled_too() -> None:
    run = new_run()
    send_ready(run)
    run.apply(event(run, "extract", started=None))
    run.cancel(NOW)
    succeed(run, "extract", videos=2)
    assert run.job.state == JobState.JOB_STATE_CANCELLED


def test_a_running_job_and_a_finished_one_are_not_retried() -> None:
    run = new_run()
    send_ready(run)
    with pytest.raises(InvalidInput):
        run.retry([])
    finish_run = new_run()
    finish(finish_run)
    with pytest.raises(InvalidInput):
        finish_run.retry([])


def test_a_message_carries_what_the_worker_needs() -> None:
    run = new_run()
    run.job.spec.output_dir = "/out"
    run.job.spec.engines["scenes"].settings["threshold"] = "0.6"
    finish(run)
    convert = plan.message(run.job, run.task("convert-2"))
    assert (convert.project, convert.video) == ("13 Camille", "clip 1")
    assert convert.source == "originals/clip 1.mov"
    assert plan.message(run.job, run.task("scenes-1")).engine.settings["threshold"] == "0.6"
    assert plan.message(run.job, run.task("finalize")).engine.settings["output"] == "/out"
    assert list(plan.message(run.job, run.task("extract")).delivery) == ["/in/13_Camille.zip"]
