"""What `rushes doctor` finds on machines that lack something, each lack made for real."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rushes import doctor as parts
from rushes import models
from rushes.cli.main import app
from rushes.doctor import Level
from rushes.media import ffmpeg
from rushes.settings import Settings
from rushes.stage import EngineSpec, Outcome, Stage, StageSettings


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Makes `name` on the PATH a program that runs these shell lines; the PATH holds nothing else."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("rushes.programs._SYSTEM_FOLDERS", ())
    ffmpeg.program.cache_clear()

    def make(name: str, lines: str) -> None:
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{lines}\n", encoding="utf-8")
        path.chmod(0o755)

    return make


@pytest.fixture(autouse=True)
def _forget() -> None:
    ffmpeg.program.cache_clear()


@pytest.mark.parametrize(
    ("version", "level"), [((3, 11, 0), Level.OK), ((3, 14, 1), Level.OK), ((3, 10, 9), Level.FAILED)]
)
def test_python(version: tuple[int, ...], level: Level) -> None:
    assert parts.python(version).level is level


def test_ffmpeg_of_this_machine_is_told_with_its_version() -> None:
    finding = parts.encoder()
    assert finding.level is Level.OK
    assert ffmpeg.program() in finding.detail


@pytest.mark.parametrize(
    ("lines", "detail"),
    [("echo ffmpeg version 7.1", "no H.264 encoder"), ("exit 3", "does not run")],
    ids=["without libx264", "broken"],
)
def test_ffmpeg_that_cannot_do_the_work(program: Callable[[str, str], None], lines: str, detail: str) -> None:
    program("ffmpeg", lines)
    finding = parts.encoder()
    assert finding.level is Level.FAILED
    assert detail in finding.detail
    assert finding.remedy == "apt-get install ffmpeg"


@pytest.mark.parametrize(
    ("lines", "level", "detail"),
    [
        ("echo nats-server: v2.9.10", Level.OK, "2.9.10"),
        ("echo nats-server: v2.12.0-RC.1", Level.OK, "2.12.0"),
        ("echo nats-server: v2.8.4", Level.FAILED, "2.9 or newer is needed"),
        ("echo hello", Level.FAILED, "tells no version"),
        ("exit 1", Level.FAILED, "does not run"),
    ],
    ids=["debian", "newer", "too old", "something else", "broken"],
)
def test_nats_server(program: Callable[[str, str], None], lines: str, level: Level, detail: str) -> None:
    program("nats-server", lines)
    finding = parts.nats(Settings())
    assert finding.level is level
    assert detail in finding.detail


@pytest.mark.usefixtures("program")
def test_nats_server_is_missing() -> None:
    finding = parts.nats(Settings())
    assert finding.level is Level.FAILED
    assert finding.remedy == "apt-get install nats-server"


@pytest.mark.usefixtures("program")
def test_a_named_nats_server_is_asked_instead() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"nats://127.0.0.1:{server.getsockname()[1]}"
        assert parts.nats(Settings(nats_url=url)).level is Level.OK
    finding = parts.nats(Settings(nats_url=url))
    assert finding.level is Level.FAILED
    assert url in finding.detail


@pytest.mark.parametrize("extra", ["", "ingest", "scenes", "audio", "tracking", "delivery"])
def test_packages_of_every_service_are_known_and_here(extra: str) -> None:
    finding = parts.packages(extra)
    assert finding.level is Level.OK
    assert finding.detail


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ["rich>=14", 'no-such-package[x]>=1; extra == "scenes"', "rushes[media]; extra == 'scenes'"]
    monkeypatch.setattr(parts, "requires", lambda _name: asked)
    finding = parts.packages("scenes")
    assert finding.level is Level.FAILED
    assert "no-such-package" in finding.detail
    assert finding.remedy == "make setup"
    assert parts.packages("").level is Level.OK


@pytest.mark.parametrize(
    ("content", "level"),
    [(b"right", Level.OK), (None, Level.WARNING), (b"short"[:2], Level.FAILED), (b"wrong", Level.FAILED)],
    ids=["intact", "absent", "cut", "changed"],
)
def test_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, level: Level
) -> None:
    pinned = hashlib.sha256(b"right").hexdigest()
    made = {"w": models.Model("w", 5, pinned, "MIT", "https://models.example/w", "a test")}
    monkeypatch.setattr(models, "catalogue", lambda: made)
    monkeypatch.setenv("RUSHES_MODELS_DIR", str(tmp_path))
    if content is not None:
        (tmp_path / "w").write_bytes(content)
    finding = parts.weights("w")
    assert finding.level is level
    assert finding.remedy == ("" if level is Level.OK else "rushes models pull w")


def test_a_missing_model_is_told_once_with_what_it_costs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUSHES_MODELS_DIR", str(tmp_path))
    output = CliRunner().invoke(app, ["doctor"]).output
    assert output.count("rushes models pull mediapipe/face_landmarker.task") == 1
    assert "without it: no blendshapes, and who speaks on screen stays unknown" in output
    assert "engine tracking/mediapipe: cannot run: needs the model mediapipe/face_landmarker.task" in output


def test_every_model_of_the_catalogue_is_used() -> None:
    texts = [path.read_text("utf-8") for path in Path(parts.__file__).parents[1].glob("services/**/*.py")]
    unused = [path for path in models.catalogue() if not any(path in text for text in texts)]
    assert unused == []


def stage_of(**reasons: str) -> Stage[StageSettings]:
    """Returns a stage whose engines lack what is given."""
    return Stage(
        name="scenes",
        settings=StageSettings,
        engines={
            name: EngineSpec(
                name=name,
                version=lambda _settings: "1",
                load=lambda _settings, _device: None,
                missing=lambda _settings, reason=reason: reason,
            )
            for name, reason in reasons.items()
        },
        inputs=lambda _unit, _settings: {},
        run=lambda *_: Outcome(outputs={}, done=0, expected=0, unit="frames"),
        manifest=lambda _unit, _digests: Path("manifest.json"),
    )


@pytest.mark.parametrize(
    ("reasons", "levels"),
    [
        ({"a": "", "b": ""}, [Level.OK]),
        ({"a": "no weights", "b": ""}, [Level.OK, Level.WARNING]),
        ({"a": "no weights", "b": "no GPU"}, [Level.FAILED, Level.WARNING, Level.WARNING]),
    ],
    ids=["all run", "one lacks something", "none runs"],
)
def test_engines(reasons: dict[str, str], levels: list[Level]) -> None:
    findings = list(parts.engines("scenes", lambda _name: stage_of(**reasons)))
    assert [finding.level for finding in findings] == levels
    for reason in filter(None, reasons.values()):
        assert any(reason in finding.detail for finding in findings)


def test_a_stage_that_cannot_be_imported_is_named() -> None:
    def find(_name: str) -> Stage[StageSettings]:
        raise ModuleNotFoundError("No module named 'numpy'")

    (finding,) = parts.engines("scenes", find)
    assert finding.level is Level.FAILED
    assert "numpy" in finding.detail


def test_workspace_is_not_made_by_looking(tmp_path: Path) -> None:
    place = tmp_path / "a" / "b"
    finding = parts.workspace(place)
    assert finding.level is not Level.FAILED
    assert "GB free" in finding.detail
    assert not place.parent.exists()


def test_a_workspace_that_is_a_file_cannot_be_written(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.touch()
    assert parts.workspace(place).level is Level.FAILED


@pytest.mark.parametrize(
    ("count", "torch", "level"),
    [(0, "2.13.0+cpu", Level.OK), (2, "2.13.0", Level.OK), (1, "2.13.0+cpu", Level.WARNING)],
    ids=["no GPU", "GPUs", "GPU without its torch"],
)
def test_gpu(monkeypatch: pytest.MonkeyPatch, count: int, torch: str, level: Level) -> None:
    monkeypatch.setattr(parts, "cuda_count", lambda: count)
    monkeypatch.setattr(parts, "version", lambda _package: torch)
    assert parts.gpu().level is level


def test_loopback() -> None:
    assert parts.loopback().level is Level.OK


def test_command_tells_all_and_fails_when_a_needed_part_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = CliRunner().invoke
    whole = run(app, ["doctor"])
    for what in (
        "Python",
        "ffmpeg",
        "NATS",
        "model mediapipe",
        "stage scenes",
        "GPU",
        "workspace",
        "loopback",
    ):
        assert what in whole.output
    monkeypatch.setenv("RUSHES_NATS_URL", "nats://127.0.0.1:1")
    broken = run(app, ["doctor"])
    assert broken.exit_code == 1
    assert "→ Start it, or unset RUSHES_NATS_URL." in broken.output


def test_wrong_settings_are_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUSHES_SLOTZ", "2")
    findings = {finding.what: finding for finding in parts.examine()}
    assert findings["settings"].level is Level.FAILED
    assert "RUSHES_SLOTZ" in findings["settings"].detail
    assert findings["loopback"].level is Level.OK
