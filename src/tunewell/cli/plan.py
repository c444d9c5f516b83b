"""`tunewell plan RECIPE|MODEL`: what a training needs, before anything is loaded."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import typer

if TYPE_CHECKING:
    from tunewell.plan import Band, Place, Plan, Probe, Rows
    from tunewell.recipe import Recipe
    from tunewell.records import Example, Pool

Target = Annotated[str, typer.Argument(help="A recipe (YAML), or a model: folder, config.json or hub id.", metavar="RECIPE|MODEL")]
RunFolder = Annotated[Path | None, typer.Option("--run", help="Folder of the run. Default: runs/NAME beside the recipe.")]
Overrides = Annotated[list[str] | None, typer.Option("--set", help="Change a key: --set train.method=qlora. May be repeated.")]
CardName = Annotated[str, typer.Option("--card", help="Plan for a card of the table, such as A100-80. Default: this machine.")]
Gpus = Annotated[int, typer.Option(min=1, max=4096, help="GPUs that train together.")]
Shard = Annotated[Literal["ddp", "zero2", "zero3", "fsdp"], typer.Option(help="How several GPUs share the states.")]
Checkpointing = Annotated[bool, typer.Option("--checkpointing", help="Compute activations anew in the backward pass.")]
NumberChoice = Annotated[Literal["mixed", "bf16", "fp32"], typer.Option(help="Numbers; mixed: products in bf16, trained in fp32.")]
Tokens = Annotated[int | None, typer.Option(min=1, help="Trained tokens, all epochs together, where no rows tell.")]
DoProbe = Annotated[bool, typer.Option("--probe", help="Do ten real steps here, correct the plan, and say how far off it was.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line of stdout.")]


class _Asked(NamedTuple):
    """Where and how much, beside what the recipe says."""

    changes: dict[str, Any]
    place: "Place | None"
    tokens: int | None


def plan(  # noqa: PLR0913  the options of the command
    target: Target,
    set_: Overrides = None,
    run_dir: RunFolder = None,
    card: CardName = "",
    gpus: Gpus = 1,
    sharding: Shard = "zero3",
    checkpointing: Checkpointing = False,
    numbers: NumberChoice = "mixed",
    tokens: Tokens = None,
    probe: DoProbe = False,
    as_json: AsJson = False,
) -> None:
    """Parameters, memory, cards, hours and data volume of a training, from the model's config.json alone."""
    from tunewell.cli.show import emit_json
    from tunewell.errors import UserError
    from tunewell.plan import find_card

    changes = {"gpus": gpus, "sharding": sharding, "checkpointing": checkpointing, "numbers": numbers}
    asked = _Asked(changes, find_card(card) if card else None, tokens)
    recipe_file = Path(target) if target.endswith((".yaml", ".yml")) else None
    if probe and (recipe_file is None or card or gpus > 1):
        hint = "give a recipe, and neither --card nor --gpus"
        raise UserError("--probe trains on a recipe's rows, on this machine", where="--probe", hint=hint)
    if recipe_file is None:
        planned, shown = _plan_model(target, set_ or [], asked), None
    elif probe:
        planned, shown = _plan_with_probe(recipe_file, run_dir, set_ or [], asked)
    else:
        planned, shown = _plan_recipe(recipe_file, run_dir, set_ or [], asked), None
    if as_json:
        emit_json(planned.as_json() | {"probe": shown.as_json() if shown else None})
    else:
        _print_plan(planned, shown)


def _plan_model(model: str, overrides: list[str], asked: _Asked) -> "Plan":
    from tunewell.recipe import recipe_from_values, with_overrides

    values = with_overrides({"model": model}, overrides, where="--set")
    return _forecast(recipe_from_values(values, where="--set", folder=Path.cwd()), None, asked)


def _plan_recipe(path: Path, run_dir: Path | None, overrides: list[str], asked: _Asked) -> "Plan":
    from tunewell.cli.app import run_folder
    from tunewell.pipeline import stage_folder
    from tunewell.recipe import load_recipe

    recipe = load_recipe(path, overrides)
    return _forecast(recipe, _rows(recipe, stage_folder(run_folder(path, run_dir), "mix")), asked)


def _plan_with_probe(path: Path, run_dir: Path | None, overrides: list[str], asked: _Asked) -> "tuple[Plan, Probe]":
    """Bring the run up to its mixture, plan, and train some steps."""
    from tunewell.cli.app import run_folder, run_stages
    from tunewell.model.locate import locate
    from tunewell.pipeline import STAGES, stage_folder
    from tunewell.plan import mixture_rows
    from tunewell.plan import probe as probe_steps
    from tunewell.recipe import load_recipe

    recipe, folder = load_recipe(path, overrides), run_folder(path, run_dir)
    run_stages(path, folder, overrides, until="mix")
    mix, model = stage_folder(folder, "mix"), locate(recipe.model)
    planned = _forecast(recipe, mixture_rows(recipe, mix, model), asked)
    uses = next(stage.uses for stage in STAGES if stage.name == "train")

    def train(settings: "Recipe", inputs: Any, out_dir: Path) -> Any:
        from tunewell import train as room

        return room.run(settings.part(*uses), inputs, out_dir)

    return probe_steps(planned, recipe, train, mix=mix, model=model)


def _forecast(recipe: "Recipe", rows: "Rows | None", asked: _Asked) -> "Plan":
    from tunewell.plan import find_config, forecast, job_of

    job = dataclasses.replace(job_of(recipe.train), **asked.changes)
    folder = find_config(recipe.model)
    return forecast(folder, job, asked.place, rows=rows, epochs=recipe.train.epochs, tokens=asked.tokens)


def _rows(recipe: "Recipe", mix: Path) -> "Rows | None":
    """The rows of the run's mixture, else those of the files, else none: without a tokenizer at hand nothing can be counted."""
    from tunewell.model.locate import at_hand
    from tunewell.plan import estimated_rows, mixture_rows

    model = at_hand(recipe.model)
    if model is None or not any((model / name).exists() for name in ("tokenizer.json", "tokenizer.model", "tokenizer_config.json")):
        return None
    if (mix / "mixture.json").exists():
        return mixture_rows(recipe, mix, model)
    domain, general = _conversations(recipe.data.domain, "domain"), _conversations(recipe.data.open, "open")
    return estimated_rows(recipe, {"domain": domain, "open": general}, model)


def _conversations(paths: list[str], pool: "Pool") -> "Iterator[Example]":
    """The rows of a pool's files as the stage `collect` reads them; documents are none."""
    from tunewell.collect.reader import layout_of, readings
    from tunewell.collect.sources import look_up
    from tunewell.collect.stage import is_skipped
    from tunewell.records import Example

    for source in look_up(paths, pool).sources:
        layout = layout_of(source)
        if not is_skipped(source, layout):
            yield from (reading.record for reading in readings(source, layout) if isinstance(reading.record, Example))


def _print_plan(planned: "Plan", shown: "Probe | None") -> None:
    from rich.console import Console
    from rich.text import Text

    from tunewell.text import visible

    out = Console(highlight=False, width=100, soft_wrap=False)
    out.print(Text(visible(_heading(planned)), style="bold"))
    out.print()
    out.print(_memory_table(planned))
    out.print()
    out.print(_card_table(planned))
    out.print()
    for line in _sentences(planned, shown):
        out.print(Text(visible(line)))


def _heading(planned: "Plan") -> str:
    shapes = planned.shapes
    share = shapes.trained / shapes.parameters
    return f"{shapes.architecture}, {shapes.parameters:,} parameters; {planned.job.method} trains {shapes.trained:,} ({share:.2%})"


def _memory_table(planned: "Plan") -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("GiB on each GPU" if planned.job.gpus > 1 else "GiB")
    table.add_column("low", justify="right")
    table.add_column("high", justify="right")
    for name, part in planned.memory.parts.items():
        table.add_row(name, *_sizes(part))
    table.add_row("together", *_sizes(planned.memory.total), style="bold")
    return table


def _sizes(band: "Band") -> tuple[str, str]:
    sizes = band.in_gib()
    return f"{sizes['low']:,.2f}", f"{sizes['high']:,.2f}"


def _card_table(planned: "Plan") -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("card", "one fits"):
        table.add_column(heading, no_wrap=True)
    for heading in ("GiB", "cards", "GiB on each", "", "time"):
        table.add_column(heading, justify="right", no_wrap=True)
    for fit in planned.fits:
        count = str(fit.gpus) if fit.gpus else "over 64"
        table.add_row(fit.card.name, fit.one, f"{fit.card.memory_gib:g}", count, *_sizes(fit.need), _times(fit.hours))
    return table


def _sentences(planned: "Plan", shown: "Probe | None") -> Iterator[str]:
    """What the tables leave open, as sentences."""
    from tunewell.plan import fit_word

    words = {"yes": "fits", "tight": "may fit", "no": "does not fit"}
    place = planned.place
    word = words[fit_word(planned.memory.total, place.memory_bytes)]
    yield f"{place.name}: {word} into its {place.memory_bytes / 2**30:,.1f} GiB"
    if planned.rows:
        yield f"rows: {planned.rows.domain:,} domain, {planned.rows.open:,} open, {planned.rows.source}"
    if planned.trained_tokens:
        yield f"tokens: {planned.trained_tokens:,} trained in all epochs"
    if planned.hours:
        how = "measured" if shown else "by its peak and the share of it that training reaches; --probe measures"
        yield f"time: {_times(planned.hours)} ({how})"
    if shown:
        peak = f", peak {shown.peak_bytes / 2**30:.2f} GiB" if shown.peak_bytes else ""
        yield f"probe: {shown.steps} steps, {shown.tokens_per_second:,.0f} tokens/s{peak}"
        errors = {"memory": shown.memory_error, "time": shown.time_error}
        off = ", ".join(f"{name} {error:+.0%}" for name, error in errors.items() if error is not None)
        yield f"the plan before the probe was off by: {off or 'nothing that is known'}"
    yield from (f"advice: {line}" for line in planned.advice)


def _times(hours: "Band | None") -> str:
    if hours is None:
        return "–"
    return " – ".join(dict.fromkeys((_time(hours.low), _time(hours.high))))


def _time(hours: float) -> str:
    """Hours, or minutes where they are few."""
    if hours < 1 / 60:
        return "under 1 min"
    return f"{hours * 60:.0f} min" if hours < 1.5 else f"{hours:,.1f} h" if hours < 100 else f"{hours:,.0f} h"
