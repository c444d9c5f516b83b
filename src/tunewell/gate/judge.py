"""From a comparison and a margin to pass, fail or inconclusive."""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

from tunewell.stats import Comparison, Estimate, items_needed

Verdict = Literal["pass", "fail", "inconclusive"]
Cause = Literal["pass", "fail", "open", "few", "not_numbers", "no_base"]

FEWEST = 10


class Judgement(NamedTuple):
    """A verdict, what brought it about, and about how many items would settle it (None: settled, or not to be known)."""

    verdict: Verdict
    cause: Cause
    needed: int | None = None


def judge(comparison: Comparison, *, better: Literal["higher", "lower"], margin: float | None) -> Judgement:
    """Judge tuned − base: against zero without a margin, else against the largest loss that passes, in absolute units.

    A gain passes when the whole interval is above zero and fails when it is wholly below. A loss passes when the interval
    lies within the margin and fails when it is wholly beyond. Fewer than ten items or clusters, an unknown interval, and a
    margin of zero because the base model scores nothing are inconclusive.
    """
    difference = comparison.difference
    if difference.clusters < FEWEST:
        return Judgement("inconclusive", "few", _needed_when_few(difference, better=better, margin=margin))
    if difference.low is None or difference.high is None:
        return Judgement("inconclusive", "not_numbers")
    low, high = (difference.low, difference.high) if better == "higher" else (-difference.high, -difference.low)
    limit = -(margin or 0.0)
    if low > limit or (margin is not None and low == limit):
        return Judgement("pass", "pass")
    if high < limit:
        return Judgement("fail", "fail")
    needed = items_needed(difference, _signed(limit, better))
    return Judgement("inconclusive", "open", None if needed is None else max(needed, difference.n + 1))


def overall(verdicts: Sequence[Verdict]) -> Verdict:
    """Fail if any claim fails, else inconclusive if any is open or there is none, else pass."""
    if "fail" in verdicts:
        return "fail"
    return "inconclusive" if "inconclusive" in verdicts or not verdicts else "pass"


def _needed_when_few(difference: Estimate, *, better: Literal["higher", "lower"], margin: float | None) -> int | None:
    if difference.clusters == 0:
        return None
    enough_clusters = math.ceil(FEWEST * difference.n / difference.clusters)
    return max(enough_clusters, items_needed(difference, _signed(-(margin or 0.0), better)) or 0)


def _signed(limit: float, better: Literal["higher", "lower"]) -> float:
    return limit if better == "higher" else -limit
