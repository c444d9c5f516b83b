"""Asking a server in JSON: every failure is one clear error, and neither key nor password is shown anywhere."""

import asyncio
import json
import re
import time
from typing import Any, NamedTuple, Self
from urllib.parse import unquote

import httpx2

from tunewell.errors import TeacherError, UserError
from tunewell.teacher.secrets import hider, is_on_this_machine, read_key
from tunewell.text import visible, well_formed

_OPTION = "--server"
_SECONDS = 120.0
_SECONDS_IN_ALL = 900.0
_SECONDS_TO_CONNECT = 10.0
_MOST_MIB = 16
_DETAIL_CHARS = 300
_USER = re.compile(r"(?<=//)([^/?#]*)@")


class Refused(NamedTuple):
    """A server's no to one request; `missing`: it has no such address or model at all."""

    detail: str
    missing: bool = False


class _Response(NamedTuple):
    status: int
    location: str
    content: bytes


class Http:
    """A server by its address, with or without `/v1` at the end; a context manager.

    One answer may take `seconds` and 16 MiB, all of them together a quarter of an hour. A name and password in the address are
    sent (a key goes before them), but are no part of `url`.
    """

    def __init__(self, url: str, *, key_variable: str = "", seconds: float = _SECONDS) -> None:
        self.url = _USER.sub("", url).rstrip("/").removesuffix("/v1")
        user, _, password = found.group(1).partition(":") if (found := _USER.search(url)) else ("", "", "")
        try:
            is_near = is_on_this_machine(self.url)
            key = read_key(key_variable, self.url) if key_variable else ""
        except TeacherError as error:
            what = error.what if "@" not in self.url else "this is no address of a server (it holds an @ out of place)"
            raise UserError(what, where="--api-key-env" if key_variable else _OPTION, hint=error.hint) from None
        self._secrets = [hider(secret) for secret in (key, password, unquote(password))]
        self._has_key = bool(key)
        self._seconds = seconds
        self._end = time.monotonic() + _SECONDS_IN_ALL
        self._runner = asyncio.Runner()  # its clock alone ends an answer that comes in drop by drop
        self._client = httpx2.AsyncClient(
            headers={"Authorization": f"Bearer {key}"} if key else {},
            auth=(unquote(user), unquote(password)) if found and not key else None,
            timeout=httpx2.Timeout(seconds, connect=_SECONDS_TO_CONNECT),
            trust_env=not is_near,  # the way to a server on this machine leads through no proxy
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._client.aclose())
        self._runner.close()

    def get(self, path: str) -> dict[str, Any] | Refused:
        """What the server says at a path."""
        return self._ask("GET", path, None)

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any] | Refused:
        """What the server says to a request. Raises `UserError` where it cannot be reached, or wants a key."""
        return self._ask("POST", path, body)

    def _ask(self, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any] | Refused:
        try:
            response = self._runner.run(self._response(method, path, body))
        except (TimeoutError, httpx2.TimeoutException) as error:
            hint = "is this its address? A model that is still loading, or busy, may need longer"
            raise UserError(f"{self.url} did not answer {path} in time", where=_OPTION, hint=hint) from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            hint = "is the server running, and is this its address?"
            raise UserError(f"{self.url} cannot be reached: {self._shown(str(error))}", where=_OPTION, hint=hint) from error
        return self._read(response, path)

    async def _response(self, method: str, path: str, body: dict[str, Any] | None) -> _Response:
        content = bytearray()
        seconds = min(self._seconds, self._end - time.monotonic())
        async with asyncio.timeout(seconds), self._client.stream(method, self.url + path, json=body) as response:
            async for part in response.aiter_bytes():
                content += part
                if len(content) > _MOST_MIB << 20:
                    what = f"{self.url} answers {path} with more than {_MOST_MIB} MiB"
                    raise UserError(what, where=_OPTION, hint="is this the address of a model's server?")
        return _Response(response.status_code, response.headers.get("location", ""), bytes(content))

    def _read(self, response: _Response, path: str) -> dict[str, Any] | Refused:
        status, location, content = response
        try:
            # Halves of characters, which JSON can hold, could neither be tokenised nor printed.
            answer = json.loads(well_formed(json.dumps(json.loads(content), ensure_ascii=False)))
        except (ValueError, RecursionError):
            answer = None
        message = self._message(answer, content.decode("utf-8", "replace"))
        if status in {401, 403}:
            what = "refuses the key" if self._has_key else "wants a key"
            hint = "name the environment variable that holds it: --api-key-env VARIABLE"
            raise UserError(f"{self.url} {what} (HTTP {status})", where=_OPTION, hint=hint)
        if status == 503:
            what = f"{self.url} is not ready: {message}"
            raise UserError(what, where=_OPTION, hint="try again once its model is loaded")
        if status >= 400:
            return Refused(f"{path} answers HTTP {status}: {message}", missing=status in {404, 405})
        if status >= 300:
            return Refused(f"{path} is redirected to {self._shown(_USER.sub('', location)) or 'nowhere'} (HTTP {status})")
        if not isinstance(answer, dict):
            return Refused(f"{path} answers with something other than a JSON object: {message or 'nothing'}", missing=True)
        return answer

    def _message(self, answer: Any, text: str) -> str:
        error = answer.get("error", answer) if isinstance(answer, dict) else text
        return self._shown(str(error.get("message") or error) if isinstance(error, dict) else str(error))

    def _shown(self, text: str) -> str:
        for hide in self._secrets:
            text = hide(text)
        return visible(" ".join(text.split()))[:_DETAIL_CHARS]
