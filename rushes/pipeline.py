"""The pipeline: which stages there are, which service runs each, and what each must wait for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rushes.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Step:
    """One stage in the flow.

    Attributes:
        stage: Name of the stage.
        service: Service that runs it.
        per_video: True when there is one task a video, false for one task a project.
        needs: Stages without whose results it cannot run.
        after: Stages that it waits for when they are part of the job.
    """

    stage: str
    service: str
    per_video: bool
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


PIPELINE: Sequence[Step] = (
    Step("extract", "ingest", per_video=False),
    Step("convert", "ingest", per_video=True, needs=("extract",)),
    Step("scenes", "scenes", per_video=True, needs=("convert",)),
    Step("audio", "audio", per_video=True, needs=("convert",)),
    # A track may not cross a cut, so tracking wants the cuts; it is the longer of the two by far.
    Step("tracking", "tracking", per_video=True, needs=("convert",), after=("scenes",)),
    Step("speaking", "delivery", per_video=True, needs=("audio", "tracking"), after=("scenes",)),
    Step(
        "export",
        "delivery",
        per_video=True,
        needs=("convert",),
        after=("scenes", "audio", "tracking", "speaking"),
    ),
    Step(
        "finalize",
        "delivery",
        per_video=False,
        needs=("extract", "convert"),
        after=("scenes", "audio", "tracking", "speaking", "export"),
    ),
)
"""Every step, in an order in which they can run."""

BY_STAGE = {step.stage: step for step in PIPELINE}
"""Each step by its stage."""

SERVICES = tuple(dict.fromkeys(step.service for step in PIPELINE))
"""Every stage service."""


def stages_of(service: str) -> list[str]:
    """Returns the stages that a service runs."""
    return [step.stage for step in PIPELINE if step.service == service]


def closure(stages: Iterable[str]) -> list[Step]:
    """Returns the steps of some stages and of all that they need; of every stage when none is named.

    Raises:
        InvalidInput: A stage is unknown.
    """
    wanted = list(stages) or list(BY_STAGE)
    if unknown := [stage for stage in wanted if stage not in BY_STAGE]:
        raise InvalidInput(f"Unknown stage: {', '.join(unknown)}.", remedy=f"Stages: {', '.join(BY_STAGE)}.")
    found: set[str] = set()
    while wanted:
        stage = wanted.pop()
        if stage not in found:
            found.add(stage)
            wanted += BY_STAGE[stage].needs
    return [step for step in PIPELINE if step.stage in found]
