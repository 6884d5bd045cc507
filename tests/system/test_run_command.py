"""`rushes run` on real deliveries with the real engines, as a user would call it."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from rushes.artifacts import TrackTable, read_shots, read_speaking, read_speech, sha256

pytestmark = pytest.mark.system

STAGES = ("convert", "scenes", "audio", "tracking", "speaking", "export")


def rushes(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rushes.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
        env={**os.environ, **environment},
    )


def result(completed: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    try:
        value: dict[str, Any] = json.loads(completed.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        pytest.fail(f"no JSON in {completed.stdout!r}; {completed.stderr}")
    return value


def check_reference_formats(docs: Path, stem: str, frames: int, *, has_audio: bool) -> None:
    """Checks the three files that the After Effects script reads against their specification."""
    raw = (docs / f"{stem}.csv").read_bytes()
    assert raw.startswith(b"No,Timecode In,Timecode Out,Frame In,Frame Out\r\n")
    rows = list(csv.DictReader(raw.decode("utf-8").splitlines()))
    assert [int(row["No"]) for row in rows] == list(range(1, len(rows) + 1))
    assert int(rows[0]["Frame In"]) == 1
    assert int(rows[-1]["Frame Out"]) == frames
    for before, after in pairwise(rows):
        assert int(after["Frame In"]) == int(before["Frame Out"]) + 1

    tracking = json.loads((docs / f"{stem}.json").read_text("utf-8"))
    assert [frame["frame"] for frame in tracking["frames_analysis"]] == list(range(1, frames + 1))
    for frame in tracking["frames_analysis"]:
        centres = [item["centroid_x"] for item in frame["tracked_objects"]]
        assert centres == sorted(centres)
        for item in frame["tracked_objects"]:
            assert set(item) == {
                "id", "centroid_x", "source", "label", "active_speakers", "bbox_width", "bbox_height",
            }  # fmt: skip
            assert item["id"].startswith("obj_")

    audio = json.loads((docs / f"{stem}_audio.json").read_text("utf-8"))
    assert [frame["frame"] for frame in audio["frames_analysis"]] == list(range(1, frames + 1))
    for frame in audio["frames_analysis"]:
        assert set(frame["audio_info"]) == {"is_speech_present", "active_speaker_labels"}
        assert has_audio or not frame["audio_info"]["is_speech_present"]


@pytest.mark.media
@pytest.mark.models
def test_a_real_delivery_goes_through_every_stage(
    media: Callable[[str], Path], weights: Callable[[str], Path], tmp_path: Path
) -> None:
    weights("mediapipe/face_landmarker.task")
    clips = {"interview_720p": 235, "talking_head_512": 295, "scenes_testvideo": 601}
    delivery = tmp_path / "13_Camille.zip"
    with zipfile.ZipFile(delivery, "w") as archive:
        for name in clips:
            archive.write(media(f"{name}.mp4"), f"day 1/{name}.mp4")
    before = sha256(delivery)
    workspace = tmp_path / "workspace"

    completed = rushes("run", delivery, "--workspace", workspace, "--json")
    assert completed.returncode == 0, completed.stderr
    made = result(completed)
    assert made["state"] == "succeeded"
    assert made["project"].startswith("13 Camille ")
    assert {video["stem"]: video["frames"] for video in made["videos"]} == clips
    for video in made["videos"]:
        assert set(video["stages"]) == set(STAGES)
        for stage, state in video["stages"].items():
            assert state["state"] == "succeeded", (video["stem"], stage, state)
            assert state["coverage"]["done"] == pytest.approx(state["coverage"]["expected"], abs=0.05)
        assert video["stages"]["tracking"]["engine"] == "mediapipe"
        assert (video["fps"], Path(video["path"]).exists()) == (25.0, True)

    delivered = Path(made["output_dir"])
    assert delivered.parent == workspace / "delivered"
    for stem, frames in clips.items():
        analysis = delivered / "analysis" / stem
        assert read_shots(analysis / "shots.json").frame_count == frames
        assert TrackTable(analysis / "tracks.parquet").header.frame_count == frames
        assert read_speaking(analysis / "speaking.json").frame_count == frames
        has_audio = read_speech(analysis / "speech.json").has_audio
        assert has_audio == (stem != "scenes_testvideo")
        check_reference_formats(delivered / "docs", stem, frames, has_audio=has_audio)
    assert len(read_shots(delivered / "analysis/scenes_testvideo/shots.json").shots) > 5
    sightings = list(TrackTable(delivered / "analysis/interview_720p/tracks.parquet"))
    assert sum(sighting.track == 1 for sighting in sightings) >= 230
    assert len(sightings[0].blendshapes or ()) == 52
    assert sha256(delivery) == before

    again = result(rushes("run", delivery, "--workspace", workspace, "--json"))
    assert (again["state"], again["project"]) == ("succeeded", made["project"])
    assert all(state["cached"] for video in again["videos"] for state in video["stages"].values())
    assert again["output_dir"] == made["output_dir"]


@pytest.fixture(scope="module")
def material(ffmpeg: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A delivery folder in which most is wrong."""
    folder = tmp_path_factory.mktemp("material") / "Camille bad day"
    folder.mkdir()
    ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=size=320x180:rate=30:duration=2"),
        *("-f", "lavfi", "-i", "sine=frequency=300:duration=2"),
        *("-pix_fmt", "yuv420p", "-g", "10", "-movflags", "+faststart", folder / "good.mp4"),
    )
    ffmpeg("-i", folder / "good.mp4", "-an", "-c", "copy", folder / "mute.mov")
    ffmpeg("-i", folder / "good.mp4", "-vn", "-c", "copy", folder / "voice only.mp4")
    whole = (folder / "good.mp4").read_bytes()
    (folder / "cut off.mp4").write_bytes(whole[:400])
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("These are notes about the shooting.\n" * 20)
    (folder / "notes.txt").write_text("Scene 12 was shot twice.\n")
    return folder


def test_bad_files_are_named_and_the_good_ones_go_on(material: Path, tmp_path: Path) -> None:
    before = {path.name: sha256(path) for path in material.iterdir()}
    no_models = {"RUSHES_MODELS_DIR": str(tmp_path)}
    completed = rushes("run", material, "--workspace", tmp_path / "w", "--json", **no_models)
    assert completed.returncode == 1, completed.stderr
    assert completed.stderr.splitlines()[:2] == [f"Workspace: {tmp_path / 'w'}", "Starting the services…"]
    made = result(completed)
    videos = {video["stem"]: video["stages"] for video in made["videos"]}
    assert set(videos) == {"good", "mute", "voice only", "cut off", "empty", "text"}
    for stem in ("good", "mute"):
        assert {stage: state["state"] for stage, state in videos[stem].items()} == dict.fromkeys(
            STAGES, "succeeded"
        )
        assert videos[stem]["tracking"]["engine"] == "haar"
        assert any("face_landmarker" in notice for notice in videos[stem]["tracking"]["notices"])
    assert videos["mute"]["audio"]["facts"]["no_audio_track"] == "true"
    for stem, said in {"voice only": "only sound", "cut off": "", "empty": "empty", "text": ""}.items():
        convert = videos[stem]["convert"]
        assert (convert["state"], convert["error"]["reason"]) == ("failed", "MEDIA_UNREADABLE")
        assert stem in convert["error"]["message"]
        assert said in convert["error"]["message"]
        assert f"{stem}.mp4" in completed.stderr
        assert f"– {stem}  5 stages not run" in completed.stderr.splitlines()
        assert {state["state"] for stage, state in videos[stem].items() if stage != "convert"} == {"skipped"}
    assert made["stages"]["finalize"]["state"] == "skipped"
    project = tmp_path / "w" / "projects" / made["project"]
    assert f"Work so far: {project}" in completed.stderr
    assert "--deliver-incomplete" in completed.stderr
    assert "Results:" not in completed.stderr
    assert (project / "docs" / "notes.txt").read_text() == "Scene 12 was shot twice.\n"
    assert {path.name: sha256(path) for path in material.iterdir()} == before
    assert {path.name: sha256(path) for path in (project / "originals").iterdir()} == before
    assert not list(project.rglob("*partial*"))
    assert {path.name for path in (project / "docs").glob("*.mp4")} == {"good.mp4", "mute.mp4"}

    delivered = rushes(
        *("run", material, "--workspace", tmp_path / "w", "--output", tmp_path / "out"),
        *("--deliver-incomplete", "--json"),
        **no_models,
    )
    assert delivered.returncode == 1
    out = Path(result(delivered)["output_dir"])
    assert f"Results: {out}" in delivered.stderr
    assert out.parent == tmp_path / "out"
    assert {path.name for path in (out / "docs").glob("*.mp4")} == {"good.mp4", "mute.mp4"}


def test_what_cannot_be_a_delivery_is_refused_with_exit_code_2(material: Path, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    (tmp_path / "voice.wav").write_bytes(b"RIFF\0\0\0\0WAVE")
    with zipfile.ZipFile(tmp_path / "notes.zip", "w") as archive:
        archive.write(material / "notes.txt", "notes.txt")
    for name in ("missing.zip", "nothing", "voice.wav", "notes.zip"):
        completed = rushes("run", tmp_path / name, "--workspace", tmp_path / "w")
        assert completed.returncode == 2, (name, completed.stderr)
        assert name in completed.stderr
    projects = tmp_path / "w" / "projects"
    assert not projects.exists() or not list(projects.iterdir())
    (tmp_path / "notes.mp4").write_text("Nothing of this delivery is a video.\n")
    completed = rushes("run", tmp_path / "notes.mp4", "--workspace", tmp_path / "w")
    assert completed.returncode == 2, completed.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--stages", "grading"], "grading"),
        (["--engine", "scenes=best"], "best"),
        (["--engine", "scenes"], "STAGE=NAME"),
        (["--set", "scenes.colour=red"], "colour"),
        (["--set", "scenes.threshold=2"], "threshold"),
        (["--set", "scenes.treshold=0.4"], "did you mean 'threshold'?"),
        (
            ["--stages", "scenes, audio", "--engine", "tracking=haar"],
            "tracking, which is not part of this job",
        ),
        (["--output", "{material}/notes.txt"], "notes.txt is not a folder"),
    ],
)
def test_wrong_options_are_refused_before_anything_starts(
    arguments: list[str], said: str, material: Path, tmp_path: Path
) -> None:
    arguments = [argument.format(material=material) for argument in arguments]
    completed = rushes("run", material, "--workspace", tmp_path / "w", "--json", *arguments)
    assert completed.returncode == 2
    assert said in completed.stderr
    assert result(completed)["state"] == "failed"
    assert said in result(completed)["error"]["message"]
    assert not (tmp_path / "w").exists()


def test_ctrl_c_leaves_a_watched_job_alone_and_cancels_ones_own(
    ffmpeg: Callable[..., None], tmp_path: Path
) -> None:
    ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=30:duration=60"),
        *("-pix_fmt", "yuv420p", "-preset", "ultrafast", tmp_path / "long.mp4"),
    )
    of_workspace = ("--workspace", tmp_path / "w")
    running = started("run", tmp_path / "long.mp4", *of_workspace, "--json")
    deadline = time.monotonic() + 60
    while not list((tmp_path / "w").glob("projects/*/docs/*partial*")):
        assert time.monotonic() < deadline
        assert running.poll() is None
        time.sleep(0.05)
    (job,) = result(rushes("jobs", "list", *of_workspace, "--json"))["jobs"]
    beginning = job["job"].removeprefix("jobs/")[:6]
    for number in (signal.SIGINT, signal.SIGTERM):
        watching = started("jobs", "watch", beginning, *of_workspace, "--json")
        assert watching.stderr is not None
        watching.stderr.readline()  # Says what has happened so far: it follows the job by now.
        watching.send_signal(number)
        stdout, stderr = watching.communicate(timeout=30)
        assert watching.returncode == 130, stderr
        assert json.loads(stdout.splitlines()[-1])["state"] == "running"
        assert "The job goes on" in stderr
    shown = result(rushes("jobs", "show", beginning, *of_workspace, "--json"))
    assert shown["state"] == "running"
    assert shown["videos"][0]["path"].startswith(str(tmp_path / "w"))
    assert rushes("jobs", "show", "nothing", *of_workspace).returncode == 1

    running.send_signal(signal.SIGINT)
    stdout, stderr = running.communicate(timeout=30)
    assert running.returncode == 130, stderr
    assert json.loads(stdout.splitlines()[-1])["state"] == "cancelled"
    mine = str(tmp_path / "w").encode()
    left = [path for path in Path("/proc").glob("[0-9]*/cmdline") if mine in _read(path)]
    assert not left


def started(*arguments: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "rushes.cli", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # The process has ended.
        return b""


@pytest.mark.parametrize("stage", ["scenes", "audio", "tracking"])
def test_one_stage_on_one_file_needs_no_server(stage: str, material: Path, tmp_path: Path) -> None:
    completed = rushes(
        *(stage, material / "good.mp4", "-o", tmp_path / "out", "--json"), RUSHES_MODELS_DIR=str(tmp_path)
    )
    assert completed.returncode == 0, completed.stderr
    made = result(completed)
    assert {"seconds", "frames", "engine", "device", "peak_rss_bytes", "artifacts", "notices"} <= set(made)
    assert made["artifacts"]
    assert all(Path(path).exists() for path in made["artifacts"].values())
    failed = rushes(stage, material / "text.mp4", "-o", tmp_path / "other")
    assert failed.returncode == 2
    assert "text.mp4" in failed.stderr
    assert not list((tmp_path / "other").iterdir())
