"""Which prompt formats stand side by side, and which of them a tokenizer cannot carry."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from tunewell.errors import TemplateError
from tunewell.evaluate import Ask
from tunewell.records import Message
from tunewell.store import digest
from tunewell.template import AUTO, FamilyFormat, Loss, PromptFormat, load_family, open_format
from tunewell.template.family import is_file_name

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Role = Literal["own", "team", "other"]
"""Whose format it is: the base's own, one that the team names, or one that stands beside them."""

OTHERS = ("alpaca", "vicuna-1.1", "belle-2023-06", "baichuan-7b", "bloomz", "belle-2023-03", "chinese-alpaca-train")
"""Families of plain text, which any tokenizer with an end token carries. `bloomz` is the bare question."""
_HOW_MANY_OTHERS = 5


class Candidate(NamedTuple):
    """A format as a recipe's key `template` names it."""

    template: str
    role: Role

    @property
    def label(self) -> str:
        """The name in tables: of a file, its last part."""
        return Path(self.template).name if is_file_name(self.template) else self.template


class Entrant(NamedTuple):
    """A format that is scored."""

    candidate: Candidate
    chat: PromptFormat


class NotScored(NamedTuple):
    """A format that is not scored, and why."""

    candidate: Candidate
    reason: str


class Field(NamedTuple):
    """What is scored on which items; the formats that are not, and how many items the base's own format refuses, by reason."""

    entrants: list[Entrant]
    not_scored: list[NotScored]
    asks: list[Ask]
    left_out: dict[str, int]


def candidates(template: str, named: Sequence[str]) -> list[Candidate]:
    """The base's own format, the recipe's `template`, the formats that were named, and five others; each once.

    Raises `TemplateError` where there is no such family.
    """
    team = [name for name in dict.fromkeys((template, *named)) if name != AUTO]
    others = [name for name in OTHERS if name not in team][:_HOW_MANY_OTHERS]
    for name in (*team, *others):
        load_family(name)
    return [Candidate(AUTO, "own"), *(Candidate(name, "team") for name in team), *(Candidate(name, "other") for name in others)]


def open_field(found: Sequence[Candidate], tokenizer: "PreTrainedTokenizerBase", asks: Sequence[Ask], loss: Loss) -> Field:
    """Open every format that the tokenizer carries and that takes every item, to be asked and to be trained under `loss`.

    Items that the base's own format refuses are left out, unless it refuses all of them. Every format is scored on the items
    that remain: one that refuses any of these is not scored, nor is one that writes the tokens of an earlier one.
    """
    opened: list[Entrant] = []
    not_scored: list[NotScored] = []
    for candidate in found:
        try:
            opened.append(Entrant(candidate, _open(candidate.template, tokenizer)))
        except TemplateError as error:
            not_scored.append(NotScored(candidate, error.what))
    taken, left_out = _taken(opened, asks, loss)
    entrants: list[Entrant] = []
    seen: dict[str, Candidate] = {}
    for entrant in opened:
        if reason := _misfit(entrant, taken, loss, seen):
            not_scored.append(NotScored(entrant.candidate, reason))
        else:
            entrants.append(entrant)
    return Field(entrants, not_scored, taken, left_out)


def _taken(opened: Sequence[Entrant], asks: Sequence[Ask], loss: Loss) -> tuple[list[Ask], dict[str, int]]:
    own = next((entrant.chat for entrant in opened if entrant.candidate.role == "own"), None)
    refusals = [_refusal(own, ask, loss) if own else "" for ask in asks]
    taken = [ask for ask, reason in zip(asks, refusals, strict=True) if not reason]
    return (taken, dict(Counter(filter(None, refusals)))) if taken else (list(asks), {})


def _misfit(entrant: Entrant, asks: Sequence[Ask], loss: Loss, seen: dict[str, Candidate]) -> str:
    """Why a format is not scored, or an empty text; then its tokens are noted in `seen`."""
    refusals = [reason for ask in asks if (reason := _refusal(entrant.chat, ask, loss))]
    if refusals:
        return f"{refusals[0]} ({len(refusals)} of {len(asks)} items)"
    first = seen.setdefault(_tokens(entrant.chat, asks), entrant.candidate)
    return "" if first is entrant.candidate else f"the same tokens as `{first.label}` on every item"


def _open(template: str, tokenizer: "PreTrainedTokenizerBase") -> PromptFormat:
    chat = open_format(template, tokenizer)
    if isinstance(chat, FamilyFormat):
        for piece in chat.family.tokens:
            # Any large vocabulary has a token of that number; only that of the family's own base means a turn.
            if piece.kind == "id" and (name := str(tokenizer.convert_ids_to_tokens(int(piece.value)))) != piece.text:
                raise TemplateError(f"the token with the id {piece.value} is `{name}` here, not `{piece.text}`")
    return chat


def _refusal(chat: PromptFormat, ask: Ask, loss: Loss) -> str:
    """Why a format refuses an item, or an empty text."""
    try:
        chat.encode((*ask.messages, Message("assistant", ask.reference)), loss)
        chat.prompt_ids(ask.messages)
    except TemplateError as error:
        return error.what
    return ""


def _tokens(chat: PromptFormat, asks: Sequence[Ask]) -> str:
    """A hash of all that a model is given under the format, and of what ends its answers."""
    return digest([sorted(chat.stop_ids), [[chat.prompt_ids(ask.messages), chat.answer_ids(ask.reference)] for ask in asks]])
