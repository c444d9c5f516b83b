"""One model's answers and likelihoods, each kept in a journal as soon as it is there."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from transformers import PreTrainedModel

from tunewell.evaluate.asks import Ask
from tunewell.evaluate.drift import LIKELIEST, LONGEST, Divergence, Passage, divergence
from tunewell.model.drift import Likeliest, likeliest_tokens, log_probabilities_at
from tunewell.model.generate import Answer, Decoding, answer_all
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

    def health(self) -> dict[str, float]:
        """The measures `cut` (the length limit ended it) and `empty` (it says nothing), 0 or 1."""
        return {"cut": float(self.cut), "empty": float(not self.text)}


class AnswerLoss(NamedTuple):
    """Mean loss of a reference answer in nats per token, and its tokens."""

    per_token: float
    tokens: int


class Respondent:
    """A model (`base` or `tuned`) that answers; what it has answered before it takes from the journals in its folder.

    The model (with packed attention) is loaded when there is something that no journal holds.
    """

    def __init__(
        self, name: str, load: Callable[[], PreTrainedModel], chat: PromptFormat, decoding: Decoding, folder: Path
    ) -> None:
        self._name = name
        self._load = load
        self._chat = chat
        self._decoding = decoding
        self._folder = folder

    @cached_property
    def _model(self) -> PreTrainedModel:
        return self._load()

    @property
    def was_asked(self) -> bool:
        """Whether the model had to be loaded."""
        return "_model" in self.__dict__

    def replies(self, asks: Sequence[Ask]) -> list[Reply]:
        """A greedy answer to every ask, in order. Equal prompts are answered once, whichever probes they belong to."""
        prompts = {_key(ask.messages): self._chat.prompt_ids(ask.messages) for ask in asks}
        journal = self._folder / "replies.jsonl"
        answers = _known_answers(journal, prompts) or answer_all(
            self._model, prompts, self._decoding, journal=journal, title=f"{self._name} answers"
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

    def likeliest(self, passages: Sequence[Passage]) -> list[list[Likeliest]]:
        """The model's likeliest next tokens at each place of the answer of each passage."""
        keys = [digest(["likeliest", _key(passage.messages), passage.answer]) for passage in passages]
        with Journal(self._folder / "likeliest.jsonl") as journal:
            missing = [place for place, key in enumerate(keys) if key not in journal]
            if missing:
                items = self._continuations([passages[place] for place in missing])
                found = likeliest_tokens(self._model, items, count=LIKELIEST)
                journal.record({keys[place]: _rounded(tokens) for place, tokens in zip(missing, found, strict=True)})
            return [[Likeliest(*token) for token in journal[key]] for key in keys]

    def divergences(self, passages: Sequence[Passage], base: Sequence[Sequence[Likeliest]]) -> list[Divergence]:
        """How far this model is from the base model on these passages, given what `likeliest` said of the base model."""
        found = log_probabilities_at(self._model, self._continuations(passages), base) if passages else []
        return [
            Divergence(passage, divergence(one, other), len(one)) for passage, one, other in zip(passages, base, found, strict=True)
        ]

    def _continuations(self, passages: Sequence[Passage]) -> list[Continuations]:
        return [
            Continuations(self._chat.prompt_ids(passage.messages), [self._chat.answer_ids(passage.answer)[:LONGEST]])
            for passage in passages
        ]

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


def _known_answers(journal: Path, prompts: Mapping[str, Sequence[int]]) -> dict[str, Answer] | None:
    """The answers to all these prompts, where every one of them is in the journal already."""
    if not journal.exists():
        return None
    with Journal(journal) as done:
        return {key: Answer(*done[key]) for key in prompts} if all(key in done for key in prompts) else None


def _rounded(places: Sequence[Likeliest]) -> list[list[Any]]:
    return [[place.ids, [round(value, 6) for value in place.log_probabilities], round(place.rest, 6)] for place in places]
