"""The twenty conversations by which two prompt formats are compared: in a contract, with a tokenizer's template, with a server."""

from functools import cache
from typing import NamedTuple

from tunewell.bundled import read_jsonl
from tunewell.records import Message


class Golden(NamedTuple):
    """A conversation and what it tries."""

    name: str
    messages: tuple[Message, ...]


@cache
def golden_conversations() -> tuple[Golden, ...]:
    """All twenty, in English, Chinese and others, each ending with an answer."""
    rows = read_jsonl("template", "conversations.jsonl")
    return tuple(Golden(row["name"], tuple(Message(turn["role"], turn["content"]) for turn in row["messages"])) for row in rows)
