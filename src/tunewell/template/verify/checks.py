"""What must hold between a prompt format and a tokenizer before anything is trained; nothing here needs a server."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from jinja2 import TemplateError as JinjaError

from tunewell.errors import TemplateError
from tunewell.records import Message
from tunewell.template.encoded import NOT_TRAINED, first_difference
from tunewell.template.fit import fit, without_oldest
from tunewell.template.goldens import golden_conversations
from tunewell.template.protocol import PromptFormat
from tunewell.template.verify.shown import difference_shown, token_shown, tokens_shown

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Finding(NamedTuple):
    """One check: what it is about, whether it holds, what was seen, and in which conversation."""

    check: str
    ok: bool
    detail: str
    where: str = ""


class Asked(NamedTuple):
    """A golden conversation up to one of its answers: the messages before it, and with it."""

    where: str
    prompt: tuple[Message, ...]
    row: tuple[Message, ...]


class _Subject(NamedTuple):
    chat: PromptFormat
    tokenizer: "PreTrainedTokenizerBase"
    asked: Sequence[Asked]


class _Problem(NamedTuple):
    where: str
    detail: str


class _Seen(NamedTuple):
    """What a check found wrong, and what it says where nothing is."""

    problems: list[_Problem]
    otherwise: str


def verify(chat: PromptFormat, tokenizer: "PreTrainedTokenizerBase") -> list[Finding]:
    """Check a prompt format against its tokenizer, over the golden conversations."""
    subject = _Subject(chat, tokenizer, accepted(chat))
    return [_finding(name, check(subject)) for name, check in _CHECKS.items()]


def every_answer() -> list[Asked]:
    """All answers of the golden conversations, each with what is said before it."""
    return [
        Asked(f"{golden.name}, answer {number}", golden.messages[:place], golden.messages[: place + 1])
        for golden in golden_conversations()
        for number, place in enumerate(_answers(golden.messages), start=1)
    ]


def accepted(chat: PromptFormat) -> list[Asked]:
    """Those of `every_answer` that the format does not refuse."""
    return [asked for asked in every_answer() if _encodes(chat, asked.row)]


def stopping_ids(tokenizer: "PreTrainedTokenizerBase") -> frozenset[int]:
    """The ids at which servers stop: `eos_token_id` of `generation_config.json` beside the tokenizer, and the tokenizer's own."""
    try:
        text = (Path(tokenizer.name_or_path) / "generation_config.json").read_text(encoding="utf-8")
        configured = json.loads(text).get("eos_token_id")
    except (OSError, ValueError, AttributeError):
        configured = None
    named = configured if isinstance(configured, list) else [configured]
    return frozenset(token for token in [*named, tokenizer.eos_token_id] if isinstance(token, int))


def _finding(check: str, seen: _Seen) -> Finding:
    if not seen.problems:
        return Finding(check, True, seen.otherwise)
    where, detail = seen.problems[0]
    more = len(seen.problems) - 1
    return Finding(check, False, f"{detail} ({more} more like it)" if more else detail, where)


def _answers(messages: Sequence[Message]) -> list[int]:
    return [place for place, message in enumerate(messages) if message.role == "assistant"]


def _encodes(chat: PromptFormat, messages: Sequence[Message]) -> bool:
    return _ids_or_none(chat, messages) is not None


def _ids_or_none(chat: PromptFormat, messages: Sequence[Message]) -> list[int] | None:
    try:
        return chat.encode(messages).ids
    except TemplateError:
        return None


def _as_by_jinja(subject: _Subject) -> _Seen:
    """The compiler and the chat template write the same ids: prompts whole, conversations up to the last end token."""
    problems = []
    refused = 0
    for where, prompt, row in every_answer():
        refused += _ids_or_none(subject.chat, row) is None
        for name, messages in ((f"{where}, its prompt", prompt), (f"{where}, with it", row)):
            ours, theirs = _ids_or_none(subject.chat, messages), _jinja_ids(subject, messages)
            is_row = messages is row
            if ours is None or theirs is None:
                if ours is not theirs and not (is_row and ours is None):
                    problems.append(_Problem(name, f"{'the compiler' if ours is None else 'the template'} alone refuses it"))
                continue
            # What a template writes behind the last end token is neither trained nor asked with.
            theirs = theirs[: len(ours)] if is_row else theirs
            place = first_difference(ours, theirs)
            if place is not None:
                problems.append(_Problem(name, f"the template writes otherwise: {_parted(subject, ours, theirs, place)}"))
    count = len(every_answer())
    note = f"; {refused} of them the format refuses" if refused else ""
    return _Seen(problems, f"{count} answers of the 20 conversations and their prompts have the same ids{note}")


def _jinja_ids(subject: _Subject, messages: Sequence[Message]) -> list[int] | None:
    turns = [{"role": message.role, "content": message.content} for message in messages]
    asks = messages[-1].role == "user"
    try:
        ids = subject.tokenizer.apply_chat_template(
            turns, chat_template=subject.chat.jinja(), tokenize=True, add_generation_prompt=asks, return_dict=False
        )
    except JinjaError:
        return None
    return cast("list[int]", ids)


def _prompt_is_prefix(subject: _Subject) -> _Seen:
    problems = []
    for where, prompt, row in subject.asked:
        before, whole = subject.chat.prompt_ids(prompt), subject.chat.encode(row).ids
        place = first_difference(before, whole[: len(before)])
        if place is not None:
            detail = f"the prompt changes once its answer follows: {_parted(subject, before, whole, place)}"
            problems.append(_Problem(where, detail))
    return _Seen(problems, f"{len(subject.asked)} prompts stand unchanged in front of their answers")


def _one_bos(subject: _Subject) -> _Seen:
    bos = subject.tokenizer.bos_token_id
    if bos is None:
        return _Seen([], "the tokenizer has no beginning-of-sequence token")
    prompts = [(where, subject.chat.prompt_ids(prompt)) for where, prompt, _ in subject.asked]
    begins = [ids[:1] == [bos] for _, ids in prompts]
    problems = []
    for (where, ids), has_bos in zip(prompts, begins, strict=True):
        doubled = next((place for place in range(1, len(ids)) if ids[place - 1] == ids[place] == bos), None)
        if doubled is not None:
            problems.append(_Problem(where, f"it stands twice: {tokens_shown(ids, doubled, subject.tokenizer)}"))
        elif not has_bos and any(begins):
            problems.append(_Problem(where, f"it is missing, while others have it: {tokens_shown(ids, 0, subject.tokenizer)}"))
    name = token_shown(cast("int", bos), subject.tokenizer)
    what = f"one {name} in front" if any(begins) else f"the format has none (the tokenizer's would be {name})"
    return _Seen(problems, f"{what}{_when_added(subject, cast('int', bos), present=any(begins))}")


def _when_added(subject: _Subject, bos: int, *, present: bool) -> str:
    """What becomes of the prompt's text where it is tokenised with `add_special_tokens=True`."""
    text = subject.chat.text(subject.asked[0].prompt) if subject.asked else ""
    ids = cast("list[int]", subject.tokenizer(text)["input_ids"])
    if ids[:2] == [bos, bos]:
        return (
            "; a server that tokenises the text with add_special_tokens=True doubles it: vLLM's and TGI's /completions do, "
            "their chat endpoints do not, and llama.cpp takes the template's own away"
        )
    if ids[:1] == [bos] and not present:
        return "; llama.cpp, Ollama and vLLM's /completions put one in front: set add_bos_token to false for them"
    return ""


def _stop_is_trained(subject: _Subject) -> _Seen:
    stops = stopping_ids(subject.tokenizer)
    problems = []
    taught: set[int] = set()
    for where, _, row in subject.asked:
        encoded = subject.chat.encode(row)
        if encoded.labels[-1] == NOT_TRAINED:
            problems.append(_Problem(where, f"the end is not trained: {_last_shown(subject, encoded.ids)}"))
            continue
        ends = {last for last in _last_labels(encoded.labels) if last not in subject.chat.stop_ids}
        if ends:
            problems.append(_Problem(where, f"an answer ends in {_names(subject, ends)}, which stops nothing"))
        taught.add(encoded.labels[-1])
    for token in sorted(taught - stops):
        detail = (
            f"{_names(subject, [token])} ends an answer, but servers stop on {_names(subject, stops) or 'nothing'}: add {token} to "
            "eos_token_id in generation_config.json, or name it as `stop` in each request"
        )
        problems.append(_Problem("", detail))
    return _Seen(problems, f"{_names(subject, taught)} is trained after each answer, and servers stop on {_names(subject, stops)}")


def _last_labels(labels: Sequence[int]) -> list[int]:
    """The last trained label of each answer."""
    following = [*labels[1:], NOT_TRAINED]
    return [label for label, after in zip(labels, following, strict=True) if after == NOT_TRAINED != label]


def _nothing_merges(subject: _Subject) -> _Seen:
    """Encoded as one text, the prompt keeps its tokens: none holds its end and the beginning of the answer, none changes."""
    problems = []
    for where, prompt, row in subject.asked:
        text, cut = subject.chat.text(row), len(subject.chat.text(prompt))
        encoding = subject.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        spans = cast("list[tuple[int, int]]", encoding["offset_mapping"])
        place = next((place for place, (start, end) in enumerate(spans) if start < cut < end), None)
        if place is not None:
            ids = cast("list[int]", encoding["input_ids"])
            start, end = spans[place]
            detail = (
                f"in one piece the text has the token ‹{token_shown(ids[place], subject.tokenizer)}› where the prompt ends in "
                f"‹{text[start:cut]}› and the answer begins with ‹{text[cut:end]}›: {tokens_shown(ids, place, subject.tokenizer)}; "
                "end the turn without white space, and let the answer begin with it"
            )
            problems.append(_Problem(where, detail))
        elif problem := _end_changes(subject, prompt, text[:cut], cast("list[int]", encoding["input_ids"])):
            problems.append(_Problem(where, problem))
    return _Seen(problems, f"no token stands across the {len(subject.asked)} cuts between a prompt and its answer")


def _end_changes(subject: _Subject, prompt: Sequence[Message], text: str, whole: Sequence[int]) -> str:
    """Whether the prompt's last tokens are others once the answer follows, as line breaks are under GPT-2's rules."""
    ids = subject.chat.prompt_ids(prompt)
    place = first_difference(ids, whole[: len(ids)])
    if place is None or ids != subject.tokenizer(text, add_special_tokens=False)["input_ids"]:
        return ""
    return f"in one piece with its answer the prompt ends in other tokens: {_parted(subject, ids, whole, place)}"


def _control_tokens_are_text(subject: _Subject) -> _Seen:
    tokenizer = subject.tokenizer
    names = {number: str(token) for number, token in tokenizer.added_tokens_decoder.items() if token.special}
    plain = subject.chat.prompt_ids([Message("user", "What does it mean?")])
    problems, refused = [], 0
    for number, name in sorted(names.items()):
        try:
            ids = subject.chat.prompt_ids([Message("user", f"What does {name} mean?")])
        except TemplateError:
            refused += 1
            continue
        if ids.count(number) != plain.count(number):
            place = next((place for place, token in enumerate(ids) if token == number and plain[place : place + 1] != [number]), 0)
            detail = f"{name} in a question is read as a control token: {tokens_shown(ids, place, tokenizer)}"
            problems.append(_Problem("", detail))
    if refused:
        return _Seen(problems, f"questions with one of {refused} control tokens are refused")
    return _Seen(problems, f"{len(names)} control tokens are plain text in a question")


def _truncation_is_whole(subject: _Subject) -> _Seen:
    """`fit` takes whole turns from the front, or nothing at all."""
    problems = []
    tried = 0
    for golden in golden_conversations():
        size = _ids_or_none(subject.chat, golden.messages)
        if size is None:
            continue
        for context in (len(size) - 1, len(size) * 2 // 3, len(size) // 3):
            tried += 1
            if problem := _truncated_wrongly(subject, golden.messages, context):
                problems.append(_Problem(f"{golden.name}, {context} of {len(size)} tokens", problem))
    return _Seen(problems, f"in {tried} contexts that were too short, whole turns went from the front, or the row as a whole")


def _truncated_wrongly(subject: _Subject, messages: Sequence[Message], context: int) -> str:
    fitted = fit(subject.chat, messages, context)
    if fitted is None:
        return ""
    ids, labels = fitted.encoded
    kept = without_oldest(messages, fitted.left_out)
    prompt = subject.chat.prompt_ids(kept[:-1])
    if len(ids) > context:
        return f"{len(ids)} tokens are left, which are too many"
    if labels[-1] not in subject.chat.stop_ids:
        return f"the end token is gone: {_last_shown(subject, ids)}"
    if ids[: len(prompt)] != prompt:
        return f"the question is cut: {_parted(subject, prompt, ids, first_difference(prompt, ids) or 0)}"
    return ""


def _parted(subject: _Subject, ours: Sequence[int], theirs: Sequence[int], place: int) -> str:
    return difference_shown(ours, theirs, place, subject.tokenizer)


def _last_shown(subject: _Subject, ids: Sequence[int]) -> str:
    return tokens_shown(ids, len(ids) - 1, subject.tokenizer)


def _names(subject: _Subject, ids: Any) -> str:
    return ", ".join(token_shown(token, subject.tokenizer) for token in sorted(ids))


_CHECKS: dict[str, Callable[[_Subject], _Seen]] = {
    "same ids as the chat template": _as_by_jinja,
    "prompt is a prefix": _prompt_is_prefix,
    "one beginning of sequence": _one_bos,
    "stop token is trained": _stop_is_trained,
    "no token across a cut": _nothing_merges,
    "control tokens are text": _control_tokens_are_text,
    "truncation keeps question and end": _truncation_is_whole,
}
