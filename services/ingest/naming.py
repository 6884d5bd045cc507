"""Project names: what a delivery's name tells about the project, and when its job was made."""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime

from services.ingest.members import fit

UNNAMED = "projet_sans_nom"
"""Project name when nothing of the delivery's name is left."""

_FORBIDDEN = re.compile(r'[<>:"/\\|?*&]')
_NAME_BYTES = 200  # Leaves room for the time and the number within a 255-byte file name.


def project_name(stem: str, keyword: str) -> str:
    """Returns the project name that a delivery's name stands for.

    The parts between underscores follow the first rule that fits: `13_<keyword>…` gives both parts,
    `<keyword>…_<letters>` gives both parts, `<keyword>…` alone gives the first, `13_<letters>` gives
    both; anything else is kept whole with blanks for underscores.

    Args:
        stem: Name of the delivery, without the suffix of an archive or video.
        keyword: Word that marks a project, in any case.
    """
    stem = unicodedata.normalize("NFC", stem)
    first, *others = stem.split("_")
    second = others[0] if others else ""
    word = keyword.casefold()
    if first.isdigit() and word in second.casefold():
        candidate = f"{first} {second}"
    elif word in first.casefold():
        candidate = f"{first} {second}" if second.isalpha() and second.casefold() != word else first
    elif first.isdigit() and second.isalpha():
        candidate = f"{first} {second}"
    else:
        candidate = stem.replace("_", " ")
    return _clean(candidate) or UNNAMED


def stamped(name: str, created: datetime | None) -> str:
    """Returns a project name with the time (UTC) at which its job was created, if one is known."""
    return f"{name} {created:%Y-%m-%d_%H-%M-%S}" if created else name


def _clean(candidate: str) -> str:
    candidate = _FORBIDDEN.sub("_", candidate.strip())
    candidate = "".join("_" if unicodedata.category(sign) == "Cc" else sign for sign in candidate)
    return fit(re.sub(r"\s{2,}", " ", candidate).strip("_ ."), _NAME_BYTES).strip("_ .")
