"""`probabilities.npz`: read back as written, and never taken for what it is not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rushes.errors import EngineCrashed, NotFound, ResultsDiffer
from services.scenes.probabilities import Probabilities, read_probabilities, write_probabilities

VALUE = Probabilities(
    cut=np.array([0, 0.25, 1], np.float32),
    transition=np.array([0, 0.5, 1], np.float32),
    expected=4,
    rate="30000/1001",
    drift=0.125,
    source="a video and an engine",
)


def test_reads_what_was_written(tmp_path: Path) -> None:
    write_probabilities(tmp_path / "p.npz", VALUE)
    found = read_probabilities(tmp_path / "p.npz")
    assert found.cut.dtype == found.transition.dtype == np.float32
    assert found.cut.tolist() == VALUE.cut.tolist()
    assert found.transition.tolist() == VALUE.transition.tolist()
    assert (found.expected, found.rate, found.drift, found.source) == (
        VALUE.expected,
        VALUE.rate,
        VALUE.drift,
        VALUE.source,
    )


def test_the_same_values_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one.npz", "two.npz"):
        write_probabilities(tmp_path / name, VALUE)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


@pytest.mark.parametrize(
    "values",
    [np.array([0, np.nan, 1]), np.array([0, 1.5, 1]), np.array([0, -0.1, 1]), np.array([0, 1])],
    ids=["not a number", "above one", "below zero", "another length"],
)
@pytest.mark.parametrize("name", ["cut", "transition"])
def test_what_is_no_probability_is_refused(name: str, values: np.ndarray) -> None:
    changed = {name: values.astype(np.float32)}
    with pytest.raises(EngineCrashed, match="no probabilities"):
        replace(VALUE, **changed)


@pytest.mark.parametrize("keep", [0, 10, 300, -40], ids=["nothing", "a start", "half", "no directory"])
def test_a_damaged_file_is_refused(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "p.npz"
    write_probabilities(path, VALUE)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ResultsDiffer, match=r"p\.npz"):
        read_probabilities(path)


def test_flipped_bytes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.npz"
    write_probabilities(path, replace(VALUE, cut=np.linspace(0, 1, 3, dtype=np.float32)))
    data = bytearray(path.read_bytes())
    place = data.index(b"cut.npy") + 60
    data[place] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(ResultsDiffer, match=r"p\.npz"):
        read_probabilities(path)


def test_another_archive_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "p.npz", schema="something/1")
    with pytest.raises(ResultsDiffer, match="something/1"):
        read_probabilities(tmp_path / "p.npz")


def test_an_absent_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        read_probabilities(tmp_path / "p.npz")
