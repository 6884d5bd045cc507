"""Programs of the system, found also where a user's PATH does not look."""

from __future__ import annotations

import os
import shutil

_SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Debian puts nats-server into /usr/sbin, which is on root's PATH only."""


def find(name: str) -> str | None:
    """Returns the path of a program, or None when it is not installed."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return shutil.which(name, path=os.pathsep.join([*folders, *_SYSTEM_FOLDERS]))
