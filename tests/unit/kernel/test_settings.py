"""Settings: typed, bounded, and no unknown key passes."""

from pathlib import Path

import pytest

from rushes import settings
from rushes.errors import SettingsInvalid


def test_the_environment_is_read_and_typed() -> None:
    chosen = settings.load({"RUSHES_SLOTS": "3", "RUSHES_NATS_URL": "nats://bus:4222", "PATH": "/bin"})
    assert (chosen.slots, chosen.nats_url) == (3, "nats://bus:4222")


def test_the_workspace_of_the_command_line_wins() -> None:
    assert settings.load({"RUSHES_WORKSPACE": "/a"}, workspace=Path("/b")).workspace == Path("/b")


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        pytest.param({"RUSHES_SLOT": "1"}, "RUSHES_SLOT", id="unknown"),
        pytest.param({"RUSHES_SLOTS": "0"}, "slots", id="out of bounds"),
        pytest.param({"RUSHES_GRPC_PORT": "http"}, "grpc_port", id="of the wrong type"),
    ],
)
def test_what_is_wrong_is_named(environment: dict[str, str], named: str) -> None:
    with pytest.raises(SettingsInvalid, match=named):
        settings.load(environment)


def test_the_file_is_read_and_its_unknown_keys_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rushes.toml").write_text("slots = 2\n")
    assert settings.load({}).slots == 2
    assert settings.load({"RUSHES_SLOTS": "4"}).slots == 4
    Path("rushes.toml").write_text("slotss = 2\n")
    with pytest.raises(SettingsInvalid, match="slotss"):
        settings.load({})
