"""The retention suite: abilities the base model has, scored by the likelihood of each choice as the assistant's answer."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from tunewell.bundled import read_jsonl


@dataclass(frozen=True, slots=True)
class RetentionItem:
    """A question with choices, the index of the right one, and the ability it asks for."""

    ability: str
    language: str
    question: str
    choices: tuple[str, ...]
    answer: int


def retention_items(languages: Sequence[str], *, count: int) -> list[RetentionItem]:
    """At most `count` bundled items, spread evenly over languages and abilities."""
    by_ability: dict[tuple[str, str], list[RetentionItem]] = defaultdict(list)
    for language in languages:
        for row in read_jsonl("retention", f"{language}.jsonl"):
            item = RetentionItem(row["ability"], language, row["question"], tuple(row["choices"]), row["answer"])
            by_ability[language, item.ability].append(item)
    share = math.ceil(count / len(by_ability))
    return [item for items in by_ability.values() for item in items[:share]][:count]


def choice_probabilities(log_likelihoods: Sequence[float], lengths: Sequence[int]) -> list[float]:
    """Softmax over the choices of their mean log-probability per token, so that a long choice is not punished for its length."""
    means = [value / max(1, length) for value, length in zip(log_likelihoods, lengths, strict=True)]
    highest = max(means)
    weights = [math.exp(mean - highest) for mean in means]
    return [weight / sum(weights) for weight in weights]
