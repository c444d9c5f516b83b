"""The numbers of the probe `domain`: BLEU, chrF, ROUGE-L, facts, answer loss and dispersion, base and tuned side by side.

Each metric is a function of sums over items, so that its bootstrap adds rows of counts instead of scoring texts again.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from tunewell.evaluate.definitions import (
    METRICS,
    MIXED,
    Metric,
    bleu_of_sums,
    bleu_rows,
    bleu_signature,
    language_of,
    loss_rows,
    share_of_sums,
)
from tunewell.records import Result
from tunewell.stats import Comparison, Floats, Statistic, holm, paired, paired_bootstrap, shared_keys, two_sided_p

_FEW = 10
_SLICES = ("seen", "paraphrase", "unseen")


def corpus_metrics(results: Sequence[Result], *, confidence: float, seed: int) -> list[dict[str, Any]]:
    """Every metric of the probe `domain` on every slice, with a paired interval of tuned − base.

    A slice is `all`, `seen`, `paraphrase` or `unseen`, in one `language`: `en`, `zh`, or, where both occur, also `mixed`.
    BLEU has no mixed rows, because its tokenizer depends on the language; an item that is not Chinese counts as English.
    Results of other probes are ignored. Below ten families an entry carries a `note` and supports no verdict.

    Returns:
        Entries of name, definition, signature, slice, language, n, base, tuned, difference, low, high, unit, better. An
        unknown number is None.

    Raises:
        DataError: an item was answered by one model only.
    """
    items = _pair_up(result for result in results if result.probe == "domain")
    sheet = _Sheet(items, confidence=confidence, seed=seed)
    return [
        entry
        for slice_name, language, places in _slices(items)
        for metric in METRICS
        if metric.applies(slice_name, language) and (entry := sheet.entry(metric, slice_name, language, places)) is not None
    ]


def facet_metrics(
    results: Sequence[Result], facets: Mapping[str, Mapping[str, str]], *, confidence: float, seed: int
) -> list[dict[str, Any]]:
    """ROUGE-L, contained facts and answer loss of the probe `domain` by whatever else is known of the items.

    Args:
        results: those of other probes are ignored.
        facets: by item, what it is, such as `{"turns": "single", "length": "short", "topic": "refunds"}`.
        confidence: the level of the intervals.
        seed: of the bootstrap.

    Returns:
        Entries as those of `corpus_metrics`, each with its `facet`, with `p`, the p value of its difference against none, and
        with `p_holm`, the same corrected for all slices of its facet that the metric has. An item without a facet is in none of
        its slices; a facet of one value is left out, since it says nothing that `all` does not say.
    """
    items = _pair_up(result for result in results if result.probe == "domain")
    sheet = _Sheet(items, confidence=confidence, seed=seed)
    languages = {language_of(item.base) for item in items}
    language = languages.pop() if len(languages) == 1 else MIXED
    entries = []
    for facet, slices in _by_facet(items, facets).items():
        for metric in METRICS:
            if metric.by_facet and len(slices) > 1:
                found = [sheet.entry(metric, name, language, places, facet=facet) for name, places in slices.items()]
                entries += _corrected([entry for entry in found if entry is not None])
    return entries


def _by_facet(items: Sequence["_Item"], facets: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, list[int]]]:
    places: dict[str, dict[str, list[int]]] = {}
    for place, item in enumerate(items):
        for facet, value in facets.get(item.base.item, {}).items():
            places.setdefault(facet, {}).setdefault(value, []).append(place)
    return {facet: dict(sorted(slices.items())) for facet, slices in places.items()}


def _corrected(entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    known = [entry for entry in entries if entry["p"] is not None]
    corrected = iter(holm([entry["p"] for entry in known]))
    return [{**entry, "p_holm": None if entry["p"] is None else next(corrected)} for entry in entries]


class CorpusSums(NamedTuple):
    """A corpus metric of one model: what each item adds, of shape (items, k), and the statistic that makes a value of a sum."""

    rows: Floats
    statistic: Statistic


def corpus_bleu(results: Sequence[Result]) -> CorpusSums:
    """Corpus BLEU of one model's answers, each item's n-grams under the tokenizer of its own language.

    Over one language it is the BLEU of `corpus_metrics`. Over both the counts of all items are added up, which compares models
    on the same items and is no BLEU that anybody else prints.
    """
    return CorpusSums(np.array([bleu_rows(result) for result in results]), bleu_of_sums)


def bleu_signatures(results: Sequence[Result]) -> dict[str, str]:
    """The signature of sacrebleu for each language among the items, sorted."""
    return {language: bleu_signature(language) for language in sorted({language_of(result) for result in results})}


def corpus_loss(results: Sequence[Result]) -> CorpusSums:
    """The mean loss of the reference answers over all their tokens, in nats."""
    return CorpusSums(np.array([loss_rows(result) for result in results]), share_of_sums)


@dataclass(frozen=True, slots=True)
class _Item:
    """One domain item with the answers of both models."""

    base: Result
    tuned: Result


def _pair_up(results: Iterable[Result]) -> list[_Item]:
    answers: dict[str, dict[tuple[str, str], Result]] = {"base": {}, "tuned": {}}
    for result in results:
        answers[result.model][result.variant, result.item] = result
    keys = shared_keys(answers["base"], answers["tuned"], where="probe domain")
    return [_Item(answers["base"][key], answers["tuned"][key]) for key in keys]


def _slices(items: Sequence[_Item]) -> Iterator[tuple[str, str, list[int]]]:
    languages = sorted({language_of(item.base) for item in items})
    for language in [MIXED, *languages] if len(languages) > 1 else languages:
        for slice_name in ("all", *_SLICES):
            part = [
                place
                for place, item in enumerate(items)
                if language in (MIXED, language_of(item.base)) and slice_name in ("all", item.base.variant)
            ]
            if part:
                yield slice_name, language, part


class _Sheet:
    """The sums of every item for every metric, computed once, from which the entries of all slices are made."""

    def __init__(self, items: Sequence[_Item], *, confidence: float, seed: int) -> None:
        self._items = items
        self._families = np.array([item.base.family for item in items])
        self._confidence = confidence
        self._seed = seed
        self._rows: dict[str, tuple[Floats, Floats]] = {}

    def entry(
        self, metric: Metric, slice_name: str, language: str, places: Sequence[int], *, facet: str = ""
    ) -> dict[str, Any] | None:
        """The numbers of one metric on the items at these places; None where it counts none of them."""
        places = [place for place in places if metric.counts(self._items[place].base)]
        return _entry(metric, slice_name, language, self._compare(metric, places), len(places), facet=facet) if places else None

    def _compare(self, metric: Metric, places: Sequence[int]) -> Comparison:
        base, tuned = (rows[places] for rows in self._rows_of(metric))
        families = self._families[places]
        if metric.statistic is None:
            return paired(base[:, 0], tuned[:, 0], families, confidence=self._confidence)
        return paired_bootstrap(metric.statistic, base, tuned, families, confidence=self._confidence, seed=self._seed)

    def _rows_of(self, metric: Metric) -> tuple[Floats, Floats]:
        if metric.name not in self._rows:
            base, tuned = (
                np.array([metric.rows(answer) for answer in answers], dtype=np.float64)
                for answers in ([item.base for item in self._items], [item.tuned for item in self._items])
            )
            self._rows[metric.name] = base, tuned
        return self._rows[metric.name]


def _entry(metric: Metric, slice_name: str, language: str, comparison: Comparison, n: int, *, facet: str) -> dict[str, Any]:
    difference = comparison.difference
    entry = {
        "name": metric.name,
        "definition": metric.definition,
        "signature": metric.signature(language),
        **({"facet": facet} if facet else {}),
        "slice": slice_name,
        "language": language,
        "n": n,
        "base": comparison.base,
        "tuned": comparison.tuned,
        "difference": difference.value,
        "low": difference.low,
        "high": difference.high,
        "unit": metric.unit,
        "better": metric.better,
        **({"p": two_sided_p(difference)} if facet else {}),
    }
    return {**entry, "note": "n below 10: shown without a verdict"} if difference.clusters < _FEW else entry
