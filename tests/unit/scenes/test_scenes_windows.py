"""Windows: the published padding exactly, for every length of video, in constant memory."""

import weakref
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from services.scenes.windows import CONTEXT, STEP, Window, windows


def pictures(count: int) -> Iterator[NDArray[np.uint8]]:
    """Pictures of 2 × 1 pixels that hold their own number."""
    for number in range(count):
        yield np.array([[[number % 256, number // 256, 7]], [[0, 0, 0]]], np.uint8)


def numbers(window: Window) -> list[int]:
    return [int(one[0, 0, 0]) + 256 * int(one[0, 0, 1]) for one in window.pictures]


def published(count: int) -> list[list[int]]:
    """The published method on picture numbers, written as its authors do: pad it all, then cut."""
    padding_end = 25 + 50 - (count % 50 if count % 50 != 0 else 50)
    padded = [0] * 25 + list(range(count)) + [count - 1] * padding_end
    found, pointer = [], 0
    while pointer + 100 <= len(padded):
        found.append(padded[pointer : pointer + 100])
        pointer += 50
    return found


@pytest.mark.parametrize("count", range(1, 400))
def test_windows_of_100_are_the_published_ones(count: int) -> None:
    assert [numbers(window) for window in windows(pictures(count), length=100)] == published(count)


@pytest.mark.parametrize("length", [100, 150, 300])
@pytest.mark.parametrize("count", range(1, 400, 7))
def test_every_picture_is_kept_once_with_its_context(count: int, length: int) -> None:
    kept: list[int] = []
    for window in windows(pictures(count), length=length):
        inside = numbers(window)
        assert len(inside) <= length
        assert len(inside) % STEP == 0
        assert window.start == len(kept)
        # Every picture that counts has its true neighbours, or copies of the first or last one, around it.
        first = window.start - CONTEXT
        assert inside == [min(max(first + offset, 0), count - 1) for offset in range(len(inside))]
        kept += inside[CONTEXT : CONTEXT + window.kept]
    assert kept == list(range(count))


def test_right_padding_repeats_the_last_picture_of_the_video() -> None:
    first, second = windows(pictures(60), length=100)
    assert numbers(first)[85:] == [59] * 15
    assert (second.start, second.kept) == (50, 10)


def test_no_pictures_give_no_windows() -> None:
    assert list(windows(iter(()), length=100)) == []


@pytest.mark.parametrize("length", [50, 99, 120], ids=["no advance", "odd", "not a step"])
def test_a_length_that_would_misalign_the_predictions_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="multiple of 50"):
        list(windows(pictures(10), length=length))


def test_pictures_are_not_held_after_their_window() -> None:
    alive: list[weakref.ref[NDArray[np.uint8]]] = []

    def watched() -> Iterator[NDArray[np.uint8]]:
        for picture in pictures(2000):
            alive.append(weakref.ref(picture))
            yield picture

    greatest = 0
    for _ in windows(watched(), length=100):
        greatest = max(greatest, sum(one() is not None for one in alive))
    assert greatest < 10
