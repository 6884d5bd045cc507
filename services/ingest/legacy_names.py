"""Names in archives that do not say how they are encoded."""

from __future__ import annotations

from collections.abc import Iterable

# Information that decides between code pages: the signs that French file names really hold.
_FRENCH = frozenset("àâäçéèêëîïôöùûüÿœæÀÂÄÇÉÈÊËÎÏÔÖÙÛÜŸŒÆ’«»–—°€")


def encoding_of(names: Iterable[bytes]) -> str:
    """Returns the encoding that all these names most likely share.

    UTF-8 when all of them are valid in it (macOS leaves the flag out); otherwise the code page that
    reads the most French letters, and the archive format's own, CP437, when none does better.
    """
    text = b"\n".join(names)
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return max(("cp437", "cp850", "cp1252"), key=lambda page: _french_letters(text, page))
    return "utf-8"


def _french_letters(text: bytes, page: str) -> int:
    try:
        return sum(sign in _FRENCH for sign in text.decode(page))
    except UnicodeDecodeError:
        return -1
