"""What a teacher is not told: the numbers and addresses of persons in the rows of a log."""

import re
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import replace

from tunewell.identifiers import FIRST_LOOK, LEAST_CONVERSATIONS, bare, masked_text, values
from tunewell.records import Example, Message

_FIRST_LOOK = re.compile(FIRST_LOOK)


def own_contacts(examples: Iterable[Example], named: Collection[str]) -> frozenset[str]:
    """The team's own numbers and addresses: those that are named, and those that answers give often and no user writes.

    As `clean` decides it over columns of millions of rows, here by the rows that were collected; in the form of
    `identifiers.bare`.
    """
    conversations: Counter[str] = Counter()
    written: set[str] = set()
    for example in examples:
        conversations.update(_values(example, "assistant"))
        written |= _values(example, "user")
    often = {value for value, times in conversations.items() if times >= LEAST_CONVERSATIONS}
    return frozenset({*map(bare, named), *(often - written)})


def masked(example: Example, contacts: Collection[str]) -> Example:
    """The row with words in place of personal data; its id and family stay, by which it is known."""
    messages = tuple(
        Message(message.role, masked_text(message.content, language_of_row=example.language, contacts=contacts)[0])
        for message in example.messages
    )
    return example if messages == example.messages else replace(example, messages=messages)


def _values(example: Example, role: str) -> set[str]:
    texts = (message.content for message in example.messages if message.role == role and _FIRST_LOOK.search(message.content))
    return {value for text in texts for value in values(text)}
