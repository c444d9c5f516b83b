"""The retention suite: abilities the base model has, scored by the likelihood of each choice as the assistant's answer."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
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
    """At most `count` bundled items, spread evenly over languages and abilities; the same ones whenever it is asked.

    No ability has more than one item above another while both have items left; the languages share what cannot be divided.
    """
    by_ability: dict[tuple[str, str], list[RetentionItem]] = defaultdict(list)
    for code in languages:
        for row in read_jsonl("retention", f"{code}.jsonl"):
            item = RetentionItem(row["ability"], code, row["question"], tuple(row["choices"]), row["answer"])
            by_ability[code, item.ability].append(item)
    shares = _even_shares({group: len(items) for group, items in by_ability.items()}, count)
    return [item for group, items in by_ability.items() for item in items[: shares[group]]]


def _even_shares(sizes: Mapping[tuple[str, str], int], count: int) -> dict[tuple[str, str], int]:
    """So many of each group: one of every group after another, until `count` are taken or none is left.

    In a last round that is not full the languages get the same number, and different abilities miss out in each.
    """
    shares = dict.fromkeys(sizes, 0)
    left = count
    while left > 0 and (open_groups := [group for group in sizes if shares[group] < sizes[group]]):
        for group in _in_turns(open_groups)[:left]:
            shares[group] += 1
        left = count - sum(shares.values())
    return shares


def _in_turns(groups: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The groups in an order that changes the language at each step, and gives the languages different abilities first."""
    by_language: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for group in groups:
        by_language[group[0]].append(group)
    for place, own in enumerate(by_language.values()):
        start = place * len(own) // len(by_language)
        own[:] = own[start:] + own[:start]
    return [group for row in zip_longest(*by_language.values()) for group in row if group is not None]


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
