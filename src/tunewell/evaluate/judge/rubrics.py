"""What a judge is asked: rubrics are data (`assets/judge/KIND.LANGUAGE.yaml`), and what is judged is data inside marks.

The marks of a request bear a code that none of the texts between them holds, so no text can end its own part or open another.
"""

import hashlib
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field
from pydantic_core import PydanticCustomError

from tunewell.bundled import read_yaml
from tunewell.records import Message
from tunewell.teacher import Request
from tunewell.text import defused

OUT_OF_RANGE = "out of range"
"""What the client's complaint about a score beyond the scale begins with, after the name of the field."""

SCALE = (1, 2, 3, 4, 5)
_PLACES = {"first": 1, "equal": 0, "second": -1}


def _on_the_scale(score: int) -> int:
    if score not in SCALE:
        raise PydanticCustomError("out_of_range", OUT_OF_RANGE + ": {score} is none of 1 to 5", {"score": score})
    return score


class Score(BaseModel):
    """A verdict on one answer."""

    reason: str
    score: Annotated[int, Field(json_schema_extra={"enum": list(SCALE)}), AfterValidator(_on_the_scale)]

    @property
    def value(self) -> int:
        """The score."""
        return self.score


class Preference(BaseModel):
    """A verdict on two answers."""

    reason: str
    better: Literal["first", "second", "equal"]

    @property
    def value(self) -> int:
        """1 for the first answer, −1 for the second, 0 for neither."""
        return _PLACES[self.better]


def score_request(question: str, reference: str, answer: str, *, language: str, repeat: int, repeats: int) -> Request:
    """The request for a score of one answer, for the `repeat`-th of so many times."""
    texts = {"question": question, "reference": reference, "answer": answer}
    return _request("score", Score, texts, language=language, repeat=repeat, repeats=repeats)


def pair_request(question: str, reference: str, answers: Sequence[str], *, language: str, repeat: int, repeats: int) -> Request:
    """The request for a choice between two answers, in the order in which they are given."""
    first, second = answers
    texts = {"question": question, "reference": reference, "first": first, "second": second}
    return _request("pair", Preference, texts, language=language, repeat=repeat, repeats=repeats)


def conversation(messages: Sequence[Message], language: str) -> str:
    r"""What was asked, as one text: the user's words, or all turns with who said them where there is more than one.

    >>> conversation([Message("user", "Hi"), Message("assistant", "Yes?"), Message("user", "Open on Sunday?")], "en")
    'User: Hi\nAssistant: Yes?\nUser: Open on Sunday?'
    """
    if len(messages) == 1:
        return messages[0].content
    names = _rubric("score", language)["roles"]
    return "\n".join(f"{names[message.role]}: {message.content}" for message in messages)


def rubric_language(language: str) -> str:
    """The language in which a text of this language is judged: Chinese or, for all others, English."""
    return "zh" if language == "zh" else "en"


def between_marks(texts: Mapping[str, str], code: str) -> str:
    """The texts, each between two marks of its name and the code."""
    return "\n\n".join(f"<{name} {code}>\n{text}\n</{name} {code}>" for name, text in texts.items())


def code_for(texts: Sequence[str]) -> str:
    """A code of 16 hex digits that stands in none of the texts, the same for the same texts.

    >>> code_for(["Open on Sunday?", "Yes."])
    'd3736fab5603673c'
    """
    hashed = hashlib.blake2b(digest_size=16)
    for text in texts:
        hashed.update(f"{len(text)}:{text}".encode("utf-8", "surrogatepass"))
    start = hashed.hexdigest()
    codes = (hashlib.blake2b(f"{start}{attempt}".encode(), digest_size=8).hexdigest() for attempt in count())
    return next(code for code in codes if not any(code in text for text in texts))


def _request(kind: str, shape: type[BaseModel], texts: Mapping[str, str], *, language: str, repeat: int, repeats: int) -> Request:
    rubric = _rubric(kind, language)
    harmless = {name: defused(text) for name, text in texts.items()}
    code = code_for(list(harmless.values()))
    parts = (rubric["opening"].format(code=code), between_marks(harmless, code), rubric["closing"])
    messages = (Message("system", rubric["system"].strip()), Message("user", "\n\n".join(part.strip() for part in parts)))
    temperature = rubric["temperature"] if repeats == 1 else rubric["repeated"]
    return Request(messages, temperature, rubric["max_tokens"], shape, repeat)


def _rubric(kind: str, language: str) -> Any:
    return read_yaml("judge", f"{kind}.{rubric_language(language)}.yaml")
