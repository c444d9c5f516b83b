"""How many rows or tokens each pool gives, and within it each kind of turn. Pure arithmetic, in fractions."""

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from itertools import count
from math import floor
from typing import Literal, NamedTuple, TypeVar

from tunewell.errors import DataError
from tunewell.recipe import DataUnit, WhenShort
from tunewell.records import POOLS, Pool

Turn = Literal["single", "multi"]
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
    smallest = floor(_total(available, shares, when_short))
    # Rounding asks no bucket of the smallest total for more than it has: a pool is rounded by at most half a row, and its kinds
    # of turn to the nearest. But a bucket that must be used whole may have lost a row.
    candidates = (_allocate(total, shares) for total in count(smallest))
    counts = next(counts for counts in candidates if _ENOUGH[when_short](counts, available))
    if when_short == "fail":
        for bucket, asked in counts.items():
            if asked > available[bucket]:
                raise too_small(bucket, asked=asked, available=available[bucket], unit="rows")
    return counts


def token_quotas(available: Mapping[Bucket, int], shares: Shares, when_short: WhenShort) -> dict[Bucket, Fraction]:
    """How many tokens each bucket should give to the mixture, repeats included.

    The total is that of `row_counts`, in tokens; no row is cut, so that a bucket gives its quota to within half a row. Under
    `fail` a quota may be larger than what is available: whether that takes a repeated row is seen when rows are drawn.

    Raises:
        DataError: A bucket is asked for tokens and has none.
    """
    total = _total(available, shares, when_short)
    return {bucket: total * shares.of(bucket) for bucket in shares.buckets()}


def too_small(bucket: Bucket, *, asked: int, available: int, unit: DataUnit) -> DataError:
    """What the user is told, under `fail`, of a bucket that has less than the ratio asks of it."""
    return DataError(
        f"the pool `{_name(bucket)}` is too small for the ratio: {asked} {unit} asked, {available} available",
        where="data.when_short",
        hint="add rows, change data.ratio or data.turns, or set data.when_short: shrink or repeat",
    )


def _total(available: Mapping[Bucket, int], shares: Shares, when_short: WhenShort) -> Fraction:
    for bucket in shares.buckets():
        if not available.get(bucket, 0):
            raise _nothing_there(bucket, shares)
    return _TOTALS[when_short](available, shares)


def _no_bucket_repeats(available: Mapping[Bucket, int], shares: Shares) -> Fraction:
    return min(available[bucket] / shares.of(bucket) for bucket in shares.buckets())


def _every_bucket_is_used_whole(available: Mapping[Bucket, int], shares: Shares) -> Fraction:
    return max(available[bucket] / shares.of(bucket) for bucket in shares.buckets())


def _the_domain_is_used_whole(available: Mapping[Bucket, int], shares: Shares) -> Fraction:
    return sum(available[bucket] for bucket in shares.buckets() if bucket.pool == "domain") / shares.pools["domain"]


_TOTALS: Mapping[WhenShort, Callable[[Mapping[Bucket, int], Shares], Fraction]] = {
    "shrink": _no_bucket_repeats,
    "repeat": _every_bucket_is_used_whole,
    "fail": _the_domain_is_used_whole,
}
_ENOUGH: Mapping[WhenShort, Callable[[Mapping[Bucket, int], Mapping[Bucket, int]], bool]] = {
    "shrink": lambda counts, available: True,
    "repeat": lambda counts, available: all(counts[bucket] >= available[bucket] for bucket in counts),
    "fail": lambda counts, available: _domain(counts, counts) >= _domain(available, counts),
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


def _domain(rows: Mapping[Bucket, int], buckets: Iterable[Bucket]) -> int:
    return sum(rows[bucket] for bucket in buckets if bucket.pool == "domain")


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
