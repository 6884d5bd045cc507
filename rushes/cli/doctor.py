"""`rushes doctor`: what is missing on this machine, and the line to type for it."""

from __future__ import annotations

from collections import Counter

import typer


def doctor() -> None:
    """Check every part that rushes needs; exit code 1 when something needed is missing."""
    from rich.console import Console
    from rich.text import Text

    from rushes.doctor import Level, examine

    marks = {Level.OK: ("✓", "green"), Level.WARNING: ("!", "yellow"), Level.FAILED: ("✗", "bold red")}
    console = Console(soft_wrap=True)  # What the user is to type stays on one line.
    levels: Counter[Level] = Counter()
    for finding in examine():
        levels[finding.level] += 1
        mark, style = marks[finding.level]
        console.print(Text.assemble((mark, style), " ", (finding.what, "bold"), ": ", finding.detail))
        if finding.remedy:
            console.print(Text(f"    → {finding.remedy}", style="cyan"))
    if levels[Level.FAILED]:
        print(f"Missing or broken: {levels[Level.FAILED]}; optional and missing: {levels[Level.WARNING]}.")
        raise typer.Exit(1)
    print(f"Everything needed is here; optional and missing: {levels[Level.WARNING]}.")
