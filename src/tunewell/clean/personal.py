"""The rule against personal data: it drops the rows that hold some, or puts words in its place."""

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tunewell.clean.batch import Batch, Details
from tunewell.identifiers import FIRST_LOOK, bare, masked_text


class Masked(NamedTuple):
    """A table whose messages hold words in place of personal data, and how often each kind was replaced."""

    table: pa.Table
    counts: Mapping[str, int]


class _Change(NamedTuple):
    place: int
    row: int
    text: str
    counts: Counter[str]


def personal(batch: Batch, *, contacts: Collection[str]) -> Details:
    """Phone numbers, e-mail addresses, identity, social security and bank card numbers, IBANs.

    What it drops: with `clean.personal: drop`, rows in which any message holds one; with `mask` (the default) no row, but each is
    replaced by a word in the language of the message ("[phone]", "[电话]"). Found are e-mail addresses; Chinese mobile and
    landline numbers, international numbers that begin with `+`, and national ones of North America and Europe that are written
    in groups; Chinese identity numbers of 18 digits with a right checksum and of 15 with a date; social security numbers of the
    United States; bank card numbers with a known beginning and a right checksum; IBANs with a right checksum. A number inside
    a longer number or identifier is none, nor is a service line (400-…, 0800 …, 1-800-…) or an amount (…元).
    `clean.contacts` names values of your own that stay, written in any way.
    Why: a model repeats what it was trained on, to whoever asks; and the law asks for a reason to keep such data.
    Example: "我的电话是13812345678" becomes "我的电话是[电话]". The detail of a dropped row counts kinds and holds no value.
    Known problems: names and postal addresses are not found, nor numbers in words or full-width digits, nor numbers without
    an area code, nor groups of two digits with spaces (06 12 34 56 78). An order number that has the form of a phone number
    (11 digits that begin with 13 to 19), or the beginning and by chance the checksum of a card, is taken for one: one number in
    ten has a right checksum. Turn it off with `clean.skip: [personal]`.
    Source: `fix`-type mappers of Data-Juicer (`clean_email_mapper`) and the PII formatter of datatrove replace addresses; the
    checksums are those of GB 11643, ISO/IEC 7812-1 and ISO 13616.
    """
    counts: dict[int, Counter[str]] = {}
    for change in _changes(batch, contacts):
        counts.setdefault(change.row, Counter()).update(change.counts)
    return batch.first_of(
        (row, ", ".join(f"{kind}: {count}" for kind, count in sorted(found.items()))) for row, found in counts.items()
    )


def mask(batch: Batch, *, contacts: Collection[str]) -> Masked:
    """Replace what `personal` finds by words; the evidence of a row that was touched says how often (`masked`).

    Ids and families stay, so that a masked row is still known by where it came from. Masking twice changes nothing more.
    """
    changes = list(_changes(batch, contacts))
    if not changes:
        return Masked(batch.table, {})
    by_row: dict[int, Counter[str]] = {}
    for change in changes:
        by_row.setdefault(change.row, Counter()).update(change.counts)
    evidence = batch.table.column("evidence").combine_chunks()
    known = evidence.take(pa.array(by_row)).to_pylist()
    evidence = _replaced(evidence, {row: _with_counts(text, by_row[row]) for row, text in zip(by_row, known, strict=True)})
    texts = _replaced(batch.texts, {change.place: change.text for change in changes})
    table = _with_column(batch.table, "messages", _with_texts(batch, texts))
    total = sum(by_row.values(), Counter[str]())
    return Masked(_with_column(table, "evidence", evidence), dict(sorted(total.items())))


def _changes(batch: Batch, contacts: Collection[str]) -> Iterator[_Change]:
    own = frozenset(map(bare, contacts))
    places = batch.matching(batch.places("system", "user", "assistant"), FIRST_LOOK)
    languages = batch.values("language")
    for place, turn in zip(places.tolist(), batch.turns(places), strict=True):
        text, counts = masked_text(turn.text, language_of_row=languages[turn.row], contacts=own)
        if counts:
            yield _Change(place, turn.row, text, counts)


def _with_counts(evidence: str, counts: Counter[str]) -> str:
    known = json.loads(evidence)
    masked = Counter(known.get("masked", {})) + counts
    return json.dumps({**known, "masked": dict(masked)}, ensure_ascii=False, sort_keys=True)


def _replaced(texts: pa.StringArray, changes: Mapping[int, str]) -> pa.StringArray:
    """The texts with those at some places, in rising order, replaced."""
    places = np.zeros(len(texts), np.bool_)
    places[list(changes)] = True
    return pc.replace_with_mask(texts, pa.array(places), pa.array(changes.values(), pa.string()))


def _with_texts(batch: Batch, texts: pa.StringArray) -> pa.ListArray:
    kind = batch.table.schema.field("messages").type
    spoken = pa.StructArray.from_arrays([batch.roles, texts], fields=list(kind.value_type))
    lengths = pc.list_value_length(batch.table.column("messages").combine_chunks())
    ends = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(lengths)])
    return pa.ListArray.from_arrays(ends, spoken, type=kind)


def _with_column(table: pa.Table, name: str, column: pa.Array) -> pa.Table:
    place = table.schema.get_field_index(name)
    return table.set_column(place, table.schema.field(place), column)
