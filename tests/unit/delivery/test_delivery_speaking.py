"""The stage `speaking`, from files to file."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from rushes.api.common.v1.common_pb2 import StageResult
from rushes.artifacts import Shot, ShotList, Sighting, TrackSpeech, read_speaking, write_shots
from rushes.errors import NotFound, ResultsDiffer, SettingsInvalid
from rushes.workspace import VideoFolder
from services.delivery.speaking import STAGE
from services.delivery.voices import intervals, shot_ranges

Run = Callable[..., StageResult]
Write = Callable[..., None]


def talk(frames: int) -> list[float]:
    return [0.4 + 0.4 * math.sin(frame * 0.9) for frame in range(frames)]


def still(frames: int, opening: float = 0.3) -> list[float]:
    return [opening] * frames


def unseen(frames: int) -> list[None]:
    return [None] * frames


def spoken(tracks: list[TrackSpeech]) -> dict[tuple[int, str | None], list[tuple[int, int]]]:
    return {(track.track, track.speaker): list(track.intervals) for track in tracks}


def near(found: list[tuple[int, int]], expected: list[tuple[int, int]], slack: int = 8) -> bool:
    """Compares intervals to within the window of the motion."""
    return len(found) == len(expected) and bool(np.all(np.abs(np.subtract(found, expected)) <= slack))


def test_dialogue(video: VideoFolder, write_tracks: Write, say: Write, run: Run) -> None:
    write_tracks(video.tracks, [talk(100) + still(100), still(100, 0.0) + talk(100)])
    say(video, (0, 4, "A"), (4, 8, "B"))
    result = run(STAGE, video)
    speaking = read_speaking(video.speaking)
    found = spoken(speaking.tracks)
    assert set(found) == {(1, "A"), (2, "B")}
    assert near(found[1, "A"], [(0, 100)])
    assert near(found[2, "B"], [(100, 200)])
    assert all(track.confidence > 0.5 for track in speaking.tracks)
    assert (speaking.method, speaking.frame_count, speaking.off_screen) == ("mouth_motion", 200, [])
    assert result.facts["speech_frames"] == "200"
    assert (result.coverage.done, result.coverage.expected) == (200, 200)


def test_frames_without_speech_mark_nobody(
    video: VideoFolder, write_tracks: Write, say: Write, run: Run
) -> None:
    write_tracks(video.tracks, [talk(200)])
    say(video, (2, 4, "A"), (6, 7, "A"))
    run(STAGE, video, threshold="0", margin="0")
    assert spoken(read_speaking(video.speaking).tracks) == {(1, "A"): [(50, 100), (150, 175)]}


def test_no_speech(video: VideoFolder, write_tracks: Write, say: Write, run: Run) -> None:
    write_tracks(video.tracks, [talk(200)])
    say(video)
    result = run(STAGE, video)
    speaking = read_speaking(video.speaking)
    assert spoken(speaking.tracks) == {(1, None): []}
    assert speaking.off_screen == []
    assert "no_audio_track" not in result.facts


def test_no_audio_track_is_stated(video: VideoFolder, write_tracks: Write, say: Write, run: Run) -> None:
    write_tracks(video.tracks, [talk(200)])
    say(video, has_audio=False)
    assert run(STAGE, video).facts["no_audio_track"] == "true"


def test_a_still_open_mouth_is_off_screen(
    video: VideoFolder, write_tracks: Write, say: Write, run: Run
) -> None:
    write_tracks(video.tracks, [still(200, 0.9)])
    say(video, (1, 3, "A"))
    run(STAGE, video)
    speaking = read_speaking(video.speaking)
    assert spoken(speaking.tracks) == {(1, None): []}
    assert (speaking.off_screen, speaking.undecided) == ([(25, 75)], [])


def test_a_pause_of_the_linked_mouth_is_vetoed_and_not_off_screen(
    video: VideoFolder, write_tracks: Write, say: Write, run: Run
) -> None:
    write_tracks(video.tracks, [talk(80) + still(40) + talk(80)])
    say(video, (0, 8, "A"))
    run(STAGE, video)
    speaking = read_speaking(video.speaking)
    assert near(list(speaking.tracks[0].intervals), [(0, 80), (120, 200)])
    assert len(speaking.tracks[0].intervals) == 2
    assert speaking.off_screen == []


def test_voice_without_its_face_in_view_is_off_screen(
    video: VideoFolder, write_tracks: Write, say: Write, run: Run
) -> None:
    write_tracks(video.tracks, [talk(100) + unseen(100)])
    say(video, (0, 6, "A"))
    run(STAGE, video)
    speaking = read_speaking(video.speaking)
    assert spoken(speaking.tracks) == {(1, "A"): [(0, 100)]}
    assert speaking.off_screen == [(100, 150)]


def test_a_track_that_survives_a_cut_may_be_two_people(
    video: VideoFolder, write_tracks: Write, say: Write, run: Run
) -> None:
    write_tracks(video.tracks, [talk(200)])
    write_shots(video.shots, ShotList(Fraction(25), 200, [Shot(0, 100), Shot(100, 200)]))
    say(video, (0, 4, "A"), (4, 8, "B"))
    result = run(STAGE, video)
    assert spoken(read_speaking(video.speaking).tracks) == {(1, "A"): [(0, 100)], (1, "B"): [(100, 200)]}
    assert "no_shots" not in result.facts


def test_intervals_run_across_a_cut_when_voice_and_track_do(
    video: VideoFolder, write_tracks: Write, say: Write, run: Run
) -> None:
    write_tracks(video.tracks, [talk(200)])
    write_shots(video.shots, ShotList(Fraction(25), 200, [Shot(0, 100), Shot(100, 200)]))
    say(video, (0, 8, "A"))
    run(STAGE, video)
    assert spoken(read_speaking(video.speaking).tracks) == {(1, "A"): [(0, 200)]}


def test_two_mouths_that_move_alike_are_undecided(
    video: VideoFolder, write_tracks: Write, say: Write, run: Run
) -> None:
    write_tracks(video.tracks, [talk(200), talk(200)])
    say(video, (0, 8, "A"))
    result = run(STAGE, video)
    speaking = read_speaking(video.speaking)
    assert spoken(speaking.tracks) == {(1, None): [], (2, None): []}
    assert (speaking.undecided, speaking.off_screen) == ([(0, 200)], [])
    assert result.facts["undecided_frames"] == "200"


def test_either_of_two_alike_may_speak_wherever_it_is_seen(
    video: VideoFolder, write_tracks: Write, say: Write, run: Run
) -> None:
    write_tracks(video.tracks, [talk(150) + unseen(50), unseen(50) + talk(150)])
    say(video, (0, 8, "A"))
    run(STAGE, video)
    speaking = read_speaking(video.speaking)
    assert [track.speaker for track in speaking.tracks] == [None, None]
    assert (speaking.undecided, speaking.off_screen) == ([(0, 200)], [])


def test_a_face_seen_too_briefly_to_be_judged_is_undecided(
    video: VideoFolder, write_tracks: Write, say: Write, run: Run
) -> None:
    # 15 frames measured, of which the voice is heard in 3.
    write_tracks(video.tracks, [unseen(100) + still(15, 0.3) + unseen(85)])
    say(video, (0, 4.12, "A"))
    run(STAGE, video)
    speaking = read_speaking(video.speaking)
    assert speaking.off_screen == [(0, 100)]
    assert speaking.undecided == [(100, 103)]


def test_the_face_of_one_voice_cannot_be_that_of_another(
    video: VideoFolder, write_tracks: Write, say: Write, run: Run
) -> None:
    write_tracks(video.tracks, [talk(100) + [math.nan] * 100])
    say(video, (0, 4, "A"), (4, 8, "B"))
    run(STAGE, video)
    speaking = read_speaking(video.speaking)
    assert {track.speaker for track in speaking.tracks} == {"A"}
    assert (speaking.undecided, speaking.off_screen) == ([], [(100, 200)])


def test_a_talking_face_may_be_the_speaker_under_a_new_number(
    video: VideoFolder, write_tracks: Write, say: Write, run: Run
) -> None:
    # One person, lost for a while and found again as another track of the same shot.
    softly = [opening / 2 for opening in talk(50)]
    write_tracks(video.tracks, [talk(75) + still(25) + talk(40) + unseen(60), unseen(150) + softly])
    say(video, (0, 3, "A"), (4, 8, "A"))
    run(STAGE, video)
    speaking = read_speaking(video.speaking)
    assert [track.speaker for track in speaking.tracks] == ["A", None]
    assert speaking.off_screen == [(140, 150)]
    assert speaking.undecided == [(150, 200)]


def test_faces_without_blendshapes_are_unknown_and_said_so(
    video: VideoFolder, write_tracks: Write, say: Write, run: Run, listener: object
) -> None:
    write_tracks(video.tracks, [[math.nan] * 200])
    say(video, (0, 8, "A"))
    result = run(STAGE, video)
    speaking = read_speaking(video.speaking)
    assert speaking.tracks[0].speaker is None
    assert speaking.tracks[0].evidence["frames_measured"] == 0
    assert (speaking.undecided, speaking.off_screen) == ([(0, 200)], [])
    assert result.facts["unmeasured_tracks"] == "1"
    assert result.facts["undecided_frames"] == "200"
    assert any("stays unknown" in notice for notice in listener.notices)  # type: ignore[attr-defined]


def test_objects_do_not_speak(video: VideoFolder, write_tracks: Write, say: Write, run: Run) -> None:
    dog = [
        Sighting(frame, 9, 0, 0, 5, 5, (2, 2), 0.9, "object_detector", "dog", (0, frame % 2, 0, 0))
        for frame in range(200)
    ]
    write_tracks(video.tracks, [], extra=dog, frame_count=200)
    say(video, (0, 1, "A"))
    run(STAGE, video)
    speaking = read_speaking(video.speaking)
    assert (speaking.tracks, speaking.off_screen) == ([], [(0, 25)])


def test_fewer_tracked_frames_than_the_video_has_show_in_the_coverage(
    video: VideoFolder, write_tracks: Write, say: Write, run: Run
) -> None:
    write_tracks(video.tracks, [talk(150)])
    write_shots(video.shots, ShotList(Fraction(25), 200, [Shot(0, 100), Shot(100, 200)]))
    say(video, (0, 8, "A"))
    result = run(STAGE, video)
    assert (result.coverage.done, result.coverage.expected) == (150, 200)


def test_the_same_input_gives_the_same_file_and_a_repetition_is_cached(
    video: VideoFolder, write_tracks: Write, say: Write, run: Run
) -> None:
    write_tracks(video.tracks, [talk(200), still(200)])
    say(video, (0, 8, "A"))
    run(STAGE, video)
    first = video.speaking.read_bytes()
    assert run(STAGE, video).cached
    video.speaking.unlink()
    assert not run(STAGE, video).cached
    assert video.speaking.read_bytes() == first


@pytest.mark.parametrize("absent", ["tracks", "speech"])
def test_a_missing_artefact_names_the_stage_to_run(
    video: VideoFolder, write_tracks: Write, say: Write, run: Run, absent: str
) -> None:
    if absent == "tracks":
        say(video)
    else:
        write_tracks(video.tracks, [talk(10)])
    with pytest.raises(NotFound, match=absent) as caught:
        run(STAGE, video)
    assert {"tracks": "tracking", "speech": "audio"}[absent] in caught.value.remedy


def test_shots_of_another_rate_are_refused(
    video: VideoFolder, write_tracks: Write, say: Write, run: Run
) -> None:
    write_tracks(video.tracks, [talk(200)])
    write_shots(video.shots, ShotList(Fraction(30), 200, [Shot(0, 200)]))
    say(video)
    with pytest.raises(ResultsDiffer, match="30 fps"):
        run(STAGE, video)


def test_settings_must_make_sense(video: VideoFolder, write_tracks: Write, say: Write, run: Run) -> None:
    with pytest.raises(SettingsInvalid, match="greater than still"):
        run(STAGE, video, still="0.5", talking="0.2")


@pytest.mark.parametrize(
    ("starts", "count", "expected"),
    [
        ([], 10, [range(10)]),
        ([4, 7], 10, [range(4), range(4, 7), range(7, 10)]),
        ([4, 10, 12], 10, [range(4), range(4, 10)]),
        ([], 0, []),
    ],
    ids=["one shot", "cuts", "cuts past the end", "no frame"],
)
def test_shot_ranges(starts: list[int], count: int, expected: list[range]) -> None:
    assert shot_ranges(starts, count) == expected


def test_intervals() -> None:
    mask = np.array([True, True, False, True, False, False, True])
    assert intervals(mask, 100) == [(100, 102), (103, 104), (106, 107)]
    assert intervals(np.zeros(0, np.bool_), 5) == []
