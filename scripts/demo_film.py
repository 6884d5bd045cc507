"""The demo's film, made from what installed packages carry.

Three shots: a portrait (the photograph of the astronaut Eileen Collins in scikit-image, public domain), a
rocket, and the portrait again, closer. The voices are those of ffmpeg's own speech synthesis. The portrait's
jaw follows the voice, since who speaks is told by the mouth.
"""

from __future__ import annotations

import subprocess
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rushes.errors import MissingPart
from rushes.media import ffmpeg

RATE = 30
WIDTH, HEIGHT = 1280, 720
SOUND_RATE = 16000
MOUTH = (223, 147, 20)
"""Centre and half width of the portrait's mouth: x, y, pixels."""
CHIN = 180
"""Row of the portrait's chin."""


@dataclass(frozen=True)
class Shot:
    """One shot: a picture that the camera moves over while a voice speaks.

    Attributes:
        picture: Name of the picture in scikit-image.
        voice: Name of the voice.
        text: What it says.
        begin, end: Part of the picture that fills the frame, as left, top and width in its pixels.
    """

    picture: str
    voice: str
    text: str
    begin: tuple[int, int, int]
    end: tuple[int, int, int]


SHOTS = (
    Shot(
        picture="astronaut",
        voice="slt",
        text="Good morning. My name is Eileen, and this is a very short film about footage.",
        begin=(20, 10, 450),
        end=(50, 20, 400),
    ),
    Shot(
        picture="rocket",
        voice="rms",
        text="Meanwhile, somewhere else, a rocket is ready. Nobody can see who is speaking now.",
        begin=(0, 0, 640),
        end=(80, 40, 520),
    ),
    Shot(
        picture="astronaut",
        voice="slt",
        text="Here I am again. Where are the cuts, and which face is speaking? Rushes will tell you.",
        begin=(80, 20, 300),
        end=(90, 25, 280),
    ),
)


def make_delivery(place: Path) -> None:
    """Writes a zip with the film.

    Raises:
        MissingPart: This ffmpeg lacks speech synthesis or H.264.
    """
    with tempfile.TemporaryDirectory(dir=place.parent) as name:
        folder = Path(name)
        shots = [make_shot(shot, folder / f"{number}.mkv") for number, shot in enumerate(SHOTS)]
        listing = folder / "shots.txt"
        listing.write_text("".join(f"file '{shot.name}'\n" for shot in shots), encoding="utf-8")
        film = folder / "film.mp4"
        joined = ["-f", "concat", "-i", str(listing), "-c:v", "copy", "-c:a", "aac", str(film)]
        ffmpeg.run(joined, subject=film)
        packed = folder / place.name
        with zipfile.ZipFile(packed, "w") as archive:
            archive.write(film, "shoot/film.mp4")
        packed.replace(place)


def make_shot(shot: Shot, place: Path) -> Path:
    """Writes one shot as a film and returns its place."""
    import cv2
    from skimage import data

    sound = place.with_suffix(".wav")
    openings = loudness(speak(sound, shot.voice, shot.text))
    image = getattr(data, shot.picture)()
    begin, end = np.array(shot.begin), np.array(shot.end)
    command = [ffmpeg.program(), "-v", "error", "-f", "rawvideo", "-pix_fmt", "rgb24"]
    command += ["-s", f"{WIDTH}x{HEIGHT}", "-r", str(RATE), "-i", "-", "-i", str(sound)]
    command += ["-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-pix_fmt", "yuv420p"]
    command += ["-c:a", "pcm_s16le", "-ar", "48000", str(place)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as encoder:
        assert encoder.stdin is not None
        for index, opening in enumerate(openings):
            posed = open_mouth(image, float(opening)) if shot.picture == "astronaut" else image
            left, top, across = begin + (end - begin) * index / len(openings)
            scale = across / WIDTH
            camera = np.array([[scale, 0, left], [0, scale, top]])
            frame = cv2.warpAffine(
                posed, camera, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            )
            encoder.stdin.write(frame.tobytes())
    if encoder.returncode:
        raise MissingPart("ffmpeg could not encode the demo's film.", remedy="Run: rushes doctor")
    return place


def speak(place: Path, voice: str, text: str) -> NDArray[np.int16]:
    """Writes a sentence as sound, with a little silence around it, and returns its samples.

    Raises:
        MissingPart: This ffmpeg has no speech synthesis.
    """
    ask = [ffmpeg.program(), "-v", "error", "-filters"]
    if " flite " not in subprocess.run(ask, check=True, capture_output=True, text=True).stdout:
        raise MissingPart(
            "This ffmpeg has no speech synthesis (libflite), which the demo's voices need.",
            remedy="Use Debian's or Ubuntu's ffmpeg, or name a delivery: make demo DELIVERY=path",
        )
    words = place.with_suffix(".txt")
    words.write_text(text, encoding="utf-8")
    source = f"flite=textfile={words}:voice={voice},adelay=300,apad=pad_dur=0.4,aresample={SOUND_RATE}"
    ffmpeg.run(["-f", "lavfi", "-i", source, "-ac", "1", str(place)], subject=place)
    decode = [ffmpeg.program(), "-v", "error", "-i", str(place), "-f", "s16le", "-"]
    return np.frombuffer(subprocess.run(decode, check=True, capture_output=True).stdout, np.int16)


def loudness(samples: NDArray[np.int16]) -> NDArray[np.float64]:
    """Returns how loud a sound is in each frame of the film, 0 to 1."""
    frames = round(len(samples) * RATE / SOUND_RATE)
    pieces = np.array_split(samples.astype(np.float64), frames)
    level = np.array([np.sqrt(np.mean(piece**2)) for piece in pieces], dtype=np.float64)
    return np.minimum(level / np.percentile(level, 90), 1.0)


def open_mouth(image: NDArray[np.uint8], amount: float) -> NDArray[np.uint8]:
    """Returns the portrait with its jaw lowered.

    Args:
        image: The portrait, `[512, 512, 3]`.
        amount: 0 for as it is, 1 for wide open.
    """
    import cv2

    x, y, half = MOUTH
    gap = 11 * amount
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float32)
    # How far each point moves down: the jaw whole, its sides less, nothing above the lips or below the chin;
    # at once between the corners of the mouth, gradually in the cheeks.
    away = np.abs(columns - x)
    across = np.clip(1 - (away / (2.2 * half)) ** 2, 0, 1)
    below = np.clip((CHIN + 25 - rows) / (CHIN + 25 - y), 0, 1)
    onset = np.clip((rows - y) / (1 + np.maximum(away - 0.6 * half, 0)), 0, 1)
    drop = (gap * across * below * onset).astype(np.float32)
    posed = np.asarray(cv2.remap(image, columns, rows - drop, cv2.INTER_LINEAR), dtype=np.uint8)
    if gap < 1:
        return posed
    hole = np.zeros(image.shape[:2], np.float32)
    axes = (round(half * 0.75), max(1, round(gap / 2)))
    cv2.ellipse(hole, (x, round(y + gap / 2)), axes, 0, 0, 360, 1.0, -1)
    inside = np.asarray(cv2.GaussianBlur(hole, (5, 5), 0))[..., None]
    return np.asarray(posed * (1 - inside) + np.array([50, 15, 15]) * inside, dtype=np.uint8)
