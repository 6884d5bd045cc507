"""The ffmpeg program: found, run without a terminal, killed with the task, its progress followed."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections import deque
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

from rushes.errors import MediaUnreadable, MissingPart, StorageFull

_COMPLAINTS = 1000


@lru_cache
def program() -> str:
    """Returns the path of ffmpeg: the system's, else the one inside imageio-ffmpeg.

    Raises:
        MissingPart: There is neither.
    """
    if found := shutil.which("ffmpeg"):
        return found
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError) as error:
        raise MissingPart("ffmpeg is not installed.", remedy="Run: apt-get install ffmpeg") from error


def run(
    arguments: Sequence[str], *, subject: Path, on_seconds: Callable[[float], None] | None = None
) -> list[str]:
    """Runs ffmpeg with these arguments.

    The process stays in the caller's process group, so that killing the group kills it too.

    Args:
        arguments: Options, inputs and outputs.
        subject: File that an error message should name.
        on_seconds: Called with the time, in seconds, that has been written so far.

    Returns:
        What ffmpeg complained about although it went on, the last lines of it.

    Raises:
        MissingPart: ffmpeg is not installed.
        StorageFull: The disk of the output is full.
        MediaUnreadable: ffmpeg failed; the message has the last line that it wrote.
    """
    command = [program(), "-hide_banner", "-nostdin", "-loglevel", "error", "-y"]
    command += ["-progress", "pipe:1", "-nostats", *arguments]
    # Errors go to a file and not to a pipe, which would stall ffmpeg once full.
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        try:
            assert process.stdout is not None
            for line in process.stdout:
                name, _, value = line.strip().partition("=")
                if on_seconds and name == "out_time_us" and value.isdigit():
                    on_seconds(int(value) / 1e6)
        except BaseException:
            process.kill()
            raise
        failed = process.wait() != 0
        errors.seek(0)
        lines = [line.decode("utf-8", "replace").strip() for line in deque(errors, maxlen=_COMPLAINTS)]
        if failed:
            if any("No space left on device" in line for line in lines):
                raise StorageFull(
                    f"The disk is full while {subject.name} is converted.",
                    remedy="Free some space, then retry.",
                )
            raise MediaUnreadable(
                f"ffmpeg could not process {subject.name}: {lines[-1] if lines else 'no reason given'}."
            )
        return lines
