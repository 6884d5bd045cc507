"""Every failure that rushes names, as one tree, mapped once to gRPC and to the bus.

RushesError
├── InvalidInput              the caller must change something
│   ├── MediaUnreadable       a file is not the media that it claims to be
│   ├── ArchiveRejected       an archive is damaged, hostile or of an unknown kind
│   ├── SettingsInvalid       an unknown key, or a value out of bounds
│   └── OutsideWorkspace      a path or URI leads out of the workspace
├── NotFound                  a job, an operation, a project or a file that does not exist
├── AlreadyExists             something stands where the result should go
├── MissingPart               a program, package or model that the work needs is not installed
├── Cancelled                 stopped on request
├── ResultsDiffer             a copy, or an earlier result, is not what it should be
├── StorageFull               not enough space for the result
├── EngineCrashed             the engine process died or hung; another attempt may do better
└── Unavailable               a peer cannot be reached at the moment
"""

from __future__ import annotations

from typing import ClassVar

import grpc

from rushes.api.common.v1.common_pb2 import Failure


class RushesError(Exception):
    """A failure with words for the user.

    Args:
        message: One sentence that names the file and what is wrong.
        remedy: What the user can do about it.
    """

    reason: ClassVar[str] = "INTERNAL"
    code: ClassVar[grpc.StatusCode] = grpc.StatusCode.INTERNAL
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class InvalidInput(RushesError):
    """The caller must change something."""

    reason = "INVALID_INPUT"
    code = grpc.StatusCode.INVALID_ARGUMENT


class MediaUnreadable(InvalidInput):
    """A file is not the media that it claims to be."""

    reason = "MEDIA_UNREADABLE"


class ArchiveRejected(InvalidInput):
    """An archive is damaged, hostile or of an unknown kind."""

    reason = "ARCHIVE_REJECTED"


class SettingsInvalid(InvalidInput):
    """An unknown key, or a value out of bounds."""

    reason = "SETTINGS_INVALID"


class OutsideWorkspace(InvalidInput):
    """A path or URI leads out of the workspace."""

    reason = "OUTSIDE_WORKSPACE"
    code = grpc.StatusCode.PERMISSION_DENIED


class NotFound(RushesError):
    """A job, an operation, a project or a file that does not exist."""

    reason = "NOT_FOUND"
    code = grpc.StatusCode.NOT_FOUND


class AlreadyExists(RushesError):
    """Something stands where the result should go."""

    reason = "ALREADY_EXISTS"
    code = grpc.StatusCode.ALREADY_EXISTS


class MissingPart(RushesError):
    """A program, package or model that the work needs is not installed."""

    reason = "MISSING_PART"
    code = grpc.StatusCode.FAILED_PRECONDITION


class Cancelled(RushesError):
    """Stopped on request."""

    reason = "CANCELLED"
    code = grpc.StatusCode.CANCELLED


class ResultsDiffer(RushesError):
    """A copy, or an earlier result, is not what it should be."""

    reason = "RESULTS_DIFFER"
    code = grpc.StatusCode.DATA_LOSS


class StorageFull(RushesError):
    """Not enough space for the result."""

    reason = "STORAGE_FULL"
    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class EngineCrashed(RushesError):
    """The engine process died or hung; another attempt may do better."""

    reason = "ENGINE_CRASHED"
    code = grpc.StatusCode.INTERNAL
    retryable = True


class Unavailable(RushesError):
    """A peer cannot be reached at the moment."""

    reason = "UNAVAILABLE"
    code = grpc.StatusCode.UNAVAILABLE
    retryable = True


def _tree(root: type[RushesError]) -> dict[str, type[RushesError]]:
    found = {root.reason: root}
    for child in root.__subclasses__():
        found |= _tree(child)
    return found


BY_REASON = _tree(RushesError)
"""Each error class by its stable reason."""


def to_failure(error: BaseException) -> Failure:
    """Returns the contract's form of an error; an unknown exception becomes INTERNAL with its type."""
    if isinstance(error, RushesError):
        return Failure(
            reason=error.reason, message=error.message, remedy=error.remedy, retryable=error.retryable
        )
    if isinstance(error, OSError) and error.errno == 28:  # ENOSPC
        return to_failure(StorageFull(f"The disk is full: {error}.", remedy="Free some space, then retry."))
    return Failure(
        reason=RushesError.reason,
        message=f"Unexpected {type(error).__name__}: {error}",
        remedy="This is a defect of rushes; the log has the details.",
    )


def from_failure(failure: Failure) -> RushesError:
    """Returns the exception for a contract's failure, the inverse of `to_failure`."""
    return BY_REASON.get(failure.reason, RushesError)(failure.message, remedy=failure.remedy)
