"""Raw rows: what containers give, before anyone asks what a row says."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tunewell.collect import formats
from tunewell.collect.fields import fold
from tunewell.collect.problems import Problem
from tunewell.collect.turns import is_turns


class RawRow(NamedTuple):
    """One row as it lies in the file: its number (a line, or the place in a list), its line, its value or its problem.

    `line` is None where the container does not tell; `place` says in words where that is not enough (`row 3 of the list`).
    """

    row: int
    line: int | None
    value: Any = None
    problem: Problem | None = None
    place: str = ""


def checked(raw: RawRow) -> RawRow:
    """Let objects through, make bare lists of turns objects, and refuse all else."""
    if raw.problem or isinstance(raw.value, dict):
        return raw
    if is_turns(raw.value):
        return raw._replace(value={"messages": raw.value})
    kind = "a list" if isinstance(raw.value, list) else "a bare value"
    return raw._replace(value=None, problem=Problem("not_object", f"{kind} where an object is expected"))


def listed(row: int, line: int | None, value: Any, problem: Problem | None = None) -> RawRow:
    """A member of a list as a raw row."""
    return checked(RawRow(row, line, value, problem, f"row {row} of the list"))


def opened(value: Any) -> list[Any]:
    """The members of a list of rows, and anything else as the one member."""
    return value if isinstance(value, list) and value and not is_turns(value) else [value]


def rows_of_object(value: Any, line: int) -> Iterator[RawRow]:
    """The rows of a whole document that is no list: the object itself, or the members of the lists of rows in it."""
    lists = [] if not isinstance(value, dict) or _is_row(value) else _lists_of_rows(value)
    if not lists:
        yield checked(RawRow(1, line, value))
    members = (member for found in lists for inner in found for member in opened(inner))
    for row, member in enumerate(members, start=1):
        yield listed(row, None, member)


def has_form(value: Any) -> bool:
    """Whether a value has the keys of a known format."""
    return isinstance(value, dict) and formats.recognise(fold(value)) is not None


def _is_row(value: Mapping[str, Any]) -> bool:
    format_ = formats.recognise(fold(value))
    if format_ is None or format_.name not in ("messages", "sharegpt"):
        return format_ is not None
    # {"conversations": [row, row]} carries the key of a row and is a wrapper all the same.
    return not any(isinstance(inner, list) and any(map(_is_member, inner)) for inner in value.values())


def _is_member(value: Any) -> bool:
    return has_form(value) or (isinstance(value, list) and is_turns(value))


def _lists_of_rows(value: Mapping[str, Any]) -> list[list[Any]]:
    lists = [inner for inner in value.values() if isinstance(inner, list) and inner]
    known = [inner for inner in lists if any(has_form(row) or is_turns(row) for member in inner for row in opened(member))]
    longest = max(lists, key=len, default=None)
    return known or ([longest] if longest else [])
