"""Faces of real footage: who talks is told from who listens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import islice
from pathlib import Path

import pytest

from rushes.api.common.v1.common_pb2 import StageResult
from rushes.artifacts import Sighting, TrackHeader, read_speaking, writing_tracks
from rushes.media import Pictures
from rushes.workspace import VideoFolder
from services.delivery.speaking import STAGE
from services.tracking.blendshapes import NAMES
from services.tracking.engine import ENGINES, LANDMARKER
from services.tracking.settings import TrackingSettings

FRAMES = 75
Mouths = Callable[[str], list[Sequence[float] | None]]


@pytest.fixture(scope="module")
def mouths(media: Callable[[str], Path], weights: Callable[[str], Path]) -> Iterator[Mouths]:
    """Returns the blendshapes of the largest face in each of the first frames of a clip."""
    weights(LANDMARKER)
    engine = ENGINES["mediapipe"].load(TrackingSettings(), "cpu")

    @lru_cache
    def seen(clip: str) -> list[Sequence[float] | None]:
        pictures = islice(Pictures(media(clip), threads=1), FRAMES)
        frames = engine.detect(pictures, rate=Fraction(25), cuts=())
        return [found[0].blendshapes if found else None for _, found in frames]

    yield seen
    engine.close()


@pytest.mark.media
@pytest.mark.models
@pytest.mark.parametrize("talker", ["speech_face_1.mp4", "speech_face_2.mp4", "speech_face_3.mp4"])
def test_the_talking_face_gets_the_voice_and_the_closed_mouth_does_not(
    mouths: Mouths,
    video: VideoFolder,
    say: Callable[..., None],
    run: Callable[..., StageResult],
    talker: str,
) -> None:
    with writing_tracks(video.tracks) as tracks:
        for frame, pair in enumerate(zip(mouths("interview_720p.mp4"), mouths(talker), strict=True)):
            for track, shapes in enumerate(pair, 1):
                if shapes:
                    left = 100.0 * track
                    tracks.add(Sighting(frame, track, left, 10, 50, 50, (left + 25, 35), blendshapes=shapes))
        tracks.finish(TrackHeader(Fraction(25), FRAMES, 1280, 720, "mediapipe", NAMES))
    say(video, (0, FRAMES / 25, "A"))
    run(STAGE, video)
    closed, talking = read_speaking(video.speaking).tracks
    assert (closed.speaker, talking.speaker) == (None, "A")
    assert sum(end - start for start, end in talking.intervals) >= 0.9 * FRAMES
