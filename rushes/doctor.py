"""The parts that rushes needs on this machine, each looked at without loading it."""

from __future__ import annotations

import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from urllib.parse import urlsplit

from rushes import models, programs
from rushes.artifacts.store import sha256
from rushes.devices import cuda_count
from rushes.errors import MissingPart, RushesError
from rushes.media import ffmpeg
from rushes.pipeline import PIPELINE, SERVICES
from rushes.settings import Settings, load
from rushes.stage import Stage, StageSettings
from rushes.stage import stage as find_stage

_LEAST_NATS = (2, 9)
_LITTLE_SPACE = 5 << 30
_TIMEOUT_S = 20


class Level(Enum):
    """How much a finding matters."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found about one part.

    Attributes:
        what: Name of the part.
        level: FAILED when rushes cannot work without it.
        detail: What is there, or what is wrong.
        remedy: What to type or do about it.
    """

    what: str
    level: Level
    detail: str
    remedy: str = ""


def examine() -> Iterator[Finding]:
    """Yields what was found about every part, those first on which others depend."""
    yield python(sys.version_info[:3])
    settings, finding = _settings()
    yield finding
    yield encoder()
    for extra in ("", *SERVICES):
        yield packages(extra)
    yield gpu()
    yield loopback()
    if settings is None:
        return  # Where to look for the rest is not known.
    yield nats(settings)
    yield workspace(settings.workspace)
    for path in models.catalogue():
        yield weights(path)
    for step in PIPELINE:
        yield from engines(step.stage)


def python(found: tuple[int, ...]) -> Finding:
    """Checks the version of Python."""
    name = ".".join(map(str, found))
    if found < (3, 11):
        return Finding("Python", Level.FAILED, f"{name}; 3.11 or newer is needed", "apt-get install python3")
    return Finding("Python", Level.OK, f"{name} on {platform.machine()}")


def _settings() -> tuple[Settings | None, Finding]:
    try:
        return load(), Finding("settings", Level.OK, "valid")
    except RushesError as error:
        return None, Finding("settings", Level.FAILED, error.message, error.remedy)


def encoder() -> Finding:
    """Checks that ffmpeg runs and can write H.264."""
    install = "apt-get install ffmpeg"
    try:
        program = ffmpeg.program()
    except MissingPart as error:
        return Finding("ffmpeg", Level.FAILED, error.message, install)
    told, reason = _ask([program, "-hide_banner", "-version"])
    if reason:
        return Finding("ffmpeg", Level.FAILED, reason, install)
    match = re.search(r"version (\S+)", told)
    if " libx264 " not in _ask([program, "-hide_banner", "-encoders"])[0]:
        return Finding("ffmpeg", Level.FAILED, f"{program} has no H.264 encoder (libx264)", install)
    return Finding("ffmpeg", Level.OK, f"{match[1] if match else 'of unknown version'} ({program})")


def nats(settings: Settings) -> Finding:
    """Checks the NATS server: the one named in the settings, else the program."""
    if settings.nats_url:
        place = urlsplit(settings.nats_url if "://" in settings.nats_url else f"nats://{settings.nats_url}")
        try:
            socket.create_connection((place.hostname or "127.0.0.1", place.port or 4222), timeout=3).close()
        except OSError as error:
            detail = f"{settings.nats_url} does not answer: {error}"
            return Finding("NATS", Level.FAILED, detail, "Start it, or unset RUSHES_NATS_URL.")
        return Finding("NATS", Level.OK, f"{settings.nats_url} answers")
    program = programs.find("nats-server")
    if program is None:
        return Finding("NATS", Level.FAILED, "nats-server is not installed", "apt-get install nats-server")
    told, reason = _ask([program, "--version"])
    match = re.search(r"v?(\d+)\.(\d+)(\.\d+)?", told)
    if reason or match is None:
        return Finding("NATS", Level.FAILED, reason or f"{program} tells no version: {told!r}")
    if (int(match[1]), int(match[2])) < _LEAST_NATS:
        least = ".".join(map(str, _LEAST_NATS))
        return Finding("NATS", Level.FAILED, f"nats-server {match[0]}; {least} or newer is needed")
    return Finding("NATS", Level.OK, f"nats-server {match[0]} ({program})")


def _ask(command: list[str]) -> tuple[str, str]:
    """Returns what a program prints, and why it could not be run."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        return "", f"{command[0]} does not run: {error}"
    return done.stdout + done.stderr, ""


def packages(extra: str) -> Finding:
    """Checks that the packages of an extra are installed; those of every process for an empty name."""
    what = f"packages of {extra or 'every process'}"
    names = sorted(name for name, of_extra in _requirements() if of_extra == extra)
    absent = [name for name in names if not _installed(name)]
    if absent:
        return Finding(what, Level.FAILED, f"not installed: {', '.join(absent)}", "make setup")
    return Finding(what, Level.OK, ", ".join(names))


def _requirements() -> Iterator[tuple[str, str]]:
    """Yields each package that rushes asks for, with the extra that asks for it; `` for none."""
    for line in requires("rushes") or ():
        name, _, marker = line.partition(";")
        extra = re.search(r"extra == ['\"]([^'\"]+)", marker)
        if match := re.match(r"[A-Za-z0-9._-]+", name):
            yield match[0], extra[1] if extra else ""


def _installed(package: str) -> bool:
    try:
        return bool(version(package))
    except PackageNotFoundError:
        return False


def weights(path: str) -> Finding:
    """Checks that a model is there and is what it should be; engines say who cannot do without it."""
    what, pull = f"model {path}", f"rushes models pull {path}"
    place = models.folder() / path
    if not place.exists():
        lack = models.model(path).without
        detail = f"not in {models.folder()}" + (f"; without it: {lack}" if lack else "")
        return Finding(what, Level.WARNING, detail, pull)
    if models.missing(path) or sha256(place) != models.model(path).sha256:
        return Finding(what, Level.FAILED, f"{place} is damaged", pull)
    return Finding(what, Level.OK, "intact")


def engines(name: str, find: Callable[[str], Stage[StageSettings]] = find_stage) -> Iterator[Finding]:
    """Checks that a stage has an engine that can run here, and says what its other engines lack."""
    try:
        stage = find(name)
        settings = stage.parse({})
    except (ImportError, RushesError) as error:
        yield Finding(f"stage {name}", Level.FAILED, f"cannot be used: {error}", "make setup")
        return
    reasons = {engine: spec.missing(settings) for engine, spec in stage.engines.items()}
    usable = [engine for engine, reason in reasons.items() if not reason]
    if usable:
        yield Finding(f"stage {name}", Level.OK, f"runs with {', '.join(usable)}")
    else:
        yield Finding(f"stage {name}", Level.FAILED, "none of its engines can run")
    for engine, reason in reasons.items():
        if reason:
            yield Finding(f"engine {name}/{engine}", Level.WARNING, f"cannot run: {_brief(reason)}")


def _brief(reason: str) -> str:
    """Leaves out what the finding about a model has said already, and how to get the model."""
    return next((f"needs the model {path}" for path in models.catalogue() if path in reason), reason)


def gpu() -> Finding:
    """Says which device engines run on."""
    count = cuda_count()
    if not count:
        return Finding("GPU", Level.OK, "none found; everything runs on the CPU")
    try:
        build = version("torch")
    except PackageNotFoundError:
        build = ""
    if build.endswith("+cpu"):
        detail = f"{count} found, but torch {build} cannot use it"
        return Finding("GPU", Level.WARNING, detail, "rm -r .venv && make setup")
    return Finding("GPU", Level.OK, f"{count} found")


def workspace(place: Path) -> Finding:
    """Checks that the workspace, or the folder where it will be made, can be written and has space."""
    folder = next(
        candidate for candidate in (place.absolute(), *place.absolute().parents) if candidate.exists()
    )
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        detail = f"{folder} cannot be written: {error.strerror}"
        remedy = "Name another folder: export RUSHES_WORKSPACE=FOLDER"
        return Finding("workspace", Level.FAILED, detail, remedy)
    free = shutil.disk_usage(folder).free
    detail = f"{place.absolute()}, {free / 1e9:.1f} GB free"
    if free < _LITTLE_SPACE:
        return Finding("workspace", Level.WARNING, f"{detail}, which is little for video")
    return Finding("workspace", Level.OK, detail)


def loopback() -> Finding:
    """Checks that a port can be opened on the loopback interface."""
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
    except OSError as error:
        detail = f"no port can be opened on 127.0.0.1: {os.strerror(error.errno or 0)}"
        return Finding("loopback", Level.FAILED, detail)
    return Finding("loopback", Level.OK, f"ports can be opened, for instance {port}")
