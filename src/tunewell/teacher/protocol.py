"""What is asked of a teacher, what comes back, and how a request ends that gets no answer."""

from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import BaseModel

from tunewell.records import Message


@dataclass(frozen=True, slots=True)
class Request:
    """One chat completion.

    `shape` is the form of the answer: a pydantic model, which is sent as a JSON schema where the server takes one and by which
    the answer is read; None for free text. Requests that are equal are asked once; `repeat` numbers those that are to be asked
    again.
    """

    messages: tuple[Message, ...]
    temperature: float = 0.7
    max_tokens: int = 1024
    shape: type[BaseModel] | None = None
    repeat: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that ended by itself and has the shape that was asked for.

    `value` is the parsed answer where a shape was asked for. `cost` is in the currency of the price table, None where the
    model has no price. A `cached` reply cost its money in an earlier run. An answer that took a second asking has the tokens
    and the cost of both, and the `key` under which the cache knows the second.
    """

    text: str
    value: Any
    key: str
    prompt: str
    """32 hex digits: the hash of the messages."""
    prompt_tokens: int
    completion_tokens: int
    cost: float | None
    cached: bool


class RequestFailed(Exception):
    """A request that gets no usable answer, for a reason of its own: it is listed, and the others go on.

    `reason` is one of `refused`, `server_error`, `timed_out`, `too_many`, `cut`, `empty`, `not_json`, `wrong_shape`, `budget`.
    `paid` is what came back all the same and was of no use, None where nothing did.
    """

    def __init__(self, reason: str, detail: str, *, key: str, paid: Reply | None = None) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.key = key
        self.paid = paid


class BudgetReached(RequestFailed):
    """The budget does not cover this request. Those that are under way are finished, and no other is begun."""

    def __init__(self, detail: str, *, key: str) -> None:
        super().__init__("budget", detail, key=key)


class Teacher(Protocol):
    """Whoever answers requests."""

    @property
    def name(self) -> str:
        """The model's name."""
        ...

    @property
    def trouble(self) -> str:
        """What keeps it from answering at this moment; empty where nothing does."""
        ...

    async def ask(self, request: Request) -> Reply:
        """The reply. Raises `RequestFailed`, or `TeacherError` where the server as a whole cannot be used."""
        ...
