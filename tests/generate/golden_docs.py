"""A teacher's answers to the tasks made from documents, worked out from the chunk in the prompt; one in seven is bad on purpose.

The tables serve the scripted teacher in memory and the scripted HTTP server alike: a prompt's text goes in, a JSON value comes out.
"""

import re
from pathlib import Path
from typing import Any, NamedTuple

from tests.generate.scripted import Answers
from tunewell.generate.material import Material
from tunewell.records import DOCUMENT_SCHEMA, Document, document_to_row
from tunewell.store import short_digest, write_rows
from tunewell.text import language, tokens

_FENCED = re.compile(r"<text ([0-9a-f]{8})>\n(.*?)\n</text \1>", re.DOTALL)
_SENTENCE = re.compile(r"[^\n。！？；]+?(?:[。！？；]|[.!?](?=\s|$)|$)", re.MULTILINE)
_KINDS = ("fact", "how", "why", "compare", "number", "condition", "negative")
_LEAST_TOKENS = 8
_FAULTS = ("number", "name", "misquote", "no_quote", "second")
NEAR = {"en": "who signed off on", "zh": "去年由谁审批"}
"""What marks a question that no document answers."""
REFUSAL = {"en": "The documentation does not say who signed off on it.", "zh": "现有资料没有说明这件事由谁审批。"}


class Golden(NamedTuple):
    """What stands between marks in a prompt: the material first, the question or summary last; and the prompt's language."""

    material: str
    last: str
    language: str

    @property
    def sentences(self) -> list[str]:
        """The sentences worth asking about, each known by a key of its own."""
        body = self.material.partition("\n")[2] if self.material.startswith("# ") else self.material
        found = (match.group().strip(" \t|*->") for match in _SENTENCE.finditer(body))
        long = (sentence for sentence in found if len(tokens(sentence)) >= _LEAST_TOKENS and sentence[0] not in "!<[")
        unique = {_key(sentence): sentence for sentence in long if language(_key(sentence)) == self.language}
        return list(unique.values())

    @property
    def sentence(self) -> str:
        """The sentence that the question is about, or an empty string."""
        return next((sentence for sentence in self.sentences if _key(sentence) in self.last), "")


def material_of(folder: Path, *texts: str, seed: int = 0) -> Material:
    """What `collect` would leave of these texts, each a document of one section."""
    sections = (Document(str(place), f"docs/{place}.md", "", text, 0, len(text)) for place, text in enumerate(texts))
    write_rows(folder / "documents", DOCUMENT_SCHEMA, map(document_to_row, sections))
    return Material(folder, (), seed)


def golden(text: str) -> Golden:
    """What a prompt holds."""
    found = [inner for _, inner in _FENCED.findall(text)]
    return Golden(found[0], found[-1], language(_FENCED.sub("", text)))


def fault(question: str) -> str:
    """How the answer to a question is bad: it is for one in seven."""
    place = short_digest(question)
    return "" if place % 7 else _FAULTS[place // 7 % len(_FAULTS)]


def _key(sentence: str) -> str:
    """The beginning of a sentence, by which question and answer find each other."""
    if language(sentence) == "zh":
        return "".join(re.findall(r"\w+", sentence))[:16]
    return " ".join(re.findall(r"\w+", sentence)[:7])


def _question(sentence: str, code: str) -> str:
    return f"请问{_key(sentence)}是怎么回事？" if code == "zh" else f"What should I know about {_key(sentence)}?"


def _near(sentence: str, code: str) -> str:
    return f"{_key(sentence)}{NEAR['zh']}？" if code == "zh" else f"By the way, {NEAR['en']} {_key(sentence)}?"


def _is_near(prompt: Golden) -> bool:
    return any(mark in prompt.last for mark in NEAR.values())


def _gate(text: str) -> Any:
    return {"reason": "asked of a script", "usable": bool(golden(text).sentences)}


def _plan(text: str) -> Any:
    prompt = golden(text)
    asked = [_question(sentence, prompt.language) for sentence in prompt.sentences[:8]]
    return {"questions": [{"kind": _KINDS[place % 7], "question": question} for place, question in enumerate(asked)]}


def _unanswerable(text: str) -> Any:
    prompt = golden(text)
    return {"questions": [_near(sentence, prompt.language) for sentence in prompt.sentences[-4:]]}


def _answer(text: str) -> Any:
    prompt = golden(text)
    bad = fault(prompt.last)
    code = prompt.language
    if _is_near(prompt):
        return {"quotes": [], "answerable": bool(bad), "answer": "Ada did." if bad else REFUSAL[code]}
    # A follow-up that names nothing is about the sentence after the first.
    sentence = prompt.sentence or next(iter(prompt.sentences[1:2]), "")
    answers = {"number": f"{sentence} 987654", "name": f"{sentence} Zanzibar9"}
    quotes = {"misquote": [sentence[::-1]], "no_quote": []}
    return {"quotes": quotes.get(bad, [sentence]), "answerable": bool(sentence), "answer": answers.get(bad, sentence)}


def _second(text: str) -> Any:
    prompt = golden(text)
    if _is_near(prompt):
        return {"answerable": False, "answer": REFUSAL[prompt.language]}
    sentence = prompt.sentence or next(iter(prompt.sentences[1:2]), "")
    return {"answerable": bool(sentence), "answer": "987654" if fault(prompt.last) == "second" else sentence}


def _topics(text: str) -> Any:
    sentences = golden(text).sentences
    return {"topics": [_topic(sentence) for sentence in sentences[:3]] if len(sentences) > 2 else []}


def _topic(sentence: str) -> str:
    return _key(sentence)[:6] if language(sentence) == "zh" else max(_key(sentence).split(), key=len)


def _conversation(text: str) -> Any:
    prompt = golden(text)
    code = prompt.language
    first, _, third = prompt.sentences[:3]
    turns = [
        ("opening", _question(first, code)),
        ("elliptical", "那别的呢？" if code == "zh" else "So how is it otherwise?"),
        ("deeper", _question(third, code)),
        ("unanswerable", _near(first, code)),
    ]
    return {"turns": [{"kind": kind, "topic": _topic(first), "message": message} for kind, message in turns]}


def _points(text: str) -> Any:
    return {"points": golden(text).sentences[:4]}


def _summary(text: str) -> Any:
    prompt = golden(text)
    most = len(prompt.material) // 3
    written = ""
    for sentence in prompt.sentences[:6]:
        words = re.sub(r"[!-~]+$", "", sentence[:14]) if prompt.language == "zh" else " ".join(sentence.split()[:8])
        if len(written) + len(words) < most:
            written += f"{words}。" if prompt.language == "zh" else f"{words}. "
    bad = fault(prompt.material)
    return {"summary": f"{written} 987654" if bad in {"number", "name"} else prompt.material if bad == "misquote" else written}


def _coverage(text: str) -> Any:
    prompt = golden(text)
    numbers = list(range(1, 1 + len(prompt.material.splitlines())))
    return {"covered": numbers[:1] if fault(prompt.last) else numbers}


ANSWERS: Answers = {
    "Doc2qaGate": _gate,
    "Doc2qaPlan": _plan,
    "Doc2qaNear": _unanswerable,
    "GroundedAnswer": _answer,
    "SecondAnswer": _second,
    "ClosedBookAnswer": lambda text: {"known": False, "answer": ""},
    "Doc2convTopics": _topics,
    "Doc2convPlan": _conversation,
    "SummaryPoints": _points,
    "SummaryText": _summary,
    "SummaryCoverage": _coverage,
}
"""The answers, by the name of the shape that is asked for."""
