"""The stage `export`, from files to files."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from rushes.api.common.v1.common_pb2 import StageResult
from rushes.api.events.v1.events_pb2 import Task
from rushes.artifacts import Shot, ShotList, Speaking, TrackSpeech, write_shots, write_speaking
from rushes.context import Context
from rushes.errors import Cancelled, ResultsDiffer
from rushes.execution import Engines, execute
from rushes.stage import Unit
from rushes.workspace import Project, VideoFolder
from services.delivery.export import STAGE
from services.delivery.names import export_paths

Run = Callable[..., StageResult]
Write = Callable[..., None]
RATE = Fraction(25)


@pytest.fixture
def analysed(video: VideoFolder, write_tracks: Write, say: Write) -> VideoFolder:
    """Two faces over 200 frames; A speaks in frames 25 to 74, B off screen in 50 to 99."""
    write_shots(video.shots, ShotList(RATE, 200, [Shot(0, 99), Shot(99, 200)]))
    write_tracks(video.tracks, [[0.1] * 200, [0.1] * 150])
    say(video, (1, 3, "SPEAKER_00"), (2, 4, "SPEAKER_01"))
    tracks = [TrackSpeech(1, "SPEAKER_00", 0.9, [(25, 75)], {}), TrackSpeech(2, None, 0, [], {})]
    write_speaking(video.speaking, Speaking(RATE, 200, "mouth_motion", tracks, [(50, 100)], []))
    return video


def frames(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_bytes())["frames_analysis"]
    return found


def scenes(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_three_files_that_agree(analysed: VideoFolder, project: Project, run: Run) -> None:
    result = run(STAGE, analysed)
    rows = scenes(project.docs / "clip.csv")
    sound, seen = frames(project.docs / "clip_audio.json"), frames(project.docs / "clip.json")
    numbers = list(range(1, 201))
    assert rows[-1]["Frame Out"] == "200"
    assert [frame["frame"] for frame in sound] == numbers
    assert [frame["frame"] for frame in seen] == numbers
    assert {artifact.role for artifact in result.artifacts} == {"scenes_csv", "audio_json", "tracking_json"}
    assert (result.coverage.done, result.coverage.expected) == (200, 200)
    assert dict(result.facts) == {}
    assert list(result.notices) == []


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("face", {24: [[], []], 25: [[], ["SPEAKER_00"]], 60: [[], ["SPEAKER_00"]], 80: [[], []]}),
        (
            "compat",
            {
                24: [[], []],
                25: [["SPEAKER_00"]] * 2,
                60: [["SPEAKER_00", "SPEAKER_01"]] * 2,
                80: [["SPEAKER_01"]] * 2,
                160: [[]],
            },
        ),
    ],
)
def test_active_speakers(
    analysed: VideoFolder, project: Project, run: Run, choice: str, expected: dict[int, list[list[str]]]
) -> None:
    run(STAGE, analysed, active_speakers=choice)
    seen = frames(project.docs / "clip.json")
    for frame, speakers in expected.items():
        assert [item["active_speakers"] for item in seen[frame]["tracked_objects"]] == speakers
    # The track with the higher number stands further left.
    assert [item["id"] for item in seen[60]["tracked_objects"]] == ["obj_2", "obj_1"]


def test_twice_is_a_no_op_and_again_from_nothing_byte_identical(
    analysed: VideoFolder, project: Project, run: Run
) -> None:
    run(STAGE, analysed)
    files = {path.name: path.read_bytes() for path in project.docs.iterdir()}
    stamps = {path.name: path.stat().st_mtime_ns for path in project.docs.iterdir()}
    assert run(STAGE, analysed).cached
    assert {path.name: path.stat().st_mtime_ns for path in project.docs.iterdir()} == stamps
    analysed.manifest("export").unlink()
    assert not run(STAGE, analysed).cached
    assert {path.name: path.read_bytes() for path in project.docs.iterdir()} == files


def test_analyses_stay_whole(analysed: VideoFolder, run: Run) -> None:
    before = {path: path.read_bytes() for path in analysed.analysis.iterdir()}
    run(STAGE, analysed)
    assert {path: path.read_bytes() for path in before} == before


class StopsWhileWriting(Context):
    def progress(self, phase: str, done: float, total: float | None, unit: str) -> None:
        if phase == "clip.json":
            raise Cancelled("stopped")


def test_stopped_in_the_middle_the_earlier_file_is_intact(
    analysed: VideoFolder, project: Project, workspace: object, run: Run, write_tracks: Write
) -> None:
    run(STAGE, analysed)
    before = (project.docs / "clip.json").read_bytes()
    write_tracks(analysed.tracks, [[0.1] * 200])
    unit = Unit(task=Task(stage="export"), project=project, video=analysed)
    with pytest.raises(Cancelled):
        execute(STAGE, unit, StopsWhileWriting(), Engines())
    assert (project.docs / "clip.json").read_bytes() == before
    assert not [path for path in project.docs.iterdir() if ".partial" in path.name]


@pytest.mark.parametrize(
    ("absent", "role", "name"),
    [
        ("shots", "scenes_csv", "clip.csv"),
        ("speech", "audio_json", "clip_audio.json"),
        ("tracks", "tracking_json", "clip.json"),
    ],
)
def test_what_was_not_analysed_is_not_exported_and_said_so(
    analysed: VideoFolder, project: Project, run: Run, absent: str, role: str, name: str
) -> None:
    getattr(analysed, absent).unlink()
    result = run(STAGE, analysed)
    assert not (project.docs / name).exists()
    assert role not in {artifact.role for artifact in result.artifacts}
    assert result.facts["not_exported"] == f"{role}: no {absent}"


def test_without_a_speaking_result_nobody_is_named_and_that_is_said(
    analysed: VideoFolder, project: Project, run: Run, listener: Any
) -> None:
    analysed.speaking.unlink()
    result = run(STAGE, analysed)
    seen = frames(project.docs / "clip.json")
    assert not any(item["active_speakers"] for frame in seen for item in frame["tracked_objects"])
    assert result.facts["active_speakers"] == "unknown: no speaking"
    assert any("name no speakers" in notice for notice in listener.notices)


def test_no_audio_track_is_stated(analysed: VideoFolder, project: Project, run: Run, say: Write) -> None:
    say(analysed, has_audio=False)
    assert run(STAGE, analysed).facts["no_audio_track"] == "true"
    assert not any(
        frame["audio_info"]["is_speech_present"] for frame in frames(project.docs / "clip_audio.json")
    )


@pytest.mark.parametrize("counted", [190, 210], ids=["too few", "too many"])
def test_artefacts_that_count_otherwise_are_cut_or_padded_and_told(
    analysed: VideoFolder, project: Project, run: Run, write_tracks: Write, listener: Any, counted: int
) -> None:
    write_tracks(analysed.tracks, [[0.1] * counted])
    write_shots(analysed.shots, ShotList(RATE, counted, [Shot(0, counted)]))
    result = run(STAGE, analysed)
    rows = scenes(project.docs / "clip.csv")
    seen = frames(project.docs / "clip.json")
    assert rows[-1]["Frame Out"] == str(min(counted, 200))
    assert len(seen) == 200
    assert len(seen[195]["tracked_objects"]) == (counted > 195)
    assert (result.coverage.done, result.coverage.expected) == (min(counted, 200), 200)
    assert len([notice for notice in listener.notices if str(counted) in notice]) == 2


def test_artefacts_of_another_rate_are_refused(analysed: VideoFolder, run: Run) -> None:
    write_shots(analysed.shots, ShotList(Fraction(30), 200, [Shot(0, 200)]))
    with pytest.raises(ResultsDiffer, match="30 fps"):
        run(STAGE, analysed)


@pytest.mark.parametrize("damage", [b"{", b'{"schema": "rushes.shots/9"}'], ids=["broken", "other schema"])
def test_an_artefact_that_is_not_ours_is_refused(
    analysed: VideoFolder, project: Project, run: Run, damage: bytes
) -> None:
    analysed.shots.write_bytes(damage)
    with pytest.raises(ResultsDiffer):
        run(STAGE, analysed)
    assert analysed.shots.read_bytes() == damage
    assert not (project.docs / "clip.csv").exists()


def test_what_the_client_sent_is_never_overwritten(
    analysed: VideoFolder, project: Project, run: Run, listener: Any
) -> None:
    for name in ("clip.csv", "clip.json", "clip.rushes.json"):
        (project.originals / name).write_text("theirs")
        os.link(project.originals / name, project.docs / name)
    result = run(STAGE, analysed)
    for name in ("clip.csv", "clip.json", "clip.rushes.json"):
        assert (project.docs / name).read_text() == "theirs"
    assert {Path(artifact.path).name for artifact in result.artifacts} == {
        "clip.rushes.csv",
        "clip_audio.json",
        "clip.rushes2.json",
    }
    assert len(frames(project.docs / "clip.rushes2.json")) == 200
    assert sum("The delivery holds" in notice for notice in listener.notices) == 2


@pytest.mark.parametrize("where", ["docs", "originals"])
def test_a_video_named_like_our_sound_file_keeps_its_export(
    analysed: VideoFolder, project: Project, run: Run, where: str
) -> None:
    suffix = {"docs": ".mp4", "originals": ".MOV"}[where]
    shutil.copy(analysed.video, getattr(project, where) / f"clip_audio{suffix}")
    run(STAGE, analysed)
    assert not (project.docs / "clip_audio.json").exists()
    assert len(frames(project.docs / "clip_audio.rushes.json")) == 200


def test_a_video_in_a_folder_of_the_delivery(project: Project, clip: Path, run: Run, say: Write) -> None:
    (project.docs / "day 1").mkdir()
    (project.originals / "day 1").mkdir()
    (project.originals / "day 1" / "l'été [1]_audio.json").write_text("theirs")
    video = project.video("day 1/l'été [1]")
    shutil.copy(clip, video.video)
    video.analysis.mkdir(parents=True)
    say(video, (0, 1, "A"))
    run(STAGE, video)
    assert len(frames(project.docs / "day 1" / "l'été [1]_audio.rushes.json")) == 200


def test_outside_a_project_the_folder_of_the_video_is_left_alone(
    tmp_path: Path, clip: Path, say: Write
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(clip, home / "clip.mp4")
    video = VideoFolder(video=home / "clip.mp4", analysis=tmp_path / "out")
    say(video, (0, 1, "A"))
    unit = Unit(task=Task(stage="export"), video=video)
    execute(STAGE, unit, Context(), Engines())
    assert [path.name for path in home.iterdir()] == ["clip.mp4"]
    assert export_paths(unit)["audio_json"] == tmp_path / "out" / "clip_audio.json"
    assert len(frames(tmp_path / "out" / "clip_audio.json")) == 200
