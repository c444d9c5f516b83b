"""The way of the rows, from the files to the trained model, as steps of a waterfall."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from tunewell.report.facts import Facts
from tunewell.report.words import Words

Kind = Literal["stage", "dropped", "added"]


class Step(NamedTuple):
    """One bar: what stood there (`stage`), what was taken away (`dropped`) or came in (`added`), in rows."""

    label: str
    kind: Kind
    rows: int
    start: int
    end: int


def funnel_steps(facts: Facts, words: Words) -> list[Step]:
    """The steps in order; one that took and added nothing is left out. Every number is a count some stage left on disk."""
    funnel, pools = facts.funnel, facts.mixture["pools"]
    collected, unreadable = facts.count("collect", "rows"), facts.count("collect", "dropped")
    written = sum(task["kept"] for task in facts.account.get("tasks", ()))
    replay, kept, mixed = facts.count("generate", "replay"), funnel["kept"], facts.mixture["train_rows"]
    unused, repeats = _total(pools, "left_out"), _total(pools, "repeats")
    held_out = _total(pools, "available") - _total(pools, "unique") - unused
    too_long = facts.training["left_out"]
    steps = [
        _stage(words("step_read"), collected + unreadable),
        _change(words("step_unreadable"), collected + unreadable, -unreadable),
        _change(words("step_replay"), collected, replay),
        _change(words("step_generated"), collected + replay, written),
        _stage(words("step_to_clean"), funnel["rows_in"]),
        *_rule_steps(facts, words),
        _stage(words("step_kept"), kept),
        _change(words("step_held_out"), kept, -held_out),
        _change(words("step_unused"), kept - held_out, -unused),
        _change(words("step_repeats"), mixed - repeats, repeats),
        _stage(words("step_mixed"), mixed),
        _change(words("step_too_long"), mixed, -too_long),
        _stage(words("step_trained"), mixed - too_long),
    ]
    return [step for step in steps if step.rows or step.kind == "stage"]


def _rule_steps(facts: Facts, words: Words) -> list[Step]:
    steps = []
    remaining = facts.funnel["rows_in"]
    for rule in facts.funnel["rules"]:
        steps.append(_change(words.label("reason", rule["rule"]), remaining, -rule["dropped"]))
        remaining -= rule["dropped"]
    return steps


def _stage(label: str, rows: int) -> Step:
    return Step(label, "stage", rows, 0, rows)


def _change(label: str, before: int, change: int) -> Step:
    kind: Kind = "dropped" if change < 0 else "added"
    return Step(label, kind, abs(change), min(before, before + change), max(before, before + change))


def _total(pools: Sequence[dict[str, int]], key: str) -> int:
    return sum(pool[key] for pool in pools)
