"""How many tokens of the base model the rows have."""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tunewell.model.tokens import token_counter
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
    count = token_counter(tokenizer)
    counts = [np.zeros(0, np.int32)]
    for table in read_tables(shard):
        messages = table.column("messages").chunk(0)
        before = np.concatenate([[0], np.cumsum(count(messages.values.field("content").to_pylist()))])
        offsets = messages.offsets.to_numpy()
        counts.append((before[offsets[1:]] - before[offsets[:-1]]).astype(np.int32))
    return np.concatenate(counts)
