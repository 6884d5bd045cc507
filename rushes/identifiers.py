"""Identifiers that callers choose, so that a repeated request makes one thing."""

from __future__ import annotations

import uuid

from rushes.errors import InvalidInput


def identifier_of(request_id: str) -> str:
    """Returns the identifier for a request: its UUID in the usual form, a new one when it has none.

    Raises:
        InvalidInput: The request's is no UUID.
    """
    if not request_id:
        return str(uuid.uuid4())
    try:
        return str(uuid.UUID(request_id))
    except ValueError as error:
        raise InvalidInput(f"{request_id[:50]!r} is not a UUID.") from error
