"""Runs a delivery from end to end and shows the beginning of every result; makes one when none is named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Any

from demo_film import make_delivery

from rushes import models
from rushes.artifacts import sha256
from rushes.errors import RushesError

FOLDER = Path(__file__).resolve().parent.parent / "demo"


def main() -> int:
    """Returns the exit code of the run."""
    FOLDER.mkdir(exist_ok=True)
    pull_models()
    deliveries = [Path(name) for name in sys.argv[1:]]
    if not deliveries:
        deliveries = [FOLDER / "delivery.zip"]
        if not deliveries[0].exists():
            print(f"Making {_short(deliveries[0])} …", flush=True)
            make_delivery(deliveries[0])
    command = [Path(sys.executable).parent / "rushes", "run", *deliveries]
    command += ["--workspace", FOLDER / "workspace", "--json"]
    print("$", " ".join(_short(part) for part in command), flush=True)
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, text=True, check=False)
    if not done.stdout.strip():
        return done.returncode or 1
    job = json.loads(done.stdout.strip().splitlines()[-1])
    if job["output_dir"]:
        show(Path(job["output_dir"]), job)
    return done.returncode


def pull_models() -> None:
    """Fetches the model weights that are not here; without them, simpler engines do the work."""
    for path in filter(models.missing, models.catalogue()):
        try:
            print(f"Fetching {path} …", flush=True)
            models.pull(path)
        except RushesError as error:
            print(f"! {error.message}", flush=True)
            print(
                "! The demo goes on without it; engines that need it are replaced by simpler ones.",
                flush=True,
            )
            return


def _short(part: object) -> str:
    """Returns a path as the user would type it."""
    path = Path(str(part))
    return os.path.relpath(path) if path.is_absolute() and path.is_relative_to(Path.cwd()) else str(part)


def show(output: Path, job: dict[str, Any]) -> None:
    """Prints where the results of a job are, and how each begins."""
    print(f"\nDelivered to {_short(output)}")
    for video in job["videos"]:
        stem = video["stem"]
        docs, analysis = output / "docs", output / "analysis" / stem
        _head("Scenes", docs / f"{stem}.csv", 4)
        _head("Speakers", analysis / "diarization.rttm", 4)
        _head("Speech for the After Effects script", docs / f"{stem}_audio.json", 6)
        _head("Faces for the After Effects script", docs / f"{stem}.json", 6)
        speaking = analysis / "speaking.json"
        if speaking.is_file():
            print(f"\nWhich face speaks: {_short(speaking)}")
            found = json.loads(speaking.read_text(encoding="utf-8"))
            for track in found["tracks"]:
                when = ", ".join(f"{start}–{end}" for start, end in track["intervals"]) or "never"
                print(f"  face {track['track']}: speaker {track['speaker'] or 'none'}, in frames {when}")
            for what, key in (("nobody on screen", "off_screen"), ("not known who", "undecided")):
                when = ", ".join(f"{start}–{end}" for start, end in found[key])
                print(f"  {what}: {when or 'never'}  (method: {found['method']})")
        for path in sorted(analysis.glob("*")) if analysis.is_dir() else ():
            if path.is_file():
                print(f"  {_short(path)}  {path.stat().st_size} bytes")


def _head(what: str, path: Path, lines: int) -> None:
    if not path.is_file():
        print(f"\n{what}: none")
        return
    print(f"\n{what}: {_short(path)}  (SHA-256 {sha256(path)[:12]}…)")
    with path.open(encoding="utf-8-sig") as file:
        for line in islice(file, lines):
            print(" ", line.rstrip()[:110])


if __name__ == "__main__":
    try:
        sys.exit(main())
    except RushesError as error:
        sys.exit(f"demo: {error.message}\n      {error.remedy}")
