"""Counting a base model's tokens without loading torch."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tunewell.errors import ModelError

Counter = Callable[[Sequence[str]], list[int]]
"""From texts to their numbers of tokens, special tokens in them included, none added."""


def token_counter(folder: Path) -> Counter:
    """A function that counts the tokens of texts by the model's tokenizer.

    Raises `ModelError` where the folder holds no tokenizer that can be read.
    """
    try:
        return _light(folder / "tokenizer.json") if (folder / "tokenizer.json").exists() else _heavy(folder)
    except Exception as error:  # the tokenizers library raises plain Exception for a file it cannot read
        hint = "a model folder holds tokenizer.json, or the files its tokenizer is made of"
        raise ModelError(f"the tokenizer cannot be read: {error}", where=str(folder), hint=hint) from error


def _light(file: Path) -> Counter:
    from tokenizers import Tokenizer

    tokenizer: Any = Tokenizer.from_file(str(file))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda texts: [len(encoding) for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]


def _heavy(folder: Path) -> Counter:
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(folder)

    def count(texts: Sequence[str]) -> list[int]:
        if not texts:
            return []
        return [len(ids) for ids in tokenizer(list(texts), add_special_tokens=False, truncation=False, verbose=False)["input_ids"]]

    return count
