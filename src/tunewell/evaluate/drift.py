"""Drift: how far the tuned model's next-token distributions are from the base model's, on the base model's own answers."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from tunewell.evaluate.asks import Ask, spread
from tunewell.model.drift import Likeliest
from tunewell.records import Message

LIKELIEST = 64
"""Next tokens that are compared one by one at each place; all others count as one."""
LONGEST = 32
"""Tokens of an answer that are compared."""
_SURE = 1e-7


class Passage(NamedTuple):
    """A prompt and the base model's answer to it, on which both models are compared."""

    slice: str
    language: str
    family: str
    messages: tuple[Message, ...]
    answer: str


class Divergence(NamedTuple):
    """The sum over the places of a passage of KL(base‖tuned), in nats, and the number of places."""

    passage: Passage
    total: float
    places: int


def drift_asks(asks: Sequence[Ask], *, count: int) -> list[Ask]:
    """At most `count` of the prompts that are asked anyway, half of them domain questions and half general ones, spread evenly.

    Without the probe `leakage` there are no general ones.
    """
    domain = [ask for ask in asks if ask.probe == "domain"]
    general = [ask for ask in asks if ask.variant == "general"]
    return [*spread(domain, count - count // 2), *spread(general, count // 2)]


def passages_of(asks: Sequence[Ask], answers: Sequence[str]) -> list[Passage]:
    """The passages of these prompts and the base model's answers to them, in order."""
    return [
        Passage("domain" if ask.probe == "domain" else "general", ask.language, ask.family, ask.messages, answer)
        for ask, answer in zip(asks, answers, strict=True)
    ]


def divergence(base: Sequence[Likeliest], tuned: Sequence[Likeliest]) -> float:
    """The sum over places of KL(base‖tuned) in nats, over the base model's likeliest tokens and one bucket for all others.

    A bucket hides differences within it, so that this is at most the KL over the whole vocabulary. NaN where a model's numbers
    are. Source: RL's Razor (arXiv 2509.04259) on KL(base‖tuned) as the measure of forgetting; here the texts are the base
    model's greedy answers.
    """
    return math.fsum(_divergence(one, other) for one, other in zip(base, tuned, strict=True))


def _divergence(base: Likeliest, tuned: Likeliest) -> float:
    pairs = [*zip(base.log_probabilities, tuned.log_probabilities, strict=True), (base.rest, tuned.rest)]
    total = math.fsum(math.exp(one) * (one - other) for one, other in pairs if not math.exp(one) < _SURE)
    return 0.0 if total < 0 else total
