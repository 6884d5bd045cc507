"""Options that several commands share, checked before anything starts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rushes import settings as process_settings
from rushes.api.common.v1.common_pb2 import EngineChoice
from rushes.errors import InvalidInput
from rushes.pipeline import closure
from rushes.settings import Settings


def surroundings(workspace: Path | None) -> Settings:
    """Returns the settings of this process, on another workspace where one is given.

    Raises:
        InvalidInput: The workspace is not a folder.
        SettingsInvalid: A variable or a key of the settings is wrong.
    """
    chosen = process_settings.load(workspace=workspace)
    if chosen.workspace.exists() and not chosen.workspace.is_dir():
        raise InvalidInput(f"The workspace {chosen.workspace} is not a folder.")
    return chosen


def names(text: str) -> list[str]:
    """Splits at commas; blanks around a name do not count."""
    return [name for name in map(str.strip, text.split(",")) if name]


def pairs(values: Sequence[str], form: str) -> list[tuple[str, str]]:
    """Splits each value at its first `=`.

    Raises:
        InvalidInput: One has none, or nothing before it.
    """
    split = []
    for value in values:
        name, equals, rest = value.partition("=")
        if not equals or not name:
            raise InvalidInput(f"{value!r} is not {form}.")
        split.append((name, rest))
    return split


def engine_choices(
    engines: Sequence[str], settings: Sequence[str], stages: Sequence[str]
) -> dict[str, EngineChoice]:
    """Returns engine and settings by stage from `STAGE=NAME` and `STAGE.KEY=VALUE`.

    `STAGE.device=cuda:0` chooses the device. The job is made of `stages` and what they need, or of all.

    Raises:
        InvalidInput: An option is malformed, or names a stage that is unknown or not part of the job.
        SettingsInvalid: An engine or a setting does not exist, or has a bad value.
    """
    from rushes.stage import stage as find_stage

    choices: dict[str, EngineChoice] = {}
    for stage, name in pairs(engines, "STAGE=NAME"):
        choices.setdefault(stage, EngineChoice()).name = name
    for key, value in pairs(settings, "STAGE.KEY=VALUE"):
        stage, dot, setting = key.partition(".")
        if not dot or not setting:
            raise InvalidInput(f"{key!r} is not STAGE.KEY.")
        choice = choices.setdefault(stage, EngineChoice())
        if setting == "device":
            choice.device = value
        else:
            choice.settings[setting] = value
    closure(list(choices))
    part = [step.stage for step in closure(stages)]
    if others := [stage for stage in choices if stage not in part]:
        raise InvalidInput(
            f"An engine or a setting is given for {', '.join(others)}, which is not part of this job.",
            remedy=f"Its stages: {', '.join(part)}.",
        )
    for name, choice in choices.items():
        found = find_stage(name)
        found.choose(choice.name, found.parse(choice.settings))
    return choices
