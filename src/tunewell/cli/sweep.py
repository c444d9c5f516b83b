"""`tunewell sweep …`: several settings side by side on the same items."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from tunewell.text import visible

sweep = typer.Typer(help="Compare settings on the same items, and say which to take.", no_args_is_help=True, rich_markup_mode=None)

RecipePath = Annotated[Path, typer.Argument(help="The recipe (YAML).", metavar="RECIPE")]
Formats = Annotated[
    str, typer.Option(help="Formats of yours beside the recipe's: families or files, with commas.", metavar="NAME,FILE,…")
]
Items = Annotated[int, typer.Option(min=1, help="Most test items asked under each format.")]
RunFolder = Annotated[Path | None, typer.Option("--run", help="Folder of the run. Default: runs/NAME beside the recipe.")]
Overrides = Annotated[list[str] | None, typer.Option("--set", help="Change a key: --set train.epochs=2. May be repeated.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line of stdout.")]

_SCORES = ("format", "n", "BLEU", "interval", "ROUGE-L", "loss", "cut")
_GAPS = ("behind the best", "BLEU", "interval", "p")


@sweep.callback()
def _group() -> None:
    """Keep `prompt` a command of its own: a lone command would be taken for the group."""


@sweep.command()
def prompt(
    recipe: RecipePath,
    formats: Formats = "",
    items: Items = 100,
    set_: Overrides = None,
    run_dir: RunFolder = None,
    as_json: AsJson = False,
) -> None:
    """Score the base before tuning under its own prompt format, yours and five others, and say which to train with.

    What the run lacks up to its mixture is done first; the items are its test items.
    """
    from rich.text import Text

    from tunewell.cli.app import at_work, run_folder
    from tunewell.cli.show import emit_json, talk
    from tunewell.recipe import load_recipe

    loaded = load_recipe(recipe, set_ or [])
    folder = run_folder(recipe, run_dir)
    named = [name.strip() for name in formats.split(",") if name.strip()]
    with at_work(recipe, folder) as caller:
        from tunewell.sweep import sweep_prompt

        def scored(label: str) -> None:
            talk.print(Text.assemble(("✓ ", "green"), visible(label)))

        table = sweep_prompt(loaded, folder, formats=named, items=items, caller=caller, scored=scored)
    if as_json:
        emit_json({"run": str(folder), **table})
    else:
        _print_table(table, language=loaded.report.language)
        typer.echo(visible(f"table: {folder / 'sweeps' / 'prompt' / 'table.md'}"))


def _print_table(table: Mapping[str, Any], *, language: str) -> None:
    from tunewell.cli.show import number, print_rows
    from tunewell.sweep.advice import p_text

    rows = table["rows"]
    print_rows(
        _SCORES,
        (
            (
                row["label"],
                str(row["n"]),
                *_points(row, "bleu"),
                number(row["rouge_l"]),
                number(row["answer_loss"]),
                f"{row['cut']:.0%}",
            )
            for row in rows
        ),
    )
    typer.echo()
    if len(rows) > 1:
        print_rows(_GAPS, ((row["label"], *_points(row["behind"], "difference"), p_text(row["behind"]["p"])) for row in rows[1:]))
        typer.echo()
    for entry in table["not_scored"]:
        typer.echo(visible(f"not scored: {entry['label']}: {entry['reason']}"))
    for code, signature in table["signatures"].items():
        typer.echo(f"BLEU ({code}): {signature}")
    typer.echo(visible(table["advice"]["text_zh" if language == "zh" else "text"]))


def _points(row: Mapping[str, Any], key: str) -> tuple[str, str]:
    """A number of BLEU points and its interval."""
    interval = "–" if row["low"] is None or row["high"] is None else f"{row['low']:.2f} {row['high']:.2f}"
    return f"{row[key]:.2f}", interval
