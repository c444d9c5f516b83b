"""What the scripted server answers: a table of functions by the name of the shape that is asked for."""

import importlib
import importlib.util
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

Answers = Mapping[str, Callable[[str], Any]]

_TABLES = ("tests.generate.golden_docs", "tests.generate.golden_rows")


class Numbered(BaseModel):
    """The shape of the tests of the client: the number in the prompt, and a word for it."""

    number: int
    word: str


def numbered(text: str) -> dict[str, Any]:
    """The right answer to a prompt such as `Number 7: …`."""
    found = re.search(r"Number (\d+)", text)
    assert found is not None, text[:80]
    return {"number": int(found[1]), "word": f"word-{int(found[1]):x}"}


def tables() -> dict[str, Callable[[str], Any]]:
    """The answers to every shape that the tests know."""
    known: dict[str, Callable[[str], Any]] = {"Numbered": numbered}
    for name in _TABLES:
        if importlib.util.find_spec(name) is not None:
            known |= importlib.import_module(name).ANSWERS
    return known


def content(answers: Answers, body: Mapping[str, Any]) -> str:
    """The answer to the body of a request: JSON where its shape is known, else an echo.

    The shape is known by the name of the JSON schema, or where that stands in the messages by the schema's title.
    """
    messages = body["messages"]
    asked = next((str(message["content"]) for message in messages if message["role"] == "user"), "")
    named = (body.get("response_format") or {}).get("json_schema", {}).get("name")
    shape = str(named or _title(messages, answers))
    if shape not in answers:
        return f"You said: {asked}"
    value = answers[shape](asked)
    return json.dumps(value.model_dump(mode="json") if isinstance(value, BaseModel) else value, ensure_ascii=False)


def _title(messages: Sequence[Mapping[str, Any]], answers: Answers) -> str | None:
    whole = "\n".join(str(message["content"]) for message in messages)
    return next((title for title in re.findall(r'"title":\s*"(\w+)"', whole) if title in answers), None)
