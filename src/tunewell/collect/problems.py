"""What can be wrong with a row: the reason (one word, counted), the cause seen, and the remedy."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from tunewell.records import Message

_UNUSABLE = re.compile("[\x00\ud800-\udfff]")

REMEDIES: Mapping[str, str] = {
    "bad_json": "mend the JSON at this place; one object a line, or one list of objects",
    "bad_csv": "quote fields that hold the delimiter or a line break, and double the quotes inside them",
    "bad_yaml": "mend the YAML at this place; a list of rows, or one row a document",
    "bad_file": "save the file anew, or leave it out of the recipe",
    "not_object": 'write each row as a JSON object, such as {"question": …, "answer": …}',
    "unknown_format": "rename the keys: question and answer, instruction and output, messages, or conversations",
    "missing_keys": "add the missing key, or remove the row",
    "wrong_type": "write the value as text, in quotes",
    "empty": "fill in the text, or remove the row",
    "unequal_lists": "give each question one answer",
    "unlabelled": "add the label, or remove the row",
    "unanswerable": "leave such questions out, with `collect.on_error: drop` or by removing them",
    "bad_roles": "let user and assistant take turns after an optional system text, and end with the assistant",
    "nul_bytes": "save the file as UTF-8 text",
    "undecodable": "save the file as UTF-8",
    "empty_file": "fill the file, or leave it out of the recipe",
}
"""What to do about a row, by reason."""


class Problem(NamedTuple):
    """Why a row cannot be used: a key of `REMEDIES`, and the cause in words."""

    reason: str
    detail: str


class RowError(Exception):
    """Raised while a row is read, and always turned into a `Dropped` before it leaves this room."""

    def __init__(self, reason: str, detail: str, *, messages: tuple[Message, ...] = ()) -> None:
        super().__init__(detail)
        self.problem = Problem(reason, detail)
        self.messages = messages


def flaw(text: str) -> Problem | None:
    r"""The first character that can be no part of a text: a NUL, or a byte that did not decode.

    >>> flaw("fine") is None, flaw("a\x00b").reason, flaw("a\udcffb").reason
    (True, 'nul_bytes', 'undecodable')
    """
    if text.isascii() and "\x00" not in text:
        return None
    match = _UNUSABLE.search(text)
    if match is None:
        return None
    if match.group() == "\x00":
        return Problem("nul_bytes", "holds a NUL byte (a binary file, or UTF-16 without its byte order mark)")
    code = ord(match.group())
    if 0xDC80 <= code <= 0xDCFF:
        return Problem("undecodable", f"holds the byte 0x{code - 0xDC00:02x}, which is not text in this file's encoding")
    return Problem("undecodable", f"holds \\u{code:04x}, half of a surrogate pair")


def printable(text: str) -> str:
    """The text with characters that cannot be stored replaced by question marks."""
    return _UNUSABLE.sub("?", text)
