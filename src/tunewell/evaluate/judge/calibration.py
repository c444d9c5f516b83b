"""How far a judge agrees with labelled items: the shipped ones, each labelled in two passes."""

from collections.abc import Collection, Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

from tunewell.bundled import read_jsonl
from tunewell.evaluate.judge.agreement import quadratic_kappa
from tunewell.stats import Estimate


class Labelled(NamedTuple):
    """An answer with its labels of 1 to 5, one from each pass over the items."""

    id: str
    language: str
    question: str
    reference: str
    answer: str
    passes: tuple[int, ...]

    @property
    def label(self) -> float:
        """The mean of the passes."""
        return fmean(self.passes)


class Calibration(NamedTuple):
    """The quadratic κ of a judge with the labels, over all items, by language, and that of the two passes with each other."""

    kappa: Estimate
    of: int
    by_language: Mapping[str, Estimate]
    between_passes: Estimate


def labelled_items(languages: Collection[str]) -> list[Labelled]:
    """The shipped items in these languages; 25 each in English and Chinese.

    Known problem: one labeller, a model, wrote the items and labelled them twice in one sitting, the second time in another order.
    The agreement of the passes is at best how steady these labels are; it does not say how far people would share them.
    """
    rows = read_jsonl("judge", "calibration.jsonl")
    return [Labelled(**{**row, "passes": tuple(row["passes"])}) for row in rows if row["language"] in languages]


def calibrate(items: Sequence[Labelled], scores: Mapping[str, float], *, confidence: float, seed: int) -> Calibration:
    """Compare scores, by the id of the item, with the labels; items without a score are left out."""
    scored = [item for item in items if item.id in scores]

    def kappa(chosen: Sequence[Labelled]) -> Estimate:
        given, labels = [scores[item.id] for item in chosen], [item.label for item in chosen]
        return quadratic_kappa(given, labels, [item.id for item in chosen], confidence=confidence, seed=seed)

    languages = sorted({item.language for item in items})
    by_language = {code: kappa([item for item in scored if item.language == code]) for code in languages}
    first, second = ([item.passes[place] for item in items] for place in (0, -1))
    between = quadratic_kappa(first, second, [item.id for item in items], confidence=confidence, seed=seed)
    return Calibration(kappa(scored), len(items), by_language, between)
