"""As much of Go's text/template as a Modelfile uses: trimming, `if`, `range`, fields, and a few functions."""

import json
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

_ACTION = re.compile(r'\{\{(-?)\s*((?:"(?:\\.|[^"\\])*"|[^"}])*?)\s*\}\}')
_WORD = re.compile(r'"(?:\\.|[^"\\])*"|[()]|[^\s()]+')
_SPACE = " \t\r\n"
_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "eq": operator.eq,
    "le": operator.le,
    "gt": operator.gt,
    "and": lambda *values: next((value for value in values if not value), values[-1]),
    "len": len,
    "slice": lambda items, start: items[start:],
}


class _Piece(NamedTuple):
    is_action: bool
    text: str


class _Scope(NamedTuple):
    root: Mapping[str, Any]
    dot: Any
    number: int = 0


def render(template: str, *, system: str, messages: Sequence[Mapping[str, str]]) -> str:
    """The text that a template of Ollama writes; messages have a `Role` and a `Content`."""
    pieces = list(_pieces(template))
    root = {"System": system, "Messages": messages}
    written, rest = _write(pieces, _Scope(root, root), is_live=True)
    assert not rest, "an `end` too many"
    return written


def _pieces(template: str) -> Iterator[_Piece]:
    start = 0
    for action in _ACTION.finditer(template):
        text = template[start : action.start()]
        yield _Piece(is_action=False, text=text.rstrip(_SPACE) if action[1] else text)
        yield _Piece(is_action=True, text=action[2])
        start = action.end()
    assert "{{" not in template[start:], "an action that is not closed"
    yield _Piece(is_action=False, text=template[start:])


def _write(pieces: list[_Piece], scope: _Scope, *, is_live: bool) -> tuple[str, list[_Piece]]:
    """What stands up to the next `else` or `end`, and the pieces from there on."""
    written = ""
    while pieces:
        piece, rest = pieces[0], pieces[1:]
        word, _, expression = piece.text.partition(" ") if piece.is_action else ("", "", "")
        if word in ("else", "end"):
            return written, pieces
        if word == "if":
            text, pieces = _branch(rest, expression, scope, is_live=is_live)
        elif word == "range":
            text, pieces = _loop(rest, expression, scope, is_live=is_live)
        else:
            text, pieces = str(_value(piece.text, scope)) if piece.is_action and is_live else piece.text, rest
        written += text
    return written, pieces


def _branch(pieces: list[_Piece], expression: str, scope: _Scope, *, is_live: bool) -> tuple[str, list[_Piece]]:
    holds = is_live and bool(_value(expression, scope))
    written, rest = _write(pieces, scope, is_live=holds)
    written = written if holds else ""
    otherwise = is_live and not holds
    if rest[0].text.startswith("else if "):
        text, rest = _branch(rest[1:], rest[0].text.removeprefix("else if "), scope, is_live=otherwise)
        return written + text, rest
    if rest[0].text == "else":
        text, rest = _write(rest[1:], scope, is_live=otherwise)
        written += text if otherwise else ""
    assert rest[0].text == "end"
    return written, rest[1:]


def _loop(pieces: list[_Piece], expression: str, scope: _Scope, *, is_live: bool) -> tuple[str, list[_Piece]]:
    items = _value(expression.removeprefix("$i, $_ := "), scope) if is_live else []
    _, rest = _write(pieces, scope, is_live=False)
    assert rest[0].text == "end"
    turns = [_write(pieces, _Scope(scope.root, item, number), is_live=True)[0] for number, item in enumerate(items)]
    return "".join(turns), rest[1:]


def _value(expression: str, scope: _Scope) -> Any:
    value, rest = _command(_WORD.findall(expression), scope)
    assert not rest, expression
    return value


def _command(words: list[str], scope: _Scope) -> tuple[Any, list[str]]:
    values: list[Any] = []
    name = words[0] if words[0] in _FUNCTIONS else ""
    words = words[1:] if name else words
    while words and words[0] != ")":
        if words[0] == "(":
            value, words = _command(words[1:], scope)
            assert words[0] == ")"
        else:
            value = _atom(words[0], scope)
        values.append(value)
        words = words[1:]
    return _FUNCTIONS[name](*values) if name else values[0], words


def _atom(word: str, scope: _Scope) -> Any:
    if word.startswith('"'):
        return json.loads(re.sub(r"\\U([0-9a-f]{8})", lambda found: chr(int(found[1], 16)), word))
    if word.isdecimal():
        return int(word)
    if word == "$i":
        return scope.number
    holder, _, field = word.partition(".")
    return (scope.root if holder == "$" else scope.dot)[field]
