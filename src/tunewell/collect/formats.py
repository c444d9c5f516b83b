"""The formats of a row, told apart by their keys and values, and how each becomes a conversation.

To add a format: one function `Row -> Conversation`, one line in `FORMATS`. The first line that matches wins. Rows are given with
their keys folded (`fields.fold`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from tunewell.collect import prompted
from tunewell.collect.fields import Row, first_key, optional_text, text_at, type_name
from tunewell.collect.problems import Problem, RowError, flaw
from tunewell.collect.turns import (
    Turns,
    has_dialogue,
    is_exchanges,
    is_turns,
    opens_dialogue,
    read_dialogue,
    read_history,
    read_turns,
)
from tunewell.records import Message, content_id

_QUESTION_KEYS = ("question", "ask", "prompt", "query", "q", "问题", "提问", "问", "instruction", "input", "title", "标题")
_ANSWER_KEYS = ("answer", "response", "completion", "reply", "output", "target", "a", "答案", "回答", "回复", "答")
_LIST_KEYS = (("input", "output"), ("inputs", "outputs"), ("question", "answer"), ("questions", "answers"), ("prompt", "response"))
_TURN_KEYS = ("conversations", "conversation", "items", "dialogue", "dialog", "turns", "chat", "对话")
_DIALOGUE_KEYS = frozenset(("messages", *_TURN_KEYS, "text", "input", "prompt", "content", "instruction"))
_EVIDENCE_KEYS = ("topic", "category", "department", "source", "task")


class Conversation(NamedTuple):
    """What a row says, what it is for, what else is known about it, and its family where other rows share it."""

    messages: tuple[Message, ...]
    task: str = "qa"
    evidence: Mapping[str, Any] = {}
    family: str = ""


class Format(NamedTuple):
    """A form of row: its name, whether a row has it, and its conversation.

    `read` raises `RowError` where the row has the form but not the content.
    """

    name: str
    matches: Callable[[Row], bool]
    read: Callable[[Row], Conversation]


def recognise(row: Row) -> Format | None:
    """The format of a row, or None."""
    for format_ in FORMATS:
        if format_.matches(row):
            return format_
    return None


def rows_in(row: Row) -> Iterable[Row]:
    """The rows that a row consists of: one an instance of an instruction or a question of an article; mostly itself alone."""
    if isinstance(row.get("paragraphs"), list):
        return prompted.readings_of(row)
    instances = row.get("instances")
    if isinstance(instances, list) and len(instances) > 1:
        return [{**row, "instances": [instance]} for instance in instances]
    return (row,)


def to_conversation(row: Row, format_: Format) -> Conversation:
    """The row's conversation: it alternates user and assistant after an optional system text, and ends with the assistant.

    Raises `RowError` with a key of `REMEDIES` as its reason.
    """
    conversation = format_.read(row)
    check_conversation(conversation.messages)
    return conversation


def check_conversation(messages: Sequence[Message]) -> None:
    """Raise `RowError` unless the messages are a conversation that can be trained on."""
    for message in messages:
        problem = flaw(message.content)
        if problem:
            raise RowError(problem.reason, f"the {message.role} text {problem.detail}")
    read = tuple(messages)
    turns = read[1:] if read and read[0].role == "system" else read
    if not turns:
        raise RowError("empty", "the conversation has no turns", messages=read)
    for number, turn in enumerate(turns, start=1):
        expected = "user" if number % 2 else "assistant"
        if turn.role != expected:
            raise RowError("bad_roles", f"turn {number} is `{turn.role}` where `{expected}` is expected", messages=read)
        if not turn.content or turn.content.isspace():
            raise RowError("empty", f"the {turn.role} text of turn {number} is empty", messages=read)
    if turns[-1].role != "assistant":
        raise RowError("bad_roles", "the conversation ends with the user, so there is no answer to learn", messages=read)


def evidence_of(row: Row) -> dict[str, str]:
    """What the row says about itself, such as its `topic`, where that is text. Raises `RowError` where it is undecodable."""
    evidence: dict[str, str] = {}
    for key in _EVIDENCE_KEYS:
        value = row.get(key)
        if isinstance(value, str):
            problem = flaw(value)
            if problem:
                raise RowError(problem.reason, f"`{key}` {problem.detail}")
            evidence[key] = value
    return evidence


def explain_unknown(row: Row) -> Problem:
    """Why a row has no known format: half of a pair is missing, or none of its keys says anything."""
    if not row:
        return Problem("empty", "an object without keys")
    for present, wanted, name in ((_QUESTION_KEYS, _ANSWER_KEYS, "answer"), (_ANSWER_KEYS, _QUESTION_KEYS, "question")):
        key = first_key(row, present)
        if key and len(key.encode("utf-8", "replace")) > 1:
            return Problem("missing_keys", f"has `{key}` but no {name} (`{'`, `'.join(wanted)}`)")
    if {"seen", "unseen"} & set(row):
        return Problem("unknown_format", "a triple of test items (seen, paraphrase, unseen), which belongs under data.test")
    return Problem("unknown_format", f"no known format has the keys {', '.join(sorted(row)[:8])}")


def _system(row: Row) -> list[Message]:
    text = optional_text(row, "system")
    return [Message("system", text)] if text.strip() else []


def _answer(row: Row) -> Message:
    key = first_key(row, ("output", *_ANSWER_KEYS) if "instruction" in row else _ANSWER_KEYS)
    if not key:
        raise RowError("missing_keys", f"has `instruction` but no answer (`{'`, `'.join(_ANSWER_KEYS)}`)")
    return Message("assistant", text_at(row, key))


def _joined(*parts: str) -> str:
    return "\n".join(part for part in parts if part and not part.isspace())


def _from_turns(row: Row, turns: Turns) -> Conversation:
    messages = turns.messages
    if messages and messages[0].role == "system":
        messages = messages if messages[0].content.strip() else messages[1:]
    else:
        messages = [*_system(row), *messages]
    return Conversation(tuple(messages), evidence={"cut_turns": turns.cut} if turns.cut else {})


def _messages(row: Row) -> Conversation:
    return _from_turns(row, read_turns(row, "messages"))


def _is_sharegpt(row: Row) -> bool:
    return "conversations" in row or bool(_turns_key(row))


def _sharegpt(row: Row) -> Conversation:
    return _from_turns(row, read_turns(row, _turns_key(row) or "conversations"))


def _turns_key(row: Row) -> str:
    for key in _TURN_KEYS:
        if key in row and (is_turns(row[key]) or is_exchanges(row[key])):
            return key
    return ""


def _dialogue_key(row: Row) -> str:
    """The key of a text that is a dialogue: up to the row's answer, if it has one, and whole otherwise."""
    if row.get("history"):
        return ""
    for key, text in row.items():
        if key not in _DIALOGUE_KEYS or not isinstance(text, str) or (key == "instruction" and row.get("input")):
            continue
        if (opens_dialogue(text) or not first_key(row, _ANSWER_KEYS)) and has_dialogue(text):
            return key
    return ""


def _dialogue(row: Row) -> Conversation:
    key = _dialogue_key(row)
    turns = read_dialogue(row[key])
    messages = turns.messages
    answer_key = first_key(row, _ANSWER_KEYS)
    if answer_key:
        # The mark of the assistant may stand at the end, for the answer to follow.
        if messages and messages[-1] == Message("assistant", ""):
            messages = messages[:-1]
        messages = [*messages, Message("assistant", text_at(row, answer_key))]
    instruction = optional_text(row, "instruction") if key == "input" else ""
    first = next((number for number, message in enumerate(messages) if message.role == "user"), None)
    if first is not None:
        messages[first] = Message("user", _joined(instruction, messages[first].content))
    return _from_turns(row, Turns(messages, turns.cut))


def _list_keys(row: Row) -> tuple[str, str] | None:
    for keys in _LIST_KEYS:
        if isinstance(row.get(keys[0]), list) and isinstance(row.get(keys[1]), list):
            return keys
    return None


def _lists(row: Row) -> Conversation:
    keys = _list_keys(row)
    assert keys
    asked, answered = row[keys[0]], row[keys[1]]
    if len(asked) != len(answered):
        raise RowError("unequal_lists", f"`{keys[0]}` has {len(asked)} texts, `{keys[1]}` {len(answered)}")
    instruction = optional_text(row, "instruction")
    messages = _system(row)
    for number, texts in enumerate(zip(asked, answered, strict=True), start=1):
        for key, text in zip(keys, texts, strict=True):
            if not isinstance(text, str):
                raise RowError("wrong_type", f"text {number} of `{key}` is {type_name(text)} where text is expected")
        messages += [Message("user", _joined(instruction if number == 1 else "", texts[0])), Message("assistant", texts[1])]
    return Conversation(tuple(messages))


def _self_instruct(row: Row) -> Conversation:
    instances = row["instances"]
    if not isinstance(instances, list) or len(instances) != 1 or not isinstance(instances[0], dict):
        raise RowError("wrong_type", "`instances` is no list of objects with `input` and `output`")
    instruction = text_at(row, "instruction")
    question = _joined(instruction, optional_text(instances[0], "input"))
    # All instances of an instruction descend from it.
    family = content_id((Message("user", instruction),))
    return Conversation((Message("user", question), Message("assistant", text_at(instances[0], "output"))), family=family)


def _reading(row: Row) -> Conversation:
    asked = prompted.reading(row)
    # All questions on a text descend from it.
    family = content_id((Message("user", row["context"]),))
    return Conversation((Message("user", asked.question), Message("assistant", asked.answer)), "reading", family=family)


def _similarity(row: Row) -> Conversation:
    asked = prompted.pair(row)
    return Conversation((Message("user", asked.question), Message("assistant", asked.answer)), "similarity")


def _classification(row: Row) -> Conversation:
    asked = prompted.labelled_text(row)
    return Conversation((Message("user", asked.question), Message("assistant", asked.answer)), "classification")


def _is_question_answer(row: Row) -> bool:
    return bool(first_key(row, _QUESTION_KEYS) and first_key(row, _ANSWER_KEYS))


def _is_alpaca(row: Row) -> bool:
    return "instruction" in row and ("output" in row or "input" in row or "history" in row)


def _question(row: Row) -> str:
    if _is_alpaca(row):
        return _joined(text_at(row, "instruction"), optional_text(row, "input"))
    return text_at(row, first_key(row, _QUESTION_KEYS))


def _question_answer(row: Row) -> Conversation:
    earlier = read_history(row)
    return _from_turns(row, Turns([*earlier.messages, Message("user", _question(row)), _answer(row)], earlier.cut))


def _is_referenced(row: Row) -> bool:
    return prompted.has_reference(row) and (_is_alpaca(row) or _is_question_answer(row))


def _referenced(row: Row) -> Conversation:
    earlier = read_history(row)
    question = Message("user", prompted.with_reference(row, _question(row)))
    return _from_turns(row, Turns([*earlier.messages, question, _answer(row)], earlier.cut))


FORMATS: tuple[Format, ...] = (
    Format("dialogue", lambda row: bool(_dialogue_key(row)), _dialogue),
    Format("messages", lambda row: "messages" in row, _messages),
    Format("sharegpt", _is_sharegpt, _sharegpt),
    Format("self-instruct", lambda row: "instruction" in row and "instances" in row, _self_instruct),
    Format("squad", prompted.is_reading, _reading),
    Format("lists", lambda row: _list_keys(row) is not None, _lists),
    Format("reference", _is_referenced, _referenced),
    Format("alpaca", _is_alpaca, _question_answer),
    Format("qa", _is_question_answer, _question_answer),
    Format("similarity", prompted.is_pair, _similarity),
    Format("classification", prompted.is_labelled_text, _classification),
)
