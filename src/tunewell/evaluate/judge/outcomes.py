"""From single verdicts to scores and preferences. Where a verdict failed, nothing stands in its place."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Literal, NamedTuple

from tunewell.evaluate.judge.run import Asked, Verdicts

WIN, TIE, LOSS = 1.0, 0.5, 0.0
"""What the tuned model has of a comparison."""


class Subject(NamedTuple):
    """An answer that was scored: of `base` or `tuned` to an item, or a labelled one."""

    id: str
    name: str


class Comparison(NamedTuple):
    """Two verdicts on one pair of answers, in both orders: what each says of the answer that stood first (1, 0, −1)."""

    base_first: int
    tuned_first: int

    @property
    def outcome(self) -> float:
        """A win or loss where both orders say so; all else is a tie."""
        return {(-1, 1): WIN, (1, -1): LOSS}.get((self.base_first, self.tuned_first), TIE)

    @property
    def is_flip(self) -> bool:
        """Whether the order changes the verdict."""
        return self.base_first != -self.tuned_first

    @property
    def position(self) -> float:
        """1 where the first answer is chosen in both orders, −1 where the second, 0 where the order makes no difference."""
        return (self.base_first + self.tuned_first) / 2


def scores_of(verdicts: Verdicts, kind: Literal["score", "calibration"]) -> dict[Subject, list[int]]:
    """The scores of each answer that has any, one for each repeat that did not fail."""
    scores: dict[Subject, list[int]] = defaultdict(list)
    for asked, verdict in verdicts.items():
        if asked.kind == kind and verdict.value is not None:
            scores[Subject(asked.id, asked.subject)].append(verdict.value)
    return dict(scores)


def comparisons_of(verdicts: Verdicts) -> dict[str, list[Comparison]]:
    """The comparisons of each pair, one for each repeat in which neither order failed."""
    comparisons: dict[str, list[Comparison]] = defaultdict(list)
    for asked, verdict in verdicts.items():
        if asked.kind == "pair" and asked.subject == "base":
            other = verdicts[Asked("pair", asked.id, "tuned", asked.repeat)]
            if verdict.value is not None and other.value is not None:
                comparisons[asked.id].append(Comparison(verdict.value, other.value))
    return dict(comparisons)


def combined(judges: Sequence[Mapping[Subject, float]]) -> dict[Subject, float]:
    """The mean over judges, of the subjects on which every one of them has a verdict.

    Where one is missing, the others' mean would tell which judge is strict, not which answer is good.

    >>> combined([{Subject("a", "base"): 4.0, Subject("b", "base"): 1.0}, {Subject("a", "base"): 3.0}])
    {Subject(id='a', name='base'): 3.5}
    """
    if not judges:
        return {}
    return {
        subject: fmean(judge[subject] for judge in judges) for subject in judges[0] if all(subject in judge for judge in judges)
    }


def means(scores: Mapping[Subject, Sequence[int]]) -> dict[Subject, float]:
    """The mean over the repeats."""
    return {subject: fmean(values) for subject, values in scores.items()}


def preferences(comparisons: Mapping[str, Sequence[Comparison]]) -> dict[Subject, float]:
    """What the tuned model has of each pair, as a mean over the repeats."""
    return {Subject(item, "pair"): fmean(one.outcome for one in found) for item, found in comparisons.items()}
