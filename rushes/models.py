"""Model weights: where they come from, where they lie, and that they are what they should be."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from rushes import settings
from rushes.artifacts.store import sha256
from rushes.downloads import Progress, download
from rushes.errors import MissingPart, NotFound, ResultsDiffer


@dataclass(frozen=True, slots=True)
class Model:
    """One file of weights, pinned by its hash.

    `path` is relative to the models folder; `without` says what there is not where it is missing.
    """

    path: str
    bytes: int
    sha256: str
    license: str
    source: str
    what: str
    without: str = ""


@lru_cache
def catalogue() -> Mapping[str, Model]:
    """Returns every model that rushes knows, by path."""
    text = files("rushes").joinpath("models.json").read_text(encoding="utf-8")
    return {entry["path"]: Model(**entry) for entry in json.loads(text)}


def model(path: str) -> Model:
    """Returns a model of the catalogue.

    Raises:
        NotFound: There is no such model.
    """
    try:
        return catalogue()[path]
    except KeyError as error:
        raise NotFound(f"There is no model {path!r}.", remedy="See `rushes models list`.") from error


def folder(environment: Mapping[str, str] | None = None) -> Path:
    """Returns the models folder: the setting `models_dir`, else the user's cache."""
    if chosen := settings.load(environment).models_dir:
        return chosen
    names = os.environ if environment is None else environment
    cache = names.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "rushes" / "models"


def missing(path: str) -> str:
    """Returns why a model cannot be used here, or an empty string; does not read it."""
    wanted, place = model(path), folder() / path
    if not place.is_file():
        return f"the model {path} is not in {folder()}; run `rushes models pull {path}`."
    if place.stat().st_size != wanted.bytes:
        return f"{place} has {place.stat().st_size} bytes instead of {wanted.bytes}; pull it again."
    return ""


def verified(path: str) -> Path:
    """Returns the place of a model once its content has been checked.

    Raises:
        MissingPart: It is not there.
        ResultsDiffer: Its content is not what the catalogue pins.
    """
    place = folder() / path
    if reason := missing(path):
        raise MissingPart(f"Cannot load {place.name}: {reason}", remedy=f"Run: rushes models pull {path}")
    if (found := sha256(place)) != model(path).sha256:
        raise ResultsDiffer(
            f"{place} has SHA-256 {found[:12]}…, not {model(path).sha256[:12]}….",
            remedy=f"Delete it, then run: rushes models pull {path}",
        )
    return place


def pull(path: str, progress: Progress | None = None) -> Path:
    """Returns the place of a model, downloading it from its official address unless it is there and intact.

    Args:
        path: Path of the model in the catalogue.
        progress: Told the bytes that have arrived and the bytes that there are.

    Raises:
        NotFound: There is no such model, or its address no longer has it.
        MissingPart: It has no address to download from.
        Unavailable: The server cannot be reached.
        ResultsDiffer: The address serves something else.
    """
    wanted, place = model(path), folder() / path
    if not missing(path) and sha256(place) == wanted.sha256:
        return place
    if not wanted.source.startswith("https://"):
        raise MissingPart(
            f"{path} has no address to download it from; it is part of: {wanted.source}.",
            remedy=f"Fetch it from there and put it at {place}",
        )
    report = {"progress": progress} if progress else {}
    download(wanted.source, place, size=wanted.bytes, sha256=wanted.sha256, **report)
    return place
