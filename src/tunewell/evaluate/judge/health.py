"""How far a judge can be trusted: coverage, failures, spread, order, length, labels, cost. Pure functions over its verdicts."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, stdev
from typing import Any, NamedTuple

from tunewell.evaluate.judge.agreement import quadratic_kappa, slope
from tunewell.evaluate.judge.calibration import Calibration, Labelled, calibrate
from tunewell.evaluate.judge.outcomes import Comparison, Subject, comparisons_of, means, preferences, scores_of
from tunewell.evaluate.judge.run import Item, Mode, Sitting, Verdicts
from tunewell.stats import exact_share, mean, paired_shares

FEWEST = 10
"""Labelled items, pairs or common answers below which nothing is concluded about a judge."""

_FAR_APART = {"score": 2.0, "pair": 1.0}
_SHOWN_DISAGREEMENTS = 20


@dataclass(frozen=True, slots=True)
class Terms:
    """What judges are asked, what they must reach, and the level and seed of every interval.

    `mode` says whether each answer is scored, the two of an item are compared, or both; `repeats` how often, above 1 at a
    temperature. `least_kappa` is the smallest quadratic κ with the labelled items; 0 asks none of them.
    """

    mode: Mode = "both"
    repeats: int = 1
    least_kappa: float = 0.6
    confidence: float = 0.95
    seed: int = 0


class Examined(NamedTuple):
    """One judge's verdicts as numbers, whether they are used, and its health record (JSON values)."""

    judge: str
    trusted: bool
    scores: Mapping[Subject, float]
    preferences: Mapping[Subject, float]
    health: Mapping[str, Any]


class _Point(NamedTuple):
    """A number that a judge gave, and the answer that it is for."""

    value: float
    answer: str
    language: str
    family: str


class _Apart(NamedTuple):
    """Something that judges see quite differently, and what each of them says of it, None where that is nothing."""

    kind: str
    id: str
    answer: str
    gap: float
    values: Sequence[float | None]


def examine(sitting: Sitting, items: Sequence[Item], labelled: Sequence[Labelled], terms: Terms) -> Examined:
    """The numbers and the health of one judge. Without labelled items it is trusted unproved."""
    verdicts = sitting.verdicts
    families = {item.id: item.family for item in items}
    scores, comparisons = scores_of(verdicts, "score"), comparisons_of(verdicts)
    given = {subject.id: score for subject, score in means(scores_of(verdicts, "calibration")).items()}
    calibration = calibrate(labelled, given, confidence=terms.confidence, seed=terms.seed) if labelled else None
    trusted = calibration is None or _is_trusted(calibration, terms)
    health = {
        "judge": sitting.judge,
        "server": sitting.server,
        "trusted": trusted,
        "coverage": _coverage(verdicts),
        "failures": _failures(verdicts),
        "spread": _spread(scores, families, terms),
        **_order(comparisons, families, terms),
        "length_slope": _length_slope(_score_points(items, means(scores)), terms),
        "length_error_slope": _length_slope(_error_points(labelled, given), terms),
        "calibration": None if calibration is None else _calibration(calibration),
        "cost": _cost(sitting),
    }
    return Examined(sitting.judge, trusted, means(scores), preferences(comparisons), health)


def agreements(judges: Sequence[Examined], families: Mapping[str, str], terms: Terms) -> list[dict[str, Any]]:
    """For each two judges the quadratic κ of their scores and of their preferences, on what both have judged."""
    found = []
    for place, first in enumerate(judges):
        for second in judges[place + 1 :]:
            kappas = {
                kind: _kappa_of_two(getattr(first, kind), getattr(second, kind), families, terms)
                for kind in ("scores", "preferences")
            }
            found.append({"judges": [first.judge, second.judge], **kappas})
    return found


def disagreements(judges: Sequence[Examined]) -> dict[str, Any]:
    """What the judges see quite differently: two points apart, or a win for the one that is a loss for the other.

    `n` counts all, `shown` has the widest apart, at most 20.
    """
    apart: list[_Apart] = []
    for kind, by_judge in (("score", [one.scores for one in judges]), ("pair", [one.preferences for one in judges])):
        for subject in sorted(set().union(*by_judge)):
            values = [numbers.get(subject) for numbers in by_judge]
            known = [value for value in values if value is not None]
            gap = max(known) - min(known)
            if gap >= _FAR_APART[kind]:
                apart.append(_Apart(kind, *subject, gap, values))
    apart.sort(key=lambda one: -one.gap / _FAR_APART[one.kind])
    return {
        "n": len(apart),
        "judges": [one.judge for one in judges],
        "shown": [one._asdict() for one in apart[:_SHOWN_DISAGREEMENTS]],
    }


def _is_trusted(calibration: Calibration, terms: Terms) -> bool:
    kappa = calibration.kappa
    return kappa.n >= FEWEST and kappa.value is not None and kappa.value >= terms.least_kappa


def _coverage(verdicts: Verdicts) -> dict[str, dict[str, int]]:
    """By kind, how many verdicts there are of how many, and how many things have at least one of how many.

    Of a pair, both orders of one repeat make one verdict.
    """
    whole: dict[str, dict[Any, bool]] = {}
    for asked, verdict in verdicts.items():
        one = (asked.id, "" if asked.kind == "pair" else asked.subject, asked.repeat)
        kind = whole.setdefault(asked.kind, {})
        kind[one] = kind.get(one, True) and verdict.value is not None
    return {
        kind: {
            "judged": len({one[:2] for one, is_whole in found.items() if is_whole}),
            "of": len({one[:2] for one in found}),
            "verdicts": sum(found.values()),
            "asked": len(found),
        }
        for kind, found in whole.items()
    }


def _failures(verdicts: Verdicts) -> dict[str, dict[str, int]]:
    failures: dict[str, Counter[str]] = {}
    for asked, verdict in verdicts.items():
        if verdict.failure:
            failures.setdefault(asked.kind, Counter())[verdict.failure] += 1
    return {kind: dict(sorted(counts.items())) for kind, counts in failures.items()}


def _spread(scores: Mapping[Subject, Sequence[int]], families: Mapping[str, str], terms: Terms) -> dict[str, Any]:
    """The mean standard deviation between the repeats on one answer, in points."""
    repeated = {subject: values for subject, values in scores.items() if len(values) > 1}
    deviations = [stdev(values) for values in repeated.values()]
    return asdict(mean(deviations, [families[subject.id] for subject in repeated], confidence=terms.confidence))


def _order(comparisons: Mapping[str, Sequence[Comparison]], families: Mapping[str, str], terms: Terms) -> dict[str, Any]:
    """What the order of two answers does. Flips are counted on one repeat of each pair: the others are not independent of it."""
    flips = exact_share(sum(found[0].is_flip for found in comparisons.values()), len(comparisons), confidence=terms.confidence)
    positions = [fmean(one.position for one in found) for found in comparisons.values()]
    first, second = ([max(0.0, sign * position) for position in positions] for sign in (1, -1))
    bias = paired_shares(second, first, [families[item] for item in comparisons], confidence=terms.confidence)
    return {"flips": asdict(flips), "position_bias": asdict(bias.difference)}


def _score_points(items: Sequence[Item], scores: Mapping[Subject, float]) -> Iterable[_Point]:
    for item in items:
        for name, answer in (("base", item.base), ("tuned", item.tuned)):
            if Subject(item.id, name) in scores:
                yield _Point(scores[Subject(item.id, name)], answer, item.language, item.family)


def _error_points(labelled: Sequence[Labelled], given: Mapping[str, float]) -> Iterable[_Point]:
    for item in labelled:
        if item.id in given:
            yield _Point(given[item.id] - item.label, item.answer, item.language, item.id)


def _length_slope(points: Iterable[_Point], terms: Terms) -> dict[str, Any]:
    """Points per doubling of the answer's length in characters, within each language."""
    found = list(points)
    lengths = [math.log2(1 + len(point.answer)) for point in found]
    values, languages = [point.value for point in found], [point.language for point in found]
    families = [point.family for point in found]
    return asdict(slope(values, lengths, languages, families, confidence=terms.confidence, seed=terms.seed))


def _calibration(calibration: Calibration) -> dict[str, Any]:
    return {
        "kappa": asdict(calibration.kappa),
        "of": calibration.of,
        "by_language": {code: asdict(kappa) for code, kappa in calibration.by_language.items()},
        "between_passes": asdict(calibration.between_passes),
    }


def _cost(sitting: Sitting) -> dict[str, Any]:
    """What was paid for all verdicts and failures when they were first asked for; what several share is counted once."""
    paid = {verdict.key: verdict for verdict in sitting.verdicts.values() if verdict.key}
    costs = [verdict.cost for verdict in paid.values()]
    return {
        "requests": len(paid),
        "prompt_tokens": sum(verdict.prompt_tokens for verdict in paid.values()),
        "completion_tokens": sum(verdict.completion_tokens for verdict in paid.values()),
        "cost": None if None in costs else math.fsum(cost or 0.0 for cost in costs),
        "currency": sitting.currency,
    }


def _kappa_of_two(
    first: Mapping[Subject, float], second: Mapping[Subject, float], families: Mapping[str, str], terms: Terms
) -> dict[str, Any]:
    both = sorted(first.keys() & second.keys())
    values = [first[subject] for subject in both], [second[subject] for subject in both]
    clusters = [families[subject.id] for subject in both]
    return asdict(quadratic_kappa(*values, clusters, confidence=terms.confidence, seed=terms.seed))
