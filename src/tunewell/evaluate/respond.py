"""One model's answers and likelihoods, each kept in a journal as soon as it is there."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from transformers import PreTrainedModel

from tunewell.evaluate.asks import Ask
from tunewell.model.generate import Decoding, answer_all
from tunewell.model.score import Continuations, log_likelihoods
from tunewell.progress import progress_bar
from tunewell.records import Message
from tunewell.retention import RetentionItem, as_continuations, choice_probabilities
from tunewell.store import Journal, digest
from tunewell.template import PromptFormat

_SCORED_AT_ONCE = 64


class Reply(NamedTuple):
    """A generated answer; `cut` when the length limit ended it."""

    text: str
    cut: bool


class AnswerLoss(NamedTuple):
    """Mean loss of a reference answer in nats per token, and its tokens."""

    per_token: float
    tokens: int


class Respondent:
    """A model (`base` or `tuned`) that answers; what it has answered before it takes from the journals in its folder."""

    def __init__(self, name: str, model: PreTrainedModel, chat: PromptFormat, decoding: Decoding, folder: Path) -> None:
        self._name = name
        self._model = model
        self._chat = chat
        self._decoding = decoding
        self._folder = folder

    def replies(self, asks: Sequence[Ask]) -> list[Reply]:
        """A greedy answer to every ask, in order. Equal prompts are answered once, whichever probes they belong to."""
        answers = answer_all(
            self._model,
            {_key(ask.messages): self._chat.prompt_ids(ask.messages) for ask in asks},
            self._decoding,
            journal=self._folder / "replies.jsonl",
            title=f"{self._name} answers",
        )
        replies = {key: Reply(self._chat.decode(answer.ids).strip(), answer.cut) for key, answer in answers.items()}
        return [replies[_key(ask.messages)] for ask in asks]

    def losses(self, asks: Sequence[Ask]) -> list[AnswerLoss]:
        """How surprising the reference answer of each ask is."""
        keys = [digest(["loss", _key(ask.messages), ask.reference]) for ask in asks]
        items = {
            key: Continuations(self._chat.prompt_ids(ask.messages), [self._chat.answer_ids(ask.reference)])
            for key, ask in zip(keys, asks, strict=True)
        }
        sums = self._log_likelihoods(f"{self._name} losses", items)
        lengths = [len(items[key].choices[0]) for key in keys]
        return [AnswerLoss(-sums[key][0] / length, length) for key, length in zip(keys, lengths, strict=True)]

    def choices(self, items: Sequence[RetentionItem]) -> list[list[float]]:
        """The probability of each choice of each retention item."""
        keys = [digest(["choice", item.question, item.choices]) for item in items]
        scored = {key: as_continuations(item, self._chat) for key, item in zip(keys, items, strict=True)}
        sums = self._log_likelihoods(f"{self._name} retention", scored)
        return [choice_probabilities(sums[key], [len(choice) for choice in scored[key].choices]) for key in keys]

    def _log_likelihoods(self, title: str, items: Mapping[str, Continuations]) -> dict[str, list[float]]:
        keys = list(items)
        with (
            Journal(self._folder / "likelihoods.jsonl") as journal,
            progress_bar(title, total=len(keys)) as (progress, bar),
        ):
            for start in range(0, len(keys), _SCORED_AT_ONCE):
                group = keys[start : start + _SCORED_AT_ONCE]
                if any(key not in journal for key in group):
                    values = log_likelihoods(self._model, [items[key] for key in group])
                    journal.record(dict(zip(group, values, strict=True)))
                progress.advance(bar, len(group))
            return {key: journal[key] for key in keys}


def _key(messages: Sequence[Message]) -> str:
    return digest([[message.role, message.content] for message in messages])
