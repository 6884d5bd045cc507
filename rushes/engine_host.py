"""The engine process: takes tasks from its worker, runs them with warm models, tells its progress.

Started as `python -m rushes.engine_host FD WORKSPACE STAGE…` in a process group of its own. It
loads the default engine of each stage, says so with one message, and then serves. When the worker
goes, whatever way, its end of the socket closes and the whole group ends with it.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from structlog.contextvars import bound_contextvars

from rushes import errors, logs, settings
from rushes.api.common.v1.common_pb2 import Progress
from rushes.api.events.v1.events_pb2 import Task, TaskEvent, TaskStarted
from rushes.context import Context
from rushes.devices import resolve
from rushes.execution import Engines, execute
from rushes.frames import read_frame, write_frame
from rushes.stage import Unit, stage
from rushes.workspace import VideoFolder, Workspace, permit

log = logging.getLogger(__name__)

_PROGRESS_INTERVAL_S = 0.25


class _HostContext(Context):
    """Sends progress to the worker, a few times a second at most."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._phase = ""
        self._phase_started = self._last_sent = 0.0

    def progress(self, phase: str, done: float, total: float | None, unit: str) -> None:
        now = time.monotonic()
        if phase != self._phase:
            self._phase, self._phase_started = phase, now
        elif now - self._last_sent < _PROGRESS_INTERVAL_S and done != total:
            return
        self._last_sent = now
        elapsed = now - self._phase_started
        message = Progress(
            phase=phase, done=done, total=total, unit=unit, rate_per_second=done / elapsed if elapsed else 0
        )
        write_frame(self._link, TaskEvent(progress=message).SerializeToString())

    def notice(self, message: str) -> None:
        log.warning(message)
        event = TaskEvent()
        event.notice.message = message
        write_frame(self._link, event.SerializeToString())


def unit_of(task: Task, workspace: Workspace, allowed_roots: Sequence[Path] = ()) -> Unit:
    """Returns where a task works.

    Raises:
        OutsideWorkspace: One of its paths leads out of the workspace, or what it reads from and
            delivers to out of that and of the other roots allowed.
    """
    delivery = [str(permit(uri, workspace, allowed_roots)) for uri in task.delivery]
    del task.delivery[:]
    task.delivery.extend(delivery)
    if output := task.engine.settings.get("output"):
        task.engine.settings["output"] = str(permit(output, workspace, allowed_roots))
    if task.output:  # Work outside any project: a file here, a folder for the artefacts there.
        video = VideoFolder(workspace.resolve(task.source), workspace.resolve(task.output))
        return Unit(task=task, workspace=workspace, video=video)
    project = workspace.project(task.project) if task.project else None
    folder = project.video(task.video) if project and task.video else None
    return Unit(task=task, workspace=workspace, project=project, video=folder)


def run(
    task: Task, workspace: Workspace, chosen: settings.Settings, context: Context, engines: Engines
) -> TaskEvent:
    """Runs one task and returns how it ended; never raises, for the next task must find a host."""
    event = TaskEvent()
    try:
        result = execute(stage(task.stage), unit_of(task, workspace, chosen.allowed_roots), context, engines)
        event.succeeded.result.CopyFrom(result)
    except errors.RushesError as error:
        log.warning("%s", error.message)
        event.failed.failure.CopyFrom(errors.to_failure(error))
    except Exception as error:  # The edge of the process: reported as a failure of this task alone.
        log.exception("The task failed unexpectedly.")
        event.failed.failure.CopyFrom(errors.to_failure(error))
    return event


def warm(name: str, engines: Engines) -> None:
    """Loads the default engine of a stage, so that the first task does not wait for it."""
    try:
        found = stage(name)
        defaults = found.parse({})
        spec, _ = found.choose("", defaults)
        device, _ = resolve("auto", spec.devices)
        engines.get(found, spec, defaults, device)
    except errors.RushesError as error:
        log.warning("No engine of %s is loaded yet: %s", name, error.message)  # A task says it again.
    except Exception:  # A broken library of one engine must not keep the service from its other work.
        log.exception("The default engine of %s cannot be loaded.", name)


def _receive(link: socket.socket, tasks: queue.SimpleQueue[Task]) -> None:
    while (payload := read_frame(link)) is not None:
        tasks.put(Task.FromString(payload))
    os.killpg(os.getpgid(0), signal.SIGKILL)  # The worker is gone; so must be ffmpeg and everything else.


def main() -> None:
    """Serves tasks until the worker goes."""
    link = socket.socket(fileno=int(sys.argv[1]))
    workspace = Workspace(Path(sys.argv[2]))
    chosen = settings.load()
    logs.configure("engine", chosen)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # A Ctrl-C at the terminal is the worker's to answer.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # Libraries that print must not be heard.
    tasks: queue.SimpleQueue[Task] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(link, tasks), daemon=True).start()
    engines = Engines()
    for name in sys.argv[3:]:
        warm(name, engines)
    write_frame(link, TaskEvent(started=TaskStarted()).SerializeToString())
    while True:
        task = tasks.get()
        with bound_contextvars(job=task.job, task=task.id, video=task.video):
            event = run(task, workspace, chosen, _HostContext(link), engines)
        write_frame(link, event.SerializeToString())
        if event.failed.failure.reason == errors.RushesError.reason:
            sys.exit(1)  # After an unknown failure the engine may be broken; the next task gets a new one.


if __name__ == "__main__":
    main()
