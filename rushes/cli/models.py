"""`rushes models`: the weights that rushes knows, fetched and checked."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

app = typer.Typer(help="Model weights: list, fetch, check.", no_args_is_help=True)

Paths = Annotated[
    list[str] | None, typer.Argument(metavar="[MODEL]...", help="Models; all when none is named.")
]


@app.command("list")
def show() -> None:
    """List the models, where they go and whether they are there."""
    from rich.console import Console
    from rich.table import Table

    from rushes import models

    table = Table("Model", "Size", "Licence", "Here", expand=False)
    table.columns[0].no_wrap = True
    for path, model in models.catalogue().items():
        here = "no" if models.missing(path) else "yes"
        table.add_row(path, f"{model.bytes / 1e6:.1f} MB", model.license, here)
    Console().print(table)
    print(f"Folder: {models.folder()}")


@app.command()
def pull(paths: Paths = None) -> None:
    """Download models from their official addresses, unless they are there and intact."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    from rushes import models

    wanted = [models.model(path).path for path in paths or models.catalogue()]
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    with Progress(*columns) as bars:
        for path in wanted:
            total = models.model(path).bytes
            bar = bars.add_task(path, total=total)
            models.pull(path, partial(_show, bars, bar))
            bars.update(bar, completed=total)
    print(f"{len(wanted)} models in {models.folder()}")


def _show(bars: Progress, bar: TaskID, done: int, _total: int) -> None:
    bars.update(bar, completed=done)


@app.command()
def check(paths: Paths = None) -> None:
    """Read models and compare them with their pinned SHA-256; exit code 1 when one is absent or differs."""
    from rushes import models
    from rushes.errors import MissingPart, ResultsDiffer

    wanted = [models.model(path).path for path in paths or models.catalogue()]
    bad = 0
    for path in wanted:
        try:
            models.verified(path)
        except (MissingPart, ResultsDiffer) as error:
            bad += 1
            print(f"✗ {error.message}\n  {error.remedy}")
        else:
            print(f"✓ {path}")
    raise typer.Exit(1 if bad else 0)
