"""Artefacts: whole or absent, and read back as they were written."""

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest

from rushes import artifacts
from rushes.artifacts import (
    Manifest,
    Shot,
    ShotList,
    Sighting,
    Speaking,
    Speech,
    TrackHeader,
    TrackSpeech,
    Turn,
)
from rushes.errors import NotFound, ResultsDiffer

PAL = Fraction(25)


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "shots.json"
    path.write_text("old")

    def fail() -> None:
        with artifacts.replacing(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_writer_left_is_swept_and_a_living_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "shots.json"
    killed = "from pathlib import Path; from rushes.artifacts import replacing; import os, sys\n"
    killed += "replacing(Path(sys.argv[1])).__enter__().write_text('half'); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", killed, path], check=False)
    (left,) = tmp_path.iterdir()
    assert artifacts.is_partial(left.name)
    with artifacts.replacing(path) as first:
        first.write_text("one")
        with artifacts.replacing(path) as second:
            second.write_text("two")
            assert set(tmp_path.iterdir()) == {first, second}
    assert path.read_text() == "one"


def test_shots_come_back(tmp_path: Path) -> None:
    shots = ShotList(Fraction(30000, 1001), 200, [Shot(0, 100, 0.75), Shot(100, 200)])
    artifacts.write_shots(tmp_path / "shots.json", shots)
    assert artifacts.read_shots(tmp_path / "shots.json") == shots


@pytest.mark.parametrize(
    "shots",
    [
        pytest.param([Shot(0, 100), Shot(101, 200)], id="a gap"),
        pytest.param([Shot(0, 100), Shot(99, 200)], id="an overlap"),
        pytest.param([Shot(0, 0), Shot(0, 200)], id="an empty shot"),
        pytest.param([Shot(0, 199)], id="a missing end"),
        pytest.param([], id="none"),
    ],
)
def test_shots_must_cover_every_frame_once(shots: list[Shot]) -> None:
    with pytest.raises(ResultsDiffer):
        ShotList(PAL, 200, shots)


def test_active_speakers_per_frame() -> None:
    speech = Speech([Turn(0.0, 0.1, "A"), Turn(0.08, 0.2, "B"), Turn(0.1, 0.2, "A")], duration=0.4)
    assert [names for _, names in speech.active(PAL, 6)] == [
        ["A"], ["A"], ["A", "B"], ["A", "B"], ["A", "B"], [],
    ]  # fmt: skip


def test_speech_and_rttm(tmp_path: Path) -> None:
    speech = Speech([Turn(0.5, 1.25, "SPEAKER_00")], duration=2.0)
    artifacts.write_speech(tmp_path / "speech.json", speech)
    assert artifacts.read_speech(tmp_path / "speech.json") == speech
    artifacts.write_rttm(tmp_path / "d.rttm", speech, uri="my clip")
    assert (tmp_path / "d.rttm").read_text() == (
        "SPEAKER my_clip 1 0.500 0.750 <NA> <NA> SPEAKER_00 <NA> <NA>\n"
    )


def test_speaking_comes_back(tmp_path: Path) -> None:
    track = TrackSpeech(3, "SPEAKER_00", 0.75, [(10, 20)], {"value": 0.5})
    speaking = Speaking(PAL, 200, "mouth_motion", [track], [(20, 30)], [(30, 40), (50, 60)])
    artifacts.write_speaking(tmp_path / "speaking.json", speaking)
    assert artifacts.read_speaking(tmp_path / "speaking.json") == speaking


def test_tracks_come_back_frame_by_frame(tmp_path: Path) -> None:
    header = TrackHeader(PAL, 4, 640, 360, "test", ["jawOpen", "mouthClose"])
    face = Sighting(1, 7, -3.0, 4.0, 50.0, 60.0, (22.0, 34.0), None, blendshapes=[0.5, 0.25])
    chair = Sighting(3, 8, 1.0, 2.0, 3.0, 4.0, (2.5, 4.0), 0.5, "object_detector", "chair")
    with artifacts.writing_tracks(tmp_path / "tracks.parquet") as writer:
        writer.add(face)
        writer.add(chair)
        writer.finish(header)
    table = artifacts.TrackTable(tmp_path / "tracks.parquet")
    assert table.header == header
    assert list(table.frames()) == [(0, []), (1, [face]), (2, []), (3, [chair])]


def test_a_damaged_track_table_is_said_to_be(tmp_path: Path) -> None:
    (tmp_path / "tracks.parquet").write_bytes(b"PAR1 not really PAR1")
    with pytest.raises(ResultsDiffer):
        artifacts.TrackTable(tmp_path / "tracks.parquet")
    with pytest.raises(NotFound):
        artifacts.TrackTable(tmp_path / "other.parquet")


def _manifest(folder: Path) -> Manifest:
    record = artifacts.FileRecord.of(folder / "out.txt", folder, "out")
    return Manifest(
        stage="test",
        key="k",
        engine={"name": "e", "version": "1", "device": "cpu"},
        settings={},
        inputs={},
        outputs=[record],
        coverage={"done": 1, "expected": 1, "unit": "files"},
    )


def test_a_manifest_holds_while_its_outputs_do(tmp_path: Path) -> None:
    output, path = tmp_path / "out.txt", tmp_path / "test.manifest.json"
    output.write_text("abc")
    _manifest(tmp_path).write(path)
    assert Manifest.matching(path, "k") is not None
    assert Manifest.matching(path, "other") is None
    output.write_text("abc")  # Another time, the same content.
    assert Manifest.matching(path, "k") is not None
    output.write_text("abd")
    assert Manifest.matching(path, "k") is None
    output.unlink()
    assert Manifest.matching(path, "k") is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": "rushes.manifest/1"}', '{"schema": "other/1"}'])
def test_a_damaged_manifest_matches_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / "test.manifest.json"
    path.write_text(text)
    with pytest.raises(ResultsDiffer):
        Manifest.read(path)
    assert Manifest.matching(path, "k") is None


def test_a_digest_is_taken_from_the_manifest_that_made_the_file(tmp_path: Path) -> None:
    output, path = tmp_path / "out.txt", tmp_path / "test.manifest.json"
    output.write_text("abc")
    _manifest(tmp_path).write(path)
    expected = artifacts.sha256(output)
    assert artifacts.digest_of(output, [path]) == expected
    output.write_text("changed")
    assert artifacts.digest_of(output, [path]) == artifacts.sha256(output) != expected
