"""The probe `domain` for one model: its answers to test items, and how surprising it finds the reference answers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from transformers import PreTrainedModel

from tunewell.evaluate.asks import Ask
from tunewell.evaluate.definitions import rouge_l
from tunewell.evaluate.respond import AnswerLoss, Reply, Respondent
from tunewell.model.generate import Decoding
from tunewell.records import Result
from tunewell.template import PromptFormat


def ask_base(model: PreTrainedModel, chat: PromptFormat, asks: Sequence[Ask], decoding: Decoding, *, journal: Path) -> list[Result]:
    """What the base model answers to domain items under a prompt format, in order.

    The model needs packed attention. Answers and losses are kept in the folder `journal`, whose name must stand for all that
    they depend on; what is there already is not asked again.
    """
    return domain_results("base", Respondent(chat.name, lambda: model, chat, decoding, journal), asks)


def domain_results(name: Literal["base", "tuned"], respondent: Respondent, asks: Sequence[Ask]) -> list[Result]:
    """What a model answers to domain items, judged, in order."""
    replies = respondent.replies(asks)
    losses = respondent.losses(asks)
    return [
        Result(
            ask.probe,
            ask.variant,
            ask.item,
            ask.family,
            ask.language,
            name,
            ask.prompt,
            ask.reference,
            reply.text,
            domain_measures(ask, reply, loss),
        )
        for ask, reply, loss in zip(asks, replies, losses, strict=True)
    ]


def domain_measures(ask: Ask, reply: Reply, loss: AnswerLoss) -> dict[str, float]:
    """The numbers of one item: ROUGE-L of the answer, loss of the reference answer, and what `health` says of the answer."""
    return {
        "rouge_l": rouge_l(reply.text, ask.reference),
        "answer_loss": loss.per_token,
        "answer_tokens": loss.tokens,
        **reply.health(),
    }
