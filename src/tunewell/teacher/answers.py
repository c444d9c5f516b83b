"""From the text of an answer to the shape that was asked for, and what is said to a model whose answer does not have it."""

import json
import re
from functools import cache
from typing import Any, NamedTuple

import json_repair
from pydantic import BaseModel, ValidationError

from tunewell.teacher.cache import Completion
from tunewell.text import well_formed

_SHOWN_ERRORS = 5
# Some chat formats open the thoughts in the prompt, so that the answer only holds their end.
_THOUGHTS = re.compile(r"\A\s*(?:<think(?:ing)?>|(?![\s{\[`])).*?</think(?:ing)?>", re.DOTALL)


class Problem(NamedTuple):
    """Why an answer is of no use: a reason of `RequestFailed`, and what exactly is wrong."""

    reason: str
    detail: str


def read(completion: Completion, shape: type[BaseModel] | None) -> Any:
    """The text, or the value of the shape that was asked for; a `Problem` where there is neither.

    JSON inside prose or fences, with comments, trailing commas or single quotes is repaired. What was cut off at the limit of
    tokens is not: its end is missing.
    """
    text = without_thoughts(completion.text)
    if completion.refusal or completion.finish == "content_filter":
        return Problem("refused", completion.refusal or "stopped by the server's content filter")
    if completion.finish == "length":
        return Problem("cut", f"not at its end after {completion.completion_tokens} tokens")
    if not text:
        return Problem("empty", "the answer has no text")
    return text if shape is None else _parsed(text, shape)


def without_thoughts(text: str) -> str:
    r"""The answer of a model that thinks aloud first, where the server does not part the two.

    >>> without_thoughts("<think>Is it 5? Yes.</think>\n\nFive days."), without_thoughts("Is it 5?</think>Five days.")
    ('Five days.', 'Five days.')
    """
    return _THOUGHTS.sub("", text, count=1).strip()


def correction(problem: Problem, shape: type[BaseModel] | None) -> str:
    """What to say to a model after an answer that is of no use."""
    complaint = {
        "cut": "Your answer was too long and was cut off. Answer again, much shorter.",
        "empty": "Your answer was empty. Answer again.",
    }.get(problem.reason, f"Your answer cannot be used: {problem.detail}. Answer again.")
    return complaint if shape is None else f"{complaint} {in_words(shape)}"


@cache
def schema_of(shape: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of a shape."""
    return shape.model_json_schema()


@cache
def in_words(shape: type[BaseModel]) -> str:
    """The request for a shape, for servers that take no schema, and for second askings."""
    schema = json.dumps(schema_of(shape), ensure_ascii=False)
    return f"Give one JSON object and nothing else, in this JSON schema: {schema}"


@cache
def response_format(shape: type[BaseModel]) -> dict[str, Any]:
    """The parameter `response_format` of a chat completion, strict as OpenAI's structured outputs want it."""
    schema = {"name": shape.__name__, "schema": _strict(schema_of(shape)), "strict": True}
    return {"type": "json_schema", "json_schema": schema}


def _parsed(text: str, shape: type[BaseModel]) -> Any:
    try:
        return shape.model_validate_json(text)
    except ValidationError as error:
        first = error
    if "{" not in text and "[" not in text:
        return Problem("not_json", f"expected JSON, got {text[:80]!r}")
    try:
        # Halves of surrogate pairs can stand in JSON as escapes, and in no file.
        repaired = well_formed(json.dumps(json_repair.loads(text), ensure_ascii=False))
        return shape.model_validate_json(repaired)
    except ValidationError as error:
        problems = error.errors() if error.errors()[0]["type"] != "model_type" else first.errors()
    except (RecursionError, ValueError):
        return Problem("not_json", "nested without end")
    shown = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'answer'}: {one['msg']}" for one in problems[:_SHOWN_ERRORS])
    return Problem("wrong_shape", shown)


def _strict(schema: Any) -> Any:
    """The schema with every object closed and every key required, all the way down."""
    if isinstance(schema, list):
        return [_strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _strict(value) for key, value in schema.items() if key != "default"}
    if closed.get("type") == "object" and "properties" in closed:
        closed |= {"additionalProperties": False, "required": list(closed["properties"])}
    return closed
