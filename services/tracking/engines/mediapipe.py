"""Faces, their 478 landmarks and 52 blendshapes by MediaPipe's FaceLandmarker, one frame at a time."""

from __future__ import annotations

import logging
import os
import tempfile
import weakref
from collections.abc import Container, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from rushes.errors import EngineCrashed, MissingPart, ResultsDiffer
from services.tracking.blendshapes import NAMES
from services.tracking.detections import Detection
from services.tracking.settings import TrackingSettings

try:
    import mediapipe
    from mediapipe.tasks.python import BaseOptions, vision
except (ImportError, OSError) as error:  # OSError: a system library that its own needs is not there
    raise MissingPart(
        f"The package mediapipe does not load: {error}", remedy="Install rushes[tracking] again."
    ) from error

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rushes.media import Picture

_LOG = logging.getLogger(__name__)
_STDERR = Lock()


@contextmanager
def _hushed() -> Iterator[None]:
    """Sends to the log what native code writes to stderr: as errors if this fails, else for debugging.

    What other threads write to stderr meanwhile goes the same way.
    """
    with _STDERR, tempfile.TemporaryFile() as held:
        level, stderr = logging.ERROR, os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
            level = logging.DEBUG
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            held.seek(0)
            for line in held.read().decode(errors="replace").splitlines():
                _LOG.log(level, line)


class _SilentOptions(BaseOptions):  # type: ignore[misc]  # mediapipe has no types
    """MediaPipe's options, with its usage statistics kept from leaving.

    The library posts statistics to play.googleapis.com and has no switch for it (mediapipe#6291).
    Without a list of certificate authorities it trusts no server, so it never sends its message.
    """

    def to_ctypes(self) -> Any:
        options = super().to_ctypes()
        options.ca_bundle_path = os.devnull.encode()
        return options


class MediapipeEngine:
    """MediaPipe's FaceLandmarker in VIDEO mode, made to forget each shot before the next.

    Args:
        model: The bundle of networks.
        settings: Thresholds and number of faces.

    Raises:
        ResultsDiffer: MediaPipe refuses the bundle.
        MissingPart: A system library that it needs is not there.
    """

    name = "mediapipe"
    blendshape_names: Sequence[str] = NAMES

    def __init__(self, model: Path, settings: TrackingSettings) -> None:
        self._path = model
        self._bundle = model.read_bytes()
        self._settings = settings
        self._milliseconds = 0
        self._use(self._open())

    def close(self) -> None:
        """Frees the networks; takes 5 s where a firewall swallows the library's statistics."""
        self._end()

    def detect(
        self, pictures: Iterable[Picture], *, rate: Fraction, cuts: Container[int]
    ) -> Generator[tuple[int, Sequence[Detection]], None, None]:
        """Yields each frame with its faces; see `FaceEngine.detect`."""
        origin = None
        for picture in pictures:
            # MediaPipe takes the bytes as they lie and sees a sheared picture where rows are padded.
            pixels = np.ascontiguousarray(picture.pixels)
            if origin is None or picture.frame in cuts:
                self._forget(pixels)
            if origin is None:
                origin = self._milliseconds + 1
            yield picture.frame, self._faces(pixels, picture.frame, origin + int(picture.frame * 1000 / rate))

    def _use(self, landmarker: Any) -> None:
        self._landmarker = landmarker
        self._end = weakref.finalize(self, _end, landmarker)  # When the process ends, at the latest.

    def _open(self) -> Any:
        settings = self._settings
        options = vision.FaceLandmarkerOptions(
            base_options=_SilentOptions(model_asset_buffer=self._bundle),
            running_mode=vision.RunningMode.VIDEO,
            # Asked for one face, MediaPipe smooths its landmarks over time: they lag, and remember.
            num_faces=max(2, settings.max_faces),
            min_face_detection_confidence=settings.min_detection_confidence,
            min_face_presence_confidence=settings.min_presence_confidence,
            min_tracking_confidence=settings.min_tracking_confidence,
            output_face_blendshapes=True,
        )
        try:
            with _hushed():
                landmarker = vision.FaceLandmarker.create_from_options(options)
                # Its networks are ready, and have said all they say by themselves, once they have seen this.
                self._see(landmarker, np.zeros((64, 64, 3), np.uint8), self._milliseconds + 1)
            return landmarker
        except (RuntimeError, ValueError) as error:
            raise ResultsDiffer(
                f"MediaPipe refuses {self._path}: {error}", remedy="Delete it and pull the model again."
            ) from error
        except OSError as error:
            raise MissingPart(f"MediaPipe does not load: {error}") from error

    def _forget(self, pixels: NDArray[np.uint8]) -> None:
        # The faces that it reported for the frame before are all that it remembers, and there is no
        # reset: an empty picture leaves none, unless the thresholds let it see faces in the dark.
        if self._look(np.zeros_like(pixels), self._milliseconds + 1, "an empty picture").face_landmarks:
            self._replace()

    def _look(self, pixels: NDArray[np.uint8], milliseconds: int, what: str) -> Any:
        try:
            return self._see(self._landmarker, pixels, milliseconds)
        except (RuntimeError, ValueError) as error:
            self._replace()  # Once it has failed, it refuses every later picture.
            reason = " ".join(str(error).split())
            raise EngineCrashed(f"MediaPipe fails on {what}: {reason}") from error

    def _see(self, landmarker: Any, pixels: NDArray[np.uint8], milliseconds: int) -> Any:
        # MediaPipe refuses a time twice, which frames less than 1 ms apart would have.
        self._milliseconds = max(self._milliseconds + 1, milliseconds)
        image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=pixels)
        return landmarker.detect_for_video(image, self._milliseconds)

    def _replace(self) -> None:
        end_broken = self._end
        self._use(self._open())
        end_broken()

    def _faces(self, pixels: NDArray[np.uint8], frame: int, milliseconds: int) -> list[Detection]:
        result = self._look(pixels, milliseconds, f"frame {frame}")
        height, width = pixels.shape[:2]
        faces = [
            detection(pixels_of(landmarks, width, height), scores_of(categories))
            for landmarks, categories in zip(result.face_landmarks, result.face_blendshapes, strict=True)
        ]
        return sorted(faces, key=lambda face: face.size, reverse=True)[: self._settings.max_faces]


def _end(landmarker: Any) -> None:
    with suppress(RuntimeError):  # It says again what has failed, or that the process is about to end.
        landmarker.close()
    # Its destructor would close it once more, and may then wait for ever on a thread that has ended.
    landmarker._handle = None


def pixels_of(landmarks: Sequence[Any], width: int, height: int) -> NDArray[np.float64]:
    """Returns the landmarks (478 × 2), which MediaPipe gives in parts of the picture, in pixels."""
    return np.array([(point.x * width, point.y * height) for point in landmarks])


def scores_of(categories: Sequence[Any]) -> list[float]:
    """Returns the scores of the 52 blendshapes.

    Raises:
        ResultsDiffer: They are not the ones of `NAMES`, in that order.
    """
    names = tuple(category.category_name for category in categories)
    if names != NAMES:
        raise ResultsDiffer(f"MediaPipe gives other blendshapes than expected: {', '.join(names)}.")
    return [category.score for category in categories]


def detection(points: NDArray[np.float64], scores: Sequence[float]) -> Detection:
    """Returns the face with these landmarks (n × 2) in pixels: their extent, and their mean as centre.

    MediaPipe tells no score of a face, so that there is none.
    """
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    x, y = points.mean(axis=0)
    return Detection(
        x=float(left),
        y=float(top),
        width=float(right - left),
        height=float(bottom - top),
        center=(float(x), float(y)),
        blendshapes=scores,
    )
