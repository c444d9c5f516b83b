"""One side of the novelty benchmark: `write FILE ROWS`, `ours FILE`, `peer FILE` or `scale FILE ROWS`; prints one JSON line.

The peer's side is the loop of Stanford Alpaca's generator around `rouge_score`, in one process, on the first rows only: its time
grows with the square of the rows. Both sides decide in integers, so that a score of exactly 0.7 is kept.
"""

import hashlib
import json
import random
import sys
import time
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path

PEER_ROWS = 3_000


def write(path: Path, count: int) -> dict[str, int]:
    """Synthetic instructions: 4 to 20 words of a vocabulary of 20,000 with the frequencies of Zipf's law; a tenth near-repeats."""
    source = random.Random(0)
    vocabulary = [f"w{number}" for number in range(20_000)]
    weights = list(accumulate(1 / (rank + 3) for rank in range(len(vocabulary))))
    rows: list[list[str]] = []
    for _ in range(count):
        words = source.choices(vocabulary, cum_weights=weights, k=source.randrange(4, 21))
        if rows and source.random() < 0.1:
            words = list(source.choice(rows))
            words[source.randrange(len(words))] = "other"
        rows.append(words)
    path.write_text(json.dumps([" ".join(words) for words in rows]), encoding="utf-8")
    return {"rows": count}


def ours(path: Path) -> dict[str, float | str]:
    """Our filter over all rows; the hash is of the rows kept among those that the peer sees."""
    from tunewell.clean.novelty import novel

    rows = json.loads(path.read_text(encoding="utf-8"))
    start = time.perf_counter()
    kept = novel(rows)
    return _result(rows, kept, time.perf_counter() - start)


def scale(path: Path, count: int) -> dict[str, float | str]:
    """Our filter over the first rows, and the most memory that it took."""
    from tunewell.clean.novelty import novel
    from tunewell.memory import peak_memory

    rows = json.loads(path.read_text(encoding="utf-8"))[:count]
    start = time.perf_counter()
    kept = novel(rows)
    return {"rows": len(rows), "kept": len(kept), "seconds": time.perf_counter() - start, "peak_bytes": peak_memory()}


def peer(path: Path) -> dict[str, float | str]:
    """The reference loop over the first rows."""
    from rouge_score import rouge_scorer  # type: ignore[import-not-found]  # lives in the peers' environment

    rows = [row.split() for row in json.loads(path.read_text(encoding="utf-8"))[:PEER_ROWS]]
    kept: list[int] = []
    start = time.perf_counter()
    for place, candidate in enumerate(rows):
        for other in kept:
            total = len(candidate) + len(rows[other])
            common = round(rouge_scorer._score_lcs(candidate, rows[other]).fmeasure * total / 2)
            if 20 * common > 7 * total:
                break
        else:
            kept.append(place)
    return _result(rows, kept, time.perf_counter() - start)


def _result(rows: list[object], kept: list[int], seconds: float) -> dict[str, float | str]:
    """Pairs are those that the plain loop would compare at most: each row with every row kept before it."""
    positions = set(kept)
    pairs = before = 0
    for place in range(len(rows)):
        pairs += before
        before += place in positions
    first = [place for place in kept if place < PEER_ROWS]
    digest = hashlib.sha256(json.dumps(first).encode()).hexdigest()[:16]
    return {"rows": len(rows), "kept": len(kept), "pairs_per_second": pairs / seconds, "seconds": seconds, "kept_hash": digest}


if __name__ == "__main__":
    side, file, *counts = sys.argv[1:]
    sides: dict[str, Callable[..., object]] = {"write": write, "ours": ours, "peer": peer, "scale": scale}
    sys.stdout.write(json.dumps(sides[side](Path(file), *map(int, counts))) + "\n")
