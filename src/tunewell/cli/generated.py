"""What a person sees of generated data on the terminal: the account of a teacher's work, and the life of one row."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tunewell.cli.show import emit_json, print_rows
from tunewell.text import visible

if TYPE_CHECKING:
    from tunewell.records import Message
    from tunewell.report import Exchange, Life
    from tunewell.store import Judgement

_MARGIN = 12
_OUTCOMES = {"found": False, "free of": True}


def print_account(account: Mapping[str, Any], folder: Path) -> None:
    """The account of each task as a table, and below it what was spent, what stopped it, and where failures are listed.

    Args:
        account: the JSON of `account.json`.
        folder: the stage's folder, in which `failed.jsonl` lies.
    """
    out = Console(highlight=False, soft_wrap=True)
    tasks, replay = account["tasks"], account["replay"]
    if tasks:
        cost = f"cost, {account['currency']}" if account["currency"] else "cost"
        headings = ("task", "asked", "kept", "rejected", "failed", "requests", "cached", "tokens", cost)
        print_rows(headings, map(_task, tasks))
        for what in ("rejected", "failed", "skipped"):
            for task in tasks:
                if task[what]:
                    out.print(Text(_safe(f"{task['task']}, {what}: {_reasons(task[what])}")))
        spent = f"spent {_money(account['cost'], account['currency'])}"
        out.print(f"{spent}, {_count(_tokens(tasks))} tokens, {_count(sum(task['requests'] for task in tasks))} requests")
    if replay["rows"] or replay["left_out"]:
        out.print(f"replay: {_count(replay['rows'])} answers of the base model, {_count(replay['left_out'])} left out")
    if account["budget_reached"]:
        out.print("the budget was reached before all rows were made; raise `teacher.budget` and run again to go on")
    if failed := sum(sum(task["failed"].values()) for task in tasks):
        out.print(Text(_safe(f"{_count(failed)} failed, listed in {folder / 'failed.jsonl'}")))
        out.print("`tunewell run RECIPE --until generate --from generate` asks again where no answer came, and pays nothing twice")


def _task(task: Mapping[str, Any]) -> Sequence[str]:
    return (
        task["task"],
        _count(task["asked"]),
        _count(task["kept"]),
        *(_count(sum(task[what].values())) for what in ("rejected", "failed")),
        _count(task["requests"]),
        _count(task["cached"]),
        _count(_tokens([task])),
        _money(task["cost"]),
    )


def _reasons(counts: Mapping[str, int]) -> str:
    """Every reason with its count, the commonest first.

    >>> _reasons({"cut": 1, "empty": 5, "timed_out": 2})
    'empty 5, timed out 2, cut 1'
    """
    ranked = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    return ", ".join(f"{reason.replace('_', ' ')} {_count(count)}" for reason, count in ranked)


def _tokens(tasks: Sequence[Mapping[str, Any]]) -> int:
    return sum(task["prompt_tokens"] + task["completion_tokens"] for task in tasks)


def _money(cost: float | None, currency: str = "") -> str:
    return "–" if cost is None else f"{cost:,.4f} {currency}".strip()


def _count(value: int) -> str:
    return f"{value:,}"


def explain(identity: str, run: Path, *, with_prompts: bool, as_json: bool) -> None:
    """Print the life of a row: its texts, source, requests, checks, judgements, and what each stage did with it.

    Args:
        identity: the row's id, or how it begins.
        run: the folder of its run.
        with_prompts: also what the teacher was asked for it, and answered, word for word.
        as_json: print one JSON object instead.
    """
    from tunewell.report import exchanges, life

    told = life(run, identity)
    said = exchanges(told.row.evidence) if with_prompts else None
    if as_json:
        prompts = {} if said is None else {"prompts": list(map(asdict, said))}
        emit_json({"id": told.row.id, **asdict(told), **prompts})
        return
    out = Console(highlight=False)
    row = told.row
    about = " · ".join(filter(None, (row.task, row.evidence.get("kind"), row.language, row.pool, f"family {row.family}")))
    out.print(Text.assemble((row.id, "bold"), f"  {_safe(about)}"))
    for title, lines in chain(_sections(told), () if said is None else _exchanges(said)):
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1, 0, 0))
        table.add_column(width=_MARGIN, style="dim")
        table.add_column(overflow="fold")
        for number, line in enumerate(lines):
            table.add_row(title if number == 0 else "", line)
        if table.row_count:
            out.print()
            out.print(table)


def _sections(told: "Life") -> Iterator[tuple[str, list[Text]]]:
    yield "text", _conversation(told.row.messages)
    yield "cleaned", _conversation(told.now or ())
    yield "came from", _origin(told)
    yield "made by", _making(told.row.evidence)
    yield "checks", _checks(told.row.evidence)
    yield "review", [_judgement(one) for one in told.judgements]
    yield "what became", _way(told)


def _exchanges(said: "Sequence[Exchange]") -> Iterator[tuple[str, list[Text]]]:
    if not said:
        yield "asked", [Text("no teacher was asked for this row")]
    for exchange in said:
        step = Text(_safe(f"{exchange.step}  key {exchange.key}"), style="dim")
        if exchange.reply is None:
            yield "asked", [step, Text("the cache of the teacher's answers on this machine does not have it", style="yellow")]
        else:
            yield "asked", [step, *_conversation(exchange.prompt)]
            yield "answered", [Text(_safe(exchange.reply))]


def _conversation(messages: "Sequence[Message]") -> list[Text]:
    return [Text.assemble((f"{message.role}: ", "bold cyan"), _safe(message.content)) for message in messages]


def _origin(told: "Life") -> list[Text]:
    source = told.source
    if source is None:
        return [Text(_safe(_place(str(told.row.origin), told.row.origin.heading, told.row.origin.start, told.row.origin.end)))]
    lines = [Text(_safe(_place(source.where, source.heading, source.start, source.end))), _marked(source.text, source.quotes)]
    lost = [quote.text for quote in source.quotes if quote.start is None]
    return lines + [Text(f"not there word for word: {_safe(quote)}", style="yellow") for quote in lost]


def _place(where: str, heading: str, start: int | None, end: int | None) -> str:
    span = f"characters {start:,} to {end:,}" if start is not None and end is not None else ""
    return ", ".join(filter(None, (where, heading, span)))


def _marked(text: str, quotes: Sequence[Any]) -> Text:
    """The text with its quotes between ⟦ and ⟧, which a pipe shows as well as a screen."""
    spans = _merged(sorted((quote.start, quote.end) for quote in quotes if quote.start is not None))
    marked, here = Text(), 0
    for start, end in spans:
        marked.append(_safe(text[here:start]))
        marked.append(f"⟦{_safe(text[start:end])}⟧", style="bold green")
        here = end
    return marked.append(_safe(text[here:]))


def _merged(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans in their order, those that overlap made one.

    >>> _merged([(0, 4), (2, 6), (8, 9)])
    [(0, 6), (8, 9)]
    """
    merged: list[tuple[int, int]] = []
    for start, end in spans:
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _making(evidence: Mapping[str, Any]) -> list[Text]:
    if "calls" not in evidence:
        return []
    cost = "cost not known" if evidence.get("cost") is None else f"cost {evidence['cost']:.6f}"
    share = f"{_safe(evidence.get('teacher', ''))}; this row's part: {evidence.get('tokens', 0):,.0f} tokens, {cost}"
    calls = [f"{call['step']}  prompt {call['prompt']}  key {call['key']}" for call in evidence["calls"]]
    return [Text(share), *(Text(_safe(call), style="dim") for call in calls)]


def _checks(evidence: Mapping[str, Any]) -> list[Text]:
    """The verdicts on the row, and those on each turn of a conversation."""
    lines = _verdicts(evidence.get("verdicts", {}))
    for number, turn in enumerate(evidence.get("turns", ()), start=1):
        lines += [Text(_safe(f"turn {number}, {turn['kind']}")), *_verdicts(turn["verdicts"])]
    return lines


def _verdicts(verdicts: Mapping[str, Any]) -> list[Text]:
    # A check bears the name of the flaw that it looks for: "quote not found: True" would say the opposite of what it means.
    told = [(name.replace("_", " "), value) for name, value in verdicts.items()]
    outcomes = {outcome: [name for name, value in told if value is passed] for outcome, passed in _OUTCOMES.items()}
    return [
        *(Text(_safe(f"{name}: {value}")) for name, value in told if not isinstance(value, bool)),
        *(Text(_safe(f"{outcome}: {', '.join(names)}")) for outcome, names in outcomes.items() if names),
    ]


def _judgement(judgement: "Judgement") -> Text:
    return Text(_safe(" · ".join(filter(None, (judgement.reviewer, judgement.verdict, judgement.note, judgement.time)))))


def _way(told: "Life") -> list[Text]:
    lines = []
    for step in told.steps:
        times = f" {step.rows:,} times" if step.rows > 1 else ""
        why = f": {': '.join(filter(None, (step.reason, step.detail)))}" if step.reason else ""
        where = f"  ({step.where})" if step.where else ""
        lines.append(Text(_safe(f"{step.stage:<9} {step.outcome}{times}{why}{where}")))
    masked = ", ".join(f"{kind.replace('_', ' ')} {count}" for kind, count in told.masked.items())
    later = [stage for stage in ("clean", "mix") if stage not in told.stages]
    return [
        *lines,
        *([Text(f"masked: {masked}")] if masked else []),
        *([Text(f"not done yet: {', '.join(later)}", style="dim")] if later else []),
    ]


def _safe(value: object) -> str:
    return visible(str(value))
