"""Options that several commands share, checked before anything starts."""

from __future__ import annotations

from collections.abc import Sequence

from rushes.api.common.v1.common_pb2 import EngineChoice
from rushes.errors import InvalidInput
from rushes.pipeline import closure


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


def engine_choices(engines: Sequence[str], settings: Sequence[str]) -> dict[str, EngineChoice]:
    """Returns engine and settings by stage from `STAGE=NAME` and `STAGE.KEY=VALUE`.

    `STAGE.device=cuda:0` chooses the device.

    Raises:
        InvalidInput: An option is malformed, or names an unknown stage.
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
    for name, choice in choices.items():
        found = find_stage(name)
        found.choose(choice.name, found.parse(choice.settings))
    return choices
