"""`tunewell template …`: the prompt contract, looked at and checked."""

from typing import TYPE_CHECKING, Annotated

import typer

from tunewell.cli.conversations import compile_family, ids, list_families, open_named, show, text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tunewell.template.verify import Finding, ServerReport

template = typer.Typer(help="See and check the prompt format of a model.", no_args_is_help=True, rich_markup_mode=None)
template.command("list")(list_families)
template.command()(show)
template.command()(ids)
template.command()(text)
template.command("compile")(compile_family)

Family = Annotated[str, typer.Option("--family", help="`auto`, the name of a family, or a family's file.")]
Tokenizer = Annotated[
    str, typer.Option("--tokenizer", help="Folder with a tokenizer, the embedded model's name, or a hub id.", metavar="DIR")
]
ServerUrl = Annotated[str, typer.Option("--server", help="Address of a running server to check as well.", metavar="URL")]
ModelName = Annotated[str, typer.Option("--model", help="Which of the server's models. Default: its only one.", metavar="NAME")]
KeyVariable = Annotated[str, typer.Option("--api-key-env", help="Environment variable with the server's key.", metavar="VAR")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line of stdout.")]


@template.command()
def verify(
    family: Family,
    tokenizer: Tokenizer,
    server: ServerUrl = "",
    model: ModelName = "",
    api_key_env: KeyVariable = "",
    as_json: AsJson = False,
) -> None:
    """Check a prompt format against a tokenizer and, with --server, against what a server reads. Exits 1 unless all holds."""
    from tunewell.cli.show import emit_json
    from tunewell.template.verify import verify as check
    from tunewell.template.verify import verify_server

    chat, loaded = open_named(family, tokenizer)
    report = verify_server(chat, loaded, server, model=model, key_variable=api_key_env) if server else None
    findings = [*check(chat, loaded), *(report.findings if report else [])]
    holds = all(finding.ok for finding in findings)
    if as_json:
        checks = [finding._asdict() for finding in findings]
        emit_json({"ok": holds, "checks": checks, "server": report.as_json() if report else None})
    else:
        _print_findings(findings, report)
    if not holds:
        raise typer.Exit(1)


def _print_findings(findings: "Sequence[Finding]", report: "ServerReport | None") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from tunewell.text import visible

    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("", no_wrap=True)
    table.add_column("check", no_wrap=True)
    table.add_column("what was seen", overflow="fold")
    for check, ok, detail, where in findings:
        seen = Text.assemble((f"{visible(where)}: " if where else "", "bold"), visible(detail))
        table.add_row(Text("✓", style="green") if ok else Text("✗", style="bold red"), check, seen)
    out = Console(highlight=False)
    out.print(table)
    if report:
        out.print(Text(visible(f"server: {report.kind} at {report.url}, model {report.model or '(its own)'}"), style="dim"))
