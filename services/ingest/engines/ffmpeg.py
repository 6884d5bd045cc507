"""Conversion with the ffmpeg program and libx264."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from rushes.clock import REFERENCE_RATE
from rushes.media.ffmpeg import program, run
from services.ingest.engine import Encoding

# Without these the file names the libraries that made it, and two machines never agree on its bytes.
_EXACT = ("-fflags", "+bitexact", "-flags:v", "+bitexact", "-flags:a", "+bitexact")

# The first picture shows from time 0, so that frame n is at n/25 s of the sound; an odd width or
# height gets one more column or row, which keeps every pixel and every coordinate.
_FILTER = f"fps={REFERENCE_RATE}:start_time=0,pad=ceil(iw/2)*2:ceil(ih/2)*2"


class FfmpegConverter:
    """Encodes with the ffmpeg program."""

    def close(self) -> None:
        """Holds nothing."""

    def encode(self, encoding: Encoding, target: Path, on_seconds: Callable[[float], None]) -> Sequence[str]:
        """Writes the video at 25 frames per second; see `Converter.encode`."""
        return run(_arguments(encoding, target), subject=encoding.source, on_seconds=on_seconds)


def program_version() -> str:
    """Returns the version of ffmpeg, for instance `5.1.9`.

    Raises:
        MissingPart: It is not installed.
    """
    shown = subprocess.run([program(), "-version"], capture_output=True, text=True, check=True).stdout
    return shown.split()[2]


def _arguments(encoding: Encoding, target: Path) -> list[str]:
    settings = encoding.settings
    arguments = ["-protocol_whitelist", "file,crypto,data", "-i", f"file:{encoding.source}"]
    arguments += ["-map", f"0:{encoding.video_index}"]
    for index, _ in encoding.audio:
        arguments += ["-map", f"0:{index}"]
    arguments += ["-map_metadata", "0", "-metadata", "timecode="]
    arguments += ["-metadata:s:v:0", f"timecode={encoding.timecode}"]
    arguments += ["-vf", _FILTER, "-fps_mode", "cfr", "-r", str(REFERENCE_RATE)]
    arguments += ["-c:v", "libx264", "-preset", settings.preset, "-crf", f"{settings.crf:g}"]
    arguments += ["-pix_fmt", "yuv420p", "-threads:v", str(settings.threads)]
    for track, (_, codec) in enumerate(encoding.audio):
        # Sound that is AAC already stays as it is: encoding it again would only lose.
        arguments += [f"-c:a:{track}", "copy" if codec == "aac" else "aac"]
        if codec != "aac":
            arguments += [f"-b:a:{track}", f"{settings.audio_kbps}k"]
    return [*arguments, *_EXACT, "-movflags", "+faststart", "-f", "mp4", f"file:{target}"]
