"""How each kind of server tells what it makes of a conversation."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from tunewell.errors import UserError
from tunewell.records import Message
from tunewell.template.verify.http import Http, Refused
from tunewell.text import visible

_MOST_TOKENS = 2**31  # more than any vocabulary has
_CHAT = "/v1/chat/completions"
_FORCE = 100
_MODELS_SHOWN = 8


class Server(NamedTuple):
    """A running server: what it is, which of its models is asked, and the end-of-sequence token it names, if it does."""

    http: Http
    kind: str
    model: str
    eos: str = ""


class Written(NamedTuple):
    """A prompt as a server made it, as far as the server tells; `refused` where it will not answer at all.

    `ids` and `text` are what it says it makes of the messages, `read` is how many tokens it really read in a completion.
    """

    ids: list[int] | None = None
    text: str | None = None
    read: int | None = None
    refused: str = ""


def recognise(http: Http, model: str = "") -> Server:
    """Find out what a server is by the addresses it answers. Raises `UserError` where it is none that we know."""
    properties = http.get("/props")
    if isinstance(properties, dict) and "default_generation_settings" in properties:
        return Server(http, "llama.cpp", model or _named(properties.get("model_alias")), _named(properties.get("eos_token")))
    if isinstance(http.get("/api/version"), dict) and isinstance(tags := http.get("/api/tags"), dict):
        return Server(http, "ollama", model or _only(_entries(tags, "models"), "model"))
    models = http.get("/v1/models")
    if isinstance(models, Refused) or not isinstance(models.get("data"), list):
        hint = "vLLM, llama.cpp, Ollama, and servers with OpenAI's /v1/chat/completions are understood"
        said = models.detail if isinstance(models, Refused) else "/v1/models has no list of models"
        raise UserError(f"{http.url} speaks no protocol that is known here: {said}", where="--server", hint=hint)
    chosen = model or _only(_entries(models, "data"), "id")
    if isinstance(http.get("/version"), dict):
        told = http.get("/tokenizer_info")
        return Server(http, "vllm", chosen, "" if isinstance(told, Refused) else _named(told.get("eos_token")))
    return Server(http, "openai", chosen)


def written_by(server: Server, messages: Sequence[Message]) -> Written:
    """The prompt that the server makes of the messages. Raises `UserError` where it is no longer there."""
    turns = [{"role": message.role, "content": message.content} for message in messages]
    return _WRITTEN[server.kind](server, turns)


def stops_on(server: Server, token: int) -> bool | None:
    """Whether the server ends its answer at a token, tried by forcing the token; None where that cannot be tried."""
    if server.kind not in _FORCIBLE:
        return None
    body = _completion(server, [{"role": "user", "content": "Hello"}]) | {"max_tokens": 2, "logit_bias": {str(token): _FORCE}}
    answer = server.http.post(_CHAT, body)
    choices = [] if isinstance(answer, Refused) else _entries(answer, "choices")
    return choices[0].get("finish_reason") == "stop" if choices else None


def _by_llama_cpp(server: Server, turns: list[dict[str, str]]) -> Written:
    """As its chat path does: the template's text, tokenised with the beginning of sequence added and control tokens read."""
    written = server.http.post("/apply-template", {"messages": turns})
    if isinstance(written, Refused):
        return Written(refused=written.detail)
    text = written.get("prompt")
    if not isinstance(text, str):
        return Written(refused="/apply-template tells no prompt")
    told = server.http.post("/tokenize", {"content": text, "add_special": True, "parse_special": True})
    return _with_tokens(_asked(server, turns)._replace(text=text), told)


def _by_vllm(server: Server, turns: list[dict[str, str]]) -> Written:
    asked = _asked(server, turns)
    if asked.refused or asked.ids is not None:
        return asked
    return _with_tokens(
        asked, server.http.post("/tokenize", {"model": server.model, "messages": turns, "add_generation_prompt": True})
    )


def _with_tokens(written: Written, told: dict[str, Any] | Refused) -> Written:
    """With the ids that /tokenize tells; a server may have no such address."""
    if isinstance(told, Refused):
        return written if told.missing else written._replace(refused=written.refused or told.detail)
    ids = _ids(told.get("tokens"))
    return written._replace(ids=ids, refused=written.refused or ("/tokenize tells no token ids" if ids is None else ""))


def _by_ollama(server: Server, turns: list[dict[str, str]]) -> Written:
    """The text, where it is new enough to render without answering; else the number of tokens."""
    body = {"model": server.model, "messages": turns, "stream": False, "options": {"num_predict": 1}, "_debug_render_only": True}
    answer = server.http.post("/api/chat", body)
    if isinstance(answer, Refused):
        return Written(refused=answer.detail)
    shown = answer.get("_debug_info")
    if isinstance(shown, dict) and isinstance(shown.get("rendered_template"), str):
        return Written(text=shown["rendered_template"])
    return Written(read=_count(answer.get("prompt_eval_count")))


def _asked(server: Server, turns: list[dict[str, str]]) -> Written:
    """What a real completion of one token tells."""
    answer = server.http.post(_CHAT, _completion(server, turns))
    if isinstance(answer, Refused):
        return Written(refused=answer.detail)
    usage = answer.get("usage")
    ids = answer.get("prompt_token_ids")
    if ids is None:
        ids = next((choice.get("prompt_token_ids") for choice in _entries(answer, "choices")), None)
    if ids is not None and _ids(ids) is None:
        return Written(refused="prompt_token_ids holds something other than token ids")
    return Written(ids=_ids(ids), read=_count(usage.get("prompt_tokens") if isinstance(usage, dict) else None))


def _completion(server: Server, turns: list[dict[str, str]]) -> dict[str, Any]:
    body: dict[str, Any] = {"model": server.model, "messages": turns, "max_tokens": 1, "temperature": 0}
    return body | ({"return_token_ids": True} if server.kind == "vllm" else {})


def _entries(answer: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    values = answer.get(name)
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


def _ids(value: Any) -> list[int] | None:
    is_list = isinstance(value, list) and all(type(token) is int and 0 <= token < _MOST_TOKENS for token in value)
    return value if is_list else None


def _count(value: Any) -> int | None:
    return value if type(value) is int and value >= 0 else None


def _named(value: Any) -> str:
    """A name, or that of a token in a tokenizer's configuration, which may be a mapping that holds it."""
    name = value.get("content") if isinstance(value, dict) else value
    return name if isinstance(name, str) else ""


def _only(models: Sequence[Mapping[str, Any]], key: str) -> str:
    names = [name for model in models if (name := _named(model.get(key)))]
    if len(names) == 1:
        return names[0]
    what = f"the server has {len(names)} models" if names else "the server has no model"
    hint = f"name one: {visible(', '.join(names[:_MODELS_SHOWN]))}" if names else "load one"
    raise UserError(what, where="--model", hint=hint)


_WRITTEN: Mapping[str, Callable[[Server, list[dict[str, str]]], Written]] = {
    "llama.cpp": _by_llama_cpp,
    "vllm": _by_vllm,
    "ollama": _by_ollama,
    "openai": _asked,
}
_FORCIBLE = frozenset({"llama.cpp", "vllm"})
