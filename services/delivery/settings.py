"""Settings of the delivery stages."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from rushes.stage import StageSettings


class SpeakingSettings(StageSettings):
    """How faces are linked to voices."""

    window: float = Field(
        default=0.3,
        ge=0.1,
        le=2,
        description="Half-width, in seconds, of the window over which a mouth's variation is measured.",
    )
    still: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="Variation at or below which a mouth is still: it does not speak.",
    )
    talking: float = Field(
        default=0.2, gt=0, le=2, description="Variation at or above which a mouth moves as talking ones do."
    )
    threshold: float = Field(
        default=0.25,
        ge=0,
        le=0.9,
        description="Evidence at or below which a voice belongs to nobody on screen.",
    )
    margin: float = Field(
        default=0.1, ge=0, le=1, description="Lead that a link needs over the best other explanation."
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.talking <= self.still:
            raise ValueError("talking must be greater than still")
        return self


class ExportSettings(StageSettings):
    """What the reference files say."""

    active_speakers: Literal["face", "compat"] = Field(
        default="face",
        description="Speakers of an object: `face`, its own voice; `compat`, every voice heard in the frame.",
    )


class FinalizeSettings(StageSettings):
    """Where a finished project goes."""

    output: str = Field(
        default="",
        max_length=4096,
        description="Existing folder that receives the project, relative to the workspace or absolute; "
        "empty for the workspace's own.",
    )
