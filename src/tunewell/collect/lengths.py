"""How many tokens of the base model conversations have."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tunewell.errors import ModelError
from tunewell.records import Message

# What a template such as ChatML adds around each turn.
_TOKENS_A_TURN = 5

Counter = Callable[[Sequence[Sequence[Message]]], list[int]]
"""From conversations to their numbers of tokens."""


@cache
def token_counter(folder: Path) -> Counter:
    """A function that counts the tokens of conversations: those of the texts, and five a turn for the template.

    Known problem: a template that adds a system text of its own adds more.

    Args:
        folder: The model's, with `tokenizer.json`.

    Raises:
        ModelError: The tokenizer is not there, or cannot be read.
    """
    tokenizer = _read(folder / "tokenizer.json")

    def count(conversations: Sequence[Sequence[Message]]) -> list[int]:
        texts = [message.content for messages in conversations for message in messages]
        counts = iter([len(encoding) for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False)])
        return [sum(next(counts) + _TOKENS_A_TURN for _ in messages) for messages in conversations]

    return count


def _read(file: Path) -> Any:
    from tokenizers import Tokenizer

    try:
        tokenizer: Any = Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises plain Exception for a file that it cannot read
        hint = "a model folder holds tokenizer.json"
        raise ModelError(f"the tokenizer cannot be read: {error}", where=str(file), hint=hint) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
