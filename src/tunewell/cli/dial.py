"""`tunewell dial RUN`: how much of a training to keep."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from tunewell.text import visible

RunPath = Annotated[Path, typer.Argument(help="A run whose training is done.", metavar="RUN")]
Values = Annotated[int, typer.Option(min=2, max=101, help="Values measured, at even distances from 0 to 1.")]
Save = Annotated[bool, typer.Option("--save", help="Write the model at the best value to RUN/dial.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line of stdout.")]


def dial(run_dir: RunPath, values: Values = 6, save: Save = False, as_json: AsJson = False) -> None:
    """Scale what training changed, without training anew: domain score and retention at each value, and the best that passes."""
    from rich.text import Text

    from tunewell.cli.app import at_work
    from tunewell.cli.show import emit_json, talk

    with at_work(run_dir / "recipe.yaml", run_dir):
        from tunewell.dial import turn_dial

        def measured(alpha: float) -> None:
            talk.print(Text.assemble(("✓ ", "green"), f"α = {alpha:g}"))

        table = turn_dial(run_dir, values=values, save=save, measured=measured)
    if as_json:
        emit_json({"run": str(run_dir), **table})
        return
    _print_table(table)
    typer.echo(table["advice"])
    typer.echo(visible(f"table: {run_dir / 'dial' / 'dial.md'}"))
    if table["saved"]:
        typer.echo(visible(f"saved: {table['saved']}"))


def _print_table(table: Mapping[str, Any]) -> None:
    from tunewell.cli.show import interval, number, print_rows

    headings = ("α", "domain", "interval of the difference", "retention", "interval of the difference", "retention claim")
    rows = []
    for row in table["rows"]:
        cells = [f"{row['alpha']:g}"]
        for part in (row["domain"], row["retention"]):
            cells += [number(part["tuned"]), interval(part["low"], part["high"])]
        rows.append((*cells, row["retention"]["verdict"]))
    print_rows(headings, rows)
    typer.echo()
