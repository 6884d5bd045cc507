"""What the documents tell people to type exists, and what they point to is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from rushes.cli.main import app
from rushes.settings import Settings

ROOT = Path(__file__).parents[3]
DOCUMENTS = sorted(
    path for pattern in ("*.md", "docs/*.md", "services/*/*.md") for path in ROOT.glob(pattern)
)


def commands(text: str) -> Iterator[list[str]]:
    """Every `rushes …` and `make …` in a code span or a code block."""
    spans = re.findall(r"```.*?\n(.*?)```", text, re.S) + re.findall(r"`([^`\n]+)`", text)
    for span in spans:
        for line in span.splitlines():
            words = line.partition("#")[0].split()
            if words and words[0] in {"rushes", "make"}:
                yield words


def named(document: Path) -> str:
    return str(document.relative_to(ROOT))


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_commands_exist(document: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    for words in commands(document.read_text("utf-8")):
        if words[0] == "make":
            assert targets.issuperset(word for word in words[1:2] if re.fullmatch(r"[a-z-]+", word)), words
            continue
        command: Any = typer.main.get_command(app)
        rest = words[1:]
        while hasattr(command, "commands") and rest and re.fullmatch(r"[a-z]+", rest[0]):
            assert rest[0] in command.commands, words
            command = command.commands[rest.pop(0)]
        known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        assert known.issuperset(word.partition("=")[0] for word in rest if word.startswith("-")), words


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", document.read_text("utf-8")):
        if "://" not in target:
            assert (document.parent / target).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_environment_variables_are_settings(document: Path) -> None:
    known = {f"RUSHES_{name.upper()}" for name in Settings.model_fields}
    tests_own = {"RUSHES_TEST_MEDIA", "RUSHES_REQUIRE_MEDIA"}
    streams = {"RUSHES_TASKS", "RUSHES_EVENTS", "RUSHES_ADVISORIES", "RUSHES_JOBS"}
    assert set(re.findall(r"RUSHES_[A-Z_]+", document.read_text("utf-8"))) <= known | tests_own | streams


def test_every_setting_is_documented_with_its_default() -> None:
    text = (ROOT / "docs" / "settings.md").read_text("utf-8")
    for name, setting in Settings.model_fields.items():
        default = "" if setting.default is None else f"`{setting.default}`"
        assert f"| `RUSHES_{name.upper()}` | {default} | {setting.description} |" in text
