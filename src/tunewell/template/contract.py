"""The prompt contract: a file beside the adapter that says which tokens it was trained on, so that nobody serves it others.

It holds the family whole and the token ids of the twenty golden conversations. A format keeps the contract when it gives the same
ids and trains the same of them; the hash beside them is for a person to compare.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tunewell.errors import TemplateError
from tunewell.store import write_json
from tunewell.template.compiled import FamilyFormat
from tunewell.template.conversation import Loss
from tunewell.template.encoded import NOT_TRAINED, Encoded, first_difference
from tunewell.template.family import family_entry, read_family
from tunewell.template.goldens import golden_conversations
from tunewell.template.own import TokenizerFormat
from tunewell.template.protocol import PromptFormat

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

CONTRACT = "contract.json"
_SHOWN = 12
_MOST_TOKENS = 2**31


def write_contract(chat: PromptFormat, loss: Loss, folder: Path) -> None:
    """Write `contract.json` into the folder of an adapter or a model."""
    family = getattr(chat, "family", None)
    contract = {
        "template": chat.name,
        "family": family_entry(family) if family else None,
        "hash": chat.hash,
        "stop_ids": sorted(chat.stop_ids),
        "loss": loss._asdict(),
        "conversations": [_golden_entry(chat, golden.name, golden.messages) for golden in golden_conversations()],
    }
    write_json(folder / CONTRACT, contract)


def _golden_entry(chat: PromptFormat, name: str, messages: Sequence[Any]) -> dict[str, Any]:
    try:
        encoded = chat.encode(messages)
    except TemplateError as error:
        return {"name": name, "refused": error.what}
    return {"name": name, "ids": encoded.ids, "trained": _trained_spans(encoded)}


def _trained_spans(encoded: Encoded) -> list[list[int]]:
    """Where the trained tokens stand: pairs of the first place and the place behind the last."""
    edges = [False, *(label != NOT_TRAINED for label in encoded.labels), False]
    places = [place for place in range(len(edges) - 1) if edges[place] != edges[place + 1]]
    return [list(pair) for pair in zip(places[::2], places[1::2], strict=True)]


def open_contract(folder: Path, tokenizer: "PreTrainedTokenizerBase") -> PromptFormat:
    """The format that an adapter was trained with, for the tokenizer given, and checked against the adapter's contract.

    Raises `TemplateError` where the folder has no contract, or the tokenizer gives other ids than it.
    """
    contract = read_contract(folder)
    family = contract["family"]
    chat: PromptFormat
    if family is None:
        chat = TokenizerFormat(tokenizer, where=str(folder))
    else:
        where = str(folder / CONTRACT)
        chat = FamilyFormat(read_family(contract["template"], family, where=where), tokenizer, where=where)
    check_contract(folder, chat, tokenizer)
    return chat


def read_contract(folder: Path) -> Mapping[str, Any]:
    """The contract of an adapter. Raises `TemplateError` where there is none, or it cannot be read."""
    path = folder / CONTRACT
    try:
        contract = json.loads(path.read_text(encoding="utf-8"))
        complete = {"template", "family", "hash", "conversations"} <= set(contract)
    except FileNotFoundError as error:
        hint = "train again: `tunewell train` writes it beside the adapter"
        raise TemplateError("no prompt contract lies beside the adapter", where=str(folder), hint=hint) from error
    except (OSError, ValueError, TypeError) as error:
        raise TemplateError(f"the prompt contract cannot be read: {error}", where=str(path)) from error
    if not complete or not _is_sound(contract):
        raise TemplateError("this is no prompt contract", where=str(path), hint="train again: `tunewell train` writes it anew")
    return cast("Mapping[str, Any]", contract)


def _is_sound(contract: Mapping[str, Any]) -> bool:
    """Whether the contract names a template and holds the golden conversations, all and no others, in lists of numbers."""
    entries = contract["conversations"]
    if (
        not isinstance(contract["template"], str)
        or not isinstance(contract["family"], Mapping | None)
        or not isinstance(entries, list)
    ):
        return False
    names = [entry.get("name") if isinstance(entry, Mapping) else None for entry in entries]
    return names == [golden.name for golden in golden_conversations()] and all(map(_is_entry, entries))


def _is_entry(entry: Mapping[str, Any]) -> bool:
    if isinstance(entry.get("refused"), str):
        return True
    ids, trained = entry.get("ids"), entry.get("trained")
    if not isinstance(ids, list) or not isinstance(trained, list) or not all(isinstance(span, list) for span in trained):
        return False
    return all(isinstance(number, int) and 0 <= number < _MOST_TOKENS for numbers in (ids, *trained) for number in numbers)


def check_contract(folder: Path, chat: PromptFormat, tokenizer: "PreTrainedTokenizerBase") -> None:
    """Refuse a format that gives other prompts than those an adapter was trained on.

    Raises `TemplateError` that names the conversation, the first token that differs and what stands before it.
    """
    contract = read_contract(folder)
    goldens = {golden.name: golden.messages for golden in golden_conversations()}
    for entry in contract["conversations"]:
        now = _golden_entry(chat, entry["name"], goldens[entry["name"]])
        if now.get("ids") != entry.get("ids") or now.get("trained") != entry.get("trained"):
            raise TemplateError(
                f"trained under `{contract['template']}`, asked for under `{chat.name}`: {_difference(entry, now, tokenizer)}",
                where=str(folder / CONTRACT),
                hint="take the template and the tokenizer that the adapter was trained with, or train again",
            )


def _difference(trained: Mapping[str, Any], now: Mapping[str, Any], tokenizer: "PreTrainedTokenizerBase") -> str:
    where = f"in the conversation “{trained['name']}”"
    if "refused" in trained or "refused" in now:
        return f"{where}, {trained.get('refused') or now.get('refused')}"
    place = first_difference(trained["ids"], now["ids"])
    if place is None:
        return f"{where}, other tokens are trained: {trained['trained']} then, {now['trained']} now"
    before = str(tokenizer.decode(trained["ids"][max(0, place - _SHOWN) : place]))
    return f"{where}, token {place + 1} after {before!r} was {_token(trained['ids'], place, tokenizer)}, and is " + _token(
        now["ids"], place, tokenizer
    )


def _token(ids: Sequence[int], place: int, tokenizer: "PreTrainedTokenizerBase") -> str:
    return f"{tokenizer.decode(list(ids[place : place + _SHOWN]))!r} ({ids[place]})" if place < len(ids) else "the end"
