"""The stage `finalize`: a verified copy of a finished project, where nothing is ever overwritten."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rushes.artifacts import Manifest, read_json
from rushes.context import Context
from rushes.errors import InvalidInput, NotFound, ResultsDiffer, StorageFull, Unavailable
from rushes.stage import Outcome, Stage, Unit
from rushes.workspace import Project
from services.delivery.completeness import Gap, gaps
from services.delivery.copying import copy_verified, explained, sync_folders
from services.delivery.delivered import MANIFEST, SCHEMA, same, versions, write_manifest
from services.delivery.engine import FINALIZE, Plain
from services.delivery.inventory import Item, fingerprint, inventory
from services.delivery.settings import FinalizeSettings

SPARE = 1.1
"""Free space wanted at the destination, as a multiple of what is copied."""

_NAMED = 5
"""Incomplete videos that the notice names; `rushes.json` has them all."""


def _inputs(unit: Unit, _settings: FinalizeSettings) -> Mapping[str, Path | str]:
    project = unit.require_project()
    return {"files": fingerprint(inventory(project)), "delivered": _harm(project)}


def _harm(project: Project) -> str:
    """Tells what has become of the last delivery: nothing, also when there is none, or that it is not whole.

    Sizes are compared; `same` reads every byte once the stage runs.
    """
    try:
        earlier = Manifest.read(project.manifest("finalize"))
        root = Path(earlier.facts["output"])
        listed = read_json(root / MANIFEST, schema=SCHEMA)["files"]
    except (NotFound, ResultsDiffer):
        return ""
    for file in listed:
        path = root / file["path"]
        if not path.is_file() or path.stat().st_size != file["size_bytes"]:
            return "not whole"
    return ""


def _run(_engine: Plain, unit: Unit, settings: FinalizeSettings, context: Context) -> Outcome:
    project = unit.require_project()
    output = _destination(unit, project, settings)
    with _alone(project), explained(output):
        items, missing = inventory(project), gaps(project)
        total = sum(item.size_bytes for item in items)
        facts = {"files": str(len(items)), "bytes": str(total), "complete": "false" if missing else "true"}
        if missing:
            context.notice(_lacking(project, missing))
        for earlier in versions(output, project.name):
            if not os.path.lexists(earlier):
                break
            if same(earlier, project.name, items, missing, context.check):
                context.notice(f"{earlier} already holds this delivery, intact.")
                return _outcome(earlier, items, {**facts, "already_delivered": "true"})
        final = _deliver(output, project, items, missing, context)
    if final.name != project.name:
        context.notice(f"{output / project.name} exists and was left as it is; the delivery is {final}.")
    return _outcome(final, items, facts)


def _lacking(project: Project, missing: Sequence[Gap]) -> str:
    named = [f"{gap.video} has no {', '.join(gap.stages)}" for gap in missing[:_NAMED]]
    if len(missing) > _NAMED:
        named.append(f"{len(missing) - _NAMED} more videos lack results")
    return f"The delivery of {project.name} is incomplete: {'; '.join(named)}."


def _outcome(final: Path, items: Sequence[Item], facts: Mapping[str, str]) -> Outcome:
    return Outcome(
        outputs={"delivery": final / MANIFEST},
        done=len(items),
        expected=len(items),
        unit="files",
        facts={"output": str(final), **facts},
    )


def _destination(unit: Unit, project: Project, settings: FinalizeSettings) -> Path:
    """Returns the folder that will hold the delivery, sure that it is apart from every project."""
    if settings.output:
        base = unit.workspace.root if unit.workspace else Path.cwd()
        output = Path(os.path.realpath(base / settings.output))
        if not output.is_dir():
            # Creating it could fill the system disk where a drive is not mounted.
            raise InvalidInput(f"The folder {output} does not exist.", remedy="Mount the drive or create it.")
    else:
        output = Path(os.path.realpath(unit.require_workspace().delivered))
        output.mkdir(parents=True, exist_ok=True)
    projects = Path(os.path.realpath(unit.workspace.projects if unit.workspace else project.root))
    target = output / project.name
    if output.is_relative_to(projects) or projects.is_relative_to(target):
        raise InvalidInput(
            f"The destination {target} and the projects in {projects} overlap.",
            remedy="Choose a folder outside the projects.",
        )
    return output


@contextmanager
def _alone(project: Project) -> Iterator[None]:
    """Keeps a second task, redelivered while the first still runs, from copying the same project.

    Raises:
        Unavailable: One is at it.
    """
    with (project.root / ".finalize.lock").open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Unavailable(f"The project {project.name} is being delivered by another task.") from error
        yield


def _deliver(
    output: Path, project: Project, items: Sequence[Item], missing: Sequence[Gap], context: Context
) -> Path:
    """Copies to a temporary sibling and gives it the first name that is free."""
    # Two workspaces may deliver projects of one name to one drive at the same time.
    origin = hashlib.sha256(os.fsencode(os.path.realpath(project.root))).hexdigest()[:8]
    partial = output / f".{project.name}.{origin}.partial"
    if partial.exists():
        shutil.rmtree(partial)  # Left by a task that was killed; the lock says that it is nobody's.
    total = sum(item.size_bytes for item in items)
    free = shutil.disk_usage(output).free
    if free < total * SPARE:
        raise StorageFull(
            f"{output} has {free / 1e9:.1f} GB free; {project.name} needs {total * SPARE / 1e9:.1f} GB.",
            remedy="Free some space there, or choose another output.",
        )
    done = 0

    def advance(size: int) -> None:
        nonlocal done
        context.check()
        done += size
        context.progress("copy", done, total, "bytes")

    try:
        partial.mkdir()
        hashes = {}
        for item in items:
            context.check()
            target = partial / item.path
            target.parent.mkdir(parents=True, exist_ok=True)
            hashes[item.path] = copy_verified(item, target, advance)
        write_manifest(partial, project.name, items, hashes, missing)
        sync_folders(partial, [item.path for item in items])
        return _settle(partial, output, project.name)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _settle(partial: Path, output: Path, name: str) -> Path:
    for final in versions(output, name):
        if os.path.lexists(final):
            continue
        try:
            partial.rename(final)
        except OSError as error:
            if error.errno in {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}:
                continue  # Somebody else took the name in between.
            raise
        sync_folders(output, [])
        return final
    raise AssertionError("versions never ends")


STAGE = Stage(
    name="finalize",
    settings=FinalizeSettings,
    engines=FINALIZE,
    inputs=_inputs,
    run=_run,
    manifest=lambda unit, _digests: unit.require_project().manifest("finalize"),
)
