"""JSON Lines, and JSON documents of any length."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, TextIO

from tunewell.collect.problems import Problem, flaw
from tunewell.collect.rows import RawRow, checked, listed, opened, rows_of_object

SPACE = " \t\n\r\ufeff"
"""What may stand around values; a byte order mark in the middle is left over from joining files."""

# Control characters inside strings are let through here; NUL among them is reported as what it is.
_JSON = json.JSONDecoder(strict=False)
_SPACES = re.compile(f"[{SPACE}]*")
_PIECE = 1 << 20
# How close to the end of what is read an error must be for more text to mend it: `\\uD83D` or `-Infinity` cut in two.
_NEAR_END = 16


class Parsed(NamedTuple):
    """A value and where it ends, or what is wrong and where."""

    value: Any
    end: int
    trouble: str = ""


def json_lines(handle: Iterable[str], *, first_line: int = 1) -> Iterator[RawRow]:
    """One JSON object, or one list of turns, on each line; blank lines are passed over."""
    for number, line in enumerate(handle, start=first_line):
        text = line.strip(SPACE)
        if not text:
            continue
        problem = flaw(text)
        if problem:
            yield RawRow(number, number, problem=problem)
            continue
        parsed = parse_whole(text)
        if parsed.trouble:
            problem = Problem("bad_json", f"{parsed.trouble} (column {parsed.end + 1})")
        yield checked(RawRow(number, number, parsed.value, problem))


def json_document(handle: TextIO) -> Iterator[RawRow]:
    """The rows of one JSON document: a list (lists inside it are opened), or an object that is a row or holds lists of rows.

    A list is read member by member, so that only one lies in memory at a time, and the rows before a broken place still count;
    the rest cannot be read. An object is read whole.
    """
    window = _Window(handle)
    opening = window.peek()
    if opening == "[":
        yield from _list_members(window)
    elif opening:
        yield from _object_rows(window)


def parse_whole(text: str) -> Parsed:
    """The one value of a text that begins with it."""
    parsed = _parse(text, 0)
    rest = _skip_space(text, parsed.end)
    if not parsed.trouble and rest < len(text):
        return Parsed(None, rest, "more text after the JSON value")
    return parsed


def _parse(text: str, start: int) -> Parsed:
    try:
        value, end = _JSON.raw_decode(text, start)
    except json.JSONDecodeError as error:
        return Parsed(None, error.pos, f"not JSON: {error.msg}")
    except RecursionError:
        return Parsed(None, start, "nested too deeply")
    except ValueError as error:
        return Parsed(None, start, f"not JSON: {error}")
    return Parsed(value, end)


def _skip_space(text: str, start: int) -> int:
    match = _SPACES.match(text, start)
    return match.end() if match else start


class _Window:
    """A position in a text that is read piece by piece; what lies behind the position is forgotten."""

    def __init__(self, handle: TextIO) -> None:
        self._handle = handle
        self._text = ""
        self._position = 0
        self._line, self._counted = 1, 0
        self._before = 0  # characters of the first line of `_text` that are forgotten

    @property
    def line(self) -> int:
        """The line of the position."""
        self._line += self._text.count("\n", self._counted, self._position)
        self._counted = self._position
        return self._line

    def peek(self) -> str:
        """The next character that is no space, or an empty string at the end; the position moves there."""
        while True:
            self._position = _skip_space(self._text, self._position)
            if self._position < len(self._text) or not self._read_on():
                return self._text[self._position : self._position + 1]

    def step(self) -> None:
        """Move past one character."""
        self._position += 1

    def value(self) -> tuple[Parsed, Problem | None]:
        """The value at the position, which moves past it, and a flaw in its text."""
        while True:
            parsed = _parse(self._text, self._position)
            needs_more = parsed.trouble.startswith("not JSON: Unterminated") or parsed.end >= len(self._text) - _NEAR_END
            if not needs_more or not self._read_on():
                break
        if parsed.trouble:
            return parsed, None
        found = flaw(self._text[self._position : parsed.end])
        self._position = parsed.end
        return parsed, found

    def rest(self) -> str:
        """All text from the position on."""
        return self._text[self._position :] + self._handle.read()

    def line_at(self, position: int) -> int:
        """The line of an index into the text that `value` has parsed; at its end, of the last text that is no space."""
        return self.line + self._text.count("\n", self._position, min(position, len(self._text.rstrip(SPACE))))

    def column_at(self, position: int) -> int:
        """The column of such an index."""
        feed = self._text.rfind("\n", 0, position)
        return position - feed if feed >= 0 else self._before + position + 1

    def _read_on(self) -> bool:
        # As much as there is already: a long value is parsed again and again, but its text only doubles each time.
        piece = self._handle.read(max(_PIECE, len(self._text) - self._position))
        if piece:
            self._forget()
            self._text += piece
        return bool(piece)

    def _forget(self) -> None:
        self._before = self.column_at(self._position) - 1
        self._line, self._counted = self.line, 0
        self._text, self._position = self._text[self._position :], 0


def _list_members(window: _Window) -> Iterator[RawRow]:
    row = 0
    window.step()
    last_line = window.line
    while (found := window.peek()) != "]":
        if not found:
            yield _broken_list(row + 1, last_line, "the list breaks off here")
            return
        line = window.line
        parsed, problem = window.value()
        if parsed.trouble:
            what = f"{parsed.trouble} (column {window.column_at(parsed.end)})"
            yield _broken_list(row + 1, window.line_at(parsed.end), what)
            return
        for value in opened(parsed.value):
            row += 1
            yield listed(row, line, None if problem else value, problem)
        last_line = window.line
        found = window.peek()
        if found == ",":
            window.step()
            last_line = window.line
        elif found != "]":
            what = "a comma is missing" if found else "the list breaks off here, without its closing bracket"
            yield _broken_list(row + 1, window.line if found else last_line, what)
            return
    window.step()
    if window.peek():
        yield _broken_list(row + 1, window.line, "more text after the end of the list")


def _broken_list(row: int, line: int, what: str) -> RawRow:
    return listed(row, line, None, Problem("bad_json", f"{what}; nothing below can be read"))


def _object_rows(window: _Window) -> Iterator[RawRow]:
    line = window.line
    text = window.rest()
    parsed = parse_whole(text)
    problem = flaw(text)
    if parsed.trouble:
        column = parsed.end - text.rfind("\n", 0, parsed.end)
        problem = Problem("bad_json", f"{parsed.trouble} (column {column})")
    if problem:
        place = parsed.end if parsed.trouble else 0
        yield RawRow(1, line + text.count("\n", 0, place), problem=problem)
        return
    yield from rows_of_object(parsed.value, line)
