"""The error rate is exact."""

from __future__ import annotations

import pytest

from bench.der import DiarizationError, diarization_error
from rushes.artifacts import Turn

AB = [Turn(0, 4, "A"), Turn(4, 10, "B")]


@pytest.mark.parametrize(
    ("reference", "found", "expected"),
    [
        pytest.param(AB, [Turn(0, 4, "y"), Turn(4, 10, "x")], (0, 0, 0, 10), id="names do not matter"),
        pytest.param(AB, [], (10, 0, 0, 10), id="nothing found"),
        pytest.param(AB, [Turn(0, 10, "x")], (0, 0, 4, 10), id="one for two: the longer one counts"),
        pytest.param(AB, [Turn(0, 5, "x"), Turn(5, 12, "y")], (0, 2, 1, 10), id="late border and tail"),
        pytest.param(
            [Turn(0, 4, "A"), Turn(2, 4, "B")], [Turn(0, 4, "x")], (2, 0, 0, 6), id="overlap missed"
        ),
        pytest.param(
            [Turn(0, 4, "A")], [Turn(0, 4, "x"), Turn(1, 2, "y")], (0, 1, 0, 4), id="overlap invented"
        ),
        pytest.param(
            [Turn(0, 2, "A"), Turn(2, 4, "B"), Turn(4, 6, "C")],
            [Turn(0, 2, "x"), Turn(2, 3, "y"), Turn(3, 6, "z")],
            (0, 0, 1, 6),
            id="best pairing overall",
        ),
        pytest.param([], [Turn(0, 1, "x")], (0, 1, 0, 0), id="nobody speaks"),
    ],
)
def test_error(reference: list[Turn], found: list[Turn], expected: tuple[float, ...]) -> None:
    error = diarization_error(reference, found)
    assert (error.missed, error.false_alarm, error.confusion, error.total) == pytest.approx(expected)


def test_rates() -> None:
    assert DiarizationError(1, 2, 3, 12).rate == 0.5
    assert (DiarizationError(1, 0, 0, 4) + DiarizationError(0, 1, 0, 4)).rate == 0.25
    assert DiarizationError().rate == 0
    assert DiarizationError(false_alarm=1).rate == float("inf")
