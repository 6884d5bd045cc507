"""From probabilities and windows' speakers to turns."""

from __future__ import annotations

import numpy as np
import pytest

from services.audio.turns import Span, attributed, merged, numbered, settled, spoken


@pytest.mark.parametrize(
    ("probabilities", "expected"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([0.1, 0.4, 0.2], [], id="never begins"),
        pytest.param([0.1, 0.6, 0.4, 0.4, 0.1], [(1, 4)], id="goes on below the threshold to begin"),
        pytest.param([0.9, 0.9], [(0, 2)], id="to the end"),
        pytest.param([0.9, 0.1, 0.9], [(0, 1), (2, 3)], id="two"),
    ],
)
def test_spoken(probabilities: list[float], expected: list[tuple[float, float]]) -> None:
    spans = spoken(np.array(probabilities, np.float32), 1.0, margin=0.0)
    assert [(span.start, span.end) for span in spans] == expected


def test_margins_stay_within_the_sound_and_join() -> None:
    spans = spoken(np.array([0.9, 0.1, 0.9, 0.1, 0.1, 0.9], np.float32), 1.0, margin=0.5)
    assert spans == [Span(0.0, 3.5), Span(4.5, 6.0)]


@pytest.mark.parametrize(
    ("spans", "gap", "expected"),
    [
        pytest.param([Span(0, 1), Span(1.4, 2)], 0.5, [Span(0, 2)], id="pause of one speaker"),
        pytest.param([Span(0, 1), Span(1.6, 2)], 0.5, [Span(0, 1), Span(1.6, 2)], id="long pause"),
        pytest.param([Span(0, 1), Span(1, 2, 1)], 0.5, [Span(0, 1), Span(1, 2, 1)], id="other speaker"),
        pytest.param(
            [Span(0, 1), Span(1.1, 1.3, 1), Span(1.4, 2)],
            0.5,
            [Span(0, 1), Span(1.1, 1.3, 1), Span(1.4, 2)],
            id="somebody speaks in the pause",
        ),
    ],
)
def test_merged(spans: list[Span], gap: float, expected: list[Span]) -> None:
    assert merged(spans, gap) == expected


def test_spans_are_cut_midway_between_windows_of_two_speakers() -> None:
    middles, labels = np.array([1.0, 2.0, 3.0, 4.0]), np.array([0, 0, 1, 1])
    cut = attributed([Span(0.5, 4.5), Span(6.0, 6.2)], middles, labels)
    assert [span.speaker for span in cut] == [0, 1, 1]
    assert cut[0].end == cut[1].start == pytest.approx(2.5, abs=0.05)
    assert (cut[0].start, cut[1].end, cut[2]) == (0.5, 4.5, Span(6.0, 6.2, 1))


def test_without_windows_there_is_one_speaker() -> None:
    spans = [Span(0.5, 1.0)]
    assert attributed(spans, np.zeros(0), np.zeros(0, np.int64)) == spans


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        pytest.param([Span(0, 0.1)], [], id="alone"),
        pytest.param([Span(0, 2), Span(2, 2.1, 1), Span(2.1, 3)], [Span(0, 3)], id="within one speaker"),
        pytest.param(
            [Span(0, 2), Span(2, 2.1, 2), Span(2.1, 9, 1)],
            [Span(0, 2), Span(2, 9, 1)],
            id="to the longer neighbour",
        ),
        pytest.param([Span(0, 2), Span(2.5, 2.6, 1)], [Span(0, 2)], id="touches none"),
        pytest.param([Span(0, 0.1), Span(0.1, 0.25, 1)], [Span(0, 0.25, 1)], id="two short ones"),
        pytest.param([Span(0, 1), Span(1, 2, 1)], [Span(0, 1), Span(1, 2, 1)], id="nothing short"),
    ],
)
def test_settled(spans: list[Span], expected: list[Span]) -> None:
    assert settled(spans, 0.2) == expected


def test_speakers_are_numbered_by_first_appearance() -> None:
    spans = [Span(0, 1, 5), Span(1, 2, 2), Span(2, 3, 5)]
    assert [span.speaker for span in numbered(spans)] == [0, 1, 0]
