"""How many tokens of the base model the rows have."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunewell.errors import ModelError
from tunewell.store import read_tables


def count_tokens(shard: Path, tokenizer: Path) -> NDArray[np.int32]:
    """For each row of a shard, the tokens of its messages' texts as plain text, without a template or special tokens.

    Known problem: what the template adds around each turn is not counted, some four tokens a message.

    Args:
        shard: A Parquet file of examples.
        tokenizer: The model's folder.

    Raises:
        ModelError: The folder holds no tokenizer that can be read.
    """
    # A worker a core is enough: the threads of the tokenizer would only take the cores from each other.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    count = _counter(tokenizer)
    counts = [np.zeros(0, np.int32)]
    for table in read_tables(shard):
        messages = table.column("messages").chunk(0)
        before = np.concatenate([[0], np.cumsum(count(messages.values.field("content").to_pylist()))])
        offsets = messages.offsets.to_numpy()
        counts.append((before[offsets[1:]] - before[offsets[:-1]]).astype(np.int32))
    return np.concatenate(counts)


def _counter(folder: Path) -> Callable[[Sequence[str]], list[int]]:
    """A function from texts to their numbers of tokens."""
    try:
        return _light(folder / "tokenizer.json") if (folder / "tokenizer.json").exists() else _heavy(folder)
    except Exception as error:  # the tokenizers library raises plain Exception for a file it cannot read
        hint = "a model folder holds tokenizer.json, or the files its tokenizer is made of"
        raise ModelError(f"the tokenizer cannot be read: {error}", where=str(folder), hint=hint) from error


def _light(file: Path) -> Callable[[Sequence[str]], list[int]]:
    from tokenizers import Tokenizer

    tokenizer: Any = Tokenizer.from_file(str(file))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda texts: [len(encoding) for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]


def _heavy(folder: Path) -> Callable[[Sequence[str]], list[int]]:
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(folder)

    def count(texts: Sequence[str]) -> list[int]:
        if not texts:
            return []
        return [len(ids) for ids in tokenizer(list(texts), add_special_tokens=False, truncation=False, verbose=False)["input_ids"]]

    return count
