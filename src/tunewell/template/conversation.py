"""A conversation under a family, as segments: what stands before an answer, the answer with its end, what stands before the next.

The cuts between segments are where a served model takes over and hands back, so nothing may merge across them.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

from tunewell.errors import TemplateError
from tunewell.records import Message
from tunewell.template.family import Family, Piece, Pieces

THOUGHT_ENDS = "</think>"


class Loss(NamedTuple):
    """What is trained: every answer or the last one alone, with or without the reasoning inside an answer."""

    answers: Literal["every", "last"] = "every"
    reasoning: Literal["train", "mask"] = "train"


EVERY_ANSWER = Loss()


Form = Literal["turn", "first", "last", "single", "with_input", "answer"]


class Shape(NamedTuple):
    """Which pieces a segment is made of; equal shapes of a family have equal pieces."""

    part: Literal["question", "answer"]
    form: Form = "turn"
    opens: bool = False
    system: bool = False
    is_last: bool = False


class Segment(NamedTuple):
    """A stretch of a conversation: its shape, the contents that fill it (and the round), and whether it is trained."""

    shape: Shape
    values: Mapping[str, str | int]
    trained: bool


def pieces_of(family: Family, shape: Shape) -> Pieces:
    """The pieces of a segment, in order."""
    if shape.part == "answer":
        return family.answer + (family.end if shape.is_last or family.past_end is None else family.past_end)
    front = family.prefix if shape.opens else family.between
    own: Pieces = getattr(family, shape.form)
    suffix = family.suffix if shape.is_last and shape.form != "single" else ()
    return front + (family.system if shape.system else ()) + own + suffix


def segments(family: Family, messages: Sequence[Message], loss: Loss = EVERY_ANSWER) -> list[Segment]:
    """The segments of a conversation, which ends with an answer or with a question to be answered.

    Raises `TemplateError` where the roles do not alternate, or the family has no place for the system text.
    """
    turns = _turns(family, messages)
    system = turns.system if turns.system is not None else family.default_system or None
    only_last = loss.answers == "last" or family.rewrites_history(has_system=system is not None)
    found: list[Segment] = []
    count = len(turns.questions)
    for place, question in enumerate(turns.questions):
        is_last = place == count - 1
        found.append(_question(family, question, system, place=place, count=count))
        if place < len(turns.answers):
            answer = turns.answers[place]
            is_history = not is_last
            kept = _PAST_ANSWERS[family.past_reasoning](answer) if is_history else answer
            trained = kept == answer and (is_last or not only_last)
            found.append(Segment(Shape("answer", "answer", is_last=is_last), {"assistant": kept}, trained))
    return found


def text_of(family: Family, messages: Sequence[Message], names: Mapping[Piece, str] | None = None) -> str:
    """The conversation as text; it ends with the generation prompt after a question. Raises `TemplateError` as `segments` does.

    `names` are the names of the family's tokens under a tokenizer; without it they are shown as the family's file shows them.
    """
    known = names or {}
    return "".join(
        known[piece] if piece in known else shown(piece, segment.values)
        for segment in segments(family, messages)
        for piece in pieces_of(family, segment.shape)
    )


def thought_length(text: str) -> int:
    """How many characters of a text are reasoning, with its end mark and the white space after it.

    >>> thought_length("<think>7 × 13</think> No.")
    22
    """
    thought, ends, said = text.rpartition(THOUGHT_ENDS)
    return len(thought) + len(ends) + len(said) - len(said.lstrip()) if ends else 0


def shown(piece: Piece, values: Mapping[str, str | int]) -> str:
    """One piece as text."""
    match piece.kind:
        case "content":
            return str(values[str(piece.value)])
        case "round":
            return str(int(piece.value) + int(values["round"]))
        case _:
            return piece.text


class _Turns(NamedTuple):
    system: str | None
    questions: list[str]
    answers: list[str]


def _turns(family: Family, messages: Sequence[Message]) -> _Turns:
    has_system = bool(messages) and messages[0].role == "system"
    turns = messages[1:] if has_system else messages
    if not turns:
        raise TemplateError("the conversation has no question")
    for place, message in enumerate(turns):
        if message.role != ("user", "assistant")[place % 2]:
            position = place + 1 + has_system
            hint = "questions and answers take turns, a question first; a system text stands in front"
            raise TemplateError(f"message {position} is of the {message.role}, out of turn", hint=hint)
    if has_system and not family.takes_system:
        hint = "put it into the question, leave it out, or take a family with a system text"
        raise TemplateError(f"`{family.name}` has no place for a system text", hint=hint)
    trims = family.trims
    contents = [message.content.strip() if message.role in trims else message.content for message in messages]
    system = contents[0] if has_system else None
    return _Turns(system, contents[has_system::2], contents[has_system + 1 :: 2])


def _question(family: Family, question: str, system: str | None, *, place: int, count: int) -> Segment:
    is_last, opens = place == count - 1, place == 0
    form: Form = "turn"
    values: dict[str, str | int] = {"user": question, "round": place}
    if system is not None:
        values["system"] = system
    if family.single and count == 1:
        form = "single"
    elif family.first and opens and system is not None:
        form = "first"
    elif family.last and is_last and system is not None:
        form = "last"
    elif family.with_input and "\n" in question.strip():
        instruction, _, rest = question.strip().partition("\n")
        values |= {"instruction": instruction, "input": rest}
        form = "with_input"
    has_system = opens and bool(family.system) and system is not None
    return Segment(Shape("question", form, opens, has_system, is_last), values, trained=False)


def _cut_thought(answer: str) -> str:
    return answer.rpartition(THOUGHT_ENDS)[2]


def _drop_thought(answer: str) -> str:
    return _cut_thought(answer).lstrip("\n") if THOUGHT_ENDS in answer else answer


_PAST_ANSWERS: Mapping[str, Callable[[str], str]] = {"keep": str, "drop": _drop_thought, "cut": _cut_thought}
