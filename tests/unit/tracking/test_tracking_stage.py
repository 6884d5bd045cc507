"""The stage from a video to `tracks.parquet`, with real engines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import pytest

from rushes.api.common.v1.common_pb2 import EngineChoice, StageResult
from rushes.api.events.v1.events_pb2 import Task
from rushes.artifacts import Manifest, Shot, ShotList, Sighting, TrackTable, write_shots
from rushes.context import Context
from rushes.errors import Cancelled, MediaUnreadable, ResultsDiffer, SettingsInvalid
from rushes.execution import Engines, execute
from rushes.stage import Unit
from rushes.workspace import VideoFolder
from services.tracking.blendshapes import NAMES
from services.tracking.engine import LANDMARKER
from services.tracking.stage import STAGE


class Watching(Context):
    """Keeps what it is told; stops after so many checks."""

    def __init__(self, checks: int = 10_000) -> None:
        self.notices: list[str] = []
        self.done: list[tuple[float, float | None, str]] = []
        self.checks = checks

    def progress(self, phase: str, done: float, total: float | None, unit: str) -> None:
        self.done.append((done, total, unit))

    def notice(self, message: str) -> None:
        self.notices.append(message)

    def check(self) -> None:
        self.checks -= 1
        if self.checks < 0:
            raise Cancelled("Stopped.")


@pytest.fixture(scope="module")
def engines() -> Iterator[Engines]:
    held = Engines()
    yield held
    held.close()


@pytest.fixture(scope="module")
def clip(
    media: Callable[[str], Path], ffmpeg: Callable[..., None], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Two real faces side by side for 12 frames, then, after a cut, one of another person for 10."""
    path = tmp_path_factory.mktemp("clips") / "two then one.mp4"
    graph = (
        "[0]fps=25,trim=end_frame=12,setpts=PTS-STARTPTS,scale=256:256[a];"
        "[1]fps=25,trim=end_frame=12,setpts=PTS-STARTPTS,scale=256:256[b];"
        "[a][b]hstack,setsar=1[first];"
        "[2]fps=25,trim=end_frame=10,setpts=PTS-STARTPTS,scale=256:256,pad=512:256:0:0,setsar=1[second];"
        "[first][second]concat,format=yuv420p"
    )
    names = ("talking_head_512.mp4", "speech_face_1.mp4", "face_motion_480.mp4")
    sources = [part for name in names for part in ("-i", media(name))]
    ffmpeg(
        *sources,
        "-filter_complex",
        graph,
        "-an",
        "-c:v",
        "libx264",
        "-crf",
        "12",
        "-preset",
        "veryfast",
        path,
    )
    return path


SHOTS = ShotList(Fraction(25), 22, [Shot(0, 12, 0.9), Shot(12, 22)])


def run(
    video: Path,
    analysis: Path,
    engines: Engines,
    *,
    engine: str = "mediapipe",
    context: Context | None = None,
    **settings: str,
) -> StageResult:
    task = Task(job="j", id="t", stage="tracking", engine=EngineChoice(name=engine, settings=settings))
    unit = Unit(task=task, video=VideoFolder(video=video, analysis=analysis))
    return execute(STAGE, unit, context or Watching(), engines)


def numbers(table: TrackTable) -> list[list[int]]:
    return [[sighting.track for sighting in sightings] for _, sightings in table.frames()]


@pytest.mark.media
@pytest.mark.models
def test_faces_keep_their_numbers_and_lose_them_at_a_cut(
    clip: Path, tmp_path: Path, engines: Engines, weights: Callable[[str], Path]
) -> None:
    weights(LANDMARKER)
    write_shots(tmp_path / "shots.json", SHOTS)
    watching = Watching()
    result = run(clip, tmp_path, engines, context=watching)
    table = TrackTable(tmp_path / "tracks.parquet")

    assert numbers(table) == [[1, 2]] * 12 + [[3]] * 10
    assert dict(result.facts) == {"faces": "34", "tracks": "3", "cuts": "1"}
    assert (result.coverage.done, result.coverage.expected) == (22, 22)
    assert [artifact.role for artifact in result.artifacts] == ["tracks"]
    header = table.header
    assert (header.frame_rate, header.frame_count, header.width, header.height) == (25, 22, 512, 256)
    assert (header.engine, tuple(header.blendshape_names)) == ("mediapipe", NAMES)
    assert all(len(sighting.blendshapes or ()) == 52 for sighting in table)
    assert watching.notices == []
    assert watching.done[-1] == (22, 22, "frames")
    manifest = Manifest.read(tmp_path / "tracking.manifest.json")
    assert set(manifest.inputs) == {"video", "shots"}
    assert manifest.engine["version"].startswith("1.")


@pytest.mark.media
@pytest.mark.models
def test_without_shots_a_track_runs_over_the_cut_and_the_user_is_told_once(
    clip: Path, tmp_path: Path, engines: Engines, weights: Callable[[str], Path]
) -> None:
    weights(LANDMARKER)
    watching = Watching()
    result = run(clip, tmp_path, engines, context=watching)
    assert result.facts["cuts"] == "unknown"
    assert result.facts["tracks"] == "2"
    assert len(watching.notices) == 1
    assert "not known" in watching.notices[0]
    assert watching.notices[0].endswith(
        "Run scenes first with the same -o folder, or include the stage scenes."
    )


@pytest.mark.media
@pytest.mark.models
def test_the_same_again_gives_the_same_bytes_and_nothing_is_done_twice(
    clip: Path, tmp_path: Path, weights: Callable[[str], Path]
) -> None:
    weights(LANDMARKER)
    hashes = set()
    for name in ("first", "second"):
        fresh = Engines()
        hashes.add(run(clip, tmp_path / name, fresh).artifacts[0].sha256)
        fresh.close()
    assert len(hashes) == 1
    assert run(clip, tmp_path / "first", Engines()).cached
    # The shots are an input, so that their arrival makes the work new.
    write_shots(tmp_path / "first" / "shots.json", SHOTS)
    fresh = Engines()
    assert not run(clip, tmp_path / "first", fresh).cached
    fresh.close()


@pytest.mark.media
def test_a_missing_model_falls_back_with_a_notice(
    clip: Path, tmp_path: Path, engines: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUSHES_MODELS_DIR", str(tmp_path / "none"))
    write_shots(tmp_path / "shots.json", SHOTS)
    watching = Watching()
    result = run(clip, tmp_path, engines, engine="", context=watching)
    table = TrackTable(tmp_path / "tracks.parquet")
    assert result.engine.name == "haar"
    assert [notice for notice in result.notices if "Falling back to haar" in notice] == watching.notices
    assert numbers(table)[:12] == [[1, 2]] * 12
    assert list(table.header.blendshape_names) == []
    first: Sighting = next(iter(table))
    assert (first.score, first.blendshapes, first.source) == (None, None, "face_landmarker")


@pytest.mark.media
@pytest.mark.parametrize(
    ("shots", "message"),
    [
        pytest.param(ShotList(Fraction(25), 30, [Shot(0, 30)]), "30 frames; .* has 22", id="too-long"),
        pytest.param(ShotList(Fraction(25), 9, [Shot(0, 9)]), "9 frames; .* has more than 9", id="too-short"),
        pytest.param(ShotList(Fraction(30), 22, [Shot(0, 22)]), "30 frames a second", id="other-rate"),
    ],
)
def test_shots_of_another_video_are_refused_and_nothing_is_left(
    clip: Path, tmp_path: Path, engines: Engines, shots: ShotList, message: str
) -> None:
    write_shots(tmp_path / "shots.json", shots)
    with pytest.raises(ResultsDiffer, match=message):
        run(clip, tmp_path, engines, engine="haar")
    assert [path.name for path in tmp_path.iterdir()] == ["shots.json"]


@pytest.mark.media
def test_a_task_that_is_stopped_leaves_nothing(clip: Path, tmp_path: Path, engines: Engines) -> None:
    watching = Watching(checks=4)
    with pytest.raises(Cancelled):
        run(clip, tmp_path, engines, engine="haar", context=watching)
    assert len(watching.done) < 5
    assert list(tmp_path.iterdir()) == []


@pytest.mark.media
def test_a_video_that_breaks_off_tells_its_coverage(
    clip: Path, ffmpeg: Callable[..., None], tmp_path: Path, engines: Engines
) -> None:
    whole, broken = tmp_path / "whole.mp4", tmp_path / "broken.mp4"
    # With the index in front, what is left after it can be read.
    ffmpeg("-i", clip, "-c:v", "libx264", "-g", "1", "-movflags", "+faststart", whole)
    content = whole.read_bytes()
    broken.write_bytes(content[: len(content) * 6 // 10])
    watching = Watching()
    result = run(broken, tmp_path / "analysis", engines, engine="haar", context=watching)
    assert 0 < result.coverage.done < result.coverage.expected == 22
    assert TrackTable(tmp_path / "analysis" / "tracks.parquet").header.frame_count == result.coverage.done
    assert int(result.facts["damaged_packets"]) > 0
    assert any("cannot be decoded" in notice for notice in watching.notices)


def test_a_text_file_is_no_video(tmp_path: Path, engines: Engines) -> None:
    video = tmp_path / "notes.mp4"
    video.write_text("INT. KITCHEN - DAY")
    with pytest.raises(MediaUnreadable, match=r"notes\.mp4"):
        run(video, tmp_path / "analysis", engines, engine="haar")
    assert not (tmp_path / "analysis" / "tracks.parquet").exists()


def test_a_video_without_faces_has_none(
    ffmpeg: Callable[..., None], tmp_path: Path, engines: Engines
) -> None:
    video = tmp_path / "bars.mp4"
    ffmpeg("-f", "lavfi", "-i", "smptebars=size=320x180:rate=30000/1001:duration=0.5", video)
    result = run(video, tmp_path, engines, engine="haar")
    assert (result.facts["faces"], result.facts["tracks"], result.coverage.done) == ("0", "0", 15)
    assert TrackTable(tmp_path / "tracks.parquet").header.frame_rate == Fraction(30000, 1001)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"max_faces": "0"}, "max_faces"),
        ({"min_detection_confidence": "1.5"}, "min_detection_confidence"),
        ({"max_gap_frames": "-1"}, "max_gap_frames"),
        ({"max_shift": "nan"}, "max_shift"),
        ({"jaw": "1"}, "Known settings: max_faces"),
    ],
)
def test_settings_out_of_bounds_are_refused(settings: dict[str, str], problem: str) -> None:
    with pytest.raises(SettingsInvalid) as raised:
        STAGE.parse(settings)
    assert problem in raised.value.message + raised.value.remedy


def test_the_defaults_are_the_reference_s() -> None:
    assert STAGE.parse({}).model_dump() == {
        "max_faces": 5,
        "min_detection_confidence": 0.3,
        "min_presence_confidence": 0.2,
        "min_tracking_confidence": 0.3,
        "max_gap_frames": 7,
        "max_shift": 1.0,
    }
