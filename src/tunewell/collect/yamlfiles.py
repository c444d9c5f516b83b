"""YAML files: lists of rows, rows as documents of their own, or objects that hold lists of rows.

They are read event by event. The library's own way to build values recurses in C, so that deep nesting ends the process, and it
turns texts such as `yes`, `1` or a date into something else. Here every value stays the text that was written, or is null.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, TextIO

import yaml
from yaml.reader import ReaderError

from tunewell.collect.fields import type_name
from tunewell.collect.problems import Problem, flaw
from tunewell.collect.rows import RawRow, checked, has_form, listed, opened, rows_of_object

_DEEPEST = 64
_NULLS = ("", "~", "null", "Null", "NULL")
_LISTED_KEY = re.compile(r"(?:- | {2})([^\s:#'\"{\[-][^:#]{0,40}?)[ \t]*:(?:[ \t]|$)")


def yaml_rows(handle: TextIO) -> Iterator[RawRow]:
    """The rows of all documents in their order; those above a broken place still count, the rest cannot be read."""
    row = 0
    values = _values(handle)
    while True:
        try:
            found = next(values, None)
        except (yaml.YAMLError, UnicodeEncodeError) as error:
            yield _broken(row + 1, error)
            return
        if found is None:
            return
        for raw in _rows(found):
            row += 1
            yield raw._replace(row=row, place=f"row {row} of the list")


def is_list_of_rows(lines: Iterable[str]) -> bool:
    """Whether the first two lines are those of a list of rows in a known format.

    >>> is_list_of_rows(["- question: Why?", "  answer: So."])
    True
    """
    keys = [found[1] for line in lines if (found := _LISTED_KEY.match(line))]
    return has_form(dict.fromkeys(keys, ""))


class _Value(NamedTuple):
    """A member of a document's list, or a whole document that is none."""

    value: Any
    line: int
    is_member: bool


def _rows(found: _Value) -> Iterable[RawRow]:
    if not found.is_member:
        return rows_of_object(found.value, found.line)
    return [checked(RawRow(0, found.line, value)) for value in opened(found.value)]


@dataclass(slots=True)
class _Open:
    """A list or mapping that has not ended, and the key that waits for its value."""

    value: list[Any] | dict[str, Any]
    line: int
    key: str | None = None

    def add(self, value: Any, mark: Any) -> None:
        if isinstance(self.value, list):
            self.value.append(value)
        elif self.key is not None:
            self.value[self.key] = value
            self.key = None
        elif isinstance(value, str | None):
            self.key = value or ""
        else:
            raise yaml.MarkedYAMLError(problem=f"{type_name(value)} stands where a key is expected", problem_mark=mark)


class _Builder:
    """Values made of events; a list that is a whole document gives its members one by one, and is never whole itself."""

    def __init__(self) -> None:
        self._stack: list[_Open] = []
        self._anchors: dict[str | None, Any] = {}

    def take(self, event: yaml.Event) -> _Value | None:
        """The value that this event completes, if any."""
        mark: Any = event.start_mark
        if isinstance(event, yaml.DocumentStartEvent):
            self._anchors = {}
        elif isinstance(event, yaml.CollectionStartEvent):
            if len(self._stack) == _DEEPEST:
                raise yaml.MarkedYAMLError(problem="nested too deeply", problem_mark=mark)
            value: list[Any] | dict[str, Any] = [] if isinstance(event, yaml.SequenceStartEvent) else {}
            self._stack.append(_Open(value, mark.line + 1))
            self._anchors[event.anchor] = value
        elif isinstance(event, yaml.CollectionEndEvent):
            ended = self._stack.pop()
            return self._place(ended.value, ended.line, mark)
        elif isinstance(event, yaml.NodeEvent):
            return self._place(self._leaf(event, mark), mark.line + 1, mark)
        return None

    def _place(self, value: Any, line: int, mark: Any) -> _Value | None:
        if len(self._stack) > 1 or (self._stack and isinstance(self._stack[0].value, dict)):
            self._stack[-1].add(value, mark)
            return None
        is_member = bool(self._stack)
        return _Value(value, line, is_member) if is_member or not isinstance(value, list) else None

    def _leaf(self, event: yaml.NodeEvent, mark: Any) -> Any:
        if isinstance(event, yaml.ScalarEvent):
            value = None if event.implicit[0] and event.value in _NULLS else event.value
            self._anchors[event.anchor] = value
            return value
        if event.anchor not in self._anchors:
            raise yaml.MarkedYAMLError(problem=f"nothing above is called `{event.anchor}`", problem_mark=mark)
        return self._anchors[event.anchor]


def _values(handle: TextIO) -> Iterator[_Value]:
    builder = _Builder()
    for event in yaml.parse(handle, Loader=yaml.CSafeLoader):
        done = builder.take(event)
        if done is not None:
            yield done


def _broken(row: int, error: yaml.YAMLError | UnicodeEncodeError) -> RawRow:
    mark = getattr(error, "problem_mark", None)
    problem = Problem("bad_yaml", f"not YAML: {getattr(error, 'problem', None) or error}")
    if isinstance(error, UnicodeEncodeError):
        problem = flaw(error.object) or problem
    elif isinstance(error, ReaderError):
        problem = flaw(chr(error.character)) or Problem("bad_yaml", f"not YAML: {error.reason}")
    column = f" (column {mark.column + 1})" if mark else ""
    problem = problem._replace(detail=f"{problem.detail}{column}; nothing below can be read")
    return listed(row, mark.line + 1 if mark else None, None, problem)
