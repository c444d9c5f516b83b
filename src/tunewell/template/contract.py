"""The prompt contract: a file beside the adapter that says which tokens it was trained on, so that nobody serves it others.

It holds the family whole, the ids that end an answer, and the token ids of the twenty golden conversations. A format keeps the
contract when it gives the same ids, trains the same of them and stops on the same. The hash tells a person at a glance whether two
formats are one; nothing is decided by it, since two that differ in name alone may give the same ids.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard, cast

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

    Raises `TemplateError` where the folder has no contract, or the format is another under this tokenizer.
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
    hint = "train again: `tunewell train` writes it beside the adapter"
    try:
        contract = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise TemplateError("no prompt contract lies beside the adapter", where=str(folder), hint=hint) from error
    except (OSError, ValueError, RecursionError) as error:
        raise TemplateError(f"the prompt contract cannot be read: {error}", where=str(path), hint=hint) from error
    problem = _problem(contract)
    if problem:
        raise TemplateError(f"this is no prompt contract: {problem}", where=str(path), hint=hint)
    return cast("Mapping[str, Any]", contract)


def _problem(contract: Any) -> str:
    """What is wrong with the contract, if anything: it must hold all golden conversations and no others."""
    if not isinstance(contract, dict):
        return "a mapping is wanted"
    kinds = {"template": str, "family": dict | None, "hash": str, "stop_ids": list, "conversations": list}
    wrong = [key for key, kind in kinds.items() if key not in contract or not isinstance(contract[key], kind)]
    if wrong:
        return f"{', '.join(wrong)}: missing, or no value of its kind"
    if not _are_ids(contract["stop_ids"]):
        return "stop_ids: token ids are wanted"
    entries = contract["conversations"]
    names = [entry.get("name") if isinstance(entry, dict) else None for entry in entries]
    if names != [golden.name for golden in golden_conversations()]:
        return "conversations: the twenty that this version of tunewell knows are wanted, in their order"
    odd = next((entry["name"] for entry in entries if not _is_entry(entry)), "")
    return f"conversations: “{odd}” holds neither ids with the places that are trained, nor a refusal" if odd else ""


def _is_entry(entry: Mapping[str, Any]) -> bool:
    if "refused" in entry:
        return isinstance(entry["refused"], str) and "ids" not in entry
    ids, trained = entry.get("ids"), entry.get("trained")
    if not _are_ids(ids) or not isinstance(trained, list) or not all(_are_ids(span) and len(span) == 2 for span in trained):
        return False
    return all(start < end <= len(ids) for start, end in trained)


def _are_ids(value: Any) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(number) is int and 0 <= number < _MOST_TOKENS for number in value)


def check_contract(folder: Path, chat: PromptFormat, tokenizer: "PreTrainedTokenizerBase") -> None:
    """Refuse a format that gives other prompts than those an adapter was trained on, trains other tokens or stops elsewhere.

    Raises `TemplateError` that names the conversation, the first token that differs and what stands before it.
    """
    contract = read_contract(folder)
    goldens = {golden.name: golden.messages for golden in golden_conversations()}
    pairs = ((entry, _golden_entry(chat, entry["name"], goldens[entry["name"]])) for entry in contract["conversations"])
    unlike = ((entry, now) for entry, now in pairs if any(entry.get(key) != now.get(key) for key in ("ids", "trained")))
    difference = next((_difference(entry, now, tokenizer) for entry, now in unlike), "")
    if not difference and set(contract["stop_ids"]) != chat.stop_ids:
        then, now = (_names(ids, tokenizer) for ids in (contract["stop_ids"], chat.stop_ids))
        difference = f"an answer ended at {then}, and ends at {now}"
    if difference:
        raise TemplateError(
            f"trained under `{contract['template']}`, asked for under `{chat.name}`: {difference}",
            where=str(folder / CONTRACT),
            hint="take the template and the tokenizer that the adapter was trained with, or train again",
        )


def _names(ids: Iterable[int], tokenizer: "PreTrainedTokenizerBase") -> str:
    return " ".join(f"{tokenizer.decode([token])!r} ({token})" for token in sorted(ids)) or "nothing"


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
