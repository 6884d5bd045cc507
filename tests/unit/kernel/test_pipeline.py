"""The pipeline: what a choice of stages really means."""

import pytest

from rushes.errors import InvalidInput
from rushes.pipeline import BY_STAGE, PIPELINE, closure


def test_steps_come_after_all_that_they_wait_for() -> None:
    seen: set[str] = set()
    for step in PIPELINE:
        assert seen.issuperset({*step.needs, *step.after})
        seen.add(step.stage)


@pytest.mark.parametrize(
    ("stages", "expected"),
    [
        ([], list(BY_STAGE)),
        (["scenes"], ["extract", "convert", "scenes"]),
        (["tracking"], ["extract", "convert", "tracking"]),
        (["speaking"], ["extract", "convert", "audio", "tracking", "speaking"]),
        (["finalize", "audio"], ["extract", "convert", "audio", "finalize"]),
    ],
)
def test_what_a_stage_needs_is_added(stages: list[str], expected: list[str]) -> None:
    assert [step.stage for step in closure(stages)] == expected


def test_an_unknown_stage_is_named() -> None:
    with pytest.raises(InvalidInput, match="grading"):
        closure(["scenes", "grading"])
