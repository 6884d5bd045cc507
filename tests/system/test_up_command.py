"""`rushes up` and what talks to it: a second `rushes run` and `rushes jobs`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [pytest.mark.system, pytest.mark.usefixtures("noop_stages")]


def rushes(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rushes.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def start(workspace: Path) -> subprocess.Popen[str]:
    """Starts `rushes up` and waits until it says that it is."""
    up = subprocess.Popen(
        [sys.executable, "-m", "rushes.cli", "up", "--workspace", workspace],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert up.stdout is not None
    with up.stdout:  # It says nothing more.
        assert "is up" in up.stdout.readline()
    return up


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Path]:
    """A workspace on which `rushes up` runs."""
    workspace = tmp_path / "workspace"
    up = start(workspace)
    yield workspace
    up.send_signal(signal.SIGINT)
    assert up.wait(30) == 0


def test_jobs_of_a_running_stack_are_seen_followed_and_run_again(running: Path) -> None:
    (running / "clip.mp4").write_bytes(b"anything: the stages do nothing")
    made = rushes("run", running / "clip.mp4", "--workspace", running, "--json")
    assert made.returncode == 0, made.stderr
    job = json.loads(made.stdout.splitlines()[-1])
    identifier = job["job"].removeprefix("jobs/")

    listed = json.loads(rushes("jobs", "list", "--workspace", running, "--json").stdout)
    assert identifier in json.dumps(listed)
    shown = rushes("jobs", "show", identifier[:8], "--workspace", running, "--json")
    assert json.loads(shown.stdout)["state"] == "succeeded"
    assert rushes("jobs", "retry", identifier, "--workspace", running, "--stages", "audio").returncode == 0
    assert rushes("jobs", "watch", identifier, "--workspace", running).returncode == 0
    assert rushes("jobs", "show", "none", "--workspace", running).returncode != 0


def test_a_delivery_from_elsewhere_needs_permission(running: Path, tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"anything")
    refused = rushes("run", tmp_path / "clip.mp4", "--workspace", running)
    assert refused.returncode == 2
    assert "--allow" in refused.stderr


def test_nothing_is_left_running_when_the_owner_is_killed(tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    up = start(workspace)
    os.kill(up.pid, signal.SIGKILL)
    up.wait()
    deadline = time.monotonic() + 20
    while left := _processes(str(workspace)):
        assert time.monotonic() < deadline, left
        time.sleep(0.2)


def _processes(mark: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (path / "cmdline").read_bytes() + (path / "environ").read_bytes():
                found.append(path.name)
        except OSError:  # Ended, or somebody else's.
            continue
    return found
