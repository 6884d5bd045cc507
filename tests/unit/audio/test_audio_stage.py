"""The stage end to end, on real recordings and on sound tracks that are not what they should be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.der import DiarizationError, diarization_error, read_rttm
from rushes.api.common.v1.common_pb2 import EngineChoice, StageResult
from rushes.api.events.v1.events_pb2 import Task
from rushes.artifacts import Speech, read_speech
from rushes.context import Context
from rushes.errors import Cancelled, MediaUnreadable, SettingsInvalid
from rushes.execution import Engines, execute
from rushes.stage import Unit
from rushes.workspace import VideoFolder
from services.audio.stage import STAGE

Run = Callable[..., tuple[Speech, StageResult]]
PICTURE = ("-f", "lavfi", "-i", "testsrc=d=2:s=64x64:r=25")


class Told(Context):
    """Remembers what it is told; stops after so many questions."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.phases: list[tuple[str, float, float | None, str]] = []
        self.notices: list[str] = []
        self._left = stop_after

    def progress(self, phase: str, done: float, total: float | None, unit: str) -> None:
        self.phases.append((phase, done, total, unit))

    def notice(self, message: str) -> None:
        self.notices.append(message)

    def check(self) -> None:
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                raise Cancelled("stopped")


@pytest.fixture(scope="module")
def engines() -> Engines:
    return Engines()


@pytest.fixture
def run(tmp_path: Path, engines: Engines) -> Run:
    def execute_on(
        path: Path, *, context: Context | None = None, folder: str = "a", **settings: str
    ) -> object:
        video = VideoFolder(video=path, analysis=tmp_path / folder)
        task = Task(job="j", id="t", stage="audio", engine=EngineChoice(settings=settings))
        result = execute(STAGE, Unit(task=task, video=video), context or Context(), engines)
        return read_speech(video.speech), result

    return execute_on  # type: ignore[return-value]


@pytest.mark.media
def test_two_people_are_told_apart(run: Run, media: Callable[[str], Path], tmp_path: Path) -> None:
    told = Told()
    speech, result = run(media("sample.wav"), context=told)
    reference = read_rttm(media("reference.rttm"))["sample"]
    assert diarization_error(reference, speech.turns).rate < 0.22
    assert speech.speakers == ["SPEAKER_00", "SPEAKER_01"]
    assert speech.turns[0].speaker == "SPEAKER_00"
    assert [turn.start for turn in speech.turns] == sorted(turn.start for turn in speech.turns)
    assert result.coverage.done == result.coverage.expected == pytest.approx(30.0)
    assert not result.facts
    assert told.phases[0] == ("listening", 30.0, 30.0, "seconds")
    # The interchange file says the same.
    written = read_rttm(tmp_path / "a" / "diarization.rttm")["sample"]
    assert diarization_error(written, speech.turns).rate == pytest.approx(0, abs=1e-3)


@pytest.mark.media
def test_error_rate_on_four_recordings(run: Run, media: Callable[[str], Path]) -> None:
    total = DiarizationError()
    for name, reference in read_rttm(media("reference.rttm")).items():
        speech, _ = run(media(f"{name}.wav"), folder=name)
        total += diarization_error(reference, speech.turns)
    assert total.total == pytest.approx(98.0, abs=0.5)
    assert total.rate < 0.24


@pytest.mark.media
def test_the_same_file_gives_the_same_bytes(run: Run, media: Callable[[str], Path], tmp_path: Path) -> None:
    run(media("trn04.wav"), folder="a")
    run(media("trn04.wav"), folder="b")
    for name in ("speech.json", "diarization.rttm"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.media
@pytest.mark.parametrize("name", ["speech_face_1.mp4", "speech_face_2.mp4", "speech_face_3.mp4"])
def test_one_person_is_one_speaker(run: Run, media: Callable[[str], Path], name: str) -> None:
    speech, _ = run(media(name))
    assert speech.speakers == ["SPEAKER_00"]
    assert sum(turn.end - turn.start for turn in speech.turns) > 0.8 * speech.duration


@pytest.mark.media
def test_a_quiet_recording_is_heard(
    run: Run, media: Callable[[str], Path], ffmpeg: Callable[..., None], tmp_path: Path
) -> None:
    quiet = tmp_path / "quiet.wav"
    ffmpeg("-i", media("sample.wav"), "-af", "volume=-30dB", "-c:a", "pcm_f32le", quiet)
    loud, _ = run(media("sample.wav"), folder="loud")
    faint, _ = run(quiet, folder="faint")
    assert diarization_error(loud.turns, faint.turns).rate < 0.1


@pytest.mark.media
@pytest.mark.parametrize(
    ("settings", "expected"),
    [({"num_speakers": "3"}, 3), ({"max_speakers": "1"}, 1), ({"min_speakers": "3"}, 3)],
    ids=["three", "at most one", "at least three"],
)
def test_the_number_of_speakers_can_be_given(
    run: Run, media: Callable[[str], Path], settings: dict[str, str], expected: int
) -> None:
    speech, _ = run(media("sample.wav"), min_turn="0", **settings)
    assert len(speech.speakers) == expected


@pytest.mark.parametrize(
    "settings",
    [
        {"min_speakers": "3", "max_speakers": "2"},
        {"num_speakers": "2", "max_speakers": "2"},
        {"num_speakers": "0"},
        {"min_gap": "-1"},
        {"speakers": "2"},
    ],
    ids=["min above max", "number and bound", "zero", "negative", "unknown"],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, str]) -> None:
    with pytest.raises(SettingsInvalid, match="audio"):
        STAGE.parse(settings)


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("anullsrc=r=44100:d=5", id="silence"),
        pytest.param("anoisesrc=d=20:c=pink:a=0.3:seed=1", id="pink noise"),
        pytest.param("anoisesrc=d=20:c=white:a=0.0003:seed=1", id="faint hiss"),
        pytest.param("sine=f=220:d=20,tremolo=f=5,vibrato=f=6", id="a vibrating tone"),
    ],
)
def test_what_is_not_speech_has_no_turns(
    run: Run, ffmpeg: Callable[..., None], tmp_path: Path, source: str
) -> None:
    clip = tmp_path / "clip.mkv"
    ffmpeg("-f", "lavfi", "-i", source, *PICTURE, "-c:a", "flac", clip)
    speech, result = run(clip)
    assert (list(speech.turns), speech.has_audio) == ([], True)
    assert result.facts == {"no_speech": "true"}
    assert result.coverage.done == pytest.approx(speech.duration)
    assert (tmp_path / "a" / "diarization.rttm").read_bytes() == b""


def test_a_video_without_sound_states_so(run: Run, ffmpeg: Callable[..., None], tmp_path: Path) -> None:
    clip = tmp_path / "mute.mp4"
    ffmpeg(*PICTURE, clip)
    told = Told()
    speech, result = run(clip, context=told)
    assert (list(speech.turns), speech.duration, speech.has_audio) == ([], 0, False)
    assert result.facts == {"no_audio_track": "true"}
    assert told.notices == ["mute.mp4 has no sound track."]
    assert list(run(clip)[1].notices) == told.notices  # Also when nothing is done again.
    assert (result.coverage.done, result.coverage.expected) == (0, 0)


@pytest.mark.parametrize("codec", ["aac", "flac", "ac3"])
def test_sound_that_does_not_decode_is_an_error_and_not_silence(
    run: Run, ffmpeg: Callable[..., None], tmp_path: Path, codec: str
) -> None:
    sound, broken = tmp_path / "sound.mkv", tmp_path / "broken.mkv"
    ffmpeg(*PICTURE, "-f", "lavfi", "-i", "sine=d=2", "-c:a", codec, sound)
    ffmpeg("-i", sound, "-c", "copy", "-bsf:a", "noise=amount=1", broken)
    with pytest.raises(MediaUnreadable, match=r"broken\.mkv"):
        run(broken)
    assert not (tmp_path / "a" / "speech.json").exists()


def test_sound_that_ends_early_shows_in_the_coverage(
    run: Run, ffmpeg: Callable[..., None], tmp_path: Path
) -> None:
    clip = tmp_path / "clip.mkv"
    ffmpeg("-f", "lavfi", "-i", "sine=d=4", "-f", "lavfi", "-i", "testsrc=d=10:s=64x64:r=25", clip)
    speech, result = run(clip)
    assert speech.duration == pytest.approx(4.0, abs=0.1)
    assert (result.coverage.done, result.coverage.expected) == pytest.approx((4.0, 10.0), abs=0.1)


def test_damage_within_a_track_is_counted_and_told(
    run: Run, ffmpeg: Callable[..., None], tmp_path: Path
) -> None:
    sound, broken = tmp_path / "sound.mkv", tmp_path / "broken.mkv"
    ffmpeg("-f", "lavfi", "-i", "sine=d=8", *PICTURE, "-c:a", "flac", sound)
    ffmpeg("-i", sound, "-c", "copy", "-bsf:a", "noise=amount='if(between(n,40,45),1,0)'", broken)
    told = Told()
    _, result = run(broken, context=told)
    assert int(result.facts["damaged_packets"]) > 0
    assert "broken.mkv" in told.notices[0]


@pytest.mark.media
@pytest.mark.parametrize("questions", [0, 1, 2, 4])
def test_a_stopped_task_writes_nothing(
    run: Run, media: Callable[[str], Path], tmp_path: Path, questions: int
) -> None:
    with pytest.raises(Cancelled):
        run(media("sample.wav"), context=Told(stop_after=questions))
    assert not (tmp_path / "a").exists() or not list((tmp_path / "a").iterdir())


@pytest.mark.media
def test_a_second_run_finds_the_first(run: Run, media: Callable[[str], Path]) -> None:
    first, made = run(media("speech_face_2.mp4"))
    second, found = run(media("speech_face_2.mp4"))
    assert (made.cached, found.cached) == (False, True)
    assert first == second


def test_stage_declares_light() -> None:
    import subprocess
    import sys

    code = (
        "import sys, services.audio.stage; print([m for m in ('torch', 'av', 'scipy') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
