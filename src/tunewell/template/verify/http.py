"""Asking a server in JSON: every failure is one clear error, and the key is shown nowhere."""

import json
import time
from typing import Any, NamedTuple, Self

import httpx2

from tunewell.errors import TeacherError, UserError
from tunewell.teacher.secrets import hider, is_on_this_machine, read_key
from tunewell.text import visible

_OPTION = "--server"
_SECONDS = 120.0
_MOST_BYTES = 16 * 2**20
_SECONDS_TO_CONNECT = 10.0
_DETAIL_CHARS = 300


class Refused(NamedTuple):
    """A server's no to one request; `missing`: it has no such address or model at all."""

    detail: str
    missing: bool = False


class Http:
    """A server by its address, with or without `/v1` at the end; a context manager."""

    def __init__(self, url: str, *, key_variable: str = "", seconds: float = _SECONDS) -> None:
        if "@" in url.partition("://")[2].partition("/")[0]:
            hint = "leave user and password out; --api-key-env names the variable that holds the key"
            raise UserError("the address holds a user or a password", where=_OPTION, hint=hint)
        self.url = url.rstrip("/").removesuffix("/v1")
        try:
            is_near = is_on_this_machine(self.url)
            key = read_key(key_variable, self.url) if key_variable else ""
        except TeacherError as error:
            raise UserError(error.what, where="--api-key-env" if key_variable else _OPTION, hint=error.hint) from None
        self._hide = hider(key)
        self._has_key = bool(key)
        self._client = httpx2.Client(
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=httpx2.Timeout(seconds, connect=_SECONDS_TO_CONNECT),
            trust_env=not is_near,  # the way to a server on this machine leads through no proxy
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(self, path: str) -> dict[str, Any] | Refused:
        """What the server says at a path."""
        return self._ask("GET", path, None)

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any] | Refused:
        """What the server says to a request. Raises `UserError` where it cannot be reached, or wants a key."""
        return self._ask("POST", path, body)

    def _ask(self, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any] | Refused:
        try:
            with self._client.stream(method, self.url + path, json=body) as response:
                return self._read(response, self._content(response, path), path)
        except httpx2.TimeoutException as error:
            hint = "is this its address? A model that is still loading, or busy, may need longer"
            raise UserError(f"{self.url} did not answer {path} in time", where=_OPTION, hint=hint) from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            hint = "is the server running, and is this its address?"
            raise UserError(f"{self.url} cannot be reached: {self._shown(str(error))}", where=_OPTION, hint=hint) from error

    def _content(self, response: httpx2.Response, path: str) -> str:
        """The body, in at most so many bytes and seconds: a server that never ends its answer is given up."""
        began, content = time.monotonic(), bytearray()
        for piece in response.iter_bytes():
            content += piece
            if len(content) > _MOST_BYTES or time.monotonic() - began > _SECONDS:
                raise UserError(f"{self.url} does not end its answer to {path}", where=_OPTION, hint="is this its address?")
        return content.decode("utf-8", "replace")

    def _read(self, response: httpx2.Response, content: str, path: str) -> dict[str, Any] | Refused:
        status = response.status_code
        try:
            answer = _well_formed(json.loads(content))
        except (ValueError, RecursionError):
            answer = None
        if status in {401, 403}:
            what = "refuses the key" if self._has_key else "wants a key"
            hint = "name the environment variable that holds it: --api-key-env VARIABLE"
            raise UserError(f"{self.url} {what} (HTTP {status})", where=_OPTION, hint=hint)
        if status == 503:
            what = f"{self.url} is not ready: {self._message(answer, content)}"
            raise UserError(what, where=_OPTION, hint="try again once its model is loaded")
        if 300 <= status < 400:
            return Refused(f"HTTP {status} to {self._shown(response.headers.get('location', 'nowhere'))}", missing=True)
        if status >= 400:
            return Refused(f"HTTP {status}: {self._message(answer, content)}", missing=status in {404, 405})
        if not isinstance(answer, dict):
            return Refused(f"{path} answers with something other than a JSON object", missing=True)
        return answer

    def _message(self, answer: Any, text: str) -> str:
        error = answer.get("error", answer) if isinstance(answer, dict) else text
        return self._shown(str(error.get("message") or error) if isinstance(error, dict) else str(error))

    def _shown(self, text: str) -> str:
        return visible(" ".join(self._hide(text).split()))[:_DETAIL_CHARS]


def _well_formed(value: Any) -> Any:
    """The value with a question mark for each half of a character pair that stands alone."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {str(_well_formed(key)): _well_formed(inner) for key, inner in value.items()}
    return [_well_formed(inner) for inner in value] if isinstance(value, list) else value
