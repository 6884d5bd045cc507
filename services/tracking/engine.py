"""What an engine of the tracking stage does, and which ones there are."""

from __future__ import annotations

from collections.abc import Container, Generator, Iterable, Mapping, Sequence
from fractions import Fraction
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from rushes import models
from rushes.stage import Engine, EngineSpec
from services.tracking.settings import TrackingSettings

if TYPE_CHECKING:
    from rushes.media import Picture
    from services.tracking.detections import Detection

LANDMARKER = "mediapipe/face_landmarker.task"
"""Path of MediaPipe's bundle in the models folder."""

_CASCADE = "haarcascade_frontalface_default.xml"


class FaceEngine(Engine, Protocol):
    """Finds the faces of a video.

    Attributes:
        name: Name of the engine.
        blendshape_names: Names of the scores of each detection; empty when it computes none.
    """

    name: str
    blendshape_names: Sequence[str]

    def detect(
        self, pictures: Iterable[Picture], *, rate: Fraction, cuts: Container[int]
    ) -> Generator[tuple[int, Sequence[Detection]], None, None]:
        """Yields each picture's frame with what it shows, in the order of the pictures.

        What is found in one shot never depends on another shot; an engine may read pictures ahead.

        Args:
            pictures: RGB pictures in ascending frame order, decoded as they are taken.
            rate: Frame rate of the video.
            cuts: First frame of each shot but the first.

        Raises:
            EngineCrashed: A picture cannot be analysed.
        """


def _absent(package: str) -> str:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return f"the package {package} is not installed; install rushes[tracking]."
    return ""


def cascade() -> Path:
    """Returns where OpenCV keeps its cascade for frontal faces, without importing it."""
    spec = find_spec("cv2")
    folder = Path(spec.origin).parent if spec is not None and spec.origin else Path("cv2")
    return folder / "data" / _CASCADE


def _haar_missing(_settings: TrackingSettings) -> str:
    if reason := _absent("opencv-contrib-python"):
        return reason
    if not cascade().is_file():
        return f"this OpenCV comes without {_CASCADE}; versions from 5 on do, install one before 5."
    return ""


def _mediapipe_missing(_settings: TrackingSettings) -> str:
    return _absent("mediapipe") or models.missing(LANDMARKER)


def _load_mediapipe(settings: TrackingSettings, _device: str) -> FaceEngine:
    from services.tracking.engines.mediapipe import MediapipeEngine

    return MediapipeEngine(models.verified(LANDMARKER), settings)


def _load_haar(settings: TrackingSettings, _device: str) -> FaceEngine:
    from services.tracking.engines.haar import HaarEngine

    return HaarEngine(cascade(), settings)


ENGINES: Mapping[str, EngineSpec[TrackingSettings]] = {
    spec.name: spec
    for spec in (
        EngineSpec(
            name="mediapipe",
            version=lambda _: f"{metadata.version('mediapipe')}+{models.model(LANDMARKER).sha256[:12]}",
            missing=_mediapipe_missing,
            load=_load_mediapipe,
        ),
        EngineSpec(
            name="haar",
            version=lambda _: metadata.version("opencv-contrib-python"),
            missing=_haar_missing,
            load=_load_haar,
        ),
    )
}
"""Engines by name; the first one that can run is the default."""
