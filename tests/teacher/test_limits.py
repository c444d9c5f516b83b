"""Pace and purse."""

import asyncio
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewell.teacher.cache import Bill
from tunewell.teacher.limits import Charge, Pace, Purse

_NOTHING = Bill(0, 0, 0.0)


class _Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += max(seconds, 0.0)


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> _Time:
    time = _Time()
    monkeypatch.setattr("tunewell.teacher.limits.asyncio.sleep", time.sleep)
    return time


def _starts(pace: Pace, time: Callable[[], float], tokens: list[int]) -> list[float]:
    async def work() -> list[float]:
        starts = []
        for size in tokens:
            await pace.enter(size)
            starts.append(time())
            pace.leave()
        return starts

    return asyncio.run(work())


def test_no_minute_holds_more_requests_than_the_limit(time: _Time) -> None:
    starts = _starts(Pace(in_flight=8, requests_per_minute=30, clock=time), time, [1] * 100)
    for start in starts:
        assert sum(start <= other < start + 60 - 1e-6 for other in starts) <= 30
    assert starts[-1] - starts[0] == pytest.approx(99 * 2, rel=0.01)


def test_no_minute_holds_more_tokens_than_the_limit(time: _Time) -> None:
    sizes = [500, 100, 900, 300] * 20
    starts = _starts(Pace(in_flight=8, tokens_per_minute=6000, clock=time), time, sizes)
    for start in starts:
        held = [size for other, size in zip(starts, sizes, strict=True) if start <= other < start + 60 - 1e-6]
        assert sum(held[:-1]) <= 6000
    assert starts[-1] - starts[0] == pytest.approx(sum(sizes[:-1]) / 100, rel=0.01)


def test_rest_holds_back_all_and_the_longest_counts(time: _Time) -> None:
    pace = Pace(in_flight=2, clock=time)
    pace.rest(5)
    pace.rest(1)
    assert _starts(pace, time, [1])[0] >= 1005


def test_after_a_rest_they_do_not_all_begin_at_once(time: _Time) -> None:
    pace = Pace(in_flight=8, requests_per_minute=60, clock=time)

    async def work() -> list[float]:
        places = [pace._wait(1) for _ in range(8)]  # eight that wait for their place when the server asks for rest
        pace.rest(30)
        starts = []
        for place in places:
            time.now = max(time.now, 1000.0 + place)
            await pace.enter(1)
            starts.append(time())
            pace.leave()
        return starts

    starts = asyncio.run(work())
    assert starts[0] >= 1030
    assert all(later - earlier >= 0.999 for earlier, later in pairwise(starts))


def test_slots_bound_what_is_in_flight() -> None:
    async def work() -> int:
        pace, inside, most = Pace(in_flight=3), 0, 0

        async def one() -> None:
            nonlocal inside, most
            await pace.enter(1)
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.001)
            inside -= 1
            pace.leave()

        await asyncio.gather(*(one() for _ in range(20)))
        return most

    assert asyncio.run(work()) == 3


def test_a_cancelled_wait_gives_its_slot_back() -> None:
    async def work() -> None:
        pace = Pace(in_flight=1)
        pace.rest(0.1)
        waiting = asyncio.create_task(pace.enter(1))
        await asyncio.sleep(0.02)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await asyncio.wait_for(pace.enter(1), 1)

    asyncio.run(work())


@given(st.lists(st.tuples(st.integers(1, 100), st.floats(0.0, 1.0)), max_size=30), st.integers(0, 300))
def test_what_is_paid_never_passes_the_limit(requests: list[tuple[int, float]], limit: int) -> None:
    async def work() -> int:
        purse, paid = Purse(_NOTHING, tokens=limit), 0

        async def one(most: int, share: float) -> None:
            nonlocal paid
            if not await purse.set_aside(Charge(most, 0.0)):
                return
            await asyncio.sleep(0)
            paid += int(most * share)
            purse.settle(aside=Charge(most, 0.0), paid=Charge(int(most * share), 0.0))

        await asyncio.wait_for(asyncio.gather(*(one(*request) for request in requests)), 5)
        return paid

    paid = asyncio.run(work())
    assert not limit or paid <= limit


def test_a_request_waits_for_what_others_turn_out_to_cost() -> None:
    async def work() -> list[bool]:
        purse = Purse(_NOTHING, money=1.0)
        assert await purse.set_aside(Charge(0, 0.9))
        second = asyncio.create_task(purse.set_aside(Charge(0, 0.5)))
        await asyncio.sleep(0)
        assert not second.done()
        purse.settle(aside=Charge(0, 0.9), paid=Charge(0, 0.4))
        return [await second, await purse.set_aside(Charge(0, 0.7))]

    assert asyncio.run(work()) == [True, False]


def test_what_earlier_processes_paid_counts() -> None:
    purse = Purse(Bill(3, 990, 0.5), tokens=1000)
    assert not asyncio.run(purse.set_aside(Charge(11, 0.0)))
    assert str(purse) == "990 of 1,000 tokens are spent"


def test_what_floating_point_leaves_over_holds_nobody_back() -> None:
    async def work() -> bool:
        purse = Purse(_NOTHING, money=1.59)
        for money in (0.61, 0.2, 0.13, 0.65):
            assert await purse.set_aside(Charge(0, money))
        for money in (0.2, 0.65, 0.61, 0.13):
            purse.settle(aside=Charge(0, money), paid=Charge(0, 0.0))
        return await asyncio.wait_for(purse.set_aside(Charge(0, 1.59)), 1)

    assert asyncio.run(work())
