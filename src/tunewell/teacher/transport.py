"""How a request gets to a server and its answer back, through the openai SDK.

What goes wrong on the way is of four kinds: the request itself is at fault (`Refused`), it may work in a moment (`Unavailable`),
the server wants rest (`TooMany`), or nothing will work (`TeacherError`).
"""

import asyncio
import email.utils
import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import aiohttp
import openai

from tunewell.errors import TeacherError
from tunewell.teacher.secrets import hider

_DETAIL_CHARS = 300
_LONGEST_REST = 3600.0
_GRACE = 0.5
_TIMED_OUT = "no answer in time (teacher.timeout)"
_NO_MONEY = ("insufficient_quota", "billing_hard_limit_reached")


class Refused(Exception):
    """The server will not answer this request, however often it is asked. `parameter`: because it does not take this one."""

    def __init__(self, detail: str, *, parameter: str = "") -> None:
        super().__init__(detail)
        self.parameter = parameter


class Unavailable(Exception):
    """The server gave no answer, or half of one. `reason` is `server_error`, `timed_out` or `unreachable`."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class TooMany(Exception):
    """The server asks for rest: for so many seconds, or for as long as we think fit (None)."""

    def __init__(self, detail: str, seconds: float | None) -> None:
        super().__init__(detail)
        self.seconds = seconds


class Transport(Protocol):
    """Takes a chat completion's body to a server."""

    async def send(self, key: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """The server's answer as JSON. Raises `Refused`, `Unavailable`, `TooMany` or `TeacherError`."""
        ...


class Live:
    """Sends each request by itself.

    `key` goes along as `Idempotency-Key`: a server or gateway that honours it bills a request that had to be sent again once.
    """

    def __init__(self, client: openai.AsyncOpenAI, *, secret: str, timeout: float) -> None:
        self._client = client
        self._hide = hider(secret)
        self._timeout = timeout

    async def send(self, key: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """The server's answer as JSON. Raises `Refused`, `Unavailable`, `TooMany` or `TeacherError`."""
        try:
            # The SDK's own limit says more of what went wrong, but begins anew with each piece that comes in, and some servers send
            # blank lines while they work.
            async with asyncio.timeout(self._timeout + _GRACE):
                # The typed method builds models that nothing here reads, at twice the cost of the request.
                answer = await self._client.post(
                    "/chat/completions", cast_to=object, body=dict(body), options={"headers": {"Idempotency-Key": key}}
                )
        except TimeoutError:
            raise Unavailable("timed_out", _TIMED_OUT) from None
        except openai.OpenAIError as error:
            raise what_went_wrong(error, self._hide) from None
        except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Unavailable("server_error", f"the answer is no JSON: {error}") from None
        if not isinstance(answer, dict):
            raise Unavailable("server_error", f"expected JSON, got {self._hide(str(answer))[:_DETAIL_CHARS]!r}")
        return answer


def status_error(status: int, body: Any, hide: Callable[[str], str], headers: Mapping[str, str] | None = None) -> Exception:
    """What an error status means, for a request that was sent alone or in a batch file."""
    message, code = _message(body)
    detail = f"HTTP {status}: {hide(message)[:_DETAIL_CHARS]}"
    if code in _NO_MONEY or status == 402:
        return TeacherError(f"the account has no credit left ({detail})", hint="top it up; the same command goes on")
    if status in {401, 403}:
        return TeacherError(f"the server refuses the key ({detail})", where="teacher.key", hint="check the variable it names")
    if status == 404:
        hint = "check teacher.server (most addresses end in /v1) and teacher.model"
        return TeacherError(f"the server knows no such model or address ({detail})", where="teacher", hint=hint)
    seconds = _seconds(headers or {})
    if status == 429 or (status == 503 and seconds is not None):
        return TooMany(detail, seconds)
    if status in {408, 409, 425} or status >= 500:
        return Unavailable("server_error", detail)
    return Refused(detail, parameter=_parameter_not_taken(message, code))


def what_went_wrong(error: openai.OpenAIError, hide: Callable[[str], str]) -> Exception:
    """What an error of the SDK means."""
    if isinstance(error, openai.APIStatusError):
        body = error.body if error.body is not None else error.response.text
        return status_error(error.status_code, body, hide, error.response.headers)
    detail = hide(str(error.__cause__ or error))[:_DETAIL_CHARS]
    # The SDK calls all of these time-outs; what aiohttp said lies beneath.
    beneath = error.__cause__ and error.__cause__.__cause__
    if isinstance(beneath, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return Unavailable("unreachable", detail)
    if isinstance(beneath, aiohttp.ClientOSError | aiohttp.ServerDisconnectedError):
        return Unavailable("server_error", f"the connection broke: {detail}")
    if isinstance(error, openai.APITimeoutError):
        return Unavailable("timed_out", _TIMED_OUT)
    if isinstance(error, openai.APIConnectionError):
        return Unavailable("server_error", f"the connection broke: {detail}")
    return Unavailable("server_error", hide(str(error))[:_DETAIL_CHARS])


def _message(body: Any) -> tuple[str, str]:
    """The message and the code in an error's body, in OpenAI's form or any other."""
    if isinstance(body, dict):
        inner = body.get("error", body)
        if isinstance(inner, dict):
            return str(inner.get("message") or inner), str(inner.get("code") or inner.get("type") or "")
        return str(inner), ""
    return " ".join(str(body).split()), ""


def _parameter_not_taken(message: str, code: str) -> str:
    if "response_format" in message or "json_schema" in message:
        return "response_format"
    is_about_support = code in {"unsupported_parameter", "unsupported_value"} or "support" in message.lower()
    return next((name for name in ("max_tokens", "temperature") if is_about_support and f"'{name}'" in message), "")


def _seconds(headers: Mapping[str, str]) -> float | None:
    """The rest that the headers ask for: `retry-after-ms`, or `retry-after` in seconds or as a date."""
    try:
        milliseconds = headers.get("retry-after-ms")
        seconds = float(milliseconds) / 1000 if milliseconds else _plain_or_date(headers["retry-after"])
    except (KeyError, ValueError, TypeError):
        return None
    return min(max(seconds, 0.0), _LONGEST_REST)


def _plain_or_date(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        return email.utils.parsedate_to_datetime(value).timestamp() - time.time()
