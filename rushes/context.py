"""What a running task may do besides its work: tell its progress, tell the user, stop when asked."""

from __future__ import annotations

import logging


class Context:
    """Handed to every stage and engine; this base does nothing, which is right for tests and scripts.

    Attributes:
        log: Logger that carries job, stage and video.
    """

    log: logging.Logger = logging.getLogger("rushes.task")

    def progress(self, phase: str, done: float, total: float | None, unit: str) -> None:
        """Tells how far a phase is; cheap enough to call for each frame."""

    def notice(self, message: str) -> None:
        """Tells the user something that does not stop the task, for instance a fallback."""

    def check(self) -> None:
        """Raises Cancelled when the task should stop; `progress` need not be called for that."""
