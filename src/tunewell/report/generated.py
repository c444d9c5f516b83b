"""What the page says of rows that a teacher wrote: the tasks, what the checks rejected, what failed, and what it cost."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from tunewell.bundled import read_yaml
from tunewell.report.facts import Facts
from tunewell.report.funnel import Step
from tunewell.report.words import Words, number, share


class TaskRow(NamedTuple):
    """The account of one task, or of all together (`code` is empty): rows asked for, written and kept, and what they took."""

    code: str
    name: str
    asked: int
    made: int
    kept: int
    failed: int
    skipped: int
    requests: int
    cached: int
    tokens: int
    cost: str

    @property
    def kept_share(self) -> float | None:
        """Kept of written rows, None where none was written."""
        return self.kept / self.made if self.made else None


class Loss(NamedTuple):
    """Rows of a task that a check rejected and their share of those written, or work that gave no row and how it ended."""

    task: str
    reason: str
    code: str
    times: int
    share: float | None = None
    outcome: str = ""


COUNTS = ("asked", "made", "kept", "failed", "skipped", "requests", "cached", "tokens")
"""The counts of a `TaskRow`, in the order in which the page shows them."""


def tasks(facts: Facts) -> Sequence[Mapping[str, Any]]:
    """The accounts of the teacher's tasks; empty where no teacher wrote anything."""
    found: Sequence[Mapping[str, Any]] = facts.account.get("tasks", ())
    return found


def task_rows(facts: Facts, words: Words) -> list[TaskRow]:
    """One row for each task, in the order of the recipe."""
    return [
        TaskRow(
            code=task["task"],
            name=task_name(words, task["task"]),
            failed=sum(task["failed"].values()),
            skipped=sum(task["skipped"].values()),
            tokens=task["prompt_tokens"] + task["completion_tokens"],
            cost=money(task["cost"], facts.account["currency"]),
            **{key: task[key] for key in ("asked", "made", "kept", "requests", "cached")},
        )
        for task in tasks(facts)
    ]


def total_row(facts: Facts, words: Words) -> TaskRow:
    """All tasks together."""
    rows = task_rows(facts, words)
    counts = {key: sum(getattr(row, key) for row in rows) for key in COUNTS}
    return TaskRow("", words("all_tasks"), **counts, cost=money(facts.account["cost"], facts.account["currency"]))


def rejected(facts: Facts, words: Words) -> list[Loss]:
    """What the checks rejected, by task, the commonest reason first."""
    return [
        Loss(task_name(words, task["task"]), reason(words, code), code, count, share=count / task["made"])
        for task in tasks(facts)
        for code, count in _commonest(task["rejected"])
    ]


def failures(facts: Facts, words: Words) -> list[Loss]:
    """The pieces of work that gave no row, by task."""
    return [
        Loss(task_name(words, task["task"]), reason(words, code), code, count, outcome=words(outcome))
        for task in tasks(facts)
        for outcome in ("failed", "skipped")
        for code, count in _commonest(task[outcome])
    ]


def task_steps(task: Mapping[str, Any], words: Words) -> list[Step]:
    """The way of one task's rows: written, less what each check rejected, kept."""
    steps = [Step(words("made"), "stage", task["made"], 0, task["made"])]
    for code, count in _commonest(task["rejected"]):
        left = steps[-1].end if len(steps) == 1 else steps[-1].start
        steps.append(Step(reason(words, code), "dropped", count, left - count, left))
    return [*steps, Step(words("step_kept"), "stage", task["kept"], 0, task["kept"])]


def caption(task: Mapping[str, Any], words: Words) -> str:
    """One task in a sentence: kept, written, asked for, languages."""
    counts = {key: number(task[key], 0) for key in ("kept", "made", "asked")}
    named = [
        f"{words.label('language', code) if code else words('languages_none')} {number(n, 0)}"
        for code, n in _commonest(task["languages"])
    ]
    return words("generated_caption", **counts, languages=words("and").join(named) or "–")


def notes(facts: Facts, words: Words) -> list[str]:
    """Who wrote the rows, what was spent, whether the budget ended it, and how many rows are wrong."""
    teacher, total = facts.account["teacher"], total_row(facts, words)
    spent = {"n": total.requests, "cached": total.cached, "tokens": total.tokens}
    paid = words("money_unknown") if facts.account["cost"] is None else total.cost
    return [
        *([words("generated_teacher", model=teacher["model"], server=teacher["server"])] if teacher else []),
        words("generated_spent", **{name: number(count, 0) for name, count in spent.items()}, money=paid),
        *([words("generated_budget")] if facts.account["budget_reached"] else []),
        _reviewed(facts.account.get("review"), words),
    ]


def _reviewed(review: Mapping[str, Any] | None, words: Words) -> str:
    if review is None:
        return words("generated_not_reviewed")
    counts = {name: number(review[name], 0) for name in ("n", "population", "reviewers")}
    shares = {name: share(review[name]) for name in ("value", "low", "high")}
    return words("generated_reviewed_mean" if review["reviewers"] > 1 else "generated_reviewed", **counts, **shares)


def task_name(words: Words, code: str) -> str:
    """The name of a task."""
    return str(read_yaml("generate", "words.yaml")[words.language]["tasks"][code]["name"])


def reason(words: Words, code: str) -> str:
    """The words for why a row was rejected, or a piece of work gave none."""
    table = read_yaml("generate", "words.yaml")[words.language]
    return str(table["reasons"].get(code) or table["failures"].get(code) or words.label("reason", code))


def money(cost: float | None, currency: str) -> str:
    """An amount, or a dash where the price is not known.

    >>> money(0.12345, "USD"), money(12, ""), money(None, "USD")
    ('0.1235 USD', '12.0000', '–')
    """
    return "–" if cost is None else f"{number(cost, 4)} {currency}".strip()


def _commonest(counts: Mapping[str, int]) -> Iterable[tuple[str, int]]:
    return sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
