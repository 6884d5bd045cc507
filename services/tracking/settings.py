"""Settings of the tracking stage."""

from __future__ import annotations

from pydantic import Field

from rushes.stage import StageSettings


class TrackingSettings(StageSettings):
    """What a face must look like to be seen, and how far it may go and still be the same one."""

    max_faces: int = Field(5, ge=1, le=100, description="Most faces reported in one frame.")
    min_detection_confidence: float = Field(
        0.3, ge=0, le=1, description="mediapipe: least score of the face detector."
    )
    min_presence_confidence: float = Field(
        0.2, ge=0, le=1, description="mediapipe: least probability that the landmarks lie on a face."
    )
    min_tracking_confidence: float = Field(
        0.3,
        ge=0,
        le=1,
        description="mediapipe: overlap above which a detection replaces the face carried over "
        "from the frame before.",
    )
    max_gap_frames: int = Field(
        7, ge=0, le=250, description="Frames in a row that a face may be unseen and keep its track."
    )
    max_shift: float = Field(
        1.0,
        gt=0,
        le=10,
        description="Farthest that a face may be from where its track is expected, in face sizes.",
    )
