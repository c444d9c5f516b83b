"""`tunewell data …`: look into files, check them, and run the data stages by themselves."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from tunewell.text import visible

data = typer.Typer(help="Look into data, check it, and run the data stages alone.", no_args_is_help=True, rich_markup_mode=None)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line of stdout.")]
Out = Annotated[Path, typer.Option("--out", help="Folder to write.", metavar="DIR")]
OnError = Annotated[bool, typer.Option("--drop-errors", help="Leave broken rows out (with their reason) instead of stopping.")]
EngineOption = Annotated[
    Literal["local", "ray"], typer.Option("--engine", help="Where the work is done: this machine, or a Ray cluster.")
]
_LEVEL_STYLE = {"error": "bold red", "warning": "yellow", "info": "dim"}


@data.command()
def inspect(
    files: Annotated[list[Path], typer.Argument(help="Files of any format.", metavar="FILE…")], as_json: AsJson = False
) -> None:
    """Say what is in a file: container, encoding, formats, rows, languages, and three rows."""
    from tunewell.cli.show import emit_json
    from tunewell.collect import inspect_file

    found = [inspect_file(path) for path in files]
    if as_json:
        emit_json({"files": [asdict(inspection) for inspection in found]})
        return
    for inspection in found:
        _print_inspection(inspection)


@data.command()
def check(
    recipe: Annotated[Path, typer.Argument(help="The recipe whose data to check.", metavar="RECIPE")],
    set_: Annotated[list[str] | None, typer.Option("--set", help="Change a key. May be repeated.")] = None,
    as_json: AsJson = False,
) -> None:
    """Find what is wrong with a recipe's data before it costs a training run. Exits 1 where there is an error."""
    from tunewell.cli.show import emit_json
    from tunewell.collect import check as find
    from tunewell.recipe import load_recipe

    findings = find(load_recipe(recipe, set_ or []).part("data", "model", "train"))
    if as_json:
        emit_json({"findings": [asdict(finding) for finding in findings]})
    else:
        _print_findings(findings)
    if any(finding.level == "error" for finding in findings):
        raise typer.Exit(1)


@data.command()
def collect(
    sources: Annotated[list[str], typer.Argument(help="Files, folders or globs.", metavar="SOURCE…")],
    out: Out,
    drop_errors: OnError = False,
    engine: EngineOption = "local",
    as_json: AsJson = False,
) -> None:
    """Read sources of many formats into rows."""
    from tunewell.cli.show import emit_json
    from tunewell.collect import run
    from tunewell.engine import choose_engine
    from tunewell.store import friendly_disk_errors

    values = {"data": {"domain": sources}, "collect": {"on_error": "drop" if drop_errors else "stop"}}
    with friendly_disk_errors(out):
        summary = run(_recipe(values).part("data", "collect"), {}, out, engine=choose_engine(engine))
    result = {
        "rows": summary.counts["rows"],
        "dropped": summary.counts["dropped"],
        "documents": summary.counts["documents"],
        "formats": summary.details["formats"],
    }
    if as_json:
        emit_json({**result, **{name: summary.details[name] for name in ("skipped", "left_out")}})
        return
    _print_counts(result)
    for path in summary.details["skipped"]:
        typer.echo(f"passed over, neither rows nor a document: {visible(path)}", err=True)
    for data_set in summary.details["left_out"]:
        typer.echo(f"left out: {visible(data_set)}", err=True)


@data.command()
def generate(
    recipe: Annotated[Path, typer.Argument(help="The recipe.", metavar="RECIPE")],
    set_: Annotated[list[str] | None, typer.Option("--set", help="Change a key. May be repeated.")] = None,
    run_dir: Annotated[Path | None, typer.Option("--run", help="Folder of the run.")] = None,
    as_json: AsJson = False,
) -> None:
    """Have a teacher write rows and prove them, and the base model answer prompts, with whatever is still to do before."""
    from tunewell.cli.app import run_folder, run_stages
    from tunewell.cli.generated import print_account
    from tunewell.cli.show import emit_json
    from tunewell.pipeline import stage_folder

    folder = run_folder(recipe, run_dir)
    counts = dict(run_stages(recipe, folder, set_ or [], until="generate")[-1].manifest.counts)
    place = stage_folder(folder, "generate")
    account = json.loads((place / "account.json").read_text(encoding="utf-8"))
    if as_json:
        emit_json({"run": str(folder), **counts, "account": account})
    else:
        print_account(account, place)


@data.command()
def explain(
    identity: Annotated[str, typer.Argument(help="The id of a row, or its first six digits or more.", metavar="ID")],
    run_dir: Annotated[Path, typer.Argument(help="The run it belongs to.", metavar="RUN")],
    prompt: Annotated[bool, typer.Option("--prompt", help="Show what the teacher was asked and answered, word for word.")] = False,
    as_json: AsJson = False,
) -> None:
    """Tell the life of a row: its source, the requests that made it, its checks, what people and clean decided, its use."""
    from tunewell.cli.generated import explain as tell

    tell(identity, run_dir, with_prompts=prompt, as_json=as_json)


@data.command()
def clean(
    folder: Annotated[Path, typer.Argument(help="A folder that `data collect` wrote.", metavar="DIR")],
    out: Out,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Change a key of the section clean. May be repeated.")] = None,
    engine: EngineOption = "local",
    as_json: AsJson = False,
) -> None:
    """Keep rows, or drop them with a reason that stays on disk."""
    from tunewell.clean import run
    from tunewell.cli.show import emit_json
    from tunewell.engine import choose_engine
    from tunewell.store import friendly_disk_errors

    with friendly_disk_errors(out):
        summary = run(_recipe({}, set_ or []).part("clean"), {"collect": folder}, out, engine=choose_engine(engine))
    prefix = "dropped_"
    dropped = {name.removeprefix(prefix): n for name, n in summary.counts.items() if name.startswith(prefix) and n}
    result = {"kept": summary.counts["kept"], "dropped": dropped}
    if as_json:
        emit_json(result)
    else:
        _print_counts({"kept": result["kept"], **dropped})


@data.command()
def mix(
    recipe: Annotated[Path, typer.Argument(help="The recipe.", metavar="RECIPE")],
    set_: Annotated[list[str] | None, typer.Option("--set", help="Change a key. May be repeated.")] = None,
    run_dir: Annotated[Path | None, typer.Option("--run", help="Folder of the run.")] = None,
    engine: EngineOption = "local",
    as_json: AsJson = False,
) -> None:
    """Mix open and domain rows at the recipe's ratio, with whatever earlier stages are still to do."""
    from tunewell.cli.app import run_folder, run_stages
    from tunewell.cli.show import emit_json
    from tunewell.pipeline import stage_folder

    folder = run_folder(recipe, run_dir)
    manifest = run_stages(recipe, folder, set_ or [], until="mix", engine=engine)[-1].manifest
    mixture = json.loads((stage_folder(folder, "mix") / "mixture.json").read_text(encoding="utf-8"))
    if as_json:
        emit_json({"run": str(folder), **manifest.counts, "mixture": mixture})
    else:
        _print_mixture(mixture)


@data.command()
def cat(
    folder: Annotated[Path, typer.Argument(help="A folder that a data stage wrote.", metavar="DIR")],
) -> None:
    """Print the kept rows as JSON Lines."""
    from tunewell.store import read_examples

    rows = next((folder / name for name in ("examples", "train") if (folder / name).is_dir()), folder)
    for example in read_examples(rows):
        row = {
            "id": example.id,
            "messages": [{"role": message.role, "content": message.content} for message in example.messages],
            "origin": asdict(example.origin),
            "pool": example.pool,
            "task": example.task,
            "language": example.language,
            "family": example.family,
            "evidence": dict(example.evidence),
        }
        sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")


def _recipe(values: dict[str, Any], overrides: list[str] | None = None) -> Any:
    from tunewell.recipe import recipe_from_values, with_overrides

    changed = with_overrides(values, overrides or [], where="command line")
    return recipe_from_values(changed, where="command line", folder=Path.cwd())


def _print_mixture(mixture: dict[str, Any]) -> None:
    from tunewell.cli.show import print_rows

    headings = ("pool", f"asked, by {mixture['by']}", "reached", "rows", "unique", "repeats", "thrown away", "tokens")
    print_rows(
        headings,
        [
            (
                pool["pool"],
                f"{pool['asked_share']:.1%}",
                f"{pool['reached_share']:.1%}",
                *(f"{pool[key]:,}" for key in ("rows", "unique", "repeats", "left_out")),
                f"{'≈ ' if pool['tokens_counted'] < pool['rows'] else ''}{pool['tokens']:,}",
            )
            for pool in mixture["pools"]
        ],
    )


def _print_counts(counts: dict[str, Any]) -> None:
    from tunewell.cli.show import print_rows

    print_rows(("what", "rows"), [(name.replace("_", " "), str(value)) for name, value in counts.items()])


def _print_findings(findings: list[Any]) -> None:
    from rich.console import Console
    from rich.text import Text

    out = Console(highlight=False, soft_wrap=True)
    for finding in findings:
        where, what, remedy = map(visible, (finding.where, finding.what, finding.remedy))
        out.print(Text.assemble(where, "  ", (finding.code, _LEVEL_STYLE[finding.level]), "  ", what))
        out.print(Text(f"    → {remedy}"))
    counts = {level: sum(finding.level == level for finding in findings) for level in _LEVEL_STYLE}
    out.print(", ".join(f"{count} {level}{'s' if count != 1 and level != 'info' else ''}" for level, count in counts.items()))


def _print_inspection(inspection: Any) -> None:
    from rich.console import Console
    from rich.text import Text

    out = Console(highlight=False, soft_wrap=True)
    out.print(Text(visible(inspection.path), style="bold"))
    facts = {
        "container": inspection.container,
        "encoding": inspection.encoding,
        "formats": ", ".join(f"{name} ({count:,})" for name, count in inspection.formats.items()) or "none",
        "rows": f"{inspection.rows:,}",
        "broken rows": f"{inspection.broken:,}",
        "documents": f"{inspection.documents:,}",
        "languages": ", ".join(f"{name or 'undecided'} ({count:,})" for name, count in inspection.languages.items()),
        "keys": ", ".join(inspection.keys),
    }
    for name, value in facts.items():
        if value not in {"", "0"}:
            out.print(Text(visible(f"  {name:<12} {value}")))
    for example in inspection.examples:
        out.print()
        for message in example.messages:
            out.print(Text.assemble("  ", (message.role, "bold cyan"), f" {visible(message.content)}"))
    for problem in inspection.problems:
        out.print(Text(f"  {visible(problem)}", style="red"))
