"""Why a server's prompt is not the one that was trained: the usual mistakes, each known by what it leaves in the text."""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tunewell.records import Message
from tunewell.template.conversation import THOUGHT_ENDS
from tunewell.template.verify.shown import one_line, parting_shown


class Cause(NamedTuple):
    """A likely cause in plain words, what helps, and how it shows in this conversation."""

    what: str
    remedy: str
    seen: str = ""


class Marks(NamedTuple):
    """How a format's marks look in a text: beginning of sequence (or nothing), end of an answer, all control tokens."""

    bos: str
    end: str
    controls: Sequence[str] = ()


class Case(NamedTuple):
    """A conversation, the prompt that a server makes of it, and how the trained format writes any conversation."""

    messages: Sequence[Message]
    theirs: str
    write: Callable[[Sequence[Message]], str]
    marks: Marks


def likely_cause(case: Case) -> Cause:
    """The first known mistake that explains the difference; that the prompts differ is known already."""
    ours = case.write(case.messages)
    return next(cause for rule in _RULES if (cause := rule(case, ours)) is not None)


def likely_cause_of_counts(differences: Sequence[tuple[Sequence[Message], int]]) -> Cause:
    """What the numbers of tokens alone tell: conversations with how many tokens more the server sees (or fewer, below zero)."""
    other = {more for _, more in differences}
    unequal = [messages for messages, more in differences if more]
    equal = [messages for messages, more in differences if not more]
    if other == {1}:
        what = "one token more in every conversation: a beginning-of-sequence token too many, or a space in the generation prompt"
        return Cause(what, "let either the template or the server write the beginning of sequence; look at the template's end")
    if other == {-1}:
        what = "one token fewer in every conversation: the beginning-of-sequence token, or white space at the end"
        return Cause(what, "let the template write the beginning of sequence, or the server add it; look at the template's end")
    if not any(map(_system, unequal)) and all(map(_system, equal)):
        return Cause("only conversations without a system text differ: the server has another default system text", _SYSTEM_REMEDY)
    if all(map(_past_answers, unequal)) and not any(map(_past_answers, equal)):
        return Cause("only conversations with past answers differ: their end tokens, or the white space around them", _END_REMEDY)
    return Cause("the numbers alone do not tell", "ask the server for its template, and compare it with the family's")


_SYSTEM_REMEDY = "send the trained system text with every request, or give the server the trained chat template"
_END_REMEDY = "give the server the chat template that is saved beside the adapter"
_TEMPLATE_REMEDY = _END_REMEDY


def _same_text(case: Case, ours: str) -> Cause | None:
    if ours != case.theirs:
        return None
    held = [name for name in case.marks.controls if any(name in message.content for message in case.messages)]
    if held:
        what = f"{held[0]} inside a message is read as a control token"
        return Cause(what, "take control tokens out of messages before they are sent; no chat template can")
    return Cause("the text is the same, but cut into other tokens", "serve with the base model's own tokenizer, converted anew")


def _beginning(case: Case, ours: str) -> Cause | None:
    bos = case.marks.bos
    if not bos:
        return None
    if _squeezed(case.theirs) == _squeezed(bos + ours):
        if ours.startswith(bos):
            remedy = "the template writes it and the server adds it: take it out of one of the two"
            return Cause(f"{bos} stands twice at the beginning", remedy)
        return Cause(f"the server puts {bos} in front, the format has none", "set add_bos_token to false in the served tokenizer")
    if _squeezed(ours) == _squeezed(bos + case.theirs):
        return Cause(
            f"{bos} is missing at the beginning", "let the template write it, or set add_bos_token in the served tokenizer"
        )
    return None


def _trimmed(case: Case, ours: str) -> Cause | None:
    trimmed = [Message(message.role, message.content.strip()) for message in case.messages]
    if trimmed == list(case.messages) or case.write(trimmed) != case.theirs:
        return None
    remedy = "set `trim: true` in the family and train anew, or give the server a template without `| trim`"
    return Cause("the server takes white space from the ends of messages", remedy)


def _reasoning(case: Case, ours: str) -> Cause | None:
    for message in case.messages:
        thought, ends, _ = message.content.rpartition(THOUGHT_ENDS)
        if message.role != "assistant" or not ends or (thought in ours) == (thought in case.theirs):
            continue
        if thought in ours:
            return Cause("the server leaves the reasoning out of past answers", "take a family with `past_reasoning: drop`")
        return Cause("the server keeps the reasoning in past answers", "take a family with `past_reasoning: keep`")
    return None


def _white_space_at_end(case: Case, ours: str) -> Cause | None:
    if ours.rstrip() != case.theirs.rstrip():
        return None
    end = len(ours.rstrip())
    trained, served = ours[end:], case.theirs[end:]
    what = f"the generation prompt ends with {_counted(trained, served)}"
    return Cause(what, _TEMPLATE_REMEDY, f"‹{one_line(trained)}› in training, ‹{one_line(served)}› here")


def _generation_prompt(case: Case, ours: str) -> Cause | None:
    theirs = case.theirs.rstrip()
    if ours.startswith(theirs) and case.messages[-1].content.strip() not in ours[len(theirs) :]:
        missing = one_line(ours[len(case.theirs) :] if ours.startswith(case.theirs) else ours[len(theirs) :])
        remedy = "the template must write it under `add_generation_prompt`, and the server must ask for it"
        return Cause(f"the generation prompt ‹{missing}› is missing", remedy)
    if case.theirs.startswith(ours):
        remedy = "switch it off in the request or the template (`enable_thinking: false` for templates that think)"
        return Cause(f"the server goes on after the generation prompt, with ‹{one_line(case.theirs[len(ours) :])}›", remedy)
    return None


def _end_tokens(case: Case, ours: str) -> Cause | None:
    end = case.marks.end
    answers = _past_answers(case.messages)
    if not answers or not end:
        return None
    if _squeezed(_without_ends(ours, answers, end)) == _squeezed(case.theirs):
        return Cause(f"past answers lack their end token {end}", _END_REMEDY)
    if _squeezed(_without_ends(case.theirs, answers, end)) == _squeezed(ours):
        return Cause(f"the server writes {end} after past answers, where training has none", _END_REMEDY)
    return None


def _system_text(case: Case, ours: str) -> Cause | None:
    question = next(message.content for message in case.messages if message.role == "user").strip()
    (our_front, _, our_rest), (their_front, _, their_rest) = ours.partition(question), case.theirs.partition(question)
    if _squeezed(our_rest) != _squeezed(their_rest) or _squeezed(our_front) == _squeezed(their_front):
        return None
    shown = parting_shown(our_front, their_front)
    given = _system(case.messages)
    if not given:
        return Cause("the server has another default system text", _SYSTEM_REMEDY, shown)
    if given.strip() not in case.theirs:
        return Cause("the server leaves the system text out", _TEMPLATE_REMEDY)
    return Cause("the server writes something else around the system text", _TEMPLATE_REMEDY, shown)


def _white_space(case: Case, ours: str) -> Cause | None:
    if _squeezed(ours) != _squeezed(case.theirs):
        return None
    return Cause("only white space differs", _TEMPLATE_REMEDY, f"{_counted(ours, case.theirs)}: {parting_shown(ours, case.theirs)}")


def _unknown(case: Case, ours: str) -> Cause | None:
    return Cause("another format", _TEMPLATE_REMEDY, parting_shown(ours, case.theirs))


_RULES = (
    _same_text,
    _beginning,
    _trimmed,
    _reasoning,
    _white_space_at_end,
    _generation_prompt,
    _end_tokens,
    _system_text,
    _white_space,
    _unknown,
)


def _squeezed(text: str) -> str:
    return "".join(text.split())


def _counted(ours: str, theirs: str) -> str:
    more = sum(map(str.isspace, theirs)) - sum(map(str.isspace, ours))
    if not more:
        return "other white space than in training"
    count = "one sign" if abs(more) == 1 else f"{abs(more)} signs"
    return f"{count} of white space {'more' if more > 0 else 'fewer'} than in training"


def _without_ends(text: str, answers: Sequence[str], end: str) -> str:
    for answer in answers:
        text = re.sub(f"({re.escape(answer)})\\s*{re.escape(end)}", r"\1", text, count=1)
    return text


def _system(messages: Sequence[Message]) -> str:
    return messages[0].content if messages[0].role == "system" else ""


def _past_answers(messages: Sequence[Message]) -> list[str]:
    """What stands before the end of each past answer: its text, without the reasoning that a template may leave out."""
    texts = [message.content for message in messages if message.role == "assistant"]
    return [text.rpartition(THOUGHT_ENDS)[2].strip() for text in texts]
