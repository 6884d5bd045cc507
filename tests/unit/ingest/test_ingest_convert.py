"""Conversion on small clips made on the spot: exact frames, sound in place, and every gap told."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rushes.api.common.v1.common_pb2 import StageResult
from rushes.errors import Cancelled, MediaUnreadable, ResultsDiffer, SettingsInvalid
from rushes.media import Pictures, Sound, probe
from rushes.workspace import Workspace
from services.ingest import convert
from services.ingest.sources import measure
from services.ingest.timecodes import at_reference_rate

Convert = Callable[..., StageResult]
Ffmpeg = Callable[..., None]
FLASH = "drawbox=color=white:t=fill:enable='gte(t,1)'"
BEEP = "aevalsrc='if(gte(t,1),0.5*sin(2*PI*880*t),0)':d=2:s=48000"
SILENT_PICTURE = ("-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "ultrafast", "-bf", "2")


@pytest.fixture(scope="session")
def clips(ffmpeg: Ffmpeg, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips of two seconds: white and loud from the first second on."""
    folder = tmp_path_factory.mktemp("clips")

    def clip(name: str, rate: str, *options: str, sound: bool = True) -> None:
        sources = ["-f", "lavfi", "-i", f"color=black:s=64x48:r={rate}:d=2,{FLASH}"]
        sources += ["-f", "lavfi", "-i", BEEP] if sound else []
        ffmpeg(*sources, *SILENT_PICTURE, *options, folder / name)

    clip("30.mp4", "30", "-movflags", "+faststart")
    clip("ntsc.mov", "30000/1001", "-c:a", "pcm_s16le", "-timecode", "01:00:59;28")
    clip("25.mp4", "25", "-movflags", "+faststart")
    clip("mute25.mov", "25", sound=False)
    clip("pcm25.mov", "25", "-c:a", "pcm_s16le")
    clip("box.mkv", "25", sound=False)
    uneven = "settb=1/90000,setpts='PTS+if(eq(mod(N,5),3),900,0)'"
    clip("vfr.mp4", "25", "-vf", uneven, "-fps_mode", "vfr", "-enc_time_base", "1/90000")
    ffmpeg("-f", "lavfi", "-i", BEEP, folder / "sound.mp4")
    ffmpeg(
        "-f", "lavfi", "-i", "testsrc=s=63x47:r=30:d=0.5", "-c:v", "png", folder / "odd.mov"
    )  # H.264 itself allows no odd size at 4:2:0.
    turned = ("-i", folder / "25.mp4", "-c", "copy", "-metadata:s:v:0", "rotate=90")
    ffmpeg(*turned, folder / "turned.mp4")
    ffmpeg(
        *("-itsoffset", "0.4", "-i", folder / "25.mp4", "-i", folder / "25.mp4"),
        *("-map", "0:v", "-map", "1:a", "-c", "copy", folder / "late.mp4"),
    )
    ffmpeg("-ss", "0.5", "-i", folder / "25.mp4", "-c", "copy", folder / "trimmed.mp4")
    ffmpeg(
        *("-i", folder / "30.mp4", "-i", folder / "ntsc.mov", "-map", "0:v", "-map", "0:a", "-map", "1:a"),
        *("-c", "copy", folder / "two_sounds.mov"),
    )
    ffmpeg(
        *("-i", folder / "25.mp4", "-i", folder / "25.mp4", "-map", "0:v", "-map", "1:v"),
        *("-c", "copy", folder / "two_pictures.mp4"),
    )
    for name in ("30.mp4", "25.mp4"):
        content = (folder / name).read_bytes()
        (folder / f"cut{name}").write_bytes(content[: len(content) * 3 // 4])
    # A kind of sound that no decoder knows, as some telephones record it beside the usual one.
    content = (folder / "30.mp4").read_bytes()
    (folder / "unknown_sound.mp4").write_bytes(content.replace(b"mp4a", b"zzzz").replace(b"esds", b"esdz"))
    (folder / "text.mp4").write_text("This is not a video.\n" * 50)
    (folder / "empty.mp4").write_bytes(b"")
    return folder


@pytest.fixture
def do(clips: Path, originals: Path, do_convert: Convert) -> Convert:
    def run(name: str, **settings: object) -> StageResult:
        if not (originals / name).exists():
            shutil.copy2(clips / name, originals / name)
        return do_convert(name, **settings)

    return run


def shown(path: Path) -> tuple[int, int]:
    """Returns the first white frame and the number of frames."""
    white = [picture.pixels.mean() > 128 for picture in Pictures(path)]
    return white.index(True), len(white)


def loud_from(path: Path) -> float:
    """Returns the second from which there is sound."""
    return float(np.flatnonzero(np.abs(Sound(path).read().astype(int)) > 2000)[0] / 16_000)


@pytest.mark.parametrize(
    ("name", "reason", "frames", "flash"),
    [
        ("30.mp4", "30 fps", 50, 25),
        ("ntsc.mov", "29.97 fps, pcm_s16le sound", 50, 25),
        ("pcm25.mov", "pcm_s16le sound", 50, 25),
        ("turned.mp4", "rotation of 270°", 50, 25),
        ("late.mp4", "start at 0.400 s", 60, 35),
        ("two_pictures.mp4", "2 video streams", 50, 25),
        ("vfr.mp4", "variable frame rate", 49, 25),  # Its last picture has no length of its own.
    ],
)
def test_what_is_not_compliant_is_converted(
    name: str, reason: str, frames: int, flash: int, do: Convert, originals: Path, workspace: Workspace
) -> None:
    result = do(name)
    made = workspace.project("p").video(Path(name).stem).video
    info = probe(made)
    video = info.require_video()
    assert dict(result.facts) == {"converted": "true", "reason": reason}
    assert (video.codec, video.pixel_format, video.rotation) == ("h264", "yuv420p", 0)
    assert {sound.codec for sound in info.audio} <= {"aac"}
    assert len(info.audio) == len(probe(originals / name).audio)
    timing = measure(made, Fraction(25), lambda: None)
    assert (timing.count, timing.start, timing.constant) == (frames, 0, True)
    assert (result.coverage.done, result.coverage.expected) == (frames, frames)
    assert [(v.stem, v.source, v.frame_count) for v in result.videos] == [
        (Path(name).stem, f"originals/{name}", frames)
    ]
    assert (result.videos[0].frame_rate.numerator, result.videos[0].frame_rate.denominator) == (25, 1)
    white, decoded = shown(made)
    assert decoded == frames
    assert abs(white - flash) <= 1
    if info.audio:
        assert loud_from(made) == pytest.approx(1, abs=0.005)
    assert made.read_bytes().index(b"moov") < made.read_bytes().index(b"mdat")


@pytest.mark.parametrize("name", ["25.mp4", "mute25.mov"])
def test_a_compliant_video_is_not_touched(
    name: str, do: Convert, originals: Path, workspace: Workspace
) -> None:
    result = do(name)
    made = workspace.project("p").video(Path(name).stem).video
    assert made.samefile(originals / name)
    assert dict(result.facts) == {"converted": "false"}
    assert (result.coverage.done, result.videos[0].frame_count) == (50, 50)
    assert do(name).cached


def test_a_trimmed_video_is_not_called_incomplete(do: Convert, told: Any) -> None:
    result = do("trimmed.mp4")
    assert result.coverage.done == result.coverage.expected
    assert abs(result.coverage.done - 37.5) <= 1
    assert told.notices == []
    assert "missing" not in result.facts.get("reason", "")


def test_another_container_is_converted(do: Convert) -> None:
    assert do("box.mkv").facts["reason"] == "matroska container"


def test_an_odd_size_gains_a_row_and_a_column(do: Convert, workspace: Workspace) -> None:
    do("odd.mov")
    video = probe(workspace.project("p").video("odd").video).require_video()
    assert (video.width, video.height) == (64, 48)


def test_a_turned_video_is_upright(do: Convert, workspace: Workspace) -> None:
    do("turned.mp4")
    video = probe(workspace.project("p").video("turned").video).require_video()
    assert (video.width, video.height) == (48, 64)


def test_every_sound_track_is_kept_and_aac_is_copied(
    do: Convert, originals: Path, workspace: Workspace, ffmpeg: Ffmpeg, tmp_path: Path
) -> None:
    do("two_sounds.mov")
    made = workspace.project("p").video("two_sounds").video
    assert [sound.codec for sound in probe(made).audio] == ["aac", "aac"]
    streams = []
    for number, path in enumerate((originals / "two_sounds.mov", made)):
        raw = tmp_path / f"{number}.aac"
        ffmpeg("-i", path, "-map", "0:a:0", "-c", "copy", "-f", "adts", raw)
        streams.append(raw.read_bytes())
    assert streams[0] == streams[1]


def test_a_timecode_is_carried_over(do: Convert, workspace: Workspace) -> None:
    import av

    do("ntsc.mov")
    with av.open(str(workspace.project("p").video("ntsc").video)) as container:
        assert container.streams.video[0].metadata["timecode"] == "01:00:59:23"


@pytest.mark.parametrize(
    ("timecode", "rate", "expected"),
    [
        ("01:02:03:15", Fraction(30), "01:02:03:12"),
        ("01:00:00;29", Fraction(30000, 1001), "01:00:00:24"),
        ("10:00:00:23", Fraction(24000, 1001), "10:00:00:23"),
        ("10:00:00:12", Fraction(24), "10:00:00:12"),
        ("00:00:00:49", Fraction(50), "00:00:00:24"),
        ("00:00:00:24", Fraction(25), "00:00:00:24"),
        ("00:00:00:25", Fraction(25), ""),
        ("24:00:00:00", Fraction(25), ""),
        ("", Fraction(25), ""),
        ("noon", Fraction(25), ""),
    ],
)
def test_timecodes(timecode: str, rate: Fraction, expected: str) -> None:
    assert at_reference_rate(timecode, rate) == expected


def test_the_same_source_gives_the_same_bytes(do: Convert, workspace: Workspace) -> None:
    video = workspace.project("p").video("30")
    do("30.mp4")
    first = video.video.read_bytes()
    video.manifest("convert").unlink()
    assert not do("30.mp4").cached
    assert video.video.read_bytes() == first


def test_settings_matter(do: Convert, workspace: Workspace) -> None:
    sizes = []
    for crf in ("10", "45"):
        assert not do("30.mp4", crf=crf, threads=1).cached
        sizes.append(workspace.project("p").video("30").video.stat().st_size)
    assert sizes[0] > sizes[1]
    with pytest.raises(SettingsInvalid, match=r"convert\.crf"):
        do("30.mp4", crf=52)


@pytest.mark.parametrize("name", ["cut30.mp4", "cut25.mp4"])
def test_a_truncated_video_says_how_much_is_missing(
    name: str, do: Convert, workspace: Workspace, told: Any
) -> None:
    result = do(name)
    assert 10 < result.coverage.done < 49
    assert result.coverage.expected == 50
    made = workspace.project("p").video(Path(name).stem).video
    assert len(list(Pictures(made))) == result.coverage.done == result.videos[0].frame_count
    assert any("is incomplete" in notice for notice in told.notices)
    assert int(result.facts["damage"]) > 0


def test_damage_in_the_middle_is_told(clips: Path, originals: Path, do: Convert, told: Any) -> None:
    content = bytearray((clips / "30.mp4").read_bytes())
    start = content.index(b"mdat") + 2000
    content[start : start + 1500] = bytes(value ^ 0x55 for value in content[start : start + 1500])
    (originals / "damaged.mp4").write_bytes(content)
    result = do("damaged.mp4")
    assert int(result.facts["damage"]) > 0
    assert any("is damaged" in notice for notice in told.notices)


def test_sound_of_an_unknown_kind_is_left_out_and_told(do: Convert, workspace: Workspace, told: Any) -> None:
    result = do("unknown_sound.mp4")
    assert result.facts["sound_left_out"] == "1"
    assert result.coverage.done == 50
    assert probe(workspace.project("p").video("unknown_sound").video).audio == ()
    assert any("unknown kind" in notice for notice in told.notices)


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("text.mp4", r"text\.mp4 is not a readable media file"),
        ("empty.mp4", r"empty\.mp4 is empty \(0 bytes\)"),
        ("sound.mp4", r"sound\.mp4 has no picture: it holds only sound"),
    ],
)
def test_what_is_no_video_is_said(name: str, match: str, do: Convert, workspace: Workspace) -> None:
    with pytest.raises(MediaUnreadable, match=match):
        do(name)
    docs = workspace.project("p").docs
    assert not docs.exists() or list(docs.iterdir()) == []


def test_a_video_without_any_decodable_picture_is_said(
    clips: Path, originals: Path, do: Convert, workspace: Workspace
) -> None:
    content = bytearray((clips / "30.mp4").read_bytes())
    start = content.index(b"mdat") + 4
    content[start:] = bytes(len(content) - start)
    (originals / "blank.mp4").write_bytes(content)
    with pytest.raises(MediaUnreadable, match=r"blank\.mp4"):
        do("blank.mp4")
    assert list(workspace.project("p").docs.iterdir()) == []


def test_a_missing_source_is_said(do_convert: Convert, originals: Path) -> None:
    with pytest.raises(MediaUnreadable, match=r"originals/gone\.mp4 does not exist"):
        do_convert("gone.mp4")


def test_an_encoder_that_makes_something_else_is_caught(
    do: Convert, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.ingest.engines.ffmpeg._FILTER", "setpts=PTS+if(eq(mod(N\\,5)\\,3)\\,9\\,0)")
    monkeypatch.setattr(convert, "REFERENCE_RATE", Fraction(24))
    with pytest.raises(ResultsDiffer, match=r"30\.mp4"):
        do("30.mp4")
    assert list(workspace.project("p").docs.iterdir()) == []


def test_progress_counts_frames_and_cancel_stops_the_encoder(
    do: Convert, workspace: Workspace, told: Any
) -> None:
    do("ntsc.mov")
    assert told.phases[-1] == ("convert", 50, 50, "frames")

    def cancel() -> None:
        raise Cancelled("Stopped.")

    told.check = lambda: cancel() if len(told.phases) > 0 else None
    with pytest.raises(Cancelled):
        do("30.mp4")
    assert [path.name for path in workspace.project("p").docs.iterdir()] == ["ntsc.mp4"]


def test_the_manifest_names_what_made_it(do: Convert, workspace: Workspace) -> None:
    do("30.mp4")
    manifest = json.loads(workspace.project("p").video("30").manifest("convert").read_text())
    assert manifest["engine"]["name"] == "ffmpeg"
    assert "ffmpeg " in manifest["engine"]["version"]
    assert manifest["outputs"][0]["path"] == "../../docs/30.mp4"


@pytest.mark.media
@pytest.mark.parametrize(
    ("name", "converted", "frames"),
    [("dissolves_no_faces.mp4", "true", 325), ("speech_face_2.mp4", "false", 125)],
)
def test_real_clips(
    name: str, converted: str, frames: int, media: Callable[[str], Path], originals: Path, do: Convert
) -> None:
    shutil.copy2(media(name), originals / name)
    result = do(name)
    assert (result.facts["converted"], result.coverage.done) == (converted, frames)
