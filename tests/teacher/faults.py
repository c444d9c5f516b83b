"""What goes wrong on the scripted server, on order: the plan, and the faults by name.

A fault is one of four kinds. A refusal costs nothing: no completion is made. A spoiled answer is a completion, billed, that is of
no use. A broken delivery is a good completion, billed, that does not arrive. A spoiled body is one that arrives and is not the
protocol's.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

Delivery = Literal["whole", "half", "reset", "hang"]


class Plan(BaseModel):
    """How the server behaves; read from JSON."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = 0
    latency: float = 0
    """Seconds before an answer."""
    shares: dict[str, float] = {}
    """By fault, the share of requests that suffer it; which ones is drawn from the seed and the request's body."""
    most: int = 2
    """Faults from `shares` that one body suffers before it is answered."""
    scripts: dict[str, list[str]] = {}
    """By a text that the messages contain, the faults they suffer in turn, the last one for ever. An empty name is none."""
    retry_after: float = 1
    """Seconds that a 429 tells the client to wait."""
    storms: list[tuple[int, float]] = []
    """From the n-th request on, 429 for everything during so many seconds."""
    deaths: list[tuple[int, float]] = []
    """With the n-th request the server closes its socket and all connections, for so many seconds."""
    structure: Literal["json_schema", "json_object", "none"] = "json_schema"
    """The best `response_format` that the server takes."""
    batch_polls: int = 2
    """How often a batch is asked for before it is done."""
    batch_ends: Literal["completed", "expired", "failed"] = "completed"
    """How batches end. Of an expired one the second half is not done."""

    @classmethod
    def read(cls, path: Path) -> "Plan":
        return cls.model_validate_json(path.read_bytes())


class Response(NamedTuple):
    """What goes over the wire, and how much of it."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = (("content-type", "application/json"),)
    delivery: Delivery = "whole"


class Answer(NamedTuple):
    """What the model wrote."""

    content: str | None
    finish: str = "stop"
    refusal: str | None = None


def reply(value: Any, status: int = 200) -> Response:
    return Response(status, value if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False).encode())


def error(status: int, message: str, *, code: str | None = None, **headers: str) -> Response:
    """An error as OpenAI writes it."""
    kind = "server_error" if status >= 500 else "invalid_request_error"
    answer = reply({"error": {"message": message, "type": kind, "param": None, "code": code}}, status)
    return answer._replace(headers=answer.headers + tuple((name.replace("_", "-"), value) for name, value in headers.items()))


class Asked(NamedTuple):
    """What a refusal knows of its request."""

    wait: float
    key: str


def _too_many(asked: Asked, **headers: str) -> Response:
    return error(429, f"Rate limit reached. Please try again in {asked.wait:g}s.", code="rate_limit_exceeded", **headers)


def _date(asked: Asked) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=asked.wait), usegmt=True)


_HTML = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1><hr>nginx</body></html>"

REFUSALS: Mapping[str, Callable[[Asked], Response]] = {
    "429": _too_many,
    "429_seconds": lambda asked: _too_many(asked, retry_after=f"{asked.wait:g}"),
    "429_date": lambda asked: _too_many(asked, retry_after=_date(asked)),
    "429_ms": lambda asked: _too_many(asked, retry_after_ms=f"{asked.wait * 1000:g}"),
    "429_quota": lambda _: error(429, "You exceeded your current quota, please check your plan.", code="insufficient_quota"),
    "500": lambda _: error(500, "The server had an error while processing your request."),
    "502": lambda _: error(502, "Bad gateway."),
    "503": lambda asked: error(503, "The engine is currently overloaded.", retry_after=f"{asked.wait:g}"),
    "html": lambda _: Response(502, _HTML, (("content-type", "text/html"),)),
    "html_200": lambda _: Response(200, _HTML, (("content-type", "text/html"),)),
    "400": lambda _: error(400, "Invalid value for 'messages'.", code="invalid_value"),
    "context": lambda _: error(400, "This model's maximum context length is 8192 tokens.", code="context_length_exceeded"),
    "filter": lambda _: error(400, "The response was filtered.", code="content_filter"),
    "key_400": lambda asked: error(400, f"Bad request from key {asked.key}."),
    "key_401": lambda asked: error(401, f"Incorrect API key provided: {asked.key}.", code="invalid_api_key"),
    "key_500": lambda asked: error(500, f"Traceback: Authorization: Bearer {asked.key}"),
}
"""No completion is made and nothing is billed."""

SPOILED: Mapping[str, Callable[[str], Answer]] = {
    "cut": lambda text: Answer(text[: len(text) // 2], "length"),
    "empty": lambda _: Answer(""),
    "null": lambda _: Answer(None),
    "over_long": lambda _: Answer("and so on " * 100_000),
    "not_json": lambda _: Answer("I would rather talk about the weather."),
    "fenced": lambda text: Answer(f"Here it is:\n\n```json\n{text}\n```\nAnything else?"),
    "trailing_comma": lambda text: Answer(text[:-1] + ",}"),
    "wrong_shape": lambda _: Answer('{"nothing": "of that"}'),
    "refusal": lambda _: Answer(None, refusal="I cannot help with that."),
    "filtered": lambda text: Answer(text[: len(text) // 3], "content_filter"),
}
"""A completion is made and billed, and it is not the one that was hoped for."""

DELIVERIES: Mapping[str, Delivery] = {"half_sent": "half", "reset_after": "reset", "hang": "hang"}
"""A good completion is made and billed, and does not arrive whole."""

UNBILLED: Mapping[str, Delivery] = {"reset": "reset", "silent": "hang"}
"""Nothing is made, and nothing arrives."""

BODIES: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "half_json": lambda body: json.dumps(body)[: len(json.dumps(body)) // 2].encode(),
    "no_choices": lambda body: {**body, "choices": []},
    "no_usage": lambda body: {name: value for name, value in body.items() if name != "usage"},
    "error_200": lambda _: {"error": {"message": "Internal error", "code": 500}},
}
"""A good completion is made and billed, and arrives in a body that is not as the protocol has it."""

FAULTS = frozenset({*REFUSALS, *SPOILED, *DELIVERIES, *UNBILLED, *BODIES})


class Draw:
    """Which fault each arriving request suffers."""

    def __init__(self, plan: Plan) -> None:
        unknown = {*plan.shares, *(name for names in plan.scripts.values() for name in names)} - FAULTS - {""}
        assert not unknown, f"no such fault: {sorted(unknown)}"
        assert sum(plan.shares.values()) <= 1
        self._plan = plan
        self._asked: Counter[str] = Counter()

    def next(self, body: str, text: str) -> str:
        """The name of the fault for a request with this hash of the body and this text, or an empty one."""
        for marker, names in self._plan.scripts.items():
            if marker in text:
                self._asked[marker] += 1
                return names[min(self._asked[marker], len(names)) - 1]
        self._asked[body] += 1
        return "" if self._asked[body] > self._plan.most else self._drawn(body, self._asked[body])

    def _drawn(self, body: str, attempt: int) -> str:
        place = int(hash_of([self._plan.seed, body, attempt])[:12], 16) / 16**12
        for name, share in self._plan.shares.items():
            place -= share
            if place < 0:
                return name
        return ""


def hash_of(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]


def texts(messages: Sequence[Mapping[str, Any]]) -> str:
    return "\n".join(str(message.get("content") or "") for message in messages)
