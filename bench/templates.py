"""Conversations to token ids and labels, against a bare `tokenizers` encode_batch over the same texts: prints one JSON line.

Both sides take turns on stretches of the rows, in one process, so that what else the machine does meets both. The bare side only
encodes texts that are rendered already; ours starts from messages and gives ids and labels, which are counted and let go.
"""

import json
import os
import random
import resource
import sys
import time
from collections.abc import Iterable, Iterator

os.environ["TOKENIZERS_PARALLELISM"] = "true"

from tunewell.bundled import asset
from tunewell.model.load import load_tokenizer
from tunewell.model.locate import EMBEDDED, locate
from tunewell.records import Message
from tunewell.template import Encoded, PromptFormat, open_format

_STRETCH = 20_000
_AT_ONCE = 1_000
_FAMILY = "chatml-smollm2"


def run(count: int) -> dict[str, float]:
    """Rows per second of each side over `count` conversations, and how much memory the process grew after the first stretch."""
    tokenizer = load_tokenizer(locate(EMBEDDED))
    family, auto = open_format(_FAMILY, tokenizer), open_format("auto", tokenizer)
    bare = tokenizer.backend_tokenizer
    seconds = dict.fromkeys(("bare", "family", "auto"), 0.0)
    tokens = dict.fromkeys(seconds, 0)
    words = _words()
    memory_of_first = 0
    for first in range(0, count, _STRETCH):
        rows = [_row(words, number) for number in range(first, min(first + _STRETCH, count))]
        texts = [family.text(row) for row in rows]
        sides = {
            "bare": (len(one.ids) for at in range(0, len(texts), _AT_ONCE) for one in bare.encode_batch(texts[at : at + _AT_ONCE])),
            "family": _lengths(family, rows),
            "auto": _lengths(auto, rows),
        }
        for side, lengths in sides.items():
            start = time.perf_counter()
            tokens[side] += sum(lengths)
            seconds[side] += time.perf_counter() - start
        memory_of_first = memory_of_first or _peak()
    assert len(set(tokens.values())) == 1, f"the sides encode different tokens: {tokens}"
    rates = {f"{side}_per_second": count / taken for side, taken in seconds.items()}
    return {"rows": count, "tokens": tokens["bare"], **rates, "growth_bytes": _peak() - memory_of_first, "peak_bytes": _peak()}


def _lengths(chat: PromptFormat, rows: Iterable[tuple[Message, ...]]) -> Iterator[int]:
    for encoded in chat.encode_each(rows):
        assert isinstance(encoded, Encoded)
        yield len(encoded.ids)


def _row(words: list[str], number: int) -> tuple[Message, ...]:
    """A question of 8 to 24 words and an answer of 20 to 60, cut from the bundled texts at places that depend on the number."""
    source = random.Random(number)
    question, answer = (
        " ".join(words[at : at + source.randint(*length)])
        for at, length in ((source.randrange(len(words)), length) for length in _LENGTHS)
    )
    return Message("user", f"{question}?"), Message("assistant", f"{answer}.")


_LENGTHS = ((8, 24), (20, 60))


def _words() -> list[str]:
    rows = json.loads(asset("open", "en.json").read_text(encoding="utf-8"))
    return " ".join(f"{row['instruction']} {row['output']}" for row in rows).split()


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run(int(sys.argv[1]))) + "\n")
