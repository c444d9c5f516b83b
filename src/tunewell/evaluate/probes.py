"""What the probes say beside the gate's claims: drift, brittleness, leakage and the health of the answers, base beside tuned."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean
from typing import Any

import numpy as np

from tunewell.evaluate.definitions import MIXED, language_of, rouge_l, share_of_sums
from tunewell.evaluate.drift import LIKELIEST, Divergence
from tunewell.evaluate.leakage import SceneDetector
from tunewell.records import Result
from tunewell.stats import RESAMPLES, Comparison, Estimate, Floats, paired, paired_bootstrap, paired_shares, shared_keys

_PLAIN = "plain"
_FEW = 10
_GENERATED = ("domain", "brittleness", "constraints", "leakage")


@dataclass(frozen=True, slots=True)
class _Definition:
    """What a number of a probe is called and means."""

    probe: str
    name: str
    definition: str
    unit: str
    better: str


_DRIFT = _Definition(
    "drift",
    "kl_base_tuned",
    f"KL(base‖tuned) of the next token along the base model's answers, over its {LIKELIEST} likeliest tokens and all others as one",
    "nats per token",
    "lower",
)
_BRITTLENESS = {
    "spread": ("Best minus worst ROUGE-L of one question over all prompt shells, averaged over questions", "points of 1", "lower"),
    "drop_held_out": ("ROUGE-L under the plain prompt minus the mean under the held-out shells", "points of 1", "lower"),
    "drop_system": ("ROUGE-L under the plain prompt minus the mean under the shells with a system text", "points of 1", "lower"),
    "consistency": ("Mean ROUGE-L between the answers to one question under two shells", "points of 1", "higher"),
}
_LEAKAGE = {
    "leak": ("Share of general prompts that get a domain answer", "share", "lower"),
    "overlap": ("Mean share of an answer's 5-token sequences that stand in a training answer of the domain", "share", "lower"),
}
_SCENE = _Definition(
    "leakage",
    "scene_auroc",
    "AUROC: how often an answer to an untrained domain question sounds more like the domain than one to a general prompt",
    "share",
    "higher",
)
_HEALTH = {
    "cut": ("Share of answers that the length limit ended", "share", "lower"),
    "empty": ("Share of answers that say nothing", "share", "lower"),
}


def probe_metrics(
    results: Sequence[Result], divergences: Sequence[Divergence], detector: SceneDetector, *, confidence: float, seed: int
) -> list[dict[str, Any]]:
    """The numbers of the probes, each on all its items and on each language where there are several.

    Returns:
        Entries as those of `corpus_metrics`, each with its `probe`. The base model's drift is 0, for it is where drift starts.
    """
    pairs = _pairs([result for result in results if result.probe in _GENERATED])
    tables = _Tables(confidence, seed)
    entries = []
    for language in _languages([base for base, _ in pairs]):
        spoken = [pair for pair in pairs if language in (MIXED, language_of(pair[0]))]
        drifted = [one for one in divergences if language in (MIXED, one.passage.language)]
        entries += [
            {**entry, "language": language}
            for found in (
                tables.drift(drifted),
                tables.brittleness(spoken),
                tables.leakage(spoken),
                tables.scene(spoken, detector),
                tables.health(spoken),
            )
            for entry in found
        ]
    return entries


_Pair = tuple[Result, Result]


def _pairs(results: Sequence[Result]) -> list[_Pair]:
    answers: dict[str, dict[tuple[str, str, str], Result]] = {"base": {}, "tuned": {}}
    for result in results:
        answers[result.model][result.probe, result.variant, result.item] = result
    keys = shared_keys(answers["base"], answers["tuned"], where="probes")
    return [(answers["base"][key], answers["tuned"][key]) for key in keys]


def _languages(results: Sequence[Result]) -> list[str]:
    languages = sorted(set(map(language_of, results)))
    return [MIXED, *languages] if len(languages) > 1 else languages


class _Tables:
    """Entries of each probe from pairs of results."""

    def __init__(self, confidence: float, seed: int) -> None:
        self._confidence = confidence
        self._seed = seed

    def drift(self, divergences: Sequence[Divergence]) -> Iterator[dict[str, Any]]:
        for slice_name in ("domain", "general"):
            found = [one for one in divergences if one.passage.slice == slice_name]
            if found:
                rows = np.array([[one.total, one.places] for one in found], dtype=np.float64)
                families = [one.passage.family for one in found]
                nothing = rows * [0, 1]
                comparison = paired_bootstrap(share_of_sums, nothing, rows, families, confidence=self._confidence, seed=self._seed)
                yield _entry(_DRIFT, slice_name, comparison)

    def brittleness(self, pairs: Sequence[_Pair]) -> Iterator[dict[str, Any]]:
        questions: dict[str, list[_Pair]] = defaultdict(list)
        for pair in pairs:
            if pair[0].probe == "brittleness":
                questions[pair[0].item].append(pair)
        for name, definition in _BRITTLENESS.items():
            values = [
                (*(_of_shells(name, [pair[model] for pair in group]) for model in (0, 1)), group[0][0].family)
                for group in questions.values()
            ]
            known = [(base, tuned, family) for base, tuned, family in values if base is not None and tuned is not None]
            if known:
                base, tuned, families = zip(*known, strict=True)
                comparison = paired(base, tuned, families, confidence=self._confidence)
                yield _entry(_Definition("brittleness", name, *definition), "all", comparison)

    def leakage(self, pairs: Sequence[_Pair]) -> Iterator[dict[str, Any]]:
        asked = [pair for pair in pairs if pair[0].probe == "leakage"]
        for name, definition in _LEAKAGE.items():
            for slice_name in ("general", "near_miss"):
                yield from self._mean("leakage", name, definition, slice_name, [p for p in asked if p[0].variant == slice_name])

    def health(self, pairs: Sequence[_Pair]) -> Iterator[dict[str, Any]]:
        for probe in _GENERATED:
            answered = [pair for pair in pairs if pair[0].probe == probe]
            for name, definition in _HEALTH.items():
                yield from self._mean(probe, name, definition, "all", answered)

    def _mean(
        self, probe: str, name: str, definition: tuple[str, str, str], slice_name: str, pairs: Sequence[_Pair]
    ) -> Iterator[dict[str, Any]]:
        if pairs:
            base, tuned = ([pair[model].measures[name] for pair in pairs] for model in (0, 1))
            compare = paired if name == "overlap" else paired_shares
            comparison = compare(base, tuned, [pair[0].family for pair in pairs], confidence=self._confidence)
            yield _entry(_Definition(probe, name, *definition), slice_name, comparison)

    def scene(self, pairs: Sequence[_Pair], detector: SceneDetector) -> Iterator[dict[str, Any]]:
        contrast = [pair for pair in pairs if pair[0].probe == "domain" and pair[0].variant != "seen"]
        general = [pair for pair in pairs if pair[0].probe == "leakage"]
        if contrast and general:
            scores = [
                (
                    np.array([detector.judge(pair[model].prediction).domain_probability for pair in contrast]),
                    np.array([pair[model].measures["domain_probability"] for pair in general]),
                )
                for model in (0, 1)
            ]
            yield _entry(_SCENE, "all", self._separations(*scores))

    def _separations(self, base: tuple[Floats, Floats], tuned: tuple[Floats, Floats]) -> Comparison:
        """AUROC of both models; the interval resamples the same prompts for both."""
        before, after = (_auroc(*scores) for scores in (base, tuned))
        rng = np.random.default_rng(self._seed)
        sizes = [len(side) for side in base]
        draws = []
        for _ in range(RESAMPLES):
            places = [rng.integers(size, size=size) for size in sizes]
            both = [_auroc(*(side[chosen] for side, chosen in zip(scores, places, strict=True))) for scores in (base, tuned)]
            draws.append(both[1] - both[0])
        low, high = np.quantile(draws, [(1 - self._confidence) / 2, (1 + self._confidence) / 2]).tolist()
        n = sum(sizes)
        return Comparison(before, after, Estimate(after - before, low, high, float(np.std(draws, ddof=1)), n, n))


def _auroc(contrast: Floats, general: Floats) -> float:
    ordered = np.sort(general)
    return float(np.mean(np.searchsorted(ordered, contrast, "left") + np.searchsorted(ordered, contrast, "right"))) / (
        2 * len(general)
    )


def _of_shells(name: str, answers: Sequence[Result]) -> float | None:
    """One number of one model's answers to one question under all shells; None where a shell that it needs was not asked."""
    scores = {answer.variant: answer.measures["rouge_l"] for answer in answers}
    if name == "spread":
        return max(scores.values()) - min(scores.values())
    if name == "consistency":
        alike = [rouge_l(one.prediction, other.prediction) for one, other in combinations(answers, 2)]
        return fmean(alike) if alike else None
    kind = "held_out" if name == "drop_held_out" else "system"
    others = [scores[answer.variant] for answer in answers if answer.measures[kind] == 1]
    return scores[_PLAIN] - fmean(others) if others and _PLAIN in scores else None


def _entry(definition: _Definition, slice_name: str, comparison: Comparison) -> dict[str, Any]:
    difference = comparison.difference
    entry = {
        "probe": definition.probe,
        "name": definition.name,
        "definition": definition.definition,
        "slice": slice_name,
        "n": difference.n,
        "base": comparison.base,
        "tuned": comparison.tuned,
        "difference": difference.value,
        "low": difference.low,
        "high": difference.high,
        "unit": definition.unit,
        "better": definition.better,
    }
    return {**entry, "note": "n below 10: shown without a verdict"} if difference.clusters < _FEW else entry
