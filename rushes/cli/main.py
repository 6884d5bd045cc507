"""`rushes`: the command line; each command imports what it needs when it is called."""

from __future__ import annotations

import sys
from errno import ENOSPC
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from rushes.cli.models import app as models_app
from rushes.errors import InvalidInput, RushesError, StorageFull

app = typer.Typer(
    name="rushes",
    help="Turns a delivery of footage into edit-ready data.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
jobs_app = typer.Typer(help="Jobs of a running server.", no_args_is_help=True)
app.add_typer(jobs_app, name="jobs")
app.add_typer(models_app, name="models")

Workspace = Annotated[Path | None, typer.Option(help="Folder that holds projects and results.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting; repeatable.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")]
Address = Annotated[
    str,
    typer.Option(help="JobService, as host:port; that of the running stack of --workspace when not given."),
]
JobName = Annotated[
    str, typer.Argument(metavar="JOB", help="Identifier of the job, or its beginning where that is clear.")
]


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version as installed

        print(f"rushes {installed('rushes')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Turns a delivery of footage into edit-ready data."""


@app.command()
def run(
    delivery: Annotated[list[Path], typer.Argument(help="Archives, folders or videos.")],
    workspace: Workspace = None,
    output: Annotated[Path | None, typer.Option(help="Folder that receives the finished project.")] = None,
    stages: Annotated[
        str, typer.Option(help="Stages to run, with commas, and what they need; all when not given.")
    ] = "",
    engine: Annotated[
        list[str] | None, typer.Option(metavar="STAGE=NAME", help="Engine of a stage; repeatable.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="STAGE.KEY=VALUE", help="A setting; repeatable.")
    ] = None,
    deliver_incomplete: Annotated[
        bool, typer.Option(help="Deliver even when some videos have failed.")
    ] = False,
    json: Json = False,
) -> None:
    """Run a delivery through every stage, and wait for the results."""
    from rushes.cli.options import names
    from rushes.cli.run import run as run_delivery

    code = run_delivery(
        delivery,
        workspace=workspace,
        output=output,
        stages=names(stages),
        engines=engine or [],
        settings=settings or [],
        deliver_incomplete=deliver_incomplete,
        as_json=json,
    )
    raise typer.Exit(code)


def _single(
    stage: str, file: Path, output: Path, engine: str, device: str, settings: list[str], as_json: bool
) -> None:
    from rushes.cli.single import run_stage

    run_stage(stage, file, output, engine=engine, device=device, settings=settings, as_json=as_json)


File = Annotated[Path, typer.Argument(help="The video.")]
Output = Annotated[Path, typer.Option("--output", "-o", help="Folder for the artefacts.")]
EngineName = Annotated[str, typer.Option(help="Engine; the best one that can run here when not given.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda:N.")]


@app.command()
def scenes(
    file: File,
    output: Output,
    engine: EngineName = "",
    device: Device = "auto",
    settings: Settings = None,
    json: Json = False,
) -> None:
    """Find the shots of one video, in this process."""
    _single("scenes", file, output, engine, device, settings or [], json)


@app.command()
def audio(
    file: File,
    output: Output,
    engine: EngineName = "",
    device: Device = "auto",
    settings: Settings = None,
    json: Json = False,
) -> None:
    """Find who speaks when in one video, in this process."""
    _single("audio", file, output, engine, device, settings or [], json)


@app.command()
def tracking(
    file: File,
    output: Output,
    engine: EngineName = "",
    device: Device = "auto",
    settings: Settings = None,
    json: Json = False,
) -> None:
    """Follow the faces of one video, in this process."""
    _single("tracking", file, output, engine, device, settings or [], json)


@app.command()
def up(
    workspace: Workspace = None,
    allow: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", help="Folder that jobs may read from and deliver to; repeatable."),
    ] = None,
) -> None:
    """Start every service on this machine and keep them running."""
    from rushes.cli.up import keep_up

    keep_up(workspace, allow or [])


@app.command()
def doctor() -> None:
    """Find and explain every missing part."""
    from rushes.cli.doctor import doctor as examine

    examine()


@jobs_app.command("list")
def jobs_list(address: Address = "", workspace: Workspace = None, json: Json = False) -> None:
    """List the jobs, newest first."""
    from rushes.cli import jobs

    jobs.show_all(jobs.Server(address, workspace), as_json=json)


@jobs_app.command("show")
def jobs_show(job: JobName, address: Address = "", workspace: Workspace = None, json: Json = False) -> None:
    """Show one job and its tasks."""
    from rushes.cli import jobs

    jobs.show(jobs.Server(address, workspace), job, as_json=json)


@jobs_app.command("watch")
def jobs_watch(job: JobName, address: Address = "", workspace: Workspace = None, json: Json = False) -> None:
    """Follow one job until it ends; Ctrl-C ends the following only."""
    from rushes.cli import jobs

    raise typer.Exit(jobs.watch(jobs.Server(address, workspace), job, as_json=json))


@jobs_app.command("cancel")
def jobs_cancel(job: JobName, address: Address = "", workspace: Workspace = None) -> None:
    """Stop one job."""
    from rushes.cli import jobs

    jobs.cancel(jobs.Server(address, workspace), job)


@jobs_app.command("retry")
def jobs_retry(
    job: JobName,
    address: Address = "",
    workspace: Workspace = None,
    stages: Annotated[str, typer.Option(help="Stages to run again, with commas.")] = "",
) -> None:
    """Run again what did not succeed, or the stages named; unchanged results come from the cache."""
    from rushes.cli import jobs
    from rushes.cli.options import names

    jobs.retry(jobs.Server(address, workspace), job, names(stages))


_PATH_MISTAKES = (
    FileNotFoundError,
    FileExistsError,
    NotADirectoryError,
    IsADirectoryError,
    PermissionError,
)


def main() -> None:
    """Runs the command line; a failure is one sentence on stderr and an exit code."""
    try:
        app()
    except RushesError as error:
        _fail(error)
    except OSError as error:
        named = ": ".join(map(str, filter(None, [error.filename, error.strerror]))) or str(error)
        kind = InvalidInput if isinstance(error, _PATH_MISTAKES) else RushesError
        _fail(StorageFull(f"{named}.") if error.errno == ENOSPC else kind(f"{named}."))


def _fail(error: RushesError) -> NoReturn:
    print(f"rushes: {error.message}", file=sys.stderr)
    if error.remedy:
        print(f"        {error.remedy}", file=sys.stderr)
    from rushes.cli.report import error_json, exit_code_of

    if "--json" in sys.argv[1:]:
        from json import dumps

        print(dumps(error_json(error), ensure_ascii=False))
    sys.exit(exit_code_of(error))
