"""How fast requests may begin, and how much they may cost."""

import asyncio
import time
from collections.abc import Callable
from itertools import repeat
from typing import NamedTuple

from tunewell.teacher.cache import Bill

_RAMP = 0.003


class Pace:
    """Spreads requests over time: so many in flight, so many and so many tokens a minute, and none while the server wants rest.

    Requests are spaced evenly, so that no minute, wherever it begins, holds more than the limit and the one request that was
    waiting. The first ones begin a few milliseconds apart: those that begin together would end together for ever.
    """

    def __init__(
        self,
        *,
        in_flight: int,
        requests_per_minute: int = 0,
        tokens_per_minute: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._slots = asyncio.Semaphore(in_flight)
        self._ramp = repeat(_RAMP, in_flight)
        self._seconds_a_request = 60 / requests_per_minute if requests_per_minute else 0.0
        self._seconds_a_token = 60 / tokens_per_minute if tokens_per_minute else 0.0
        self._clock = clock
        self._next_request = self._next_token = self._rest_until = 0.0

    async def enter(self, tokens: int) -> None:
        """Wait until a request of so many tokens may begin. `leave` must follow."""
        await self._slots.acquire()
        try:
            await asyncio.sleep(self._wait(tokens))
            while self._clock() < self._rest_until:
                # A new place behind the rest: those who waited through it must not all begin at its end.
                await asyncio.sleep(self._wait(tokens))
        except BaseException:
            self._slots.release()
            raise

    def leave(self) -> None:
        """A request has ended."""
        self._slots.release()

    def rest(self, seconds: float) -> None:
        """Begin no request for so long: the server has said that it is too much."""
        self._rest_until = max(self._rest_until, self._clock() + seconds)

    def _wait(self, tokens: int) -> float:
        now = self._clock()
        begin = max(now, self._rest_until, self._next_request, self._next_token)
        self._next_request = begin + max(self._seconds_a_request, next(self._ramp, 0.0))
        self._next_token = begin + self._seconds_a_token * tokens
        return begin - now


class Charge(NamedTuple):
    """Tokens and money."""

    tokens: int
    money: float


class Purse:
    """What may be spent. A request sets aside the most that it can cost before it is sent, and pays what it did cost after."""

    def __init__(self, bill: Bill, *, tokens: int = 0, money: float = 0.0) -> None:
        self._limit = Charge(tokens, money)
        self._spent = Charge(bill.tokens, bill.cost)
        self._aside = Charge(0, 0.0)
        self._holders = 0
        self._changed = asyncio.Event()

    async def set_aside(self, most: Charge) -> bool:
        """Whether there is enough. Waits where that hangs on what the requests under way turn out to cost."""
        while not self._covers(self._spent, self._aside, most):
            if not self._covers(self._spent, most):
                return False
            self._changed.clear()
            await self._changed.wait()
        self._aside = _sum(self._aside, most)
        self._holders += 1
        return True

    def settle(self, *, aside: Charge, paid: Charge) -> None:
        """Put back what was set aside, and pay."""
        self._holders -= 1
        # In floating point, a sum whose parts are all taken away is not always nothing, and what is left would hold back for ever.
        left = Charge(self._aside.tokens - aside.tokens, self._aside.money - aside.money)
        self._aside = left if self._holders else Charge(0, 0.0)
        self._spent = _sum(self._spent, paid)
        self._changed.set()

    def __str__(self) -> str:
        spent, limit = self._spent, self._limit
        shares = [f"{spent.tokens:,} of {limit.tokens:,} tokens are spent"] if limit.tokens else []
        shares += [f"{spent.money:.4f} of {limit.money:g} in money are spent"] if limit.money else []
        return " and ".join(shares)

    def _covers(self, *charges: Charge) -> bool:
        total = _sum(*charges)
        has_tokens = not self._limit.tokens or total.tokens <= self._limit.tokens
        return has_tokens and (not self._limit.money or total.money <= self._limit.money)


def _sum(*charges: Charge) -> Charge:
    return Charge(sum(charge.tokens for charge in charges), sum(charge.money for charge in charges))
