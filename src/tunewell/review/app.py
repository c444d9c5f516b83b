"""The page over HTTP: a few addresses, each of them guarded.

Whoever may open a page on this machine could otherwise read and judge rows through the reviewer's browser. So every request must
name this machine as its host (against names that are rebound to it), bear the token of the session in its address or cookie, and,
where it changes something, come from the page itself.
"""

import json
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, get_args
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tunewell.bundled import FOLDER, asset
from tunewell.errors import TunewellError, UserError
from tunewell.review.desk import Desk, Move, Seen, Spoken
from tunewell.review.rows import Filter
from tunewell.store import Verdict

_HOSTS = {"127.0.0.1", "localhost", "::1"}
_COOKIE = "tunewell-review"
_LONGEST_BODY = 4 << 20
_NUMBER = re.compile(r"-?\d{1,18}", re.ASCII)
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_FILES = {
    "page.js": "text/javascript",
    "server.js": "text/javascript",
    "draw.js": "text/javascript",
    "page.css": "text/css",
    "icon.svg": "image/svg+xml",
}


class Door(NamedTuple):
    """How one session is reached: the path below which it lies, and the token that opens it.

    A browser sends a cookie to every port of a machine, but only to its own path: other servers here do not get the token.
    """

    path: str
    token: str


def make_app(desk: Desk, door: Door, title: str) -> ASGIApp:
    """The application of one session."""
    page = _page(desk, title)

    async def show_page(request: Request) -> Response:
        return HTMLResponse(page)

    async def setting(request: Request) -> Response:
        return _json(desk.setting())

    async def row(request: Request) -> Response:
        return _json(_find(desk, request.query_params))

    async def judge(request: Request) -> Response:
        return _judge(desk, await _body(request))

    routes = [
        Route("/", show_page),
        Route("/setting", setting),
        Route("/row", row),
        Route("/judge", judge, methods=["POST"]),
        *(Route(f"/{name}", _file(name, kind)) for name, kind in _FILES.items()),
    ]
    refusals = {UserError: _refused, TunewellError: _failed, OSError: _failed}
    return _Guard(Starlette(routes=[Mount(door.path, routes=routes)], exception_handlers=refusals), door)


@dataclass(frozen=True, slots=True)
class _Guard:
    """Lets a request through to the app, or answers 403. The headers that fence the page in stand on every answer."""

    app: ASGIApp
    door: Door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope)
        refusal = self._refusal(request)

        async def send_fenced(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                if refusal is None and "token" in request.query_params:
                    path, token = self.door
                    headers.append("Set-Cookie", f"{_COOKIE}={token}; HttpOnly; SameSite=Strict; Path={path}/")
            await send(message)

        answer = self.app if refusal is None else PlainTextResponse(refusal, 403)
        await answer(scope, receive, send_fenced)

    def _refusal(self, request: Request) -> str | None:
        host = request.headers.get("host", "")
        if _host_name(host) not in _HOSTS:
            return "this page is for this machine alone"
        given = request.query_params.get("token") or request.cookies.get(_COOKIE, "")
        if not secrets.compare_digest(given.encode("utf-8", "replace"), self.door.token.encode()):
            return "open the address that `tunewell review` printed"
        is_own = request.headers.get("origin") == f"http://{host}"
        if request.method not in {"GET", "HEAD"} and not is_own:
            return "only the page itself may change something"
        return None


def _host_name(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _page(desk: Desk, title: str) -> str:
    environment = Environment(loader=FileSystemLoader(FOLDER / "review"), autoescape=True, undefined=StrictUndefined)
    return environment.get_template("page.html.j2").render(words=desk.words, title=title)


def _file(name: str, kind: str) -> Callable[[Request], Awaitable[Response]]:
    async def serve(request: Request) -> Response:
        return FileResponse(asset("review", name), media_type=kind)

    return serve


def _find(desk: Desk, query: Mapping[str, str]) -> dict[str, Any]:
    move: Move = _choice(query.get("move", "first"), Move)
    place = query.get("place", "-1")
    if not _NUMBER.fullmatch(place):
        raise UserError(f"{place!r} is no place")
    wanted = Filter(*(query.get(name, "") for name in Filter._fields))
    return desk.find(wanted, move, int(place))


def _judge(desk: Desk, said: Mapping[str, Any]) -> Response:
    verdict: Verdict = _choice(said.get("verdict"), Verdict)
    texts, note = said.get("texts", []), said.get("note", "")
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in [*texts, note]):
        raise UserError("texts and note are strings")
    if any("\ud800" <= character <= "\udfff" for text in [*texts, note] for character in text):
        raise UserError("half a character cannot be kept")
    seen = _seen(said)
    if not desk.judge(seen, Spoken(verdict, texts, note)):
        return _json({"error": "this row stands otherwise by now", **desk.progress()}, 409)
    return _json({"row": desk.show(seen.place), **desk.progress()})


def _seen(said: Mapping[str, Any]) -> Seen:
    place, row, judged = said.get("place"), said.get("id"), said.get("judged", "")
    if type(place) is not int:
        raise UserError(f"{place!r} is no place")
    if not isinstance(row, str) or not isinstance(judged, str):
        raise UserError("id and judged are strings")
    return Seen(place, row, judged)


def _choice(value: Any, choices: Any) -> Any:
    if value not in get_args(choices):
        raise UserError(f"{value!r} is none of {', '.join(get_args(choices))}")
    return value


async def _body(request: Request) -> Mapping[str, Any]:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LONGEST_BODY:
            raise UserError("this is more than a row can hold")
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise UserError("the body is no JSON object")
    return said


async def _refused(request: Request, error: Exception) -> Response:
    return _json({"error": str(error)}, 400)


async def _failed(request: Request, error: Exception) -> Response:
    return _json({"error": str(error)}, 500)


def _json(value: Any, status: int = 200) -> Response:
    # In ASCII: a path may hold bytes that are no character, which UTF-8 cannot carry.
    return Response(json.dumps(value), status, media_type="application/json")
