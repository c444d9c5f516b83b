"""What becomes of each row: trained on, and how often; held out as a test item; or left out."""

from collections.abc import Mapping
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from tunewell.mix.caps import beyond_caps
from tunewell.mix.columns import Mask, Numbers, Rows
from tunewell.mix.draw import Copies, draw, in_order, shuffled
from tunewell.mix.shares import TURNS, Bucket, Shares, row_counts, token_quotas, too_small
from tunewell.mix.split import Split, can_test
from tunewell.recipe import WhenShort
from tunewell.records import POOLS, Pool


class Choice(NamedTuple):
    """What became of the rows: those held out, those beyond the cap of their source, and the copies that are trained on.

    `weights` is what each row counts in the ratio: one, or its tokens.
    """

    rows: Rows
    held_out: Mask
    capped_out: Mask
    copies: Copies
    weights: Numbers

    @property
    def trained(self) -> Numbers:
        """Each row that is trained on, once, in the order of training."""
        first: Numbers = self.copies.rows[self.copies.numbers == 0]
        return first


def choose(rows: Rows, split: Split, shares: Shares, *, when_short: WhenShort, caps: Mapping[str, int], seed: int) -> Choice:
    """Apply the caps of sources, then the ratio: of tokens where they were counted, else of rows.

    Raises:
        DataError: A pool that is asked for rows has none, or too few under `when_short: fail`; a cap for no source.
    """
    capped_out = beyond_caps(rows, split.trainable, caps, seed=seed)
    weights = np.ones(len(rows.ids), np.int64) if rows.tokens is None else rows.tokens.astype(np.int64)
    members = _buckets(rows, split.trainable & ~capped_out, shares)
    available = {bucket: int(weights[within].sum()) for bucket, within in members.items()}
    quotas = (row_counts if rows.tokens is None else token_quotas)(available, shares, when_short)
    copies = []
    for bucket, quota in quotas.items():
        copies.append(draw(members[bucket], Fraction(quota), ids=rows.ids, weights=weights, seed=seed))
        if when_short == "fail" and len(copies[-1].rows) > len(members[bucket]):
            raise too_small(bucket, asked=round(quota), available=available[bucket], unit="tokens")
    return Choice(rows, split.held_out, capped_out, in_order(copies, ids=rows.ids, seed=seed), weights)


def test_rows(choice: Choice, *, seed: int) -> dict[str, Numbers]:
    """The held-out rows as `unseen` items, and as many that are trained on, and could have been held out, as `seen` items."""
    ids = choice.rows.ids
    unseen = np.flatnonzero(choice.held_out)
    trained = np.sort(_of_pool(choice, "domain"))
    trained = trained[can_test(choice.rows)[trained]]
    seen = shuffled(trained, "seen", ids=ids, seed=seed)[: len(unseen)]
    return {task: shuffled(rows, "test", ids=ids, seed=seed) for task, rows in (("unseen", unseen), ("seen", seen))}


def sample_rows(choice: Choice, count: int) -> dict[Pool, Numbers]:
    """The first rows of each pool in the order of training."""
    return {pool: _of_pool(choice, pool)[:count] for pool in POOLS}


def _buckets(rows: Rows, usable: Mask, shares: Shares) -> dict[Bucket, Numbers]:
    members = {}
    for bucket in shares.buckets():
        within = usable & (rows.pools == POOLS.index(bucket.pool))
        if bucket.turns:
            within &= rows.turns == TURNS.index(bucket.turns)
        members[bucket] = np.flatnonzero(within)
    return members


def _of_pool(choice: Choice, pool: Pool) -> Numbers:
    trained = choice.trained
    of_pool: Numbers = trained[choice.rows.pools[trained] == POOLS.index(pool)]
    return of_pool
