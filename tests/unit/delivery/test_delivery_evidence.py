"""How well a face fits a voice, and the best links of a shot."""

from __future__ import annotations

import numpy as np
import pytest

from services.delivery.evidence import Evidence, links, weigh
from services.delivery.faces import Series

SHOT = range(100, 200)


def face(activity: float, frames: range = SHOT) -> Series:
    return Series(np.array(frames), np.full(len(frames), activity))


def heard(start: int, stop: int) -> np.ndarray:
    mask = np.zeros(100, np.bool_)
    mask[start - 100 : stop - 100] = True
    return mask


def test_a_mouth_that_moves_only_with_the_voice_is_full_evidence() -> None:
    series = Series(np.array(SHOT), np.repeat([1.0, 0.0], 50))
    found = weigh(series, heard(100, 150), SHOT, fewest=5, shrink=25)
    assert found == Evidence(50, 50, 1.0, 0.0, 1.0)


def test_a_mouth_that_always_moves_is_weak_evidence() -> None:
    found = weigh(face(1.0), heard(100, 150), SHOT, fewest=5, shrink=25)
    assert found.value == pytest.approx(1 - 50 / 75)


def test_only_frames_with_the_face_count() -> None:
    found = weigh(face(1.0, range(140, 160)), heard(100, 150), SHOT, fewest=5, shrink=25)
    assert (found.frames_on, found.frames_off) == (10, 10)


@pytest.mark.parametrize(
    "series",
    [face(1.0, range(146, 160)), face(np.nan), Series(np.array([], np.int64), np.array([]))],
    ids=["four frames", "not measured", "not seen"],
)
def test_too_little_says_nothing(series: Series) -> None:
    assert weigh(series, heard(100, 150), SHOT, fewest=5, shrink=25).value == 0


def of(value: float) -> Evidence:
    return Evidence(50, 50, value, 0, value)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, []),
        ({("A", 1): 0.9}, [("A", 1, 0.875)]),
        ({("A", 1): 0.2}, []),
        ({("A", 1): 0.9, ("A", 2): 0.1}, [("A", 1, 0.875)]),
        ({("A", 1): 0.9, ("A", 2): 0.9}, [("A", 1, 0.0)]),
        ({("A", 1): 0.8, ("A", 2): 0.4, ("B", 1): 0.1, ("B", 2): 0.9}, [("A", 1, 0.75), ("B", 2, 0.875)]),
        # One face cannot be two people: A takes its second choice, because the sum is greater.
        ({("A", 1): 0.8, ("A", 2): 0.7, ("B", 1): 0.8, ("B", 2): 0.1}, [("A", 2, 0.625), ("B", 1, 0.625)]),
        ({("A", 1): 0.6, ("B", 1): 0.9}, [("B", 1, 0.375)]),
    ],
    ids=[
        "nothing",
        "one face",
        "below the threshold",
        "clear",
        "two equal mouths",
        "dialogue",
        "second choice",
        "one face, two voices",
    ],
)
def test_links(values: dict[tuple[str, int], float], expected: list[tuple[str, int, float]]) -> None:
    found = links({pair: of(value) for pair, value in values.items()}, threshold=0.2)
    assert [(link.speaker, link.track) for link in found] == [(voice, track) for voice, track, _ in expected]
    assert [link.margin for link in found] == pytest.approx([margin for *_, margin in expected])
