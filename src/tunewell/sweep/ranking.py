"""Formats in order of corpus BLEU, differences between any settings, and what the data can tell apart."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple, TypeVar

from tunewell.evaluate import CorpusSums, corpus_bleu, corpus_loss
from tunewell.records import Result
from tunewell.stats import Estimate, bootstrap, exact_share, holm, mean, paired_bootstrap, two_sided_p
from tunewell.sweep.formats import Candidate, Role

FEW = 10
"""Below so many families nothing is told apart."""
_Name = TypeVar("_Name")
_PREFERENCE: Mapping[Role, int] = {"own": 0, "team": 1, "other": 2}


@dataclass(frozen=True, slots=True)
class Score:
    """What the base model reaches under one format."""

    candidate: Candidate
    bleu: Estimate
    rouge_l: Estimate
    answer_loss: Estimate
    cut: Estimate


class Gap(NamedTuple):
    """How far a format or a trial lies behind another, and the p value of that, corrected for all pairs."""

    difference: Estimate
    p: float | None

    def is_told(self, *, confidence: float) -> bool:
        """Whether the data can tell the two apart."""
        return self.p is not None and self.p < 1 - confidence and self.difference.clusters >= FEW


class Standing(NamedTuple):
    """A format in the table, and its gap to the best; the best has none."""

    score: Score
    gap: Gap | None


def rank(answers: Mapping[Candidate, Sequence[Result]], *, confidence: float, seed: int) -> list[Standing]:
    """The formats, the best first; equal ones in the order own, team, other.

    All formats answered the same items. Intervals are percentiles of a bootstrap over families, the same resamples for each
    format. The p values of the gaps are corrected by Holm's method over the pairs of all formats, and not only over those shown:
    the best was chosen by the same data, and the best of many equal formats always looks better than the last.
    """
    sums = {candidate: corpus_bleu(results) for candidate, results in answers.items()}
    families = [result.family for result in next(iter(answers.values()))]
    scores = sorted(
        (_score(candidate, answers[candidate], sums[candidate], confidence=confidence, seed=seed) for candidate in answers),
        key=lambda score: (-(score.bleu.value or 0), _PREFERENCE[score.candidate.role]),
    )

    def behind(better: Candidate, worse: Candidate) -> Estimate:
        first, second = sums[worse], sums[better]
        return paired_bootstrap(first.statistic, first.rows, second.rows, families, confidence=confidence, seed=seed).difference

    gaps = gaps_behind_first([score.candidate for score in scores], behind)
    return [Standing(score, gap) for score, gap in zip(scores, [None, *gaps], strict=True)]


def gaps_behind_first(order: Sequence[_Name], behind: Callable[[_Name, _Name], Estimate]) -> list[Gap]:
    """How far each of the others lies behind the first, where `behind` says it of any two (better, worse).

    The p values are corrected over all pairs, since the first was chosen by the same data. Where one is unknown none is corrected.
    """
    differences = [behind(better, worse) for better, worse in combinations(order, 2)]
    tested = [two_sided_p(difference) for difference in differences]
    known = [p for p in tested if p is not None]
    corrected = holm(known) if len(known) == len(tested) else tested
    gaps = [Gap(difference, p) for difference, p in zip(differences, corrected, strict=True)]
    # The first pairs are those of the first, in the order of the others.
    return gaps[: max(0, len(order) - 1)]


def contenders(table: Sequence[Standing], *, confidence: float) -> list[Score]:
    """The best format and all that the data cannot tell from it, the best first."""
    return [standing.score for standing in table if standing.gap is None or not standing.gap.is_told(confidence=confidence)]


def preferred(table: Sequence[Standing], *, confidence: float) -> Score:
    """The format to train with: of the contenders the base's own, else the best that the team named, else the best of all."""
    return min(contenders(table, confidence=confidence), key=lambda score: _PREFERENCE[score.candidate.role])


def loss_gap(worse: Sequence[Result], better: Sequence[Result], *, confidence: float, seed: int) -> Estimate:
    """By how much the answer loss under one format exceeds that under another."""
    first, second = corpus_loss(better), corpus_loss(worse)
    families = [result.family for result in worse]
    return paired_bootstrap(first.statistic, first.rows, second.rows, families, confidence=confidence, seed=seed).difference


def _score(candidate: Candidate, results: Sequence[Result], bleu: CorpusSums, *, confidence: float, seed: int) -> Score:
    families = [result.family for result in results]
    loss = corpus_loss(results)
    return Score(
        candidate,
        bootstrap(bleu.statistic, bleu.rows, families, confidence=confidence, seed=seed),
        mean([result.measures["rouge_l"] for result in results], families, confidence=confidence),
        bootstrap(loss.statistic, loss.rows, families, confidence=confidence, seed=seed),
        exact_share(sum(result.measures["cut"] == 1 for result in results), len(results), confidence=confidence),
    )
