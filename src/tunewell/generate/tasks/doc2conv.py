"""`doc2conv`: conversations from documents: topics, a plan of turns, and answers that are proved one by one.

Each holds a follow-up that only makes sense after what was said before it, and a question that the text does not answer.
"""

import re
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, Field

from tunewell.generate.material import Material
from tunewell.generate.tasks.grounding import (
    Check,
    GroundedAnswer,
    SecondAnswer,
    Verdicts,
    answer_checks,
    control_check,
    hold_unknown,
    known_answer,
    material_of,
    question_checks,
    quotes_of,
    refusal_checks,
    require_letters,
    round_trip,
    row_of,
)
from tunewell.generate.tasks.neighbours import Neighbours, answered_elsewhere
from tunewell.generate.workshop import Made, Session, Skipped, Workshop
from tunewell.records import Document, Message

_NAME = "doc2conv"
_LEAST_LETTERS = {"zh": 60, "en": 160}
_LEAST_TURNS, _MOST_TURNS = 3, 5
_WORD = re.compile(r"[a-z0-9]{4,}")
_HAN_RUN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]+")
_POINTS_BACK = re.compile(
    r"\b(?:it|its|that|this|they|them|their|those|these|there|then|ones?|same|so|else|instead|either|both|(?:what|how) about)\b|"
    r"[它其那这此呢]|前者|后者|同样|还是|刚才|的话|又|也",
    re.IGNORECASE,
)


class Doc2convTopics(BaseModel):
    """What a user could talk about with support, given a text."""

    topics: list[str] = Field(description="Topics that the text says several things about, as short noun phrases; empty if none")


class Doc2convTurn(BaseModel):
    """A user's turn."""

    kind: Literal["opening", "deeper", "elliptical", "unanswerable"] = Field(
        description="opening: the first question; deeper: a further question; elliptical: makes sense only after the turns before; "
        "unanswerable: a question that the text does not answer"
    )
    topic: str = Field(description="What the turn is about, as a short noun phrase; elliptical turns do not utter it")
    message: str = Field(description="What the user says")


class Doc2convPlan(BaseModel):
    """The user's side of a conversation."""

    turns: list[Doc2convTurn] = Field(description="Three to five turns in the order in which they are spoken")


async def doc2conv(
    material: Material, rows: int, workshop: Workshop, *, agreement: float, closed_book: Literal["drop", "keep", "off"]
) -> AsyncIterator[Made]:
    """Conversations of three to five user turns, at most one for each chunk.

    A chunk without a topic for so many turns is skipped (`no_questions`). A conversation is rejected with the number of the turn
    where a plan has too few or too many turns (`turn_count`) or lacks the elliptical or the unanswerable one (`turn_kinds`), where
    a follow-up names its topic again or does not lean on what was said (`not_elliptical`), and where a turn fails a check of
    `doc2qa`; and where all turns that are clear by themselves get the same answers without the text (`known_without_document`).
    """
    chunks = material.chunks()
    maker = _Maker(agreement, closed_book, Neighbours(chunks))
    async for made in workshop.each(_NAME, chunks, maker.make, rows=rows):
        yield made


def is_elliptical(message: str, before: str, topic: str) -> bool:
    """Whether a message leaves its topic to what was said before.

    It names no word of the topic (of Chinese, no two characters in a row), and it points back or is shorter than what was said
    before. Known problem: a short question on something else altogether counts as well.

    >>> is_elliptical("And how long does it take?", "How do I get a refund?", "refund")
    True
    >>> is_elliptical("那跨行的呢？", "提现手续费是多少？", "提现手续费"), is_elliptical("提现多久到账？", "怎么提现？", "提现")
    (True, False)
    """
    if _terms(message) & _terms(topic):
        return False
    return bool(_POINTS_BACK.search(message)) or len(message) < len(before)


def _terms(text: str) -> set[str]:
    """Words of four letters and more, and pairs of neighbouring Han characters."""
    words = {word.removesuffix("s") for word in _WORD.findall(text.lower())}
    return words | {run[place : place + 2] for run in _HAN_RUN.findall(text) for place in range(len(run) - 1)}


@dataclass(slots=True)
class _Conversation:
    """A conversation as far as it has come."""

    messages: list[Message] = field(default_factory=list)
    quotes: list[dict[str, Any]] = field(default_factory=list)
    turns: list[dict[str, Any]] = field(default_factory=list)
    checked: list[Verdicts] = field(default_factory=lambda: [Verdicts()])
    """The verdicts on the plan, then on each turn, then on the whole."""

    @property
    def verdicts(self) -> Verdicts:
        return self.checked[-1]

    def questions(self) -> list[str]:
        return [message.content for message in self.messages if message.role == "user"]

    def begin(self, turn: Doc2convTurn) -> None:
        self.messages.append(Message("user", turn.message.strip()))
        self.checked.append(Verdicts())
        self.turns.append({"kind": turn.kind, "topic": turn.topic, "verdicts": self.verdicts.ran})

    def reply(self, answer: GroundedAnswer, chunk: Document) -> None:
        self.messages.append(Message("assistant", answer.answer.strip()))
        self.quotes.extend({**quote, "turn": len(self.turns)} for quote in quotes_of(answer, chunk))

    def standing_alone(self) -> Iterator[tuple[str, str]]:
        """Questions that are clear without what was said before, and their answers."""
        for turn, question, answer in zip(self.turns, self.messages[::2], self.messages[1::2], strict=True):
            if turn["kind"] in {"opening", "deeper"}:
                yield question.content, answer.content

    def made(self, chunk: Document, session: Session) -> Made:
        ran: dict[str, bool | float] = {}
        for verdicts in self.checked:
            ran |= {name: min(value, ran.get(name, value)) for name, value in verdicts.ran.items()}
        row = row_of(chunk, _NAME, self.messages, turns=self.turns, quotes=self.quotes, verdicts=ran)
        is_of_turn = self.turns and len(self.checked) == 1 + len(self.turns)
        where = f"turn {len(self.turns)}: " if self.verdicts.reason and is_of_turn else ""
        return Made(row, session, self.verdicts.reason, where + self.verdicts.detail)


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes the conversation of a chunk."""

    agreement: float
    closed_book: Literal["drop", "keep", "off"]
    neighbours: Neighbours

    async def make(self, chunk: Document, session: Session) -> list[Made]:
        require_letters(chunk, _LEAST_LETTERS)
        text = material_of(chunk)
        found = await session.ask("doc2conv.topics", Doc2convTopics, text=text)
        topics = [topic.strip() for topic in found.topics if topic.strip()]
        if not topics:
            raise Skipped("no_questions", "no topic for a conversation")
        plan = await session.ask("doc2conv.plan", Doc2convPlan, text=text, topics=topics)
        conversation = _Conversation()
        if not conversation.verdicts.hold(_plan_checks(plan.turns)):
            conversation.messages = [Message("user", turn.message.strip()) for turn in plan.turns]
            return [conversation.made(chunk, session)]
        for turn in plan.turns:
            if not await self._take(turn, conversation, chunk, session):
                return [conversation.made(chunk, session)]
        if self.closed_book != "off":
            await self._without_document(conversation, session)
        return [conversation.made(chunk, session)]

    async def _take(self, turn: Doc2convTurn, conversation: _Conversation, chunk: Document, session: Session) -> bool:
        """Speak one turn and its answer; whether they pass their checks."""
        history, earlier = list(conversation.messages), conversation.questions()
        conversation.begin(turn)
        verdicts, question = conversation.verdicts, turn.message.strip()
        if not verdicts.hold(_turn_checks(turn, chunk, earlier)):
            return False
        text = material_of(chunk)
        answer = await session.ask("doc2conv.answer", GroundedAnswer, text=text, history=history, question=question)
        conversation.reply(answer, chunk)
        context = "\n".join(earlier)
        if turn.kind == "unanswerable":
            if verdicts.hold(refusal_checks(answer, question, chunk, context)):
                verdicts.hold([await self._elsewhere(question, chunk, session)])
            return not verdicts.reason
        if not verdicts.hold(answer_checks(answer, question, chunk, context)):
            return False
        second = await session.ask("doc2conv.second", SecondAnswer, text=text, history=history, question=question)
        return round_trip(answer.answer, second, self.agreement, verdicts)

    async def _without_document(self, conversation: _Conversation, session: Session) -> None:
        """Look for a turn that teaches something; the first one will do."""
        verdicts = Verdicts()
        conversation.checked.append(verdicts)
        known = ""
        for question, answer in conversation.standing_alone():
            known = await known_answer(question, answer, self.agreement, session, verdicts)
            if not known:
                break
        hold_unknown(known, drops=self.closed_book == "drop", verdicts=verdicts)

    async def _elsewhere(self, question: str, chunk: Document, session: Session) -> Check:
        async def read(text: str) -> SecondAnswer:
            return await session.ask("doc2conv.second", SecondAnswer, text=text, history=(), question=question)

        return await answered_elsewhere(self.neighbours.nearest(question, chunk), read)


def _plan_checks(turns: Sequence[Doc2convTurn]) -> Iterator[Check]:
    fits = _LEAST_TURNS <= len(turns) <= _MOST_TURNS
    yield Check("turn_count", "" if fits else f"{len(turns)} turns; {_LEAST_TURNS} to {_MOST_TURNS} are asked for")
    kinds = [turn.kind for turn in turns]
    is_right = kinds[0] not in {"elliptical", "unanswerable"} and "elliptical" in kinds and kinds.count("unanswerable") == 1
    yield Check("turn_kinds", "" if is_right else ", ".join(kinds))


def _turn_checks(turn: Doc2convTurn, chunk: Document, earlier: Sequence[str]) -> Iterator[Check]:
    message = turn.message.strip()
    yield from question_checks(message, chunk.language, earlier)
    if turn.kind == "elliptical":
        yield Check("not_elliptical", "" if is_elliptical(message, earlier[-1], turn.topic) else f"{message} ({turn.topic})")
    yield control_check(message)
