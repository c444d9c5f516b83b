"""`tunewell sweep …`: several settings side by side on the same items."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from tunewell.text import visible

if TYPE_CHECKING:
    from tunewell.pipeline import Caller
    from tunewell.sweep import Preset, Witness

sweep = typer.Typer(help="Compare settings on the same items, and say which to take.", no_args_is_help=True, rich_markup_mode=None)

RecipePath = Annotated[Path, typer.Argument(help="The recipe (YAML).", metavar="RECIPE")]
Formats = Annotated[
    str, typer.Option(help="Formats of yours beside the recipe's: families or files, with commas.", metavar="NAME,FILE,…")
]
Items = Annotated[int, typer.Option(min=1, help="Most test items asked under each format.")]
RunFolder = Annotated[Path | None, typer.Option("--run", help="Folder of the run. Default: runs/NAME beside the recipe.")]
Overrides = Annotated[list[str] | None, typer.Option("--set", help="Change a key: --set train.epochs=2. May be repeated.")]
Seeds = Annotated[int, typer.Option(min=1, help="Seeds that each trial is trained under, the recipe's own and those after it.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line of stdout.")]

_SCORES = ("format", "n", "BLEU", "interval", "ROUGE-L", "loss", "cut")
_GAPS = ("behind the best", "BLEU", "interval", "p")


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


@sweep.command()
def method(
    recipe: RecipePath, seeds: Seeds = 1, set_: Overrides = None, run_dir: RunFolder = None, as_json: AsJson = False
) -> None:
    """Full fine-tuning, LoRA and QLoRA on the same mixture, full fine-tuning at a tenth of the learning rate."""
    _run(recipe, lambda room: room.methods(), _Options(seeds, set_ or [], run_dir, as_json))


@sweep.command("continue")
def continue_(
    recipe: RecipePath, seeds: Seeds = 1, set_: Overrides = None, run_dir: RunFolder = None, as_json: AsJson = False
) -> None:
    """Train on from the base, train an adapter on, or fold it in and train a second one.

    The adapter is that of `train.start`; without one, an adapter is trained on the open rows first.
    """
    _run(recipe, lambda room: room.continued(), _Options(seeds, set_ or [], run_dir, as_json))


@sweep.command()
def cot(recipe: RecipePath, seeds: Seeds = 1, set_: Overrides = None, run_dir: RunFolder = None, as_json: AsJson = False) -> None:
    """None, half and all of the teacher's `cot` rows with their chain of thought."""
    _run(recipe, lambda room: room.reasoned(), _Options(seeds, set_ or [], run_dir, as_json))


@sweep.command()
def ratio(
    recipe: RecipePath,
    ratios: Annotated[str, typer.Option(help="Open to domain, with commas.", metavar="OPEN:DOMAIN,…")] = "1:0.5,1:3,1:4",
    seeds: Seeds = 1,
    set_: Overrides = None,
    run_dir: RunFolder = None,
    as_json: AsJson = False,
) -> None:
    """Several proportions of open to domain rows."""
    _run(recipe, lambda room: room.ratios(ratios), _Options(seeds, set_ or [], run_dir, as_json))


@sweep.command()
def scale(
    recipe: RecipePath,
    shares: Annotated[str, typer.Option(help="Shares of the domain rows, with commas.", metavar="SHARE,…")] = "0.25,0.5,1",
    seeds: Seeds = 1,
    set_: Overrides = None,
    run_dir: RunFolder = None,
    as_json: AsJson = False,
) -> None:
    """The learning curve: several shares of the domain rows, and what twice as many might bring."""
    _run(recipe, lambda room: room.scales(shares), _Options(seeds, set_ or [], run_dir, as_json))


class _Options(NamedTuple):
    """What all sweeps that train are given."""

    seeds: int
    overrides: list[str]
    run_dir: Path | None
    as_json: bool


def _run(path: Path, choose: Callable[[ModuleType], "Preset"], options: _Options) -> None:
    """Sweep, print the table, and exit with 1 where no trial came to its end."""
    from tunewell.cli.app import at_work, run_folder
    from tunewell.cli.show import emit_json
    from tunewell.recipe import load_recipe

    recipe = load_recipe(path, options.overrides)
    folder = run_folder(path, options.run_dir)
    with at_work(path, folder) as caller:
        from tunewell import sweep as room

        preset = choose(room)
        table = room.sweep_trials(preset, recipe, folder, seeds=options.seeds, witness=_witness(caller))
    if options.as_json:
        emit_json({"run": str(folder), **table})
    else:
        _print_trials(table, folder / "sweeps" / preset.name / "table.md", language=recipe.report.language)
    if not table["rows"]:
        raise typer.Exit(1)


def _witness(caller: "Caller") -> "Witness":
    """Says on stderr which trial begins, what its stages come to, and what it died of; stages that are there are not named."""
    from rich.text import Text

    from tunewell.cli.show import talk
    from tunewell.pipeline import Outcome
    from tunewell.sweep import Planned, Witness
    from tunewell.sweep.page import change_text

    def began(planned: Planned, taken: Sequence[str]) -> None:
        name = f"{planned.trial.name} (seed {planned.seed})"
        shared = f"  shared: {', '.join(taken)}" if taken else ""
        changes = visible(change_text(planned.trial.changes))
        talk.print(Text.assemble("\n", (visible(name), "bold"), "  ", changes, (shared, "dim")), soft_wrap=True)

    def ended(outcome: Outcome) -> None:
        if not outcome.skipped:
            caller.ended(outcome)

    def died(planned: Planned, reason: str) -> None:
        talk.print(Text.assemble(("✗ ", "red"), visible(f"{planned.trial.name} (seed {planned.seed}): {reason}")), soft_wrap=True)

    return Witness(caller._replace(ended=ended), began, died)


def _print_trials(table: Mapping[str, Any], page: Path, *, language: str) -> None:
    from tunewell.cli.show import print_rows
    from tunewell.sweep.conclusion import read_trial_words
    from tunewell.sweep.page import brief_cells, gap_cells, judge_cells

    words = read_trial_words(language)
    if table["rows"]:
        print_rows(words["brief"], brief_cells(table))
        typer.echo()
        print_rows(words["gaps"], gap_cells(table))
        typer.echo()
        if judged := judge_cells(table):
            print_rows(words["judges"], judged)
            typer.echo()
    for one in table["died"]:
        typer.echo(visible(f"{words['not_compared']}: {one['trial']} (seed {one['seed']}): {one['reason']}"))
    typer.echo(visible(table["conclusion"]["text_zh" if language == "zh" else "text"]))
    typer.echo(visible(f"{words['table']}: {page}"))


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
