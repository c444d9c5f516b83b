"""Short keys by which rows are compared: 8 bytes each, so that millions of them fit in memory."""

import hashlib
import json
from collections.abc import Sequence

from tunewell.records import Example
from tunewell.text import normalise


def conversation_key(example: Example) -> int:
    """The same for two conversations whose roles and normalised texts are the same."""
    return _key([[message.role, normalise(message.content)] for message in example.messages])


def question_key(example: Example) -> int:
    """The same for two rows whose normalised system text and first question are the same."""
    return _key([normalise(example.system), normalise(example.question)])


def answer_key(example: Example) -> int:
    """The same for two rows whose normalised last answer is the same."""
    return _key([normalise(example.answer)])


def _key(texts: Sequence[object]) -> int:
    text = json.dumps(texts, ensure_ascii=False)
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest())
