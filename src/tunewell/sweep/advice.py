"""Which format to train with, in plain words."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tunewell.bundled import read_yaml
from tunewell.records import Result
from tunewell.stats import Estimate, items_needed, two_sided_p
from tunewell.sweep.formats import Candidate
from tunewell.sweep.ranking import FEW, Gap, Score, Standing, loss_gap, preferred

LANGUAGES = ("en", "zh")


@dataclass(frozen=True, slots=True)
class Finding:
    """What a table says: the best two and their gap, the format to train with, one under which the references are likelier."""

    best: Score
    second: Score | None
    gap: Gap | None
    told: bool
    chosen: Score
    likelier: Score | None


def find(table: Sequence[Standing], answers: Mapping[Candidate, Sequence[Result]], *, confidence: float, seed: int) -> Finding:
    """What the table says."""
    second = table[1] if len(table) > 1 else None
    chosen = preferred(table, confidence=confidence)
    return Finding(
        best=table[0].score,
        second=second.score if second else None,
        gap=second.gap if second else None,
        told=bool(second and second.gap and second.gap.is_told(confidence=confidence)),
        chosen=chosen,
        likelier=_likelier(table, chosen, answers, confidence=confidence, seed=seed),
    )


def advise(finding: Finding, template: str, *, confidence: float) -> dict[str, Any]:
    """The advice as JSON: the format, whether the best two can be told apart, and the words in English and Chinese.

    `template` is what the recipe says now.
    """
    texts = {language: _text(finding, template, read_words(language), confidence=confidence) for language in LANGUAGES}
    return {
        "format": finding.chosen.candidate.template,
        "told_apart": finding.told,
        "text": " ".join(texts["en"]),
        "text_zh": "".join(texts["zh"]),
    }


def read_words(language: str) -> Any:
    """The words of a language, `en` or `zh`."""
    return read_yaml("sweep", "prompt.yaml")[language]


def percent(share: float) -> str:
    """A share in per cent, as short as it can be.

    >>> percent(0.95), percent(0.975)
    ('95 %', '97.5 %')
    """
    return f"{100 * share:.4g} %"


def p_text(p: float | None) -> str:
    """A p value with three decimals.

    >>> p_text(0.0213), p_text(0.00001), p_text(None)
    ('0.021', '< 0.001', '–')
    """
    if p is None:
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _likelier(
    table: Sequence[Standing], chosen: Score, answers: Mapping[Candidate, Sequence[Result]], *, confidence: float, seed: int
) -> Score | None:
    """The format of the lowest answer loss, where that is not the chosen one and the difference is beyond doubt."""
    known = [standing.score for standing in table if standing.score.answer_loss.value is not None]
    lowest = min(known, key=lambda score: score.answer_loss.value or 0.0, default=chosen)
    gap = loss_gap(answers[chosen.candidate], answers[lowest.candidate], confidence=confidence, seed=seed)
    p = two_sided_p(gap)
    # Any of the others might have been the lowest.
    is_certain = p is not None and p * (len(table) - 1) < 1 - confidence and gap.clusters >= FEW
    return lowest if is_certain and lowest is not chosen else None


def _text(finding: Finding, template: str, words: Any, *, confidence: float) -> list[str]:
    return [*_comparison(finding, words, confidence=confidence), *_choice(finding, template, words)]


def _comparison(finding: Finding, words: Any, *, confidence: float) -> Iterator[str]:
    best = {"best": finding.best.candidate.label, "best_bleu": f"{finding.best.bleu.value:.2f}"}
    if finding.second is None or finding.gap is None:
        yield words["only"].format(**best)
        return
    difference = finding.gap.difference
    yield words["told" if finding.told else "untold"].format(
        **best,
        second=finding.second.candidate.label,
        second_bleu=f"{finding.second.bleu.value:.2f}",
        gap=_gap(finding.gap, words, confidence=confidence),
    )
    if difference.clusters < FEW:
        yield words["few"].format(families=difference.clusters, few=FEW)
    elif not finding.told and (needed := items_needed(difference, 0.0)):
        yield words["needed"].format(needed=f"{needed:,}")


def _gap(gap: Gap, words: Any, *, confidence: float) -> str:
    difference = f"{gap.difference.value:.2f}"
    if gap.difference.low is None or gap.difference.high is None:
        return str(words["no_interval"].format(difference=difference))
    low, high = f"{gap.difference.low:.2f}", f"{gap.difference.high:.2f}"
    p = p_text(gap.p)
    p = p if p.startswith("<") else f"= {p}"
    return str(words["gap"].format(difference=difference, confidence=percent(confidence), low=low, high=high, p=p))


def _choice(finding: Finding, template: str, words: Any) -> Iterator[str]:
    chosen, likelier = finding.chosen, finding.likelier
    candidate = chosen.candidate
    is_best = chosen is finding.best
    key = "take_best" if is_best else "take_own" if candidate.role == "own" else "take_near_best"
    yield words[key].format(chosen=candidate.label, role=words["role"][candidate.role])
    if likelier:
        yield words["loss"].format(
            likelier=likelier.candidate.label,
            likelier_loss=_loss(likelier.answer_loss),
            chosen_loss=_loss(chosen.answer_loss),
            chosen=candidate.label,
        )
    yield words["keep"] if candidate.template == template else words["change"].format(recipe=template, template=candidate.template)


def _loss(loss: Estimate) -> str:
    return f"{loss.value:.3f}"
