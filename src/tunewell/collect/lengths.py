"""How many tokens of the base model conversations have, its chat template included."""

import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tunewell.errors import ModelError
from tunewell.model.tokens import token_counter
from tunewell.records import Message

CountTokens = Callable[[Sequence[Sequence[Message]]], list[int]]
"""From conversations to their numbers of tokens."""

_Render = Callable[[Sequence[Message]], str]


@cache
def conversation_counter(folder: Path) -> CountTokens:
    """A function that counts the tokens of conversations as training will, without torch.

    A conversation that the chat template refuses, or whose model has none, counts as its texts one beneath the other.

    Args:
        folder: The model's.

    Raises:
        ModelError: The tokenizer or its template is not there, or cannot be read.
    """
    count_tokens, render = token_counter(folder), _renderer(folder)
    return lambda conversations: count_tokens([render(messages) for messages in conversations])


def _renderer(folder: Path) -> _Render:
    """The model's chat template, as transformers renders it."""
    from jinja2 import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    config = _configuration(folder / "tokenizer_config.json")
    source = _template_source(folder, config)
    if source is None:
        return _plain
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
    environment.filters["tojson"] = lambda value, **_: json.dumps(value, ensure_ascii=False)
    environment.globals["raise_exception"] = _refuse
    try:
        template = environment.from_string(source)
    except TemplateError as error:
        hint = "mend the template, or take another model folder"
        raise ModelError(f"the chat template cannot be read: {error}", where=str(folder), hint=hint) from error
    named = {name: _token(config.get(name)) for name in ("bos_token", "eos_token", "pad_token", "unk_token")}

    def render(messages: Sequence[Message]) -> str:
        turns = [{"role": message.role, "content": message.content} for message in messages]
        try:
            return template.render(messages=turns, add_generation_prompt=False, **named)
        except TemplateError:
            return _plain(messages)

    return render


def _template_source(folder: Path, config: dict[str, Any]) -> str | None:
    file = folder / "chat_template.jinja"
    found = file.read_text(encoding="utf-8") if file.is_file() else config.get("chat_template")
    return found if isinstance(found, str) else None


def _configuration(file: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    except ValueError as error:
        raise ModelError(f"is not JSON: {error}", where=str(file), hint="copy the file anew from the model's source") from error
    return content


def _plain(messages: Sequence[Message]) -> str:
    return "\n".join(message.content for message in messages)


def _token(value: Any) -> str:
    return str(value["content"] if isinstance(value, dict) else value or "")


def _refuse(message: str) -> None:
    from jinja2 import TemplateError

    raise TemplateError(message)
