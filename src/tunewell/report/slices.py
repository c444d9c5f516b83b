"""What the page's charts and examples need of the results: means of each slice, and answers paired by item."""

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from tunewell import stats
from tunewell.records import Result
from tunewell.report.diff import Diff, word_diff

Model = Literal["base", "tuned"]

MODELS: tuple[Model, ...] = ("base", "tuned")
_CHOSEN = 5
_LONGEST_TEXT = 1200
_NEW_QUESTIONS = ("paraphrase", "unseen")


class SliceMean(NamedTuple):
    """The mean of one measure on one slice, for one model."""

    variant: str
    model: Model
    estimate: stats.Estimate
    held_out: bool


class Pair(NamedTuple):
    """What both models did on one item."""

    base: Result
    tuned: Result

    def difference(self, measure: str) -> float:
        """Tuned − base of one measure."""
        return self.tuned.measures[measure] - self.base.measures[measure]


class SideBySide(NamedTuple):
    """One item for the page: its texts, cut to a length that a page bears, and the words that answer and reference share."""

    variant: str
    question: str
    reference: Diff
    base: Diff
    tuned: Diff
    base_score: float
    tuned_score: float
    difference: float


class Examples(NamedTuple):
    """The items on which the tuned model won and lost most."""

    won: tuple[SideBySide, ...]
    lost: tuple[SideBySide, ...]


def slice_means(results: Iterable[Result], probe: str, measure: str, *, confidence: float) -> list[SliceMean]:
    """Mean and clustered interval of a measure, for each slice of a probe and each model, slices in the order they come."""
    groups: dict[tuple[str, Model], list[Result]] = {}
    for result in results:
        if result.probe == probe and measure in result.measures:
            groups.setdefault((result.variant, result.model), []).append(result)
    return [
        SliceMean(variant, model, _mean(group, measure, confidence), held_out=group[0].measures.get("held_out") == 1)
        for (variant, model), group in groups.items()
    ]


def mean_of(
    results: Iterable[Result], probe: str, measure: str, *, variant: str = "", confidence: float
) -> dict[Model, stats.Estimate]:
    """Mean of a measure over a probe, or over one of its slices, for each model that has results there."""
    chosen = [result for result in results if result.probe == probe and variant in ("", result.variant)]
    groups = {model: [result for result in chosen if result.model == model] for model in MODELS}
    return {model: _mean(group, measure, confidence) for model, group in groups.items() if group}


def pairs(results: Iterable[Result], probe: str) -> list[Pair]:
    """Both models' results on each item of a probe, ordered by slice and item. An item with one answer only is left out."""
    answers: dict[tuple[str, str], dict[str, Result]] = {}
    for result in results:
        if result.probe == probe:
            answers.setdefault((result.variant, result.item), {})[result.model] = result
    return [Pair(both["base"], both["tuned"]) for _, both in sorted(answers.items()) if len(both) == 2]


def new_questions(domain: Sequence[Pair]) -> list[Pair]:
    """The pairs whose question was not in training word for word; all of them where there are no others."""
    return [pair for pair in domain if pair.tuned.variant in _NEW_QUESTIONS] or list(domain)


def won_and_lost(domain: Sequence[Pair]) -> Examples:
    """The items on which ROUGE-L of the tuned model rose and fell most, at most five each, the largest change first."""
    ranked = sorted(domain, key=lambda pair: (-pair.difference("rouge_l"), pair.tuned.variant, pair.tuned.item))
    won = [pair for pair in ranked if pair.difference("rouge_l") > 0][:_CHOSEN]
    lost = [pair for pair in reversed(ranked) if pair.difference("rouge_l") < 0][:_CHOSEN]
    return Examples(tuple(map(_side_by_side, won)), tuple(map(_side_by_side, lost)))


def leaks(results: Iterable[Result], *, most: int = 2) -> list[Pair]:
    """Prompts that got a domain answer from the tuned model, one of each slice first, then by how sure the detector was."""
    leaked = [pair for pair in pairs(results, "leakage") if pair.tuned.measures["leak"] == 1]
    leaked.sort(key=lambda pair: (pair.base.measures["leak"], -pair.tuned.measures.get("domain_probability", 0.0), pair.tuned.item))
    first_of_slice = {pair.tuned.variant: pair for pair in reversed(leaked)}.values()
    others = [pair for pair in leaked if all(pair is not first for first in first_of_slice)]
    return [*sorted(first_of_slice, key=lambda pair: pair.tuned.variant), *others][:most]


def clip(text: str, longest: int = _LONGEST_TEXT) -> str:
    """The text, or its beginning and an ellipsis.

    >>> clip("abcdef", 4)
    'abcd …'
    """
    return text if len(text) <= longest else f"{text[:longest]} …"


def _mean(results: Sequence[Result], measure: str, confidence: float) -> stats.Estimate:
    values = [result.measures[measure] for result in results]
    return stats.mean(values, [result.family for result in results], confidence=confidence)


def _side_by_side(pair: Pair) -> SideBySide:
    reference, base, tuned = (clip(text) for text in (pair.tuned.reference, pair.base.prediction, pair.tuned.prediction))
    against_tuned = word_diff(reference, tuned)
    return SideBySide(
        variant=pair.tuned.variant,
        question=clip(pair.tuned.prompt),
        reference=against_tuned,
        base=word_diff(reference, base),
        tuned=against_tuned,
        base_score=pair.base.measures["rouge_l"],
        tuned_score=pair.tuned.measures["rouge_l"],
        difference=pair.difference("rouge_l"),
    )
