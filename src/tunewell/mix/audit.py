"""The audit of a mixture: what was asked, what was reached, what repeats, and what was left out."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tunewell.mix.draw import Copy, Row
from tunewell.mix.shares import POOLS, TURNS, Shares


def pool_table(rows: Sequence[Row], held_out: Sequence[Row], copies: Sequence[Copy], shares: Shares) -> list[dict[str, Any]]:
    """For each pool: asked and reached share, and its rows: `available` = `unique` + `left_out` + those held out.

    `rows` is `unique` + `repeats`.
    """
    available, held = Counter(row.pool for row in rows), Counter(row.pool for row in held_out)
    unique, used = Counter(copy.row.pool for copy in copies if copy.number == 0), Counter(copy.row.pool for copy in copies)
    return [
        {
            "pool": pool,
            "asked_share": float(shares.pools[pool]),
            "reached_share": used[pool] / len(copies),
            "available": available[pool],
            "unique": unique[pool],
            "rows": used[pool],
            "repeats": used[pool] - unique[pool],
            "left_out": available[pool] - held[pool] - unique[pool],
        }
        for pool in POOLS
    ]


def turns_table(copies: Sequence[Copy], shares: Shares) -> list[dict[str, Any]]:
    """For each pool and kind of turn: the share asked within the pool (None: as they come) and the rows, repeats included."""
    used = Counter((copy.row.pool, copy.row.turns) for copy in copies)
    asked: Mapping[str, float | None] = {turns: float(shares.turns[turns]) if shares.turns else None for turns in TURNS}
    return [
        {"pool": pool, "turns": turns, "asked_share": asked[turns], "rows": used[pool, turns]} for pool in POOLS for turns in TURNS
    ]
