"""Two tuned models on the same items: the numbers of the gate's claims, one model's beside the other's."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from tunewell.gate.judge import FEWEST, Better
from tunewell.gate.rules import RULES, Rule
from tunewell.gate.series import Item
from tunewell.gate.words import claim_text
from tunewell.records import Result
from tunewell.stats import holm, two_sided_p

Finding = Literal["better", "worse", "cannot be told", "too few items"]
_Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Contrast:
    """One measure of two models: second − first on their common items, and what may be said of it after Holm's correction."""

    name: str
    title: str
    unit: str
    better: Better
    variant: str
    n: int
    first: float | None
    second: float | None
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    p_holm: float | None
    finding: Finding


class Aligned(NamedTuple):
    """The common items of two models by probe, and how many each has alone or asks in other words."""

    probes: Mapping[str, list[Item]]
    only_first: int
    only_second: int
    changed: int


def align_models(first: Iterable[Result], second: Iterable[Result]) -> Aligned:
    """Pair the results of two tuned models item by item.

    Items of one name whose prompt or reference differs are not the same item: they are left out, and counted as `changed`.
    Results of the base model are passed over.
    """
    one, other = ({_key(result): result for result in results if result.model == "tuned"} for results in (first, second))
    common = sorted(one.keys() & other.keys())
    same = [key for key in common if _asked(one[key]) == _asked(other[key])]
    probes: dict[str, list[Item]] = {}
    for key in same:
        found = one[key]
        probes.setdefault(found.probe, []).append(
            Item(found.variant, found.item, found.family, found.measures, other[key].measures)
        )
    return Aligned(probes, len(one) - len(common), len(other) - len(common), len(common) - len(same))


def contrasts(pairs: Sequence[Aligned], *, confidence: float) -> list[list[Contrast]]:
    """The measures of all pairs of models; Holm's correction is over all measures of all pairs that have items enough."""
    found = [[_contrast(rule, aligned, confidence=confidence) for rule in RULES] for aligned in pairs]
    known = [[one for one in contrasts if one is not None] for contrasts in found]
    tested = [one.p for contrasts in known for one in contrasts if one.p is not None]
    corrected = iter(holm(tested))
    return [
        [one if one.p is None else _decided(one, next(corrected), confidence=confidence) for one in contrasts]
        for contrasts in known
    ]


def _contrast(rule: Rule, aligned: Aligned, *, confidence: float) -> Contrast | None:
    series = rule.series(rule.measured(aligned.probes.get(rule.probe, ())), rule.measure)
    if not series.base:
        return None
    comparison = rule.compare(series, confidence=confidence)
    difference = comparison.difference
    p = two_sided_p(difference) if difference.clusters >= FEWEST else None
    numbers: dict[str, Any] = {"difference": difference.value, "low": difference.low, "high": difference.high}
    return Contrast(
        name=rule.name,
        title=claim_text(rule.name, "title").en,
        unit=claim_text(rule.name, "unit").en,
        better=rule.better,
        variant=series.about,
        n=difference.n,
        first=comparison.base,
        second=comparison.tuned,
        **numbers,
        p=p,
        p_holm=None,
        finding="too few items" if difference.clusters < FEWEST else "cannot be told",
    )


def _decided(contrast: Contrast, corrected: float, *, confidence: float) -> Contrast:
    finding: Finding = "cannot be told"
    if contrast.difference and corrected < 1 - confidence:
        finding = "better" if (contrast.difference > 0) == (contrast.better == "higher") else "worse"
    return replace(contrast, p_holm=corrected, finding=finding)


def _key(result: Result) -> _Key:
    return result.probe, result.variant, result.item


def _asked(result: Result) -> tuple[str, str]:
    return result.prompt, result.reference
