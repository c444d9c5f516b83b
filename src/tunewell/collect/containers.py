"""The forms of a file, told apart by content, and the raw rows in each.

To add a container: one function `TextIO -> Iterator[RawRow]`, one line in `CONTAINERS`, and its mark in `recognise_container`.
"""

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, islice
from pathlib import PurePath
from typing import Any, NamedTuple, TextIO

from tunewell.collect import formats
from tunewell.collect.problems import Problem, flaw

# Control characters inside strings are let through here; NUL among them is reported as what it is.
_JSON = json.JSONDecoder(strict=False)
_SPACE = " \t\n\r\ufeff"
_SPACES = re.compile(f"[{_SPACE}]*")
_OPENINGS = ("[", "{", "[{")
_GOES_ON = ("[", "{", ",", ":")
_LONGEST_FIELD = 2**31 - 1
_DELIMITERS = ",\t;|"
_DOCUMENTS: Mapping[str, str] = {".md": "markdown", ".markdown": "markdown", ".mdown": "markdown"}
_BY_NAME: Mapping[str, str] = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".csv": "csv", ".tsv": "csv", ".txt": "text"}


class RawRow(NamedTuple):
    """One row as it lies in the file: its number (a line, or the place in a list), its line, its value or its problem.

    `line` is None where the container does not tell; `listed` says that `row` counts the members of a list.
    """

    row: int
    line: int | None
    value: Any = None
    problem: Problem | None = None
    listed: bool = False


def recognise_container(handle: TextIO, path: PurePath) -> str | None:
    """The container of an open text: a key of `CONTAINERS`, `markdown` or `text`; None where it is no data.

    Markdown goes by its name. All else goes by its first two lines that are not blank: a whole JSON value with more lines below
    is JSON Lines, a bracket or brace opens a JSON document, a header with known keys makes a CSV file. The name decides where
    these do not.
    """
    suffix = path.suffix.lower()
    if suffix in _DOCUMENTS:
        return _DOCUMENTS[suffix]
    lines = list(islice((line.strip(_SPACE) for line in handle if line.strip(_SPACE)), 2))
    first, second = [*lines, "", ""][:2]
    if first.startswith(("{", "[")):
        by_content = _json_container(first, second, _BY_NAME.get(suffix))
        if by_content:
            return by_content
    header = dict.fromkeys(_cells(first, _delimiter(first)), "")
    return "csv" if formats.recognise(header) else _BY_NAME.get(suffix)


def json_lines(handle: Iterable[str]) -> Iterator[RawRow]:
    """One JSON object, or one list of turns, on each line; blank lines are passed over."""
    for number, line in enumerate(handle, start=1):
        text = line.strip(_SPACE)
        if not text:
            continue
        parsed = _Parsed(None, flaw(text))
        if parsed.problem is None:
            parsed = _parse(text)
        yield _checked(RawRow(number, number, parsed.value, parsed.problem))


def json_document(handle: TextIO) -> Iterator[RawRow]:
    """The rows of one JSON document: a list (lists inside it are opened), or an object that is a row or holds a list of rows.

    A list is read member by member, so that the rows before a broken place still count; the rest cannot be read.
    """
    text = handle.read()
    start = _skip_space(text, 0)
    if text.startswith("[", start):
        yield from _list_members(text, start)
    elif start < len(text):
        yield from _object_rows(text, start)


def csv_rows(handle: Iterable[str]) -> Iterator[RawRow]:
    """The records of a CSV or TSV file below its header, each with the line on which it starts.

    The delimiter is the one of comma, tab, semicolon and bar that gives the header known keys, else the most columns.
    """
    csv.field_size_limit(_LONGEST_FIELD)
    lines = iter(handle)
    top = list(_up_to_first_text(lines))
    records = csv.reader(chain(top, lines), delimiter=_delimiter("".join(top[-1:])), strict=True)
    header: list[str] = []
    while True:
        line = records.line_num + 1
        try:
            record = next(records)
        except StopIteration:
            return
        except csv.Error as error:
            yield RawRow(line, line, problem=Problem("bad_csv", _explain_csv(error)))
            if not header:
                return
            continue
        if not any(field.strip(_SPACE) for field in record):
            continue
        if header:
            yield _csv_row(line, header, record)
        else:
            header = [name.strip(_SPACE) for name in record]


CONTAINERS: Mapping[str, Callable[[TextIO], Iterator[RawRow]]] = {"jsonl": json_lines, "json": json_document, "csv": csv_rows}
"""How the rows of each container are read."""


def _json_container(first: str, second: str, by_name: str | None) -> str | None:
    if by_name == "json" and not second:
        return "json"
    if _parse(first).problem is None:
        return "jsonl" if second else "json"
    if by_name == "jsonl":
        is_pretty = first.startswith("[") or (first == "{" and not second.startswith("{"))
        return "json" if is_pretty else "jsonl"
    if by_name == "json":
        # A first row that is broken, with whole ones below, is no reason to misread all of them.
        return "jsonl" if second.startswith("{") and not first.endswith(_GOES_ON) else "json"
    return "json" if first in _OPENINGS else None


class _Parsed(NamedTuple):
    value: Any
    problem: Problem | None
    end: int = 0


def _parse(text: str) -> _Parsed:
    parsed = _parse_at(text, _skip_space(text, 0))
    rest = _skip_space(text, parsed.end)
    if parsed.problem is None and rest < len(text):
        return _Parsed(None, Problem("bad_json", f"more text after the JSON value (column {rest + 1})"))
    return parsed


def _parse_at(text: str, start: int) -> _Parsed:
    try:
        value, end = _JSON.raw_decode(text, start)
    except json.JSONDecodeError as error:
        return _Parsed(None, Problem("bad_json", f"not JSON: {error.msg} (column {error.colno})"), error.pos)
    except RecursionError:
        return _Parsed(None, Problem("bad_json", "nested too deeply"), start)
    except ValueError as error:
        return _Parsed(None, Problem("bad_json", f"not JSON: {error}"), start)
    return _Parsed(value, None, end)


def _skip_space(text: str, start: int) -> int:
    match = _SPACES.match(text, start)
    return match.end() if match else start


def _checked(raw: RawRow) -> RawRow:
    """Let objects through, make bare lists of turns objects, and refuse all else."""
    if raw.problem or isinstance(raw.value, dict):
        return raw
    if formats.is_turns(raw.value):
        return raw._replace(value={"messages": raw.value})
    kind = "a list" if isinstance(raw.value, list) else "a bare value"
    return raw._replace(value=None, problem=Problem("not_object", f"{kind} where an object is expected"))


def _opened(value: Any) -> list[Any]:
    return value if isinstance(value, list) and value and not formats.is_turns(value) else [value]


def _list_members(text: str, opening: int) -> Iterator[RawRow]:
    row, line, counted = 0, 1, 0
    position = _skip_space(text, opening + 1)
    while not text.startswith("]", position):
        parsed = _parse_at(text, position)
        if parsed.problem:
            ended = position >= len(text)
            yield _broken_list(text, row + 1, parsed.end, "the list breaks off here" if ended else parsed.problem.detail)
            return
        line, counted = line + text.count("\n", counted, position), position
        problem = flaw(text[position : parsed.end])
        for value in _opened(parsed.value):
            row += 1
            yield _checked(RawRow(row, line, None if problem else value, problem, listed=True))
        position = _skip_space(text, parsed.end)
        if text.startswith(",", position):
            position = _skip_space(text, position + 1)
        elif not text.startswith("]", position):
            ended = position >= len(text)
            what = "the list breaks off here, without its closing bracket" if ended else "a comma is missing"
            yield _broken_list(text, row + 1, position, what)
            return
    rest = _skip_space(text, position + 1)
    if rest < len(text):
        yield _broken_list(text, row + 1, rest, "more text after the end of the list")


def _broken_list(text: str, row: int, position: int, what: str) -> RawRow:
    line = text.count("\n", 0, min(position, len(text.rstrip(_SPACE)))) + 1
    return RawRow(row, line, problem=Problem("bad_json", f"{what}; nothing below can be read"), listed=True)


def _object_rows(text: str, start: int) -> Iterator[RawRow]:
    parsed = _parse(text)
    problem = parsed.problem or flaw(text)
    if problem:
        yield RawRow(1, text.count("\n", 0, parsed.end) + 1, problem=problem)
        return
    line = text.count("\n", 0, start) + 1
    lists = [] if not isinstance(parsed.value, dict) or _is_row(parsed.value) else _lists_of_rows(parsed.value)
    if not lists:
        yield _checked(RawRow(1, line, parsed.value))
    members = (member for found in lists for value in found for member in _opened(value))
    for row, member in enumerate(members, start=1):
        yield _checked(RawRow(row, None, member, listed=True))


def _is_row(value: Any) -> bool:
    if not isinstance(value, dict) or formats.recognise(value) is None:
        return False
    # {"conversations": [row, row]} carries the key of a row and is a wrapper all the same.
    return not any(isinstance(inner, list) and any(map(_is_row, inner)) for inner in value.values())


def _lists_of_rows(value: Mapping[str, Any]) -> list[list[Any]]:
    lists = [inner for inner in value.values() if isinstance(inner, list) and inner]
    known = [inner for inner in lists if any(_is_row(row) or formats.is_turns(row) for member in inner for row in _opened(member))]
    longest = max(lists, key=len, default=None)
    return known or ([longest] if longest else [])


def _up_to_first_text(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        yield line
        if line.strip(_SPACE):
            return


def _delimiter(header: str) -> str:
    def worth(delimiter: str) -> tuple[bool, int]:
        cells = _cells(header, delimiter)
        return formats.recognise(dict.fromkeys(cells, "")) is not None, len(cells)

    return max(_DELIMITERS, key=worth)


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return [name.strip(_SPACE) for name in next(csv.reader([line], delimiter=delimiter), [])]
    except csv.Error:
        return []


def _csv_row(line: int, header: list[str], record: list[str]) -> RawRow:
    problem = next(filter(None, map(flaw, record)), None)
    if problem is None and len(record) > len(header):
        what = f"{len(record)} fields where the header has {len(header)}: is a text with the delimiter in it not quoted?"
        problem = Problem("bad_csv", what)
    return RawRow(line, line, None if problem else dict(zip(header, record, strict=False)), problem)


def _explain_csv(error: csv.Error) -> str:
    if "unexpected end" in str(error):
        return "a quoted field that opens in this row is never closed; nothing below can be read"
    return f"not CSV: {error}"
