"""What the command line says of a job: its lines, its summary, its exit code, its errors."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from rushes.api.common.v1.common_pb2 import Failure, Video
from rushes.api.jobs.v1.jobs_pb2 import Job, JobState, TaskState, TaskStatus
from rushes.cli import main as command_line
from rushes.cli.display import Display
from rushes.cli.jobs import match
from rushes.cli.options import engine_choices, names
from rushes.cli.report import as_json, error_json, exit_code, exit_code_of, print_summary
from rushes.errors import Cancelled, InvalidInput, NotFound, RushesError, Unavailable

STAGES = ("convert", "scenes", "audio", "tracking", "speaking", "export")
ROOT = Path(__file__).parents[3]


def job(state: str, videos: dict[str, str], *, finalize: str = "SKIPPED", reason: str = "") -> Job:
    """A job of some videos; each has gone well, has failed in a stage, or was cancelled."""
    made = Job(name="jobs/0a1b", state=JobState.Value(f"JOB_STATE_{state}"), project="P")
    made.output_dir = "/w/projects/P"
    made.tasks.add(id="extract", stage="extract", state=TaskState.TASK_STATE_SUCCEEDED)
    for number, (video, how) in enumerate(videos.items(), start=1):
        made.videos.append(Video(stem=video))
        ended = TaskState.TASK_STATE_SUCCEEDED
        for stage in STAGES:
            task = made.tasks.add(id=f"{stage}-{number}", stage=stage, video=video, attempt=1)
            if how == "cancelled":
                ended = TaskState.TASK_STATE_CANCELLED
            task.state = TaskState.TASK_STATE_FAILED if how == stage else ended
            if how == stage:
                task.failure.CopyFrom(
                    Failure(reason=reason or "ENGINE_CRASHED", message=f"{video} is bad.", remedy="Mend it.")
                )
                ended = TaskState.TASK_STATE_SKIPPED
    made.tasks.add(
        id="finalize",
        stage="finalize",
        state=TaskState.Value(f"TASK_STATE_{finalize}"),
        needs=[task.id for task in made.tasks if task.video],
    )
    return made


def task_of(made: Job, identifier: str) -> TaskStatus:
    (task,) = (task for task in made.tasks if task.id == identifier)
    return task


def lost_delivery(reason: str) -> Job:
    made = Job(name="jobs/0a1b", state=JobState.JOB_STATE_FAILED)
    made.tasks.add(stage="extract", state=TaskState.TASK_STATE_FAILED, failure=Failure(reason=reason))
    return made


@pytest.mark.parametrize(
    ("made", "code"),
    [
        pytest.param(job("SUCCEEDED", {"a": ""}, finalize="SUCCEEDED"), 0, id="all well"),
        pytest.param(job("FAILED", {"a": "", "b": "scenes"}), 1, id="a stage failed"),
        pytest.param(job("FAILED", {"a": "", "b": "convert"}, reason="MEDIA_UNREADABLE"), 1, id="one bad"),
        pytest.param(
            job("FAILED", {"a": "convert", "b": "convert"}, reason="MEDIA_UNREADABLE"), 2, id="all bad"
        ),
        pytest.param(job("FAILED", {"a": "convert"}, reason="STORAGE_FULL"), 1, id="all lost, input good"),
        pytest.param(job("CANCELLED", {"a": "cancelled"}, finalize="CANCELLED"), 130, id="cancelled"),
        pytest.param(
            job("CANCELLED", {"a": "convert"}, reason="MEDIA_UNREADABLE"), 130, id="cancelled, all bad"
        ),
        pytest.param(lost_delivery("ARCHIVE_REJECTED"), 2, id="bad archive"),
        pytest.param(lost_delivery("STORAGE_FULL"), 1, id="no room for the archive"),
    ],
)
def test_exit_codes(made: Job, code: int) -> None:
    assert exit_code(made) == code


def test_the_readme_lists_every_exit_code() -> None:
    listed = re.findall(r"^\| (\d+) \|", (ROOT / "README.md").read_text("utf-8"), re.M)
    assert list(map(int, listed)) == [0, 1, 2, exit_code_of(Cancelled(""))]


@pytest.mark.parametrize(
    ("error", "code", "state"),
    [
        (InvalidInput("a", remedy="b"), 2, "failed"),
        (Unavailable("a", remedy="b"), 1, "failed"),
        (Cancelled("a", remedy="b"), 130, "cancelled"),
    ],
    ids=["input", "other", "cancelled"],
)
def test_errors_in_place_of_a_job(error: RushesError, code: int, state: str) -> None:
    assert exit_code_of(error) == code
    assert error_json(error) == {
        "state": state,
        "error": {"reason": error.reason, "message": "a", "remedy": "b"},
    }


DELIVERED = job("SUCCEEDED", {"a": ""}, finalize="SUCCEEDED")
DELIVERED.output_dir = "/w/delivered/P"
NOTHING_GOOD = job("FAILED", {"a": "convert"})
TRIED = job("FAILED", {"a": "convert", "b": ""})
TRIED.spec.deliver_incomplete = True
ANALYSED = job("FAILED", {"a": "scenes"})
del ANALYSED.tasks[-1]


@pytest.mark.parametrize(
    ("made", "said", "unsaid"),
    [
        pytest.param(DELIVERED, ["Results: /w/delivered/P"], ["Not delivered"], id="delivered"),
        pytest.param(ANALYSED, ["Results: /w/projects/P"], ["Not delivered"], id="no finalize asked for"),
        pytest.param(
            job("FAILED", {"good": "", "bad": "scenes"}),
            ["Not delivered", "for: bad.", "Work so far: /w/projects/P", "--deliver-incomplete"],
            ["Results:"],
            id="incomplete",
        ),
        pytest.param(NOTHING_GOOD, ["Work so far"], ["Results:", "--deliver-incomplete"], id="nothing good"),
        pytest.param(TRIED, ["Work so far"], ["Results:", "--deliver-incomplete"], id="was asked for"),
        pytest.param(
            job("FAILED", {"a": ""}, finalize="FAILED"),
            ["Not delivered: see finalize above.", "Work so far"],
            ["Results:", "--deliver-incomplete"],
            id="finalize failed",
        ),
        pytest.param(
            job("CANCELLED", {"a": "cancelled"}, finalize="CANCELLED"),
            ["Not delivered: the job was cancelled.", "Work so far: /w/projects/P"],
            ["Results:", "--deliver-incomplete"],
            id="cancelled",
        ),
        pytest.param(
            job("RUNNING", {"a": ""}, finalize="RUNNING"),
            ["Work so far, not delivered yet: /w/projects/P"],
            ["Results:", "Not delivered"],
            id="under way",
        ),
    ],
)
def test_where_the_results_are(
    made: Job, said: list[str], unsaid: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    print_summary(made, 1)
    out = capsys.readouterr().out
    assert all(words in out for words in said), out
    assert not any(words in out for words in unsaid), out


def test_the_summary_repeats_what_the_user_should_know_once(capsys: pytest.CaptureFixture[str]) -> None:
    made = job("SUCCEEDED", {"a": "", "b": ""}, finalize="SUCCEEDED")
    for identifier in ("tracking-1", "tracking-2"):
        task_of(made, identifier).notices.append("Falling back to haar.")
    task_of(made, "audio-2").notices.extend(["No sound track.", "No sound track."])
    print_summary(made, 1)
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("  !")] == [
        "  ! tracking of 2 videos: Falling back to haar.",
        "  ! audio b: No sound track.",
    ]


def test_a_failed_video_takes_one_line_and_the_project_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    made = job("FAILED", {"good": "", "bad": "convert", "half": "export", "worse": "speaking"})
    task_of(made, "finalize").failure.message = "Not run, because convert of bad did not succeed."
    with Display() as display:
        display.show(made)
        display.show(made)
    lines = [line.rstrip() for line in capsys.readouterr().err.splitlines()]
    assert [line for line in lines if line.startswith("–")] == [
        "– finalize  Not run, because convert of bad did not succeed.",
        "– bad  5 stages not run",
        "– worse  1 stage not run",
    ]
    assert lines.count("✗ convert   bad  bad is bad.") == 1


def test_a_count_waits_until_the_video_has_ended(capsys: pytest.CaptureFixture[str]) -> None:
    made = job("RUNNING", {"bad": "scenes"})
    audio = task_of(made, "audio-1")
    audio.state = TaskState.TASK_STATE_RUNNING
    with Display() as display:
        display.show(made)
        assert "not run" not in capsys.readouterr().err
        audio.state = TaskState.TASK_STATE_SUCCEEDED
        display.show(made)
    assert "– bad  3 stages not run" in capsys.readouterr().err


def test_cancelled_stages_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    with Display() as display:
        display.show(job("CANCELLED", {"a": "cancelled"}, finalize="CANCELLED"))
    assert "■ a  6 stages cancelled" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"shots": "8", "frame_rate": "25"}, "net on cpu  8 shots"),
        ({"tracks": "1"}, "net on cpu  1 track"),
        ({"speakers": "2"}, "net on cpu  2 speakers"),
        ({"scored_by": "net"}, "net on cpu"),
    ],
    ids=["shots", "one", "speakers", "none"],
)
def test_ends_are_told_with_their_facts(
    facts: dict[str, str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    made = job("RUNNING", {"a": ""})
    result = task_of(made, "scenes-1").result
    result.engine.name, result.engine.device = "net", "cpu"
    result.facts.update(facts)
    with Display() as display:
        display.show(made)
    assert f"✓ scenes    a  0.0 s  {said}" in capsys.readouterr().err.splitlines()


def test_json_names_the_videos_of_the_workspace_given() -> None:
    (video,) = as_json(job("SUCCEEDED", {"a": ""}), Path("/other"), 1)["videos"]
    assert video["path"] == "/other/projects/P/docs/a.mp4"


NAMES = ["jobs/0a1b", "jobs/0a1c", "jobs/0a1b77", "jobs/ff"]


@pytest.mark.parametrize(
    ("text", "name"),
    [("f", "jobs/ff"), ("jobs/ff", "jobs/ff"), ("0a1c", "jobs/0a1c"), ("0a1b", "jobs/0a1b")],
    ids=["prefix", "full name", "identifier", "exact before longer"],
)
def test_a_job_is_known_by_its_beginning(text: str, name: str) -> None:
    assert match(text, NAMES) == name


@pytest.mark.parametrize(
    ("text", "error"),
    [("0a1", InvalidInput), ("1", NotFound), ("", InvalidInput), ("jobs/", InvalidInput)],
    ids=["several", "none", "empty", "empty name"],
)
def test_a_beginning_that_is_not_clear_is_refused(text: str, error: type[RushesError]) -> None:
    with pytest.raises(error):
        match(text, NAMES if text else ["jobs/ff"])


def test_names_tolerate_blanks() -> None:
    assert names(" scenes, audio ,,") == ["scenes", "audio"]


def test_a_setting_needs_its_stage_in_the_job() -> None:
    assert set(engine_choices([], ["scenes.threshold=0.4"], ["scenes"])) == {"scenes"}
    assert set(engine_choices([], ["convert.crf=21"], ["scenes"])) == {"convert"}
    with pytest.raises(InvalidInput, match="tracking, which is not part"):
        engine_choices(["tracking=haar"], [], ["scenes"])


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["scenes", "{tmp}", "-o", "{tmp}/out"], 2, "is not a file"),
        (["scenes", "{tmp}/file", "-o", "{tmp}/file"], 2, "is not a folder"),
        (["scenes", "{tmp}/file", "-o", "{tmp}/file/out"], 2, "{tmp}/file/out: Not a directory"),
        (["run", "{tmp}/file", "--output", "{tmp}/file"], 2, "is not a folder"),
        (["run", "{tmp}/file", "--workspace", "{tmp}/file"], 2, "is not a folder"),
        (["run", "{tmp}/file", "--workspace", "/dev/null/w"], 2, "/dev/null/w"),
        (["up", "--workspace", "{tmp}/file"], 2, "is not a folder"),
        (["jobs", "list", "--workspace", "{tmp}"], 1, "No server runs"),
    ],
    ids=["folder", "file as output", "file above", "delivery", "workspace", "device", "up", "server"],
)
def test_mistakes_are_one_sentence(
    arguments: list[str],
    code: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "file").touch()
    words = [word.format(tmp=tmp_path) for word in arguments]
    as_json = [] if words[0] == "up" else ["--json"]
    monkeypatch.setattr(sys, "argv", ["rushes", *words, *as_json])
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    assert ended.value.code == code
    captured = capsys.readouterr()
    assert said.format(tmp=tmp_path) in captured.err
    if as_json:
        error = json.loads(captured.out.splitlines()[-1])
        assert error["state"] == "failed"
        assert said.format(tmp=tmp_path) in error["error"]["message"]
