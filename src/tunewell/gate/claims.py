"""Claims as they are written to `metrics.json`: the numbers, the verdict, and both in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tunewell.gate.judge import Judgement, Verdict, judge
from tunewell.gate.reasons import claim_advice, claim_reason, margin_text
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
    verdict: Verdict
    needed: int | None
    detectable: float | None
    reason: str
    reason_zh: str
    advice: str
    advice_zh: str
    by: tuple[Slice, ...]
    also: tuple[Slice, ...]


def claims_of(probes: Mapping[str, Sequence[Item]], *, margins: Mapping[str, float], confidence: float) -> list[Claim]:
    """Every claim that the items allow, in the order of the table of rules. A probe without items gives none."""
    found = []
    for rule in RULES:
        items = probes.get(rule.probe, ())
        series = rule.series(items, rule.measure)
        if series.base:
            found.append(_claim(rule, items, series, margins=margins, confidence=confidence))
    return found


def _claim(rule: Rule, items: Sequence[Item], series: Series, *, margins: Mapping[str, float], confidence: float) -> Claim:
    comparison = rule.compare(series, confidence=confidence)
    limit = rule.limit(comparison.base, margins)
    judgement = _judgement(rule, comparison, limit)
    title, definition, unit = (claim_text(rule.name, key) for key in ("title", "definition", "unit"))
    margin = margin_text(rule, margins)
    reason = claim_reason(rule, comparison, judgement, about=series.about, margin=margin, confidence=confidence)
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


def _judgement(rule: Rule, comparison: Comparison, limit: float | None) -> Judgement:
    judgement = judge(comparison, better=rule.better, margin=limit)
    # A share of nothing is nothing: where the base model scores 0, a relative margin leaves no room to pass or fail.
    nothing_to_keep = rule.margin is not None and rule.margin.relative and comparison.base == 0
    return Judgement("inconclusive", "no_base") if nothing_to_keep and judgement.cause == "open" else judgement


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
