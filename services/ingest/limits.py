"""Limits on what an archive may unpack to, so that a small file cannot fill the disk."""

from __future__ import annotations

from dataclasses import dataclass

RATIO_FLOOR_BYTES = 256 * 1024**2
"""Content up to this size may be packed as tightly as it likes; an empty project file packs 1000 to 1."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What an archive may hold.

    Attributes:
        total_bytes: Size of its content.
        members: Number of its files.
        ratio: Size of its content over its own.
    """

    total_bytes: int
    members: int
    ratio: float

    def problem(self, *, members: int, total_bytes: int, archive_bytes: int) -> str:
        """Returns which limit an archive passes, in words, or an empty string."""
        if members > self.members:
            return f"it holds {members:,} files, more than the {self.members:,} allowed"
        if total_bytes > self.total_bytes:
            return f"it unpacks to {total_bytes:,} bytes, more than the {self.total_bytes:,} allowed"
        ratio = total_bytes / max(1, archive_bytes)
        if total_bytes > RATIO_FLOOR_BYTES and ratio > self.ratio:
            return f"it unpacks to {ratio:,.0f} times its size, more than the {self.ratio:,.0f} times allowed"
        return ""
