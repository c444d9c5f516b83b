"""What a person sees: stages as they go by on stderr, tables and JSON on stdout."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tunewell.pipeline import Caller, Outcome
from tunewell.text import visible

_UNWATCHED_WIDTH = 140
talk = Console(stderr=True, highlight=False)
_VERDICT_STYLE = {"pass": "bold green", "fail": "bold red", "inconclusive": "bold yellow"}


def emit_json(value: Mapping[str, Any]) -> None:
    """Print one JSON object as the last line of stdout."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")


def stage_caller(command: str) -> Caller:
    """One line for each stage that ends."""

    def started(name: str) -> None:
        if talk.is_terminal:
            talk.print(f"[dim]·[/] {name} …", end="\r")

    def ended(outcome: Outcome) -> None:
        counts = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in _interesting(outcome.manifest.counts))
        when = "[dim]unchanged, skipped[/]" if outcome.skipped else f"{outcome.manifest.seconds:,.1f} s"
        talk.print(f"[green]✓[/] {outcome.stage:<9} {when:<10}  [dim]{counts}[/]")

    return Caller(command, started, ended)


def _interesting(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return [(name, count) for name, count in counts.items() if count][:7]


def closing_table(metrics: Mapping[str, Any], report: Path, *, language: str) -> None:
    """The claims with the digits of the report, the verdict in words, what the gate proposes, and where the report lies."""
    from tunewell.gate import FEWEST
    from tunewell.report.words import places

    # Where nobody watches, no number is cut to fit a screen.
    out = Console(highlight=False, width=None if sys.stdout.isatty() else _UNWATCHED_WIDTH)
    title_key = "title_zh" if language == "zh" else "title"
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("claim", no_wrap=True)
    for heading in ("n", "base", "tuned", "difference", f"{metrics['confidence']:.0%} interval"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for claim in metrics["claims"]:
        digits = places(claim)
        low, high = (number(claim[end], digits, sign=True) for end in ("low", "high"))
        # Below ten clusters nothing is tested, and the verdict rests on no number.
        few = "" if claim["p"] is not None or claim["clusters"] >= FEWEST else f" [yellow]⚠ n < {FEWEST}[/]"
        table.add_row(
            claim[title_key],
            f"{claim['n']:,}",
            *(number(claim[key], digits) for key in ("base", "tuned")),
            number(claim["difference"], digits, sign=True),
            "–" if claim["low"] is None else f"{low} {high}",
            f"[{_VERDICT_STYLE[claim['verdict']]}]{claim['verdict']}[/]{few}",
        )
    out.print()
    out.print(table)
    out.print()
    reason = metrics["reason_zh"] if language == "zh" else metrics["reason"]
    out.print(f"[{_VERDICT_STYLE[metrics['verdict']]}]{metrics['verdict']}[/]  {reason}", soft_wrap=True)
    for proposal in metrics["proposals"]:
        text = proposal["text_zh" if language == "zh" else "text"]
        out.print(Text(visible(f"→ {text} {proposal['change']}")), soft_wrap=True)
    out.print(Text(visible(f"report: {report}")), soft_wrap=True)


def number(value: float | None, digits: int = 3, *, sign: bool = False) -> str:
    """A number with so many decimals, never a negative zero, or a dash where there is none."""
    if value is None:
        return "–"
    rounded = round(value, digits) + 0.0
    return f"{rounded:+.{digits}f}" if sign and rounded else f"{rounded:.{digits}f}"


def interval(low: float | None, high: float | None) -> str:
    """An interval, or a dash where it is unknown."""
    return "–" if low is None or high is None else f"{low:+.3f} {high:+.3f}"


def print_rows(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A plain table on stdout; whatever its texts hold, the terminal shows them and obeys none."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in headings:
        table.add_column(heading)
    for row in rows:
        table.add_row(*(Text(visible(cell)) for cell in row))
    Console(highlight=False).print(table)
