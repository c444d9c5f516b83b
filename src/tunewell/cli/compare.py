"""`tunewell compare A B…`: finished runs side by side."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from tunewell.text import visible

Runs = Annotated[list[Path], typer.Argument(help="Folders of evaluated runs; all are compared with the first.", metavar="A B…")]
Confidence = Annotated[float, typer.Option(min=0.5, max=0.999, help="Confidence of the intervals.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line of stdout.")]


def compare(runs: Runs, confidence: Confidence = 0.95, as_json: AsJson = False) -> None:
    """What the tuned models of runs reach on the items that they share, and how recipes and training rows differ."""
    from tunewell.cli.show import emit_json, print_rows
    from tunewell.compare import compare_runs

    table = compare_runs(runs, confidence=confidence)
    if as_json:
        emit_json(table)
        return
    if table["recipe"]:
        print_rows(("recipe", *table["runs"]), [(change["key"], *change["values"]) for change in table["recipe"]])
    else:
        typer.echo("The recipes are the same.")
    for pair in table["pairs"]:
        typer.echo(visible(f"\n{pair['second']} against {pair['first']}"))
        for line in _told(pair):
            typer.echo(line)
        headings = ("", "n", "first", "second", "difference", f"{confidence:.0%} interval", "p (Holm)", "the second is")
        print_rows(headings, map(_row, pair["measures"]))


def _told(pair: Mapping[str, Any]) -> Iterator[str]:
    alone = f"{pair['only_first']:,} only in the first, {pair['only_second']:,} only in the second"
    yield f"Items: {pair['items']:,} the same, {alone}, {pair['changed']:,} asked in other words."
    for pool, rows in pair["rows"].items():
        alone = f"{rows['only_first']:,} only in the first, {rows['only_second']:,} only in the second"
        yield f"Training rows, {pool}: {rows['both']:,} the same, {alone}."


def _row(measure: Mapping[str, Any]) -> tuple[str, ...]:
    from tunewell.cli.show import interval, number

    p = measure["p_holm"]
    return (
        f"{measure['title']} ({measure['unit']})",
        f"{measure['n']:,}",
        number(measure["first"]),
        number(measure["second"]),
        number(measure["difference"], sign=True),
        interval(measure["low"], measure["high"]),
        "–" if p is None else f"{p:.3f}",
        measure["finding"],
    )
