"""How many rows each pool gives: the ratio is met within one row, or the user is told why it cannot be."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewell.errors import DataError
from tunewell.mix.shares import Bucket, Shares, row_counts, shares_from, token_quotas
from tunewell.recipe import WhenShort

DOMAIN, OPEN = Bucket("domain", None), Bucket("open", None)
SINGLE, MULTI = Bucket("domain", "single"), Bucket("domain", "multi")


def shares(domain: float, open_: float, turns: tuple[float, float] | None = None) -> Shares:
    return shares_from({"domain": domain, "open": open_}, None if turns is None else {"single": turns[0], "multi": turns[1]})


@pytest.mark.parametrize(
    ("domain", "open_", "when_short", "expected"),
    [
        (90, 10, "shrink", (30, 10)),
        (91, 200, "shrink", (91, 30)),
        (90, 10, "repeat", (90, 30)),
        (90, 60, "repeat", (180, 60)),
        (90, 60, "fail", (90, 30)),
        (1, 1, "shrink", (1, 0)),
        (1, 1, "repeat", (3, 1)),
    ],
)
def test_one_open_row_beside_three_domain_rows(domain: int, open_: int, when_short: WhenShort, expected: tuple[int, int]) -> None:
    counts = row_counts({DOMAIN: domain, OPEN: open_}, shares(3, 1), when_short)
    assert (counts[DOMAIN], counts[OPEN]) == expected


def test_decimal_shares_are_taken_as_they_are_written() -> None:
    assert shares(0.7, 0.1).pools == {"domain": Fraction(7, 8), "open": Fraction(1, 8)}
    assert row_counts({DOMAIN: 7, OPEN: 1}, shares(0.7, 0.1), "fail") == {DOMAIN: 7, OPEN: 1}


def test_without_a_share_a_pool_gives_nothing_and_may_be_empty() -> None:
    assert row_counts({DOMAIN: 5}, shares(2, 0), "fail") == {DOMAIN: 5}
    assert row_counts({DOMAIN: 5, OPEN: 9}, shares(2, 0), "repeat") == {DOMAIN: 5}


def test_turns_are_shared_out_within_each_pool() -> None:
    available = dict.fromkeys(shares(3, 1, (3, 1)).buckets(), 100) | {MULTI: 30}
    counts = row_counts(available, shares(3, 1, (3, 1)), "shrink")
    assert counts == {SINGLE: 90, MULTI: 30, Bucket("open", "single"): 30, Bucket("open", "multi"): 10}
    assert row_counts({SINGLE: 8, MULTI: 2}, shares(1, 0, (1, 0)), "repeat") == {SINGLE: 8}


def test_fail_names_the_pool_and_both_numbers() -> None:
    with pytest.raises(DataError) as caught:
        row_counts({DOMAIN: 90, OPEN: 29}, shares(3, 1), "fail")
    assert caught.value.what == "the pool `open` is too small for the ratio: 30 rows asked, 29 available"
    assert caught.value.where == "data.when_short"
    assert caught.value.hint == "add rows, change data.ratio or data.turns, or set data.when_short: shrink or repeat"


def test_fail_names_the_kind_of_turn() -> None:
    with pytest.raises(DataError, match="the pool `domain, multi-turn` is too small for the ratio: 5 rows asked, 2 available"):
        row_counts({SINGLE: 8, MULTI: 2}, shares(1, 0, (1, 1)), "fail")


@pytest.mark.parametrize("when_short", ["shrink", "repeat", "fail"])
def test_a_share_of_an_empty_pool_cannot_be_met(when_short: WhenShort) -> None:
    with pytest.raises(DataError) as caught:
        row_counts({DOMAIN: 90, OPEN: 0}, shares(3, 1), when_short)
    assert caught.value.what == "the pool `open` is asked for 25% of the mixture and has no rows"
    assert caught.value.where == "data.ratio.open"
    assert caught.value.hint == "set data.ratio.open: 0 for domain rows alone, or add data.open or generate.replay"


def test_an_empty_domain_is_told_apart() -> None:
    with pytest.raises(DataError) as caught:
        row_counts({OPEN: 9}, shares(3, 1), "shrink")
    assert caught.value.where == "data.ratio.domain"
    assert caught.value.hint == "add rows to data.domain, or see in `dropped` of the cleaning stage why none was kept"


def test_a_kind_of_turn_that_is_missing_is_told_apart() -> None:
    with pytest.raises(DataError) as caught:
        row_counts({SINGLE: 9}, shares(3, 0, (3, 1)), "shrink")
    assert caught.value.what == "the pool `domain, multi-turn` is asked for 25% of the mixture and has no rows"
    assert caught.value.where == "data.turns.multi"
    assert caught.value.hint.endswith(", or set data.turns.multi: 0")


def test_two_shares_of_zero_are_the_users_mistake() -> None:
    with pytest.raises(DataError) as caught:
        shares(3, 1, (0, 0))
    assert caught.value.where == "data.turns"
    assert caught.value.hint == "give `single` or `multi` a share above 0"


SHARE = st.sampled_from([0.1, 0.25, 0.95, 1, 2, 3, 7.5])
ROWS = st.integers(1, 400)


@st.composite
def askings(draw: st.DrawFn) -> tuple[dict[Bucket, int], Shares]:
    turns = draw(st.none() | st.tuples(SHARE, st.just(0.0) | SHARE))
    asked = shares(draw(SHARE), draw(st.just(0.0) | SHARE), turns)
    return {bucket: draw(ROWS) for bucket in asked.buckets()}, asked


@given(askings(), st.sampled_from(["shrink", "repeat"]))
def test_pools_and_turns_are_within_one_row_of_what_was_asked(
    asking: tuple[dict[Bucket, int], Shares], when_short: WhenShort
) -> None:
    available, asked = asking
    counts = row_counts(available, asked, when_short)
    total = sum(counts.values())
    assert total > 0
    for pool, share in asked.pools.items():
        rows = sum(count for bucket, count in counts.items() if bucket.pool == pool)
        assert abs(rows - share * total) < 1
        for kind, part in (asked.turns or {}).items():
            assert abs(counts.get(Bucket(pool, kind), 0) - part * rows) < 1


@given(askings())
def test_shrink_repeats_nothing_and_repeat_leaves_nothing_out(asking: tuple[dict[Bucket, int], Shares]) -> None:
    available, asked = asking
    shrunk, repeated = row_counts(available, asked, "shrink"), row_counts(available, asked, "repeat")
    assert all(shrunk[bucket] <= rows for bucket, rows in available.items())
    assert all(repeated[bucket] >= rows for bucket, rows in available.items())
    assert any(repeated[bucket] == rows for bucket, rows in available.items())
    # One row more of each bucket's share, and some bucket would be asked for more than it has.
    larger = sum(shrunk.values()) + 1
    assert any(asked.of(bucket) * larger > rows for bucket, rows in available.items())


@given(ROWS, ROWS, SHARE, SHARE)
def test_fail_takes_every_domain_row_and_stops_where_the_open_pool_is_short(
    domain: int, open_: int, first: float, second: float
) -> None:
    asked, available = shares(first, second), {DOMAIN: domain, OPEN: open_}
    needed = domain * asked.pools["open"] / asked.pools["domain"]
    if open_ > needed + 1:
        counts = row_counts(available, asked, "fail")
        assert counts[DOMAIN] == domain
        assert abs(counts[OPEN] - needed) <= 1
    elif open_ < needed - 1:
        with pytest.raises(DataError, match="the pool `open` is too small for the ratio"):
            row_counts(available, asked, "fail")


def test_quotas_of_tokens_are_exact() -> None:
    available = {DOMAIN: 100, OPEN: 50}
    assert token_quotas(available, shares(3, 1), "shrink") == {DOMAIN: 100, OPEN: Fraction(100, 3)}
    assert token_quotas(available, shares(3, 1), "fail") == {DOMAIN: 100, OPEN: Fraction(100, 3)}
    assert token_quotas(available, shares(3, 1), "repeat") == {DOMAIN: 150, OPEN: 50}


def test_a_pool_without_tokens_cannot_be_met() -> None:
    with pytest.raises(DataError, match="the pool `open` is asked for 25% of the mixture and has no rows"):
        token_quotas({DOMAIN: 9, OPEN: 0}, shares(3, 1), "shrink")


@given(askings(), st.sampled_from(["shrink", "repeat"]))
def test_quotas_stand_in_the_ratio_and_one_bucket_gives_all_it_has(
    asking: tuple[dict[Bucket, int], Shares], when_short: WhenShort
) -> None:
    available, asked = asking
    quotas = token_quotas(available, asked, when_short)
    total = sum(quotas.values())
    assert all(quotas[bucket] == asked.of(bucket) * total for bucket in asked.buckets())
    assert any(quotas[bucket] == tokens for bucket, tokens in available.items())
    spare = [available[bucket] - quota for bucket, quota in quotas.items()]
    assert all(rest >= 0 for rest in spare) if when_short == "shrink" else all(rest <= 0 for rest in spare)
