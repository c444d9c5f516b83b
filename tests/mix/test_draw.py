"""Drawing: as near to the quota as can be, by id and seed alone."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewell.mix.columns import Names, Numbers
from tunewell.mix.draw import Copies, draw, in_order, places, shuffled

IDS = st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=40, unique=True).map(lambda ids: np.array(ids, np.uint64))


def drawn(ids: Names, quota: Fraction | int, weights: Numbers, seed: int = 0) -> Copies:
    return draw(np.arange(len(ids)), Fraction(quota), ids=ids, weights=weights, seed=seed)


@given(IDS, st.integers(0, 200), st.integers(0, 5))
def test_every_row_comes_once_before_any_comes_again(ids: Names, count: int, seed: int) -> None:
    copies = drawn(ids, count, np.ones(len(ids), np.int64), seed)
    times = np.bincount(copies.rows, minlength=len(ids))
    assert len(copies.rows) == count
    assert times.max() - times.min() <= 1
    for row in range(len(ids)):
        assert sorted(copies.numbers[copies.rows == row]) == list(range(times[row]))


@given(IDS, st.data())
def test_the_weight_drawn_is_within_half_a_row_of_the_quota(ids: Names, data: st.DataObject) -> None:
    weights = np.array(data.draw(st.lists(st.integers(1, 50), min_size=len(ids), max_size=len(ids))))
    quota = data.draw(st.fractions(0, 3 * int(weights.sum()), max_denominator=7))
    copies = drawn(ids, quota, weights)
    assert abs(int(weights[copies.rows].sum()) - quota) <= Fraction(int(weights.max()), 2)


@pytest.mark.parametrize(("quota", "rows"), [(4, 0), (5, 0), (6, 1), (14, 1), (15, 1), (16, 2), (20, 2), (26, 3), (36, 4)])
def test_the_row_that_crosses_the_quota_is_taken_where_that_is_nearer(quota: int, rows: int) -> None:
    assert len(drawn(np.array([1, 2], np.uint64), quota, np.array([10, 10])).rows) == rows


@given(IDS)
def test_what_is_drawn_does_not_hang_on_the_order_of_the_input(ids: Names) -> None:
    count = len(ids) // 2
    ones = np.ones(len(ids), np.int64)
    mirrored = ids[::-1]
    first = in_order([drawn(ids, count, ones)], ids=ids, seed=0)
    again = in_order([drawn(mirrored, count, ones)], ids=mirrored, seed=0)
    assert ids[first.rows].tolist() == mirrored[again.rows].tolist()


def test_rows_of_one_id_stay_as_they_stand() -> None:
    ids = np.array([5, 9, 5, 9, 5], np.uint64)
    order = shuffled(np.arange(5), "test", ids=ids, seed=0).tolist()
    assert order in ([0, 2, 4, 1, 3], [1, 3, 0, 2, 4])


def test_purposes_and_seeds_give_orders_of_their_own() -> None:
    ids = np.arange(50, dtype=np.uint64)
    orders = [shuffled(np.arange(50), purpose, ids=ids, seed=seed).tolist() for purpose in ("a", "b") for seed in (0, 1)]
    assert len({tuple(order) for order in orders}) == 4
    assert all(sorted(order) == list(range(50)) for order in orders)


def test_places_are_spread_evenly() -> None:
    ids = np.arange(64_000, dtype=np.uint64)
    counts = np.bincount((places(ids, "spread", seed=0) >> np.uint64(58)).astype(np.int64), minlength=64)
    # 1,000 in each of 64 boxes, with a standard deviation of 31.
    assert abs(counts - 1000).max() < 160
