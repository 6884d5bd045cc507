"""Pages of a list, for every call that lists something."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from rushes.errors import InvalidInput

T = TypeVar("T")

_DEFAULT = 50
_MOST = 500


def page(items: Sequence[T], size: int, token: str) -> tuple[Sequence[T], str]:
    """Returns one page and the token of the next, empty at the end.

    Raises:
        InvalidInput: The token is not one of ours, or the size is negative.
    """
    if token and not (token.isascii() and token.isdecimal() and len(token) < 10):
        raise InvalidInput(f"{token[:20]!r} is not a page token.")
    if size < 0:
        raise InvalidInput(f"{size} is not a page size.")
    start = int(token or 0)
    end = start + min(size or _DEFAULT, _MOST)
    return items[start:end], str(end) if end < len(items) else ""
