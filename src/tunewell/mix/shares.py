"""How many rows each pool gives, and within it each kind of turn. Pure arithmetic, in fractions."""

from collections.abc import Callable, Mapping
from fractions import Fraction
from itertools import count
from math import floor
from typing import Literal, NamedTuple, TypeVar

from tunewell.errors import DataError
from tunewell.records import Pool

WhenShort = Literal["shrink", "repeat", "fail"]
Turn = Literal["single", "multi"]

POOLS: tuple[Pool, ...] = ("domain", "open")
TURNS: tuple[Turn, ...] = ("single", "multi")

_Name = TypeVar("_Name", bound=str)


class Bucket(NamedTuple):
    """Rows that stand for each other when rows are drawn: those of a pool, or of a pool and a kind of turn."""

    pool: Pool
    turns: Turn | None


class Shares(NamedTuple):
    """What was asked: the share of each pool, and the share of each kind of turn within it (None: as they come)."""

    pools: Mapping[Pool, Fraction]
    turns: Mapping[Turn, Fraction] | None

    def bucket(self, pool: Pool, turns: Turn) -> Bucket:
        """The bucket that a row belongs to."""
        return Bucket(pool, turns if self.turns else None)

    def of(self, bucket: Bucket) -> Fraction:
        """The share of a bucket in the whole."""
        within = self.turns[bucket.turns] if self.turns and bucket.turns else Fraction(1)
        return self.pools[bucket.pool] * within

    def buckets(self) -> list[Bucket]:
        """The buckets of which rows are asked."""
        kinds: tuple[Turn | None, ...] = TURNS if self.turns else (None,)
        every = [Bucket(pool, kind) for pool in POOLS for kind in kinds]
        return [bucket for bucket in every if self.of(bucket)]


def shares_from(pools: Mapping[Pool, float], turns: Mapping[Turn, float] | None) -> Shares:
    """Shares that add up to one, from any numbers. Raises `DataError` where both kinds of turn have the share 0.

    >>> shares_from({"domain": 3, "open": 1}, None).pools["domain"]
    Fraction(3, 4)
    """
    if turns is not None and not any(turns.values()):
        raise DataError(
            "both shares are 0, so that no row may be taken", where="data.turns", hint="give `single` or `multi` a share above 0"
        )
    return Shares(_normalised(pools), None if turns is None else _normalised(turns))


def row_counts(available: Mapping[Bucket, int], shares: Shares, when_short: WhenShort) -> dict[Bucket, int]:
    """How many rows each bucket gives to the mixture, repeats included.

    `shrink` takes the largest total at whose shares no bucket has to repeat a row; `repeat` the smallest at which every bucket
    is used whole, so that the one with most rows relative to its share repeats none; `fail` uses every domain row, and
    raises where that asks more of a bucket than it has. Each pool is within one row of its share of the total, and each kind
    of turn within one row of its share of the pool.

    Raises:
        DataError: A bucket is asked for rows and has none, or, under `fail`, too few.
    """
    for bucket in shares.buckets():
        if not available.get(bucket, 0):
            raise _nothing_there(bucket, shares)
    return _TOTALS[when_short](available, shares)


def _shrink(available: Mapping[Bucket, int], shares: Shares) -> dict[Bucket, int]:
    # Rounding asks no bucket for more than it has: a pool is rounded by at most half a row, and its kinds of turn to the nearest.
    return _allocate(floor(min(Fraction(available[bucket]) / shares.of(bucket) for bucket in shares.buckets())), shares)


def _repeat(available: Mapping[Bucket, int], shares: Shares) -> dict[Bucket, int]:
    smallest = max(Fraction(available[bucket]) / shares.of(bucket) for bucket in shares.buckets())
    totals = (_allocate(total, shares) for total in count(floor(smallest)))
    return next(counts for counts in totals if all(counts[bucket] >= available[bucket] for bucket in counts))


def _fail(available: Mapping[Bucket, int], shares: Shares) -> dict[Bucket, int]:
    domain_rows = sum(rows for bucket, rows in available.items() if bucket.pool == "domain" and bucket in shares.buckets())
    totals = (_allocate(total, shares) for total in count(floor(domain_rows / shares.pools["domain"])))
    counts = next(counts for counts in totals if _pool_rows(counts, "domain") >= domain_rows)
    for bucket, asked in counts.items():
        if asked > available[bucket]:
            raise DataError(
                f"the pool `{_name(bucket)}` is too small for the ratio: {asked} rows asked, {available[bucket]} available",
                where="data.when_short",
                hint="add rows, change data.ratio or data.turns, or set data.when_short: shrink or repeat",
            )
    return counts


_TOTALS: Mapping[WhenShort, Callable[[Mapping[Bucket, int], Shares], dict[Bucket, int]]] = {
    "shrink": _shrink,
    "repeat": _repeat,
    "fail": _fail,
}


def _allocate(total: int, shares: Shares) -> dict[Bucket, int]:
    counts: dict[Bucket, int] = {}
    for pool, rows in _split(total, shares.pools).items():
        if shares.turns is None:
            counts[Bucket(pool, None)] = rows
        else:
            counts |= {Bucket(pool, turns): part for turns, part in _split(rows, shares.turns).items()}
    return {bucket: counts[bucket] for bucket in shares.buckets()}


def _split(total: int, parts: Mapping[_Name, Fraction]) -> dict[_Name, int]:
    """Whole rows by largest remainder: each part is within one row of its share, and together they are the total."""
    quotas = {name: total * share for name, share in parts.items()}
    counts = {name: floor(quota) for name, quota in quotas.items()}
    by_remainder = sorted(quotas, key=lambda name: counts[name] - quotas[name])
    for name in by_remainder[: total - sum(counts.values())]:
        counts[name] += 1
    return counts


def _normalised(numbers: Mapping[_Name, float]) -> dict[_Name, Fraction]:
    exact = {name: Fraction(str(number)) for name, number in numbers.items()}
    return {name: number / sum(exact.values()) for name, number in exact.items()}


def _pool_rows(counts: Mapping[Bucket, int], pool: Pool) -> int:
    return sum(rows for bucket, rows in counts.items() if bucket.pool == pool)


def _nothing_there(bucket: Bucket, shares: Shares) -> DataError:
    hints = {
        "domain": "add rows to data.domain, or see in `dropped` of the cleaning stage why none was kept",
        "open": "set data.ratio.open: 0 for domain rows alone, or add data.open or generate.replay",
    }
    where, hint = (f"data.ratio.{bucket.pool}", hints[bucket.pool])
    if bucket.turns:
        where, hint = f"data.turns.{bucket.turns}", f"{hints[bucket.pool]}, or set data.turns.{bucket.turns}: 0"
    share = float(shares.of(bucket))
    return DataError(f"the pool `{_name(bucket)}` is asked for {share:.0%} of the mixture and has no rows", where=where, hint=hint)


def _name(bucket: Bucket) -> str:
    return bucket.pool if bucket.turns is None else f"{bucket.pool}, {bucket.turns}-turn"
