"""From comparisons and margins to pass, fail or inconclusive, all claims of a run corrected together."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

from tunewell.stats import Comparison, Estimate, holm, items_needed, one_sided_p

Verdict = Literal["pass", "fail", "inconclusive"]
Better = Literal["higher", "lower"]
Cause = Literal["pass", "fail", "open", "corrected", "few", "not_numbers", "no_base"]

FEWEST = 10


class Tails(NamedTuple):
    """One-sided p values: how surprising the numbers are if the claim does not hold, and if nothing is lost beyond its margin."""

    holds: float
    broken: float


class Level(NamedTuple):
    """The confidence of the intervals, how many claims are tested together, and of these how many each direction leaves open."""

    confidence: float
    tests: int
    left: Tails

    @property
    def tail(self) -> float:
        """The corrected p value below which a claim is decided: what the confidence leaves at one end of an interval."""
        return (1 - self.confidence) / 2


class Judgement(NamedTuple):
    """A verdict, what brought it about, and about how many items would settle it (None: settled, or not to be known)."""

    verdict: Verdict
    cause: Cause
    needed: int | None = None


def p_values(comparison: Comparison, *, better: Better, margin: float | None) -> Tails | None:
    """Test tuned − base against zero without a margin, else against the largest loss that passes, in absolute units.

    None where there are fewer than ten clusters or no interval: then nothing is tested.
    """
    difference, limit = _higher_is_better(comparison.difference, better), -(margin or 0.0)
    holds, broken = one_sided_p(difference, limit), one_sided_p(_turned(difference), -limit)
    if difference.clusters < FEWEST or holds is None or broken is None:
        return None
    # A loss of just the margin is allowed; of items that all agree that is known for certain.
    if margin is not None and difference.standard_error == 0 and difference.value == limit:
        holds = 0.0
    return Tails(holds, broken)


def corrected(tests: Sequence[Tails | None]) -> list[Tails | None]:
    """The p values of all claims of a run after Holm's correction, each direction for itself; the untested are not counted."""
    tested = [test for test in tests if test is not None]
    pairs = iter(zip(holm([test.holds for test in tested]), holm([test.broken for test in tested]), strict=True))
    return [test and Tails(*next(pairs)) for test in tests]


def level_of(adjusted: Sequence[Tails | None], *, confidence: float) -> Level:
    """The level at which claims with these corrected p values are judged."""
    tested = [test for test in adjusted if test is not None]
    tail = Level(confidence, 0, Tails(0, 0)).tail
    left = Tails(*(sum(test[way] >= tail for test in tested) for way in (0, 1)))
    return Level(confidence, len(tested), left)


def judge(
    comparison: Comparison, *, better: Better, margin: float | None, raw: Tails | None, adjusted: Tails | None, level: Level
) -> Judgement:
    """Judge tuned − base by its p values after correction.

    A claim passes when its gain, or that its loss is within the margin, is beyond doubt, and fails when the opposite is.
    Untested claims are inconclusive, and so is what would be decided if it were the only claim (`corrected`).
    """
    difference = comparison.difference
    if difference.clusters < FEWEST:
        return Judgement("inconclusive", "few", _needed_when_few(difference, better=better, margin=margin))
    if raw is None or adjusted is None:
        return Judgement("inconclusive", "not_numbers")
    if adjusted.holds < level.tail:
        return Judgement("pass", "pass")
    if adjusted.broken < level.tail:
        return Judgement("fail", "fail")
    limit = _signed(-(margin or 0.0), better)
    # Holm's step for the claim that comes next: what is decided already stays decided, and is corrected for no more.
    left = level.left.holds if raw.holds < raw.broken else level.left.broken
    needed = items_needed(difference, limit, tests=round(left), confidence=level.confidence)
    cause: Cause = "corrected" if min(raw) < level.tail else "open"
    return Judgement("inconclusive", cause, None if needed is None else max(needed, difference.n + 1))


def overall(verdicts: Sequence[Verdict]) -> Verdict:
    """Fail if any claim fails, else inconclusive if any is open or there is none, else pass."""
    if "fail" in verdicts:
        return "fail"
    return "inconclusive" if "inconclusive" in verdicts or not verdicts else "pass"


def _needed_when_few(difference: Estimate, *, better: Better, margin: float | None) -> int | None:
    if difference.clusters == 0:
        return None
    enough_clusters = math.ceil(FEWEST * difference.n / difference.clusters)
    return max(enough_clusters, items_needed(difference, _signed(-(margin or 0.0), better)) or 0)


def _signed(limit: float, better: Better) -> float:
    return limit if better == "higher" else -limit


def _higher_is_better(difference: Estimate, better: Better) -> Estimate:
    return difference if better == "higher" else _turned(difference)


def _turned(difference: Estimate) -> Estimate:
    """The same estimate of base − tuned."""
    value, low, high = (None if end is None else -end for end in (difference.value, difference.high, difference.low))
    return replace(difference, value=value, low=low, high=high)
