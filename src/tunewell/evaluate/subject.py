"""One model on domain and retention items: what it gained and what it lost, without the other probes."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from transformers import PreTrainedModel

from tunewell.evaluate.asks import Ask
from tunewell.evaluate.domain import domain_results
from tunewell.evaluate.respond import Respondent
from tunewell.model.generate import Decoding
from tunewell.records import Result
from tunewell.retention import RetentionItem
from tunewell.template import PromptFormat

ModelName = Literal["base", "tuned"]


class Questions(NamedTuple):
    """What is asked: prompts to answer, and retention items to choose in."""

    asks: list[Ask]
    retention: list[RetentionItem]


def ask_model(
    name: ModelName, model: PreTrainedModel, chat: PromptFormat, questions: Questions, decoding: Decoding, *, journal: Path
) -> list[Result]:
    """The model's results on domain and retention items, in order.

    The model needs packed attention. What it has answered is kept in the folder `journal`, whose name must stand for all that it
    depends on; what is there already is not asked again.
    """
    respondent = Respondent(name, lambda: model, chat, decoding, journal)
    return [*domain_results(name, respondent, questions.asks), *retention_results(name, respondent, questions.retention)]


def retention_results(name: ModelName, respondent: Respondent, items: Sequence[RetentionItem]) -> list[Result]:
    """The choice that the model finds likeliest for each item, and the probability of the right one."""
    return [_result(name, item, chances) for item, chances in zip(items, respondent.choices(items), strict=True)]


def _result(name: ModelName, item: RetentionItem, probabilities: Sequence[float]) -> Result:
    chosen = max(range(len(probabilities)), key=probabilities.__getitem__)
    # A model whose numbers are NaN has not chosen, and is not right by chance.
    right = chosen == item.answer and not any(map(math.isnan, probabilities))
    measures = {"correct": float(right), "probability": probabilities[item.answer]}
    return Result(
        "retention",
        item.ability,
        item.question,
        item.question,
        item.language,
        name,
        item.question,
        item.choices[item.answer],
        item.choices[chosen],
        measures,
    )
