"""Media: what real files hold, decoded in full or with its gaps counted."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from rushes.errors import MediaUnreadable
from rushes.media import Pictures, Sound, is_video_name, probe
from rushes.media.ffmpeg import run


@pytest.fixture(scope="module")
def clip(ffmpeg: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("media") / "clip.mp4"
    ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=size=320x180:rate=30000/1001:duration=2"),
        *("-f", "lavfi", "-i", "sine=frequency=440:duration=2:sample_rate=44100"),
        *("-g", "10", "-pix_fmt", "yuv420p", path),
    )
    return path


def test_a_header_is_read_without_rounding_the_rate(clip: Path) -> None:
    info = probe(clip)
    video = info.require_video()
    assert (video.width, video.height, video.codec, video.rotation) == (320, 180, "h264", 0)
    assert video.average_rate == Fraction(30000, 1001)
    assert [stream.codec for stream in info.audio] == ["aac"]


def test_every_picture_is_decoded_and_timed(clip: Path) -> None:
    pictures = Pictures(clip, size_wh=(48, 27))
    decoded = list(pictures)
    assert pictures.decoded == pictures.expected == len(decoded) == 60
    assert decoded[0].pixels.shape == (27, 48, 3)
    assert [picture.frame for picture in decoded] == list(range(60))
    assert float(decoded[59].seconds) == pytest.approx(59 * 1001 / 30000, abs=1e-3)


def test_a_truncated_file_tells_what_is_missing(ffmpeg: Callable[..., None], tmp_path: Path) -> None:
    whole, part = tmp_path / "whole.mp4", tmp_path / "part.mp4"
    ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=4"),
        *("-g", "5", "-pix_fmt", "yuv420p", "-movflags", "+faststart", whole),
    )
    data = whole.read_bytes()
    part.write_bytes(data[: len(data) // 2])
    pictures = Pictures(part)
    assert 0 < sum(1 for _ in pictures) < pictures.expected == 100


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(b"", "empty", id="zero bytes"),
        pytest.param(b"hello, I am a text\n" * 50, "not a readable media file", id="a text"),
        pytest.param(None, "does not exist", id="missing"),
        pytest.param(b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:1/x.ts\n", "not a readable", id="a playlist"),
    ],
)
def test_what_is_no_media_is_said_to_be(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "clip.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MediaUnreadable, match=said) as raised:
        probe(path)
    assert "clip.mp4" in raised.value.message


def test_sound_without_picture_is_named(ffmpeg: Callable[..., None], tmp_path: Path) -> None:
    path = tmp_path / "voice.mp4"
    ffmpeg("-f", "lavfi", "-i", "sine=duration=1", path)
    with pytest.raises(MediaUnreadable, match="only sound"):
        probe(path).require_video()


def test_sound_is_mono_at_the_rate_asked_for(clip: Path) -> None:
    sound = Sound(clip)
    samples = sound.read()
    assert sound.exists
    assert samples.dtype == np.int16
    assert samples.size == sound.decoded == pytest.approx(2 * 16_000, abs=1600)
    peak = np.fft.rfft(samples[:16_000].astype(float))
    assert int(np.argmax(np.abs(peak))) == 440


def test_a_late_sound_track_begins_with_silence(
    clip: Path, ffmpeg: Callable[..., None], tmp_path: Path
) -> None:
    late = tmp_path / "late.mkv"
    ffmpeg(
        *("-i", clip, "-itsoffset", "1", "-i", clip),
        *("-map", "0:v", "-map", "1:a", "-c", "copy", late),
    )
    samples = Sound(late).read()
    assert not samples[:15_000].any()
    assert samples[17_000:30_000].any()


def test_ffmpeg_says_why_it_failed_and_tells_its_progress(clip: Path, tmp_path: Path) -> None:
    seen: list[float] = []
    run(["-i", str(clip), "-f", "null", "-"], subject=clip, on_seconds=seen.append)
    assert seen
    with pytest.raises(MediaUnreadable, match=r"none\.mp4"):
        run(["-i", str(tmp_path / "none.mp4"), "-f", "null", "-"], subject=tmp_path / "none.mp4")


@pytest.mark.parametrize(
    ("name", "expected"),
    [("A.MP4", True), ("a.mxf", True), ("._a.mp4", False), ("a.wav", False), ("a.mp4.txt", False)],
)
def test_names_that_promise_a_video(name: str, expected: bool) -> None:
    assert is_video_name(Path(name)) is expected
