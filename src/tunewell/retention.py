"""The retention suite: abilities the base model has, scored by the likelihood of each choice as the assistant's answer."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from transformers import PreTrainedModel

from tunewell.bundled import read_jsonl
from tunewell.model.score import Continuations, log_likelihoods
from tunewell.records import Example, Message
from tunewell.template import PromptFormat
from tunewell.text import language


@dataclass(frozen=True, slots=True)
class RetentionItem:
    """A question with choices, the index of the right one, and the ability it asks for."""

    ability: str
    language: str
    question: str
    choices: tuple[str, ...]
    answer: int


def languages_of(examples: Sequence[Example]) -> list[str]:
    """The languages among `en` and `zh` that the examples are in, the most frequent first; English where there is neither."""
    known = [code for example in examples if (code := example.language or language(example.question)) in {"en", "zh"}]
    return sorted(set(known), key=lambda code: (-known.count(code), code)) or ["en"]


def retention_items(languages: Sequence[str], *, count: int) -> list[RetentionItem]:
    """At most `count` bundled items, spread evenly over languages and abilities; the same ones whenever it is asked."""
    by_ability: dict[tuple[str, str], list[RetentionItem]] = defaultdict(list)
    for code in languages:
        for row in read_jsonl("retention", f"{code}.jsonl"):
            item = RetentionItem(row["ability"], code, row["question"], tuple(row["choices"]), row["answer"])
            by_ability[code, item.ability].append(item)
    share = math.ceil(count / len(by_ability))
    return [item for items in by_ability.values() for item in items[:share]][:count]


def as_continuations(item: RetentionItem, chat: PromptFormat) -> Continuations:
    """The question as a prompt, and each choice as the assistant's answer, in the model's own tokens."""
    prompt = chat.prompt_ids((Message("user", item.question),))
    return Continuations(prompt, [chat.answer_ids(choice) for choice in item.choices])


def choice_probabilities(log_likelihoods: Sequence[float], lengths: Sequence[int]) -> list[float]:
    """Softmax over the choices of their mean log-probability per token, so that a long choice is not punished for its length."""
    means = [value / max(1, length) for value, length in zip(log_likelihoods, lengths, strict=True)]
    highest = max(means)
    weights = [math.exp(mean - highest) for mean in means]
    return [weight / sum(weights) for weight in weights]


def retention_score(model: PreTrainedModel, chat: PromptFormat, items: Sequence[RetentionItem]) -> float:
    """The mean probability of the right choice. The model needs packed attention."""
    asked = [as_continuations(item, chat) for item in items]
    scored = zip(items, asked, log_likelihoods(model, asked), strict=True)
    return fmean(choice_probabilities(sums, [len(choice) for choice in one.choices])[item.answer] for item, one, sums in scored)
