"""The commands that work on a recipe or a run. Heavy imports stand inside the commands, so that `--help` is instant."""

import json
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tunewell.cli.compare import compare
from tunewell.cli.data import EngineOption, data
from tunewell.cli.dial import dial
from tunewell.cli.model import model
from tunewell.cli.plan import plan
from tunewell.cli.review import review
from tunewell.cli.sweep import sweep
from tunewell.cli.template import template
from tunewell.text import visible

if TYPE_CHECKING:
    from tunewell.engine import EngineName
    from tunewell.pipeline import Caller, Outcome

app = typer.Typer(
    help="Fine-tune a model for your field, and prove what it learned and what it kept.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(data, name="data")
app.add_typer(model, name="model")
app.add_typer(sweep, name="sweep")
app.add_typer(template, name="template")
app.command()(compare)
app.command()(dial)
app.command()(plan)
app.command()(review)


class StageName(StrEnum):
    """The stages of a run."""

    collect = "collect"
    generate = "generate"
    clean = "clean"
    mix = "mix"
    train = "train"
    evaluate = "evaluate"
    gate = "gate"
    report = "report"


class Language(StrEnum):
    """Languages of the bundled domain."""

    en = "en"
    zh = "zh"


class Required(StrEnum):
    """Verdicts that can be demanded."""

    passed = "pass"


RecipePath = Annotated[Path, typer.Argument(help="The recipe (YAML).", metavar="RECIPE")]
RunFolder = Annotated[Path | None, typer.Option("--run", help="Folder of the run. Default: runs/NAME beside the recipe.")]
Overrides = Annotated[list[str] | None, typer.Option("--set", help="Change a key: --set train.epochs=2. May be repeated.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line of stdout.")]
Until = Annotated[StageName, typer.Option(help="Last stage to do.")]
From = Annotated[StageName | None, typer.Option("--from", help="Do this stage and all later ones anew.")]
Require = Annotated[Required | None, typer.Option(help="Exit 3 unless the verdict is this.")]


@app.callback(invoke_without_command=True)
def _version(
    context: typer.Context, version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False
) -> None:
    if version:
        from tunewell import __version__

        typer.echo(__version__)
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
def run(  # noqa: PLR0913  the options of the command
    recipe: RecipePath,
    until: Until = StageName.report,
    start: From = None,
    set_: Overrides = None,
    run_dir: RunFolder = None,
    engine: EngineOption = "local",
    require: Require = None,
    as_json: AsJson = False,
) -> None:
    """Do all stages of a recipe, from data to report. What is unchanged is skipped; what was cut off goes on."""
    folder = run_folder(recipe, run_dir)
    run_stages(recipe, folder, set_ or [], until=until.value, start=start.value if start else None, engine=engine)
    _finish(folder, until.value, require=require, as_json=as_json)


@app.command()
def demo(  # noqa: PLR0913  the options of the command
    lang: Annotated[Language, typer.Option(help="Language of the bundled domain.")] = Language.en,
    until: Until = StageName.report,
    start: From = None,
    set_: Overrides = None,
    run_dir: Annotated[Path | None, typer.Option("--run", help="Folder of the run. Default: runs/demo-LANG.")] = None,
    require: Require = None,
    as_json: AsJson = False,
) -> None:
    """The whole way on the embedded model and the bundled support domain, on a CPU, in a few minutes."""
    from tunewell.bundled import asset

    folder = run_dir or Path("runs") / f"demo-{lang.value}"
    run_stages(asset("demo", f"{lang.value}.yaml"), folder, set_ or [], until=until.value, start=start.value if start else None)
    _finish(folder, until.value, require=require, as_json=as_json)


@app.command()
def train(recipe: RecipePath, set_: Overrides = None, run_dir: RunFolder = None, as_json: AsJson = False) -> None:
    """Train, with whatever earlier stages are still to do."""
    folder = run_folder(recipe, run_dir)
    outcome = run_stages(recipe, folder, set_ or [], until="train")[-1]
    names = ("trained_tokens", "seconds", "tokens_per_second", "loss", "peak_rss_bytes")
    from tunewell.model.lineage import trained_kind
    from tunewell.pipeline import stage_folder

    trained = stage_folder(folder, "train")
    kind = trained_kind(trained)
    result = {kind: str(trained / kind)} | {name: outcome.manifest.details[name] for name in names}
    _print_result(result, as_json=as_json)


@app.command()
def evaluate(recipe: RecipePath, set_: Overrides = None, run_dir: RunFolder = None, as_json: AsJson = False) -> None:
    """Ask base and tuned model the same questions, with whatever earlier stages are still to do."""
    from tunewell.cli.show import emit_json, interval, number, print_rows
    from tunewell.pipeline import stage_folder

    folder = run_folder(recipe, run_dir)
    run_stages(recipe, folder, set_ or [], until="evaluate")
    metrics = json.loads((stage_folder(folder, "evaluate") / "metrics.json").read_text(encoding="utf-8"))
    if as_json:
        emit_json({"run": str(folder), "metrics": metrics})
        return
    rows = [
        (m["name"], m["slice"], str(m["n"]), number(m["base"]), number(m["tuned"]), interval(m["low"], m["high"])) for m in metrics
    ]
    print_rows(("metric", "slice", "n", "base", "tuned", "interval of the difference"), rows)


@app.command()
def gate(
    recipe: RecipePath, set_: Overrides = None, run_dir: RunFolder = None, require: Require = None, as_json: AsJson = False
) -> None:
    """Reach a verdict on each claim, with whatever earlier stages are still to do."""
    folder = run_folder(recipe, run_dir)
    run_stages(recipe, folder, set_ or [], until="gate")
    _finish(folder, "gate", require=require, as_json=as_json)


@app.command()
def init(folder: Annotated[Path, typer.Argument(help="Folder to make.", metavar="DIR")]) -> None:
    """Write a commented recipe and a few rows of data to start from."""
    from tunewell.cli.init import write_starter

    for path in write_starter(folder):
        typer.echo(str(path))


@app.command()
def chat(
    run_dir: Annotated[Path, typer.Argument(help="A run whose training is done.", metavar="RUN")],
    system: Annotated[str, typer.Option(help="System text.")] = "",
    max_new_tokens: Annotated[int, typer.Option(help="Longest answer, in tokens.")] = 128,
) -> None:
    """Talk to base and tuned model side by side. An empty line ends it, /new forgets what was said."""
    _quiet()
    from tunewell.deploy import chat_side_by_side

    chat_side_by_side(run_dir, sys.stdin, sys.stdout, system=system, max_new_tokens=max_new_tokens)


def run_folder(recipe: Path, chosen: Path | None) -> Path:
    """The folder of a run: the chosen one, or `runs/NAME` beside the recipe."""
    return chosen or recipe.parent / "runs" / recipe.stem


def run_stages(
    path: Path, folder: Path, overrides: list[str], *, until: str, start: str | None = None, engine: "EngineName" = "local"
) -> list["Outcome"]:
    """Bring a run up to date while saying on stderr what happens."""
    from tunewell.recipe import load_recipe

    recipe = load_recipe(path, overrides)
    with at_work(path, folder) as caller:
        from tunewell.pipeline import run_recipe

        return run_recipe(recipe, folder, until=until, start=start, engine=engine, caller=caller)


@contextmanager
def at_work(path: Path, folder: Path) -> Iterator["Caller"]:
    """Say on stderr what a recipe is done in, and what its stages come to; an interruption ends in a sentence and exit code 130."""
    _quiet()
    from rich.text import Text

    from tunewell.cli.show import stage_caller, talk

    talk.print(Text.assemble((visible(str(folder)), "bold"), "  ", (visible(str(path)), "dim")), soft_wrap=True)
    try:
        yield stage_caller(shlex.join(["tunewell", *sys.argv[1:]]))
    except KeyboardInterrupt:
        talk.print("\nstopped; the same command goes on from here")
        raise typer.Exit(130) from None


def _finish(folder: Path, until: str, *, require: Required | None, as_json: bool) -> None:
    """Print how the run ended; raise `RequirementNotMet` where a verdict was demanded and is another."""
    from tunewell.cli.show import closing_table, emit_json
    from tunewell.errors import RequirementNotMet
    from tunewell.recipe import load_recipe

    if until not in {"gate", "report"}:
        _print_result({"run": str(folder), "verdict": None, "report": None, "metrics": None}, as_json=as_json)
        return
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    report = folder / "report.html" if until == "report" else None
    if as_json:
        emit_json(
            {
                "run": str(folder),
                "verdict": metrics["verdict"],
                "report": report and str(report),
                "metrics": str(folder / "metrics.json"),
            }
        )
    else:
        closing_table(metrics, report or folder / "metrics.json", language=load_recipe(folder / "recipe.yaml").report.language)
    if require and metrics["verdict"] != require.value:
        raise RequirementNotMet(f"the verdict is {metrics['verdict']}, not {require.value}", where=str(folder))


def _print_result(result: dict[str, Any], *, as_json: bool) -> None:
    from tunewell.cli.show import emit_json, print_rows

    if as_json:
        emit_json(result)
    else:
        print_rows(("", ""), [(name.replace("_", " "), str(value)) for name, value in result.items() if value is not None])


def _quiet() -> None:
    """Keep the notices of libraries off the terminal, and their caches small; our own log lines go to stderr."""
    import logging
    import os
    import warnings

    warnings.simplefilter("ignore")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # The library of matrix products keeps a compiled kernel for each of its last 1024 sizes: a gigabyte and more.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "256")
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("tunewell").setLevel(logging.INFO)
    # Whenever it is imported on a CPU, it says that a faster kernel could be downloaded.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
