"""The audit of a mixture: what was asked, what was reached, what repeats, and what was left out."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tunewell.mix.choice import Choice
from tunewell.mix.columns import Mask, Numbers
from tunewell.mix.shares import TURNS, Shares
from tunewell.records import POOLS, Pool


class Tokens(NamedTuple):
    """The tokens of a pool in the mixture, repeats included, and of how many rows they were counted (the rest is estimated)."""

    total: int
    counted: int


def audit(choice: Choice, shares: Shares, tokens: Mapping[Pool, Tokens]) -> dict[str, Any]:
    """The tables of pools, turns and sources, and the number of rows trained on."""
    return {
        "pools": _pool_table(choice, shares, tokens),
        "turns": _turns_table(choice, shares),
        "sources": _source_table(choice),
        "train_rows": len(choice.copies.rows),
    }


def counted_tokens(choice: Choice) -> dict[Pool, Tokens]:
    """The tokens of each pool where the tokens of every row were counted."""
    available = _by_pool(choice, slice(None))
    totals = _weights(choice, choice.rows.pools, len(POOLS))
    return {pool: Tokens(totals[place], available[place]) for place, pool in enumerate(POOLS)}


def estimated_tokens(choice: Choice, samples: Mapping[Pool, NDArray[np.int32]]) -> dict[Pool, Tokens]:
    """The tokens of each pool by the mean of those of some rows."""
    used = _by_pool(choice, choice.copies.rows)
    return {
        pool: Tokens(round(float(samples[pool].mean()) * used[place]) if used[place] else 0, len(samples[pool]))
        for place, pool in enumerate(POOLS)
    }


def _pool_table(choice: Choice, shares: Shares, tokens: Mapping[Pool, Tokens]) -> list[dict[str, Any]]:
    """For each pool: asked and reached share, and its rows: `available` = `unique` + `left_out` + those held out.

    `rows` is `unique` + `repeats`; `capped_out` is that part of `left_out` that the caps of its sources took. Shares are of
    what the ratio counts, rows or tokens.
    """
    available, held, capped, unique, used = (
        _by_pool(choice, rows) for rows in (slice(None), choice.held_out, choice.capped_out, choice.trained, choice.copies.rows)
    )
    reached = _weights(choice, choice.rows.pools, len(POOLS))
    return [
        {
            "pool": pool,
            "asked_share": float(shares.pools[pool]),
            "reached_share": reached[place] / sum(reached),
            "available": available[place],
            "unique": unique[place],
            "rows": used[place],
            "repeats": used[place] - unique[place],
            "left_out": available[place] - held[place] - unique[place],
            "capped_out": capped[place],
            "tokens": tokens[pool].total,
            "tokens_counted": tokens[pool].counted,
        }
        for place, pool in enumerate(POOLS)
    ]


def _turns_table(choice: Choice, shares: Shares) -> list[dict[str, Any]]:
    """For each pool and kind of turn: the share asked within the pool (None: as they come), the share reached, and the rows.

    Repeats are counted. Shares are of what the ratio counts; of an empty pool none is reached (None).
    """
    kinds = choice.rows.pools.astype(np.int64) * len(TURNS) + choice.rows.turns
    reached = _weights(choice, kinds, len(POOLS) * len(TURNS))
    rows = np.bincount(kinds[choice.copies.rows], minlength=len(POOLS) * len(TURNS)).tolist()
    table = []
    for place, pool in enumerate(POOLS):
        first = place * len(TURNS)
        whole = sum(reached[first : first + len(TURNS)])
        table += [
            {
                "pool": pool,
                "turns": turns,
                "asked_share": float(shares.turns[turns]) if shares.turns else None,
                "reached_share": reached[kind] / whole if whole else None,
                "rows": rows[kind],
            }
            for kind, turns in enumerate(TURNS, first)
        ]
    return table


def _source_table(choice: Choice) -> list[dict[str, Any]]:
    """For each source, by name: its rows, those beyond its cap, and those trained on, each counted once."""
    names = choice.rows.source_names
    available, capped, used = (
        np.bincount(choice.rows.sources[rows], minlength=len(names)).tolist()
        for rows in (slice(None), choice.capped_out, choice.trained)
    )
    return [
        {"source": names[code], "available": available[code], "capped_out": capped[code], "used": used[code]}
        for code in sorted(range(len(names)), key=names.__getitem__)
    ]


def _by_pool(choice: Choice, rows: Mask | Numbers | slice) -> list[int]:
    counts: list[int] = np.bincount(choice.rows.pools[rows], minlength=len(POOLS)).tolist()
    return counts


def _weights(choice: Choice, kinds: Any, count: int) -> list[int]:
    """What the copies of each kind count together; sums of whole numbers, exact in floats up to 2^53."""
    rows = choice.copies.rows
    return [int(total) for total in np.bincount(kinds[rows], weights=choice.weights[rows], minlength=count)]
