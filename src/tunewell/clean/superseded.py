"""Rows of a log that a teacher has made clean rows of.

A clean row takes the place of its log only where it is kept itself. So the rows that are compared are decided without the logs
first, and once more with those logs of which no clean row was kept, until none is lost.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.compute as pc

from tunewell.clean.batch import Batch, Details
from tunewell.clean.decide import Decision, Flags
from tunewell.clean.keys import Keys, text_keys
from tunewell.store import read_tables, shards

REWRITING = "real_qa"
"""The task that makes clean rows of a log's."""


class Rewritten(NamedTuple):
    """A clean row and the log's row that it was made of, by id."""

    row: str
    log: str


class Settled(NamedTuple):
    """What the comparing rules decide, and by the id of a log's row the detail of what takes its place."""

    decision: Decision
    details: Mapping[str, str]


def read_rewritten(generated: Path | None) -> list[Rewritten]:
    """The clean rows that a teacher has made of a log's, in their order."""
    found: list[Rewritten] = []
    for path in shards(generated / "examples") if generated else []:
        for table in read_tables(path):
            rows = table.filter(pc.equal(table.column("task"), REWRITING))
            for identity, evidence in zip(rows.column("id").to_pylist(), rows.column("evidence").to_pylist(), strict=True):
                found.append(Rewritten(identity, json.loads(evidence)["source"]["id"]))
    return found


def settle(
    alive: Flags, identity: Keys, is_rewriting: Flags, rewritten: Sequence[Rewritten], decide: Callable[[Flags], Decision]
) -> Settled:
    """Decide with every log's row left out of which a clean row is kept, and with all others.

    Args:
        alive: rows that no rule has dropped which looks at one row alone.
        identity: the key of each row's id.
        is_rewriting: whether the row is a clean one of the task; it may share its id with the log's row.
        rewritten: clean rows and their logs.
        decide: what the comparing rules make of the rows that are alive.
    """
    rows, logs = text_keys([one.row for one in rewritten]), text_keys([one.log for one in rewritten])

    def is_replaced(kept: Flags) -> Flags:
        return ~is_rewriting & np.isin(identity, logs[np.isin(rows, identity[kept & is_rewriting])])

    replaced = is_replaced(alive)
    while True:
        decision = decide(alive & ~replaced)
        kept = alive & (decision.rule < 0)
        # A log that is back can stand against clean rows that were kept without it: what is replaced only ever gets less.
        still = replaced & is_replaced(kept)
        if np.array_equal(still, replaced):
            stands = np.isin(rows, identity[kept & is_rewriting])
            details: dict[str, str] = {}
            for place in np.flatnonzero(stands).tolist():
                details.setdefault(rewritten[place].log, f"rewritten as {rewritten[place].row}")
            return Settled(decision, details)
        replaced = still


def superseded(batch: Batch, *, details: Mapping[str, str]) -> Details:
    """A row of a log that the task `real_qa` has made a clean row of.

    What it drops: collected rows that a generated row of the task `real_qa` descends from which all other rules keep. The detail
    names that row. Where every such row is dropped, the collected one stays, and the rules apply to it as to any other.
    Why: both have the user's own wording and different answers, and the clean one was made to be the better.
    Example: a chat that begins "Hi, one sec, when does my payout come" beside the question and answer made of it.
    Known problems: of a long chat only the questions that the teacher took out remain. Where the chat itself is wanted, set
    `clean.skip: [superseded]`, and expect `contradiction` to drop single-turn rows on both sides.
    Source: our own; the seed of this product has its teams clean real logs before they are mixed.
    """
    if not details:
        return batch.nothing()
    rows = zip(batch.values("id"), batch.values("task"), strict=True)
    return [None if task == REWRITING else details.get(identity) for identity, task in rows]
