"""From results to the paired numbers that a claim is about: one base and one tuned value for each unit, and its cluster."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import NamedTuple

from tunewell.records import Result
from tunewell.stats import shared_keys

TRAINED_SHELL = "plain"


@dataclass(frozen=True, slots=True)
class Item:
    """One test item with the measures of both models."""

    variant: str
    item: str
    family: str
    base: Mapping[str, float]
    tuned: Mapping[str, float]


class Series(NamedTuple):
    """Paired values in the same order, the cluster of each, and the items they are about (`all`, or one variant)."""

    base: list[float]
    tuned: list[float]
    clusters: list[str]
    about: str = "all"


def align(results: Iterable[Result], *, where: str) -> dict[str, list[Item]]:
    """The items of each probe, in the order of variant and item, whatever the order of the results.

    Only the measures are held in memory, not the texts. Raises `DataError` when an item was answered by one model only.
    """
    answers: dict[str, dict[tuple[str, str, str], Result]] = {"base": {}, "tuned": {}}
    for result in results:
        answers[result.model][result.probe, result.variant, result.item] = replace(result, prompt="", reference="", prediction="")
    probes: dict[str, list[Item]] = defaultdict(list)
    for key in shared_keys(answers["base"], answers["tuned"], where=where):
        base, tuned = answers["base"][key], answers["tuned"][key]
        probes[base.probe].append(Item(base.variant, base.item, base.family, base.measures, tuned.measures))
    return dict(probes)


def values(items: Sequence[Item], name: str) -> Series:
    """One measure of each item, clustered by family."""
    return Series([item.base[name] for item in items], [item.tuned[name] for item in items], [item.family for item in items])


def fresh(items: Sequence[Item], name: str) -> Series:
    """One measure of the paraphrases or, where there are none, of the unseen questions; `about` says which."""
    variants = {item.variant for item in items}
    about = "paraphrase" if "paraphrase" in variants else "unseen"
    return values([item for item in items if item.variant == about], name)._replace(about=about)


def drops(items: Sequence[Item], name: str) -> Series:
    """By question: the measure under the trained shell minus its mean under the others. A question without both is left out."""
    return _contrasts(items, name, key=lambda item: item.item, first=lambda item: item.variant == TRAINED_SHELL)


def gaps(items: Sequence[Item], name: str) -> Series:
    """By family: the mean of the measure on seen minus that on unseen questions. A family without both is left out."""
    kinds = [item for item in items if item.variant in ("seen", "unseen")]
    return _contrasts(kinds, name, key=lambda item: item.family, first=lambda item: item.variant == "seen")


def by_variant(items: Sequence[Item], name: str) -> dict[str, Series]:
    """One measure, one series for each variant."""
    variants = sorted({item.variant for item in items})
    return {variant: values([item for item in items if item.variant == variant], name) for variant in variants}


def _contrasts(items: Sequence[Item], name: str, *, key: Callable[[Item], str], first: Callable[[Item], bool]) -> Series:
    groups: dict[str, tuple[list[Item], list[Item]]] = defaultdict(lambda: ([], []))
    for item in items:
        groups[key(item)][0 if first(item) else 1].append(item)
    series = Series([], [], [])
    for _, (one, other) in sorted(groups.items()):
        if one and other:
            series.base.append(fmean(item.base[name] for item in one) - fmean(item.base[name] for item in other))
            series.tuned.append(fmean(item.tuned[name] for item in one) - fmean(item.tuned[name] for item in other))
            series.clusters.append(one[0].family)
    return series
