"""Short keys by which rows are compared: 8 bytes each, so that millions of them fit in memory."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tunewell.clean.batch import Batch
from tunewell.store import short_digest
from tunewell.text import normalise

Keys = npt.NDArray[np.uint64]
_BETWEEN = "\x00"  # no text holds one: the readers refuse it


class RowKeys(NamedTuple):
    """The keys of each row. All texts are compared after `text.normalise`.

    `conversation` is the same for two rows whose roles and texts are the same, `question` where system text and first question
    are, `answer` where the last answer is.
    """

    conversation: Keys
    question: Keys
    answer: Keys


def row_keys(batch: Batch) -> RowKeys:
    """The keys of all rows of a batch."""
    conversation: list[list[str]] = [[] for _ in range(batch.rows)]
    system, question, answer = ([""] * batch.rows for _ in range(3))
    for row, role, text in zip(batch.owners.tolist(), batch.roles.to_pylist(), batch.texts.to_pylist(), strict=True):
        plain = normalise(text)
        conversation[row] += [role, plain]
        if role == "assistant":
            answer[row] = plain
        elif role == "system":
            system[row] += plain
        elif not question[row]:
            question[row] = plain
    return RowKeys(
        conversation=text_keys([_BETWEEN.join(parts) for parts in conversation]),
        question=text_keys([_BETWEEN.join(pair) for pair in zip(system, question, strict=True)]),
        answer=text_keys(answer),
    )


def text_keys(texts: Sequence[str]) -> Keys:
    """The keys of any texts, compared as they are."""
    return np.fromiter(map(short_digest, texts), np.uint64, len(texts))
