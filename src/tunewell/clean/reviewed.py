"""What reviewers decided: rejected rows are dropped, mended ones are cleaned as they were mended."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from tunewell.clean.batch import Batch, Details
from tunewell.store import Judgement, read_decisions


class Reviews(NamedTuple):
    """Decisions by row: the details of rejected rows, and the judgements that mend a row."""

    rejected: Mapping[str, str]
    mended: Mapping[str, Judgement]


class Mended(NamedTuple):
    """A table with mended texts, and how many rows have one."""

    table: pa.Table
    rows: int


def read_reviews(folder: Path | None) -> Reviews:
    """The decisions in a run's folder `review`, which may be absent. Raises `DataError` for a file that cannot be read."""
    decisions = read_decisions(folder) if folder else {}
    return Reviews(
        rejected={one.id: _detail(one) for one in decisions.values() if one.verdict == "reject"},
        mended={one.id: one for one in decisions.values() if one.verdict == "mend"},
    )


def rejected(batch: Batch, *, details: Mapping[str, str]) -> Details:
    """A row that a reviewer rejected.

    What it drops: rows that at least one reviewer rejected with `tunewell review`, whatever the others said. The detail names the
    reviewer and gives the note. A row that a reviewer mended is no longer the row it was: it takes the mended text before any
    rule looks at it, keeps its id, and its evidence names the reviewer (`mended`).
    Why: who reads a wrong row should need to say so once.
    Example: "When is payout?" answered with "At once." is rejected with the note "the text says two days".
    Known problems: a row is known by its content, so a collected row with the very words of a rejected one goes too. With
    `clean.skip: [rejected]` rejected rows stay; mended texts count all the same.
    Source: our own. Annotation tools such as Prodigy write the answer beside each row and leave the dropping to their user.
    """
    return [details.get(row) for row in batch.values("id")] if details else batch.nothing()


def mend(table: pa.Table, mended: Mapping[str, Judgement]) -> Mended:
    """Put the mended conversations in the place of those that the model wrote; the evidence of such a row names the reviewer."""
    ids = table.column("id").to_pylist() if mended else []
    found = [row for row, known in enumerate(ids) if known in mended]
    if not found:
        return Mended(table, 0)
    messages, evidence = table.column("messages").to_pylist(), table.column("evidence").to_pylist()
    for row in found:
        judgement = mended[ids[row]]
        messages[row] = [{"role": message.role, "content": message.content} for message in judgement.messages]
        known = {**json.loads(evidence[row]), "mended": judgement.reviewer}
        evidence[row] = json.dumps(known, ensure_ascii=False, sort_keys=True)
    return Mended(_with_values(_with_values(table, "messages", messages), "evidence", evidence), len(found))


def _detail(judgement: Judgement) -> str:
    return f"{judgement.reviewer}: {judgement.note}" if judgement.note else judgement.reviewer


def _with_values(table: pa.Table, name: str, values: list[object]) -> pa.Table:
    place = table.schema.get_field_index(name)
    field = table.schema.field(place)
    return table.set_column(place, field, pa.array(values, field.type))
