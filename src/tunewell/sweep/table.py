"""The table of a prompt sweep as JSON values: what the command prints, and what lies in the run."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from tunewell.evaluate import Ask, bleu_signatures
from tunewell.records import Result
from tunewell.sweep.advice import advise, find
from tunewell.sweep.formats import Candidate, Field
from tunewell.sweep.ranking import Gap, Standing, rank
from tunewell.template import PromptFormat

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Plan(NamedTuple):
    """What decides a table, beside the formats and the items: how answers are written, and how sure the intervals are."""

    batch: int
    max_new_tokens: int
    confidence: float
    seed: int


def make_table(
    field: Field,
    answers: Mapping[Candidate, Sequence[Result]],
    plan: Plan,
    tokenizer: "PreTrainedTokenizerBase",
    *,
    template: str,
) -> dict[str, Any]:
    """The formats with their scores, the best first, those that were not scored, and the advice.

    `template` is what the recipe says now.
    """
    standings = rank(answers, confidence=plan.confidence, seed=plan.seed)
    finding = find(standings, answers, confidence=plan.confidence, seed=plan.seed)
    chats = {entrant.candidate: entrant.chat for entrant in field.entrants}
    return {
        "n": len(field.asks),
        "families": len({ask.family for ask in field.asks}),
        "confidence": plan.confidence,
        "max_new_tokens": plan.max_new_tokens,
        "seed": plan.seed,
        "signatures": bleu_signatures(next(iter(answers.values()))),
        "rows": [
            _row(standing, plan.confidence) | _prompt(chats[standing.score.candidate], field.asks[0], tokenizer)
            for standing in standings
        ],
        "not_scored": [{**_name(candidate), "reason": reason} for candidate, reason in field.not_scored],
        "left_out": field.left_out,
        "advice": advise(finding, template, confidence=plan.confidence),
    }


def _row(standing: Standing, confidence: float) -> dict[str, Any]:
    score = standing.score
    bleu, rouge_l, loss, cut = score.bleu, score.rouge_l, score.answer_loss, score.cut
    return {
        **_name(score.candidate),
        "n": bleu.n,
        "families": bleu.clusters,
        "bleu": bleu.value,
        "low": bleu.low,
        "high": bleu.high,
        "behind": standing.gap and _gap(standing.gap, confidence),
        "rouge_l": rouge_l.value,
        "rouge_l_low": rouge_l.low,
        "rouge_l_high": rouge_l.high,
        "answer_loss": loss.value,
        "answer_loss_low": loss.low,
        "answer_loss_high": loss.high,
        "cut": cut.value,
        "cut_low": cut.low,
        "cut_high": cut.high,
    }


def _gap(gap: Gap, confidence: float) -> dict[str, Any]:
    difference = gap.difference
    return {
        "difference": difference.value,
        "low": difference.low,
        "high": difference.high,
        "p": gap.p,
        "told_apart": gap.is_told(confidence=confidence),
    }


def _name(candidate: Candidate) -> dict[str, str]:
    return {"format": candidate.template, "label": candidate.label, "role": candidate.role}


def _prompt(chat: PromptFormat, ask: Ask, tokenizer: "PreTrainedTokenizerBase") -> dict[str, Any]:
    """What ends an answer, and the first item as the model is given it."""
    stops = tokenizer.convert_ids_to_tokens(sorted(chat.stop_ids))
    return {"stop": [str(stop) for stop in stops], "example": chat.text(ask.messages), "hash": chat.hash}
