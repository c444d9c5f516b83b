"""The desk of one reviewer: finds the row that is wanted, shows it, takes down what is said of it."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

import numpy as np

from tunewell.errors import DataError, UserError
from tunewell.records import Dropped, Message
from tunewell.review.figures import sentences, status
from tunewell.review.rows import KEPT, Filter, Flags, Rows
from tunewell.review.sources import Source, Sources, quotes_in
from tunewell.review.words import Words
from tunewell.store import DecisionLog, Judgement, ReviewFolder, Verdict

Move = Literal["first", "next", "previous", "open", "here"]
"""Which row of a filter is wanted: the first, the one after or before a place, the first unjudged one from a place on (and then
from the start), or the one at a place, whatever the filter says."""

_UNJUDGED = "unjudged"
_STATES: Mapping[str, str] = {"accept": "accepted", "mend": "mended", "reject": "rejected"}


class Spoken(NamedTuple):
    """What a reviewer says of a row: the verdict, for `mend` the text of each message, and perhaps a note."""

    verdict: Verdict
    texts: Sequence[str] = ()
    note: str = ""


class Seen(NamedTuple):
    """A row as the page shows it: its place, its id, and the time of this reviewer's judgement of it, empty where there is none."""

    place: int
    id: str
    judged: str


@dataclass(frozen=True, slots=True)
class Desk:
    """The rows of a run, the reviewer's file, the folder in which it lies with those of others, and the words of the page."""

    rows: Rows
    sources: Sources
    log: DecisionLog
    reviews: ReviewFolder
    words: Words

    def setting(self) -> dict[str, Any]:
        """What the page is told once: the reviewer, the choices of each filter with the number of their rows, and the words."""
        return {
            "reviewer": self.log.reviewer,
            "language": self.words.language,
            "sample": len(self.rows) if self.rows.is_sample else None,
            "choices": {
                "task": self._choices("task", "task"),
                "language": self._choices("language", "language"),
                "outcome": self._choices("reason", "reason"),
                "state": [{"value": state, "label": self.words(f"state_{state}")} for state in (_UNJUDGED, *_STATES.values())],
            },
            "words": dict(self.words.table),
            **self.progress(),
        }

    def progress(self) -> dict[str, Any]:
        """How far this reviewer is, the row judged last, and what the judgements of all reviewers say.

        A broken file of another reviewer takes the place of the figures: it is no reason to stop this one.
        """
        kept = self.rows.kept_ids()
        said = Counter(_STATES[self.log.standing[row].verdict] for row in kept if row in self.log.standing)
        try:
            others = self.reviews.judgements(without=self.log.reviewer)
            _, *figures = sentences(status(self.rows, {**others, self.log.reviewer: self.log.standing}), self.words)
        except DataError as error:
            figures = [str(error)]
        return {
            "progress": {"rows": len(kept), "judged": said.total(), **{state: said[state] for state in _STATES.values()}},
            "latest": self._latest(),
            "figures": figures,
        }

    def find(self, wanted: Filter, move: Move, place: int = -1) -> dict[str, Any]:
        """The row that is wanted, or None, with its number in the filter, and how many rows of the filter are judged."""
        matching = self.rows.matching(wanted)
        states = self._states()
        if wanted.state:
            matching = matching & (states == wanted.state)
        may_be_judged = matching & self.rows.is_kept
        found = _MOVES[move](matching, may_be_judged & (states == _UNJUDGED), place)
        return {
            "row": None if found is None else self.show(found),
            "number": 0 if found is None else int(matching[: found + 1].sum()),
            "rows": int(matching.sum()),
            "judged": int((may_be_judged & (states != _UNJUDGED)).sum()),
            "of": int(may_be_judged.sum()),
        }

    def show(self, place: int) -> dict[str, Any]:
        """All that the page shows of a row."""
        row = self.rows.row(place)
        example, evidence = row.example, row.example.evidence
        judgement = self.log.standing.get(example.id) if row.reason == KEPT else None
        return {
            "place": place,
            "id": example.id,
            "origin": str(example.origin),
            "task": self.words.label("task", example.task),
            "language": self.words.label("language", example.language),
            "messages": [_message(message) for message in example.messages],
            "made": _made(evidence, self.words),
            "checks": [self._check(name, value) for name, value in _mapping(evidence.get("verdicts")).items()],
            **_sourced(self.sources.of(evidence), quotes_in(evidence)),
            "rejection": self._rejection(row),
            "judgement": judgement and _judgement(judgement),
        }

    def judge(self, seen: Seen, spoken: Spoken) -> bool:
        """Take down what the reviewer says of a row, unless it stands otherwise than it was seen: then False, and nothing is said.

        Raises `UserError` for what cannot be said of a row.
        """
        if not self._is_as(seen):
            return False
        if not self.rows.is_kept[seen.place]:
            raise UserError("this row cannot be judged", where=f"row {seen.place}")
        messages = _mended(self.rows.row(seen.place).example.messages, spoken.texts) if spoken.verdict == "mend" else ()
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        judgement = Judgement(seen.id, spoken.verdict, self.log.reviewer, now, messages, spoken.note.strip())
        standing = self.log.standing.get(seen.id)
        # What stands already is not said again: one undo would not take it back.
        if standing is None or replace(standing, time=now) != judgement:
            self.log.record(judgement)
        return True

    def _is_as(self, seen: Seen) -> bool:
        if not (0 <= seen.place < len(self.rows) and self.rows.ids[seen.place] == seen.id):
            return False
        standing = self.log.standing.get(seen.id)
        return seen.judged == (standing.time if standing else "")

    def _latest(self) -> dict[str, Any] | None:
        places = {row: place for place, row in enumerate(self.rows.ids) if self.rows.is_kept[place]}
        judged = [judgement for row, judgement in self.log.standing.items() if row in places]
        last = max(judged, key=lambda judgement: judgement.time, default=None)
        return Seen(places[last.id], last.id, last.time)._asdict() if last else None

    def _states(self) -> Any:
        said = self.log.standing
        states = [_STATES[said[row].verdict] if row in said else _UNJUDGED for row in self.rows.ids]
        return np.where(self.rows.is_kept, np.asarray(states, dtype=object), "")

    def _choices(self, column: str, kind: str) -> list[dict[str, Any]]:
        values = self.rows.columns[column]
        # A task of which the checks kept nothing is worth seeing: it stands there with 0.
        counts = Counter(dict.fromkeys(values.tolist(), 0))
        counts.update((values if column == "reason" else values[self.rows.is_kept]).tolist())
        counts.pop("", None)
        order = sorted(counts.items(), key=lambda choice: (choice[0] != KEPT, -choice[1], choice[0]))
        return [{"value": value, "label": self.words.label(kind, value), "rows": rows} for value, rows in order]

    def _check(self, name: str, value: Any) -> dict[str, Any]:
        kind = ("passed" if value else "failed") if isinstance(value, bool) else ""
        return {"name": self.words.label("check", name), "kind": kind, "value": "" if kind else _value(value)}

    def _rejection(self, row: Dropped) -> dict[str, str] | None:
        return None if row.reason == KEPT else {"reason": self.words.label("reason", row.reason), "detail": row.detail}


def _first(matching: Flags, unjudged: Flags, place: int) -> int | None:
    return _lowest(matching)


def _next(matching: Flags, unjudged: Flags, place: int) -> int | None:
    return _lowest(matching, place + 1)


def _previous(matching: Flags, unjudged: Flags, place: int) -> int | None:
    before = np.flatnonzero(matching[: max(place, 0)])
    return int(before[-1]) if before.size else None


def _open(matching: Flags, unjudged: Flags, place: int) -> int | None:
    later = _lowest(unjudged, place + 1)
    return _lowest(unjudged) if later is None else later


def _here(matching: Flags, unjudged: Flags, place: int) -> int | None:
    return place if 0 <= place < len(matching) else None


_MOVES: Mapping[str, Callable[[Flags, Flags, int], int | None]] = {
    "first": _first,
    "next": _next,
    "previous": _previous,
    "open": _open,
    "here": _here,
}


def _lowest(flags: Flags, start: int = 0) -> int | None:
    start = max(start, 0)
    found = np.flatnonzero(flags[start:])
    return start + int(found[0]) if found.size else None


def _mended(messages: Sequence[Message], texts: Sequence[str]) -> tuple[Message, ...]:
    if len(texts) != len(messages):
        raise UserError(f"{len(texts)} texts for {len(messages)} messages")
    if not all(text.strip() for text in texts):
        raise UserError("a message is empty", hint="write what should stand there, or reject the row")
    mended = tuple(_changed(message, text) for message, text in zip(messages, texts, strict=True))
    if mended == tuple(messages):
        raise UserError("nothing has changed", hint="accept the row")
    return mended


def _changed(message: Message, text: str) -> Message:
    # A browser makes every line break a single \n; that alone changes nothing.
    return message if _plain_breaks(text) == _plain_breaks(message.content) else Message(message.role, text)


def _plain_breaks(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _message(message: Message) -> dict[str, str]:
    return {"role": message.role, "text": message.content}


def _judgement(judgement: Judgement) -> dict[str, Any]:
    return {
        "state": _STATES[judgement.verdict],
        "time": judgement.time,
        "note": judgement.note,
        "messages": [_message(message) for message in judgement.messages] or None,
    }


def _made(evidence: Mapping[str, Any], words: Words) -> list[str]:
    """Who wrote a row, and what it cost."""
    teacher, tokens, cost = (evidence.get(name) for name in ("teacher", "tokens", "cost"))
    facts = [str(teacher)] if teacher else []
    facts += [words("tokens", n=f"{tokens:,.0f}")] if isinstance(tokens, int | float) else []
    facts += [words("cost", n=f"{cost:.2g}" if cost else "0")] if isinstance(cost, int | float) else []
    return facts


def _sourced(source: Source | None, quotes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    found = source.found if source else [False] * len(quotes)
    shown = source and {
        "title": source.title,
        "parts": [
            {"role": part.role, "segments": [[piece.text, piece.quotes] for piece in part.segments]} for part in source.parts
        ],
    }
    return {
        "source": shown,
        "quotes": [{"text": str(quote.get("text", "")), "found": known} for quote, known in zip(quotes, found, strict=True)],
    }


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.2f}"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "–"
    return "–" if value is None or value == "" else str(value)
