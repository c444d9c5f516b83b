"""Claims as they are written to `metrics.json`: the numbers, the verdict, and both in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tunewell.gate.judge import Judgement, Level, Tails, Verdict, corrected, judge, level_of, p_values
from tunewell.gate.reasons import Finding, claim_advice, claim_reason, margin_text
from tunewell.gate.rules import RULES, Better, Kind, Rule
from tunewell.gate.series import Item, Series, by_variant, values
from tunewell.gate.words import claim_text
from tunewell.stats import Comparison, paired_shares, smallest_difference


@dataclass(frozen=True, slots=True)
class Slice:
    """One measure on one variant: shown beside a claim, not judged."""

    variant: str
    n: int
    base: float | None
    tuned: float | None
    difference: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim. `margin` is in the claim's unit, and None where a gain is claimed; a number that is unknown is None.

    `p` is the one-sided p value of the claim: how likely such numbers are if it does not hold. `p_against` is that of its
    opposite. Beside each stands what Holm's correction over all claims of the run makes of it, which decides. All four are None
    where there are too few items to test.

    `variant` says which items the claim is about (`all`, or `paraphrase` or `unseen`). `needed` is about how many items would
    settle an open claim, `detectable` the smallest difference that this many show with 80 % power. `advice` says what to do
    next about a claim that did not pass. `by` shows the measure on each variant; `also` shows a second one (for retention the
    accuracy), on all items and then on each variant.
    """

    name: str
    title: str
    title_zh: str
    symptom: int
    definition: str
    definition_zh: str
    kind: Kind
    better: Better
    unit: str
    unit_zh: str
    variant: str
    n: int
    clusters: int
    base: float | None
    tuned: float | None
    difference: float | None
    low: float | None
    high: float | None
    margin: float | None
    margin_text: str
    margin_text_zh: str
    p: float | None
    p_holm: float | None
    p_against: float | None
    p_against_holm: float | None
    verdict: Verdict
    needed: int | None
    detectable: float | None
    reason: str
    reason_zh: str
    advice: str
    advice_zh: str
    by: tuple[Slice, ...]
    also: tuple[Slice, ...]


class _Measured(NamedTuple):
    """A rule, the numbers that it compares, and what they give before the claims are corrected together."""

    rule: Rule
    items: Sequence[Item]
    series: Series
    comparison: Comparison
    limit: float | None
    raw: Tails | None


def claims_of(probes: Mapping[str, Sequence[Item]], *, margins: Mapping[str, float], confidence: float) -> list[Claim]:
    """Every claim that the items allow, in the order of the table of rules. A probe without items gives none."""
    measured = [
        _measured(rule, items, series, margins=margins, confidence=confidence)
        for rule in RULES
        if (series := rule.series(items := rule.measured(probes.get(rule.probe, ())), rule.measure)).base
    ]
    adjusted = corrected([one.raw for one in measured])
    level = level_of(adjusted, confidence=confidence)
    return [_claim(one, tests, margins=margins, level=level) for one, tests in zip(measured, adjusted, strict=True)]


def _measured(rule: Rule, items: Sequence[Item], series: Series, *, margins: Mapping[str, float], confidence: float) -> _Measured:
    comparison = rule.compare(series, confidence=confidence)
    limit = rule.limit(comparison.base, margins)
    return _Measured(rule, items, series, comparison, limit, p_values(comparison, better=rule.better, margin=limit))


def _claim(measured: _Measured, adjusted: Tails | None, *, margins: Mapping[str, float], level: Level) -> Claim:
    rule, items, series, comparison, limit, raw = measured
    judgement = _judgement(measured, adjusted, level)
    confidence = level.confidence
    title, definition, unit = (claim_text(rule.name, key) for key in ("title", "definition", "unit"))
    margin = margin_text(rule, margins)
    finding = Finding(comparison, judgement, series.about, margin, level, raw and min(raw), adjusted and min(adjusted))
    reason = claim_reason(rule, finding)
    advice = claim_advice(rule, judgement)
    difference = comparison.difference
    return Claim(
        name=rule.name,
        title=title.en,
        title_zh=title.zh,
        symptom=rule.symptom,
        definition=definition.en,
        definition_zh=definition.zh,
        kind=rule.kind,
        better=rule.better,
        unit=unit.en,
        unit_zh=unit.zh,
        variant=series.about,
        n=difference.n,
        clusters=difference.clusters,
        base=comparison.base,
        tuned=comparison.tuned,
        difference=difference.value,
        low=difference.low,
        high=difference.high,
        margin=limit,
        margin_text=margin.en,
        margin_text_zh=margin.zh,
        p=raw and raw.holds,
        p_holm=adjusted and adjusted.holds,
        p_against=raw and raw.broken,
        p_against_holm=adjusted and adjusted.broken,
        verdict=judgement.verdict,
        needed=judgement.needed,
        detectable=smallest_difference(difference, confidence=confidence),
        reason=reason.en,
        reason_zh=reason.zh,
        advice=advice.en,
        advice_zh=advice.zh,
        by=tuple(_slice(name, rule.compare(part, confidence=confidence)) for name, part in by_variant(items, rule.measure).items()),
        also=_also(rule, items, confidence=confidence),
    )


def _judgement(measured: _Measured, adjusted: Tails | None, level: Level) -> Judgement:
    rule, comparison = measured.rule, measured.comparison
    judgement = judge(comparison, better=rule.better, margin=measured.limit, raw=measured.raw, adjusted=adjusted, level=level)
    # A share of nothing is nothing: where the base model scores 0, a relative margin leaves no room to pass or fail.
    nothing_to_keep = rule.margin is not None and rule.margin.relative and comparison.base == 0
    undecided = judgement.cause in ("open", "corrected")
    return Judgement("inconclusive", "no_base") if nothing_to_keep and undecided else judgement


def _also(rule: Rule, items: Sequence[Item], *, confidence: float) -> tuple[Slice, ...]:
    if not rule.also:
        return ()
    parts = {"all": values(items, rule.also), **by_variant(items, rule.also)}
    return tuple(
        _slice(name, paired_shares(part.base, part.tuned, part.clusters, confidence=confidence)) for name, part in parts.items()
    )


def _slice(variant: str, comparison: Comparison) -> Slice:
    difference = comparison.difference
    return Slice(variant, difference.n, comparison.base, comparison.tuned, difference.value, difference.low, difference.high)
