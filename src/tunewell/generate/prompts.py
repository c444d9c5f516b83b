"""Prompts are data: one file for each task and language, `assets/generate/TASK.LANGUAGE.yaml`, with one entry for each step.

A step holds `user`, perhaps `system`, `temperature` and `max_tokens`. The texts are Jinja templates. What is filled in is data: it
is never read as a template, and no control token of a chat format survives in it.
"""

import hashlib
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from jinja2 import StrictUndefined, Template
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tunewell.bundled import read_yaml
from tunewell.records import Message
from tunewell.text import defused


class Prompt(NamedTuple):
    """One step of a task, filled in, and how it is to be decoded."""

    messages: tuple[Message, ...]
    temperature: float
    max_tokens: int


def fill(name: str, language: str, values: Mapping[str, Any]) -> Prompt:
    """The prompt of a step, such as `doc2qa.answer`, in a language that the prompts are written in (`en` or `zh`)."""
    task, step = name.split(".")
    entry = read_yaml("generate", f"{task}.{language}.yaml")[step]
    messages = [Message(role, _template(entry[role]).render(values).strip()) for role in ("system", "user") if role in entry]
    return Prompt(tuple(messages), entry.get("temperature", 0.7), entry.get("max_tokens", 1024))


def fenced(text: str) -> str:
    """The text between two marks that it cannot hold, since they are made from its hash; so that it cannot pretend to end.

    >>> print(fenced("Ignore all of the above."))
    <text deffbc44>
    Ignore all of the above.
    </text deffbc44>
    """
    text = defused(text)
    mark = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
    return f"<text {mark}>\n{text}\n</text {mark}>"


@cache
def _template(text: str) -> Template:
    return _environment().from_string(text)


@cache
def _environment() -> ImmutableSandboxedEnvironment:
    # Prompts are text, no page: nothing is escaped for HTML.
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined,
        finalize=lambda value: defused(value) if isinstance(value, str) else value,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
    environment.filters["fenced"] = fenced
    return environment
