"""A conversation that is longer than the context: its oldest turns go, never the end of an answer or the question."""

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

from tunewell.records import Message
from tunewell.template.conversation import EVERY_ANSWER, Loss
from tunewell.template.encoded import Encoded
from tunewell.template.protocol import PromptFormat


class Fitted(NamedTuple):
    """A conversation that fits, and how many of its oldest questions with their answers were left out for that."""

    encoded: Encoded
    left_out: int


def fit(chat: PromptFormat, messages: Sequence[Message], context: int, loss: Loss = EVERY_ANSWER) -> Fitted | None:
    """The conversation in at most `context` tokens, or None where its last question and answer alone are too long.

    Nothing is ever cut in two: the oldest questions are left out with their answers, as few as it takes; the system text, the last
    question and the last answer stay. Raises `TemplateError` where the format refuses the conversation.
    """
    encoded = chat.encode(messages, loss)
    if len(encoded.ids) <= context:
        return Fitted(encoded, 0)

    def shortened(left_out: int) -> Encoded:
        return chat.encode(without_oldest(messages, left_out), loss)

    most = sum(message.role == "user" for message in messages) - 1
    left_out = bisect_left(range(most), True, key=lambda place: len(shortened(place + 1).ids) <= context) + 1
    if left_out > most:
        return None
    return Fitted(shortened(left_out), left_out)


def without_oldest(messages: Sequence[Message], pairs: int) -> list[Message]:
    """The conversation without so many of its oldest questions and their answers; the system text stays."""
    front = [message for message in messages[:1] if message.role == "system"]
    return [*front, *messages[len(front) + 2 * pairs :]]
