"""Rows of a log that a teacher has made clean rows of."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from tunewell.clean.batch import Batch, Details
from tunewell.store import read_tables, shards

_REWRITING = "real_qa"


def read_superseded(generated: Path | None, rejected: Collection[str]) -> Mapping[str, str]:
    """By the id of a log's row the detail of what takes its place; a clean row that a reviewer rejected takes no place."""
    found: dict[str, str] = {}
    for path in shards(generated / "examples") if generated else []:
        for table in read_tables(path):
            rows = table.filter(pc.equal(table.column("task"), _REWRITING))
            for identity, evidence in zip(rows.column("id").to_pylist(), rows.column("evidence").to_pylist(), strict=True):
                if identity not in rejected:
                    found.setdefault(json.loads(evidence)["source"]["id"], f"rewritten as {identity}")
    return found


def superseded(batch: Batch, *, details: Mapping[str, str]) -> Details:
    """A row of a log that the task `real_qa` has made a clean row of.

    What it drops: collected rows that a generated row of the task `real_qa` descends from. The detail names that row.
    Why: both have the user's own wording and different answers, and the clean one was made to be the better.
    Example: a chat that begins "Hi, one sec, when does my payout come" beside the question and answer made of it.
    Known problems: of a long chat only the questions that the teacher took out remain. Where the chat itself is wanted, set
    `clean.skip: [superseded]`, and expect `contradiction` to drop single-turn rows on both sides.
    Source: our own; the seed of this product has its teams clean real logs before they are mixed.
    """
    if not details:
        return batch.nothing()
    is_collected = ~np.isin(batch.values("task"), [_REWRITING])
    return [details.get(row) if collected else None for row, collected in zip(batch.values("id"), is_collected, strict=True)]
