"""Settings of shot detection."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from rushes.stage import StageSettings


class ScenesSettings(StageSettings):
    """Settings of the stage `scenes`."""

    threshold: float = Field(
        default=0.5, ge=0, lt=1, description="A cut is where the probability is strictly greater than this."
    )
    min_shot_frames: int = Field(
        default=1,
        ge=1,
        le=10_000,
        description="No shot is shorter; of cuts too close the most probable one stays.",
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto",
        description="Arithmetic of the network; auto is bfloat16 on a processor that has it, else float32.",
    )
    threads: int = Field(
        0,
        ge=0,
        le=256,
        description="Processor threads for the network and the decoder; 0 leaves the choice to them.",
    )
