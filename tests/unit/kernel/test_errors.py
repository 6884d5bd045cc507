"""Errors keep their meaning on every way out and back."""

import errno

import grpc
import pytest

from rushes import errors
from rushes.grpc_errors import to_status


@pytest.mark.parametrize("kind", errors.BY_REASON.values(), ids=lambda kind: kind.__name__)
def test_each_error_survives_the_contract(kind: type[errors.RushesError]) -> None:
    back = errors.from_failure(errors.to_failure(kind("clip.mp4 is broken.", remedy="Ask again.")))
    assert (type(back), back.message, back.remedy) == (kind, "clip.mp4 is broken.", "Ask again.")


@pytest.mark.parametrize("kind", errors.BY_REASON.values(), ids=lambda kind: kind.__name__)
def test_each_error_has_a_grpc_code_and_appears_in_the_tree_of_the_docstring(
    kind: type[errors.RushesError],
) -> None:
    assert isinstance(kind.code, grpc.StatusCode)
    assert to_status(kind("x")).code == kind.code.value[0]
    assert kind.__name__ in (errors.__doc__ or "")


def test_reasons_are_unique() -> None:
    def all_kinds(root: type[errors.RushesError]) -> list[type[errors.RushesError]]:
        return [root, *(kind for child in root.__subclasses__() for kind in all_kinds(child))]

    assert len(all_kinds(errors.RushesError)) == len(errors.BY_REASON)


def test_a_full_disk_is_named_and_the_unknown_is_not_disguised() -> None:
    full = errors.to_failure(OSError(errno.ENOSPC, "No space left on device"))
    assert full.reason == "STORAGE_FULL"
    unknown = errors.to_failure(ZeroDivisionError("division by zero"))
    assert unknown.reason == "INTERNAL"
    assert "ZeroDivisionError" in unknown.message
