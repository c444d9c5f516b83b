"""Test items in threes: a training question, a paraphrase of it, and an unseen question on the same topic."""

from typing import Any

from tunewell.collect.fields import Row, text_at
from tunewell.collect.formats import check_conversation, evidence_of
from tunewell.collect.problems import RowError
from tunewell.records import Example, Message, Origin, content_id
from tunewell.text import language


def is_triple(row: Row) -> bool:
    """Whether a row is a triple, whole or not."""
    return "seen" in row and "unseen" in row


def triple_examples(row: Row, origin: Origin) -> list[Example]:
    """The three examples of `{"topic", "seen": {"question", "answer"}, "paraphrase": {"question"}, "unseen": {…}}`.

    They share one family: the id of the training row that holds the seen question and answer. The paraphrase has the answer of
    the seen question. Raises `RowError` where a part is missing.
    """
    seen_answer = _text(row, "seen", "answer")
    conversations = {
        "seen": _single_turn(_text(row, "seen", "question"), seen_answer),
        "paraphrase": _single_turn(_text(row, "paraphrase", "question"), seen_answer),
        "unseen": _single_turn(_text(row, "unseen", "question"), _text(row, "unseen", "answer")),
    }
    evidence = evidence_of(row)
    family = content_id(conversations["seen"])
    return [
        Example(messages, "domain", origin, task, _language(messages), family, evidence) for task, messages in conversations.items()
    ]


def _single_turn(question: str, answer: str) -> tuple[Message, ...]:
    messages = (Message("user", question), Message("assistant", answer))
    check_conversation(messages)
    return messages


def _language(messages: tuple[Message, ...]) -> str:
    return language("\n".join(message.content for message in messages))


def _text(row: Row, part: str, key: str) -> str:
    inner: Any = row.get(part)
    if inner is None:
        raise RowError("missing_keys", f"has no `{part}`")
    if not isinstance(inner, dict):
        raise RowError("wrong_type", f"`{part}` is not an object")
    try:
        return text_at(inner, key)
    except RowError as error:
        raise RowError(error.problem.reason, f"`{part}`: {error.problem.detail}") from None
