"""Why a claim has its verdict, in words with its numbers."""

from collections.abc import Mapping
from typing import NamedTuple

from tunewell.gate.judge import Judgement, Level
from tunewell.gate.rules import Rule
from tunewell.gate.words import Text, capitalised, claim_text, number, p_number, sentence, together
from tunewell.stats import Comparison, Estimate

_NO_TEXT = Text("", "")


class Finding(NamedTuple):
    """What a claim's sentence tells: the numbers, the judgement on them, the items they are about, the margin in words.

    `p` is the smaller p value of both directions and `adjusted` the smaller one after correction; None where nothing was tested.
    """

    comparison: Comparison
    judgement: Judgement
    about: str
    margin: Text
    level: Level
    p: float | None
    adjusted: float | None


def margin_text(rule: Rule, margins: Mapping[str, float]) -> Text:
    """The margin as it stands in the recipe; empty where a gain is claimed.

    >>> from tunewell.gate.rules import RULES
    >>> margin_text(RULES[3], {"retention": 0.05}).en
    '5 % of the base value'
    """
    if rule.margin is None:
        return _NO_TEXT
    allowed = margins[rule.margin.key]
    if rule.margin.relative:
        return sentence("margin_relative", percent=f"{100 * allowed:g}")
    return sentence("margin_absolute", margin=f"{allowed:g}", unit=claim_text(rule.name, "unit"))


def claim_reason(rule: Rule, finding: Finding) -> Text:
    """One or two sentences: what changed by how much, with its interval, and, where it is open, what would settle it."""
    comparison, judgement = finding.comparison, finding.judgement
    difference = comparison.difference
    title = claim_text(rule.name, "title")
    if judgement.cause in ("few", "not_numbers", "no_base"):
        return sentence(judgement.cause, title=title, n=difference.n, clusters=difference.clusters)
    assert difference.value is not None, "every other cause rests on a known difference"
    what = claim_text(rule.name, "what", finding.about)
    # "Improved by 0.3" reads with an interval of sizes; a change that may go either way needs its signs.
    sizes = rule.margin is None and judgement.verdict != "inconclusive"
    told = sentence(
        f"{rule.kind.replace('-', '_')}_{judgement.cause}",
        title=title,
        what=what,
        What=capitalised(what),
        size=number(abs(difference.value)),
        base=number(comparison.base or 0.0),
        tuned=number(comparison.tuned or 0.0),
        difference=number(difference.value, signed=True),
        unit=claim_text(rule.name, "unit"),
        interval=_interval(difference, sizes=sizes, confidence=finding.level.confidence),
        margin=finding.margin,
    )
    return together([told, _correction(finding), _needed(judgement)])


def claim_advice(rule: Rule, judgement: Judgement) -> Text:
    """What to try when the claim failed, how to measure more when it is open, nothing when it passed."""
    if judgement.verdict == "pass":
        return _NO_TEXT
    return claim_text(rule.name, "advice" if judgement.verdict == "fail" else "more")


def _interval(difference: Estimate, *, sizes: bool, confidence: float) -> Text:
    low, high = difference.low, difference.high
    assert low is not None, "the causes that lack an interval have sentences of their own"
    assert high is not None, "an interval has both ends or none"
    if sizes:
        low, high = sorted((abs(low), abs(high)))
    return sentence(
        "interval",
        level=f"{100 * confidence:g}",
        low=number(low, signed=not sizes),
        high=number(high, signed=not sizes),
        n=difference.n,
    )


def _correction(finding: Finding) -> Text:
    if finding.judgement.cause != "corrected" or finding.p is None or finding.adjusted is None:
        return _NO_TEXT
    shown = {"p": p_number(finding.p), "adjusted": p_number(finding.adjusted), "level": f"{finding.level.tail:.3g}"}
    return sentence("correction", tests=finding.level.tests, **shown)


def _needed(judgement: Judgement) -> Text:
    if judgement.cause not in ("open", "corrected"):
        return _NO_TEXT
    return sentence("never") if judgement.needed is None else sentence("needed", needed=judgement.needed)
