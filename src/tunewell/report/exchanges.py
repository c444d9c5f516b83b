"""What was said between us and the teacher for one row, word for word."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tunewell.records import Message

if TYPE_CHECKING:
    from tunewell.teacher import Cache


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request behind a row, and the teacher's raw reply: as it came, before anything was read out of it.

    `prompt` is empty and `reply` None where the cache of answers does not have them (any more).
    """

    step: str
    key: str
    prompt: tuple[Message, ...] = ()
    reply: str | None = None


def exchanges(evidence: Mapping[str, Any]) -> tuple[Exchange, ...]:
    """The exchanges behind a row with this evidence, out of the user's cache of answers; none where no teacher was asked.

    Raises `MachineError` where the cache cannot be read.
    """
    from tunewell.teacher import Cache, default_cache

    calls = evidence.get("calls", ())
    path = default_cache()
    if not (calls and path.exists()):
        return tuple(Exchange(call["step"], call["key"]) for call in calls)
    with closing(Cache(path)) as cache:
        return tuple(_recorded(cache, call["step"], call["key"]) for call in calls)


def _recorded(cache: "Cache", step: str, key: str) -> Exchange:
    request, completion = cache.request(key), cache.get(key)
    if request is None or completion is None:
        return Exchange(step, key)
    prompt = tuple(Message(message["role"], message["content"]) for message in request["messages"])
    return Exchange(step, key, prompt, completion.text)
