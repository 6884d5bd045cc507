"""Faces of real footage: who talks is told from who listens."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import pytest

from rushes.api.common.v1.common_pb2 import StageResult
from rushes.artifacts import Sighting, TrackHeader, read_speaking, writing_tracks
from rushes.workspace import VideoFolder
from services.delivery.speaking import STAGE

# In a process of its own: the library's clean-up at exit warns, and warnings are errors here.
SEE = """
import json, sys
from pathlib import Path
import mediapipe as mp
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision
from rushes.media import Pictures

weights, video, frames = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
options = vision.FaceLandmarkerOptions(
    base_options=BaseOptions(model_asset_path=weights),
    running_mode=vision.RunningMode.VIDEO,
    output_face_blendshapes=True,
)
rows, names = [], []
with vision.FaceLandmarker.create_from_options(options) as landmarker:
    for picture in Pictures(video, threads=1):
        if picture.frame == frames:
            break
        pixels = np.ascontiguousarray(picture.pixels)
        image = mp.Image(image_format=mp.ImageFormat.SRGB, data=pixels)
        found = landmarker.detect_for_video(image, picture.frame * 40).face_blendshapes
        names = [shape.category_name for shape in found[0]] if found else names
        rows.append([shape.score for shape in found[0]] if found else None)
print(json.dumps([names, rows]))
"""


FRAMES = 75


@lru_cache
def blendshapes(model: Path, clip: Path) -> tuple[list[str], list[list[float] | None]]:
    """Returns the names of the blendshapes, and their values in each of the first frames."""
    arguments = [sys.executable, "-c", SEE, str(model), str(clip), str(FRAMES)]
    names, rows = json.loads(subprocess.run(arguments, check=True, capture_output=True, text=True).stdout)
    return names, rows


@pytest.mark.media
@pytest.mark.models
@pytest.mark.parametrize("talker", ["speech_face_1.mp4", "speech_face_2.mp4", "speech_face_3.mp4"])
def test_the_talking_face_gets_the_voice_and_the_closed_mouth_does_not(
    media: Callable[[str], Path],
    weights: Callable[[str], Path],
    video: VideoFolder,
    say: Callable[..., None],
    run: Callable[..., StageResult],
    talker: str,
) -> None:
    model = weights("mediapipe/face_landmarker.task")
    names, closed_mouth = blendshapes(model, media("interview_720p.mp4"))
    _, talking_mouth = blendshapes(model, media(talker))
    with writing_tracks(video.tracks) as tracks:
        for frame, mouths in enumerate(zip(closed_mouth, talking_mouth, strict=True)):
            for track, shapes in enumerate(mouths, 1):
                if shapes:
                    left = 100.0 * track
                    tracks.add(Sighting(frame, track, left, 10, 50, 50, (left + 25, 35), blendshapes=shapes))
        tracks.finish(TrackHeader(Fraction(25), FRAMES, 1280, 720, "mediapipe", names))
    say(video, (0, FRAMES / 25, "A"))
    run(STAGE, video)
    closed, talking = read_speaking(video.speaking).tracks
    assert (closed.speaker, talking.speaker) == (None, "A")
    assert sum(end - start for start, end in talking.intervals) >= 0.9 * FRAMES
