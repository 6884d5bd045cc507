"""Frontal faces by the cascade that comes with OpenCV: boxes only, the fallback that needs no model."""

from __future__ import annotations

from collections.abc import Container, Generator, Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from rushes.errors import EngineCrashed, MissingPart, ResultsDiffer
from services.tracking.detections import Detection
from services.tracking.settings import TrackingSettings

try:
    import cv2
except ImportError as error:
    raise MissingPart(
        f"The package opencv-contrib-python does not load: {error}",
        remedy="Install rushes[tracking] again.",
    ) from error

if TYPE_CHECKING:
    from rushes.media import Picture

_LONGEST_SIDE = 640
"""Pixels; larger pictures are looked at reduced, which for 1280 × 720 takes a quarter of the time."""

_SCALE_STEP = 1.1
_MIN_NEIGHBOURS = 5
_MIN_SIZE = (30, 30)


class HaarEngine:
    """OpenCV's cascade classifier on whole grey pictures, of at most 640 pixels on the longer side.

    Args:
        cascade: The trained cascade (XML).
        settings: Only `max_faces` is used; the largest faces are kept.

    Raises:
        ResultsDiffer: OpenCV refuses the cascade.
        MissingPart: This OpenCV has no cascade classifier.
    """

    name = "haar"
    blendshape_names: Sequence[str] = ()

    def __init__(self, cascade: Path, settings: TrackingSettings) -> None:
        if not hasattr(cv2, "CascadeClassifier"):
            raise MissingPart(
                f"OpenCV {cv2.__version__} has no cascade classifier.", remedy="Install one before 5."
            )
        self._max_faces = settings.max_faces
        try:
            self._classifier = cv2.CascadeClassifier(str(cascade))
            loaded = not self._classifier.empty()
        except (cv2.error, SystemError) as error:
            raise ResultsDiffer(f"OpenCV refuses {cascade}: {error}") from error
        if not loaded:
            raise ResultsDiffer(f"OpenCV finds no cascade in {cascade}.", remedy="Install OpenCV again.")

    def close(self) -> None:
        """Frees nothing: the classifier goes with the engine."""

    def detect(
        self, pictures: Iterable[Picture], *, rate: Fraction, cuts: Container[int]
    ) -> Generator[tuple[int, Sequence[Detection]], None, None]:
        """Yields each frame with its faces, largest first; see `FaceEngine.detect`.

        Each picture is taken alone, so that neither the rate nor the cuts matter.
        """
        for picture in pictures:
            try:
                grey = cv2.cvtColor(picture.pixels, cv2.COLOR_RGB2GRAY)
                height, width = grey.shape
                scale = max(1.0, max(height, width) / _LONGEST_SIDE)
                if scale > 1:
                    size = max(1, round(width / scale)), max(1, round(height / scale))
                    grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
                boxes = self._classifier.detectMultiScale(
                    grey, scaleFactor=_SCALE_STEP, minNeighbors=_MIN_NEIGHBOURS, minSize=_MIN_SIZE
                )
            except cv2.error as error:
                raise EngineCrashed(f"OpenCV fails on frame {picture.frame}: {error}") from error
            # OpenCV's threads report the boxes in any order.
            largest = sorted(
                ((int(x), int(y), int(w), int(h)) for x, y, w, h in boxes),
                key=lambda box: (-box[2] * box[3], box),
            )
            yield picture.frame, [_detection(box, scale) for box in largest[: self._max_faces]]


def _detection(box: tuple[int, int, int, int], scale: float) -> Detection:
    x, y, width, height = (scale * side for side in box)
    # The cascade's only figure is a count of votes, which is not a confidence.
    return Detection(x=x, y=y, width=width, height=height, center=(x + width / 2, y + height / 2))
