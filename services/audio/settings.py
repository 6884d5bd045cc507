"""Settings of the audio stage."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from rushes.stage import StageSettings


class AudioSettings(StageSettings):
    """How speakers are told apart."""

    num_speakers: int | None = Field(
        default=None, ge=1, le=50, description="Number of speakers, when it is known; estimated otherwise."
    )
    min_speakers: int | None = Field(default=None, ge=1, le=50, description="Speakers to find at least.")
    max_speakers: int | None = Field(default=None, ge=1, le=50, description="Speakers to find at most.")
    min_turn: float = Field(
        default=0.25,
        ge=0,
        le=5,
        description="Seconds; a shorter turn is given to the speaker beside it, or dropped when alone.",
    )
    min_gap: float = Field(
        default=0.5, ge=0, le=5, description="Seconds; a shorter pause of one speaker is part of the turn."
    )
    threads: int = Field(default=1, ge=1, le=64, description="CPU threads.")

    @model_validator(mode="after")
    def _bounds_agree(self) -> Self:
        if self.num_speakers is not None and (self.min_speakers, self.max_speakers) != (None, None):
            raise ValueError("num_speakers stands alone, without min_speakers and max_speakers")
        if (self.min_speakers or 1) > (self.max_speakers or 50):
            raise ValueError("min_speakers is larger than max_speakers")
        return self

    @property
    def fewest(self) -> int:
        """Speakers to find at least."""
        return self.num_speakers or self.min_speakers or 1

    @property
    def most(self) -> int | None:
        """Speakers to find at most; None for no bound."""
        return self.num_speakers or self.max_speakers
