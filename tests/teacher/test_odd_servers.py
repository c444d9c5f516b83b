"""Servers that are not OpenAI's: odd bodies, thoughts in the answer, slow pieces; and addresses and keys that cannot be."""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.teacher.answers import Numbered
from tests.teacher.client_program import request
from tests.teacher.conftest import KEY_VARIABLE, Serve, settings
from tests.teacher.server import KEY
from tunewell.errors import TeacherError
from tunewell.teacher import BudgetReached, OpenAITeacher, Reply, RequestFailed, client
from tunewell.teacher.cache import Cache, Completion
from tunewell.teacher.transport import Unavailable

_URL = "http://127.0.0.1:9/v1"
_GOOD = '{"number": 7, "word": "word-7"}'


class _Replies:
    """A transport that gives these bodies in turn, the last one for ever; `sent` holds the requests."""

    def __init__(self, *bodies: Any, seconds: float = 0.0) -> None:
        self._bodies = bodies
        self._seconds = seconds
        self.sent: list[Mapping[str, Any]] = []

    async def send(self, key: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        self.sent.append(body)
        await asyncio.sleep(self._seconds)
        reply = self._bodies[min(len(self.sent), len(self._bodies)) - 1]
        if isinstance(reply, Exception):
            raise reply
        answer: Mapping[str, Any] = reply
        return answer


def _body(content: Any = _GOOD, *, finish: Any = "stop", refusal: Any = None, **rest: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": content, "refusal": refusal}
    return {
        "choices": [{"message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 3},
    } | rest


def _ask(tmp_path: Path, transport: _Replies, **values: Any) -> Any:
    async def ask() -> Any:
        async with OpenAITeacher(settings(_URL, **values), tmp_path / "cache.sqlite") as teacher:
            teacher._transport = transport
            [outcome] = await asyncio.gather(teacher.ask(request(7)), return_exceptions=True)
            return outcome

    return asyncio.run(ask())


_USAGES: list[Any] = [None, [], "none", {"prompt_tokens": None}, {"prompt_tokens": "5"}, {"prompt_tokens": -5}]


@pytest.mark.parametrize(
    "body",
    [
        *(_body(usage=usage) for usage in _USAGES),
        _body(usage={"prompt_tokens": 1e30, "completion_tokens": 10**30}),
        *(_body(finish=finish) for finish in (None, {"type": "stop"}, "\ud83d")),
        _body(refusal=False),
        _body(
            [{"type": "thinking", "thinking": [{"text": "7?"}]}, {"type": "text", "text": None}, {"type": "text", "text": _GOOD}]
        ),
        _body(f"<think>\nPerhaps {{'number': 8}}?\n</think>\n\n{_GOOD}"),
        _body(f"Perhaps {{'number': 8}}?\n</think>\n{_GOOD}"),
    ],
)
def test_an_odd_body_is_read_and_kept(tmp_path: Path, body: Any) -> None:
    first = _ask(tmp_path, _Replies(body))
    assert first.value == Numbered(number=7, word="word-7")
    assert (first.text, first.cached) == (_GOOD, False)
    assert first.prompt_tokens > 0
    assert first.completion_tokens > 0
    again = _ask(tmp_path, _Replies(_body("none")))
    assert (again.value, again.cached) == (first.value, True)


def test_an_odd_refusal_is_a_refusal(tmp_path: Path) -> None:
    outcome = _ask(tmp_path, _Replies(_body(None, refusal="cut \ud83d")))
    assert (outcome.reason, outcome.detail) == ("refused", "cut ?")


def test_a_key_that_a_server_echoes_is_kept_nowhere(tmp_path: Path) -> None:
    said = f'{{"number": 7, "word": "your key is {KEY}"}}'
    reply = _ask(tmp_path, _Replies(_body(said, usage=None)))
    assert reply.value.word == "your key is ***"
    refused = _ask(tmp_path, _Replies(_body(None, refusal=f"I do not like {KEY}.")), model="other")
    assert (refused.reason, refused.detail) == ("refused", "I do not like ***.")
    for path in tmp_path.glob("cache.sqlite*"):
        assert KEY.encode() not in path.read_bytes()


@pytest.mark.parametrize("failure", ["error", "budget"])
def test_an_answer_whose_second_asking_fails_is_accounted_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: str
) -> None:
    monkeypatch.setattr(client, "_FIRST_PAUSE", 0.001)
    budget = {"tokens": 450} if failure == "budget" else {}
    first = _body("I would rather not.", usage={"prompt_tokens": 60, "completion_tokens": 20})
    outcome = _ask(tmp_path, _Replies(first, Unavailable("server_error", "gone")), budget=budget)
    assert isinstance(outcome, BudgetReached) == (failure == "budget")
    assert isinstance(outcome, RequestFailed)
    assert outcome.paid is not None
    assert (outcome.paid.prompt_tokens, outcome.paid.completion_tokens) == (60, 20)


def test_what_nobody_waits_for_any_more_is_not_sent(tmp_path: Path) -> None:
    transport = _Replies(_body(), seconds=0.05)

    async def work() -> Reply:
        async with OpenAITeacher(settings(_URL, concurrency=2), tmp_path / "cache.sqlite") as teacher:
            teacher._transport = transport
            asked = [asyncio.create_task(teacher.ask(request(number))) for number in range(10)]
            asked.append(asyncio.create_task(teacher.ask(request(9))))
            await asyncio.sleep(0.02)
            for task in asked[:10]:
                task.cancel()
            return await asked[10]

    assert asyncio.run(work()).value.number == 7
    # The two that were sent already go on, since they are paid for; of the others, the one that somebody else waits for.
    assert len(transport.sent) == 3
    cache = Cache(tmp_path / "cache.sqlite")
    assert cache.bill("").requests == 3
    cache.close()


def test_an_answer_is_written_though_whoever_put_it_is_gone(tmp_path: Path) -> None:
    async def work() -> None:
        cache = Cache(tmp_path / "cache.sqlite")
        put = asyncio.create_task(cache.put("k", Completion("a", "stop", "", 1, 1, None), request={}, purse="p"))
        await asyncio.sleep(0)
        put.cancel()
        await asyncio.gather(put, return_exceptions=True)
        await cache.settled()
        cache.close()

    asyncio.run(work())
    cache = Cache(tmp_path / "cache.sqlite")
    assert cache.get("k") is not None
    cache.close()


def test_a_long_patience_has_no_end(tmp_path: Path) -> None:
    async def pauses() -> list[float]:
        async with OpenAITeacher(settings(_URL, patience=1e9), tmp_path / "cache.sqlite") as teacher:
            failures = Counter({"unreachable": 5000})
            return [teacher._pause_after(Unavailable("unreachable", "gone"), failures, "k")]

    assert asyncio.run(pauses()) == [0.0]


def test_an_answer_in_drops_ends_with_the_time_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_FIRST_PAUSE", 0.001)
    monkeypatch.setattr("tunewell.teacher.transport._GRACE", 0.0)

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")
        with suppress(ConnectionError):
            while not reader.at_eof():
                writer.write(b"1\r\n\n\r\n")
                await writer.drain()
                await asyncio.sleep(0.02)
        writer.close()

    async def ask() -> Any:
        async with await asyncio.start_server(drip, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
            async with OpenAITeacher(settings(url, timeout=0.2), tmp_path / "cache.sqlite") as teacher:
                [outcome] = await asyncio.gather(asyncio.wait_for(teacher.ask(request(7)), 5), return_exceptions=True)
            await asyncio.sleep(0.1)  # the server notices that its clients have gone
            return outcome

    outcome = asyncio.run(ask())
    assert isinstance(outcome, RequestFailed)
    assert (outcome.reason, outcome.detail) == ("timed_out", "no answer in time (teacher.timeout)")


def test_the_way_to_this_machine_leads_through_no_proxy(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    async def ask() -> Reply:
        async with OpenAITeacher(settings(serve().url, patience=0.1), tmp_path / "cache.sqlite") as teacher:
            return await teacher.ask(request(7))

    assert asyncio.run(ask()).value.number == 7


@pytest.mark.parametrize("url", ["http://[::1/v1", "http://127.0.0.1:99999/v1", "http://localhost:port/v1", "http:///v1"])
def test_an_address_that_cannot_be_is_told_at_once(tmp_path: Path, url: str) -> None:
    with pytest.raises(TeacherError) as caught:
        OpenAITeacher(settings(url), tmp_path / "cache.sqlite")
    assert caught.value.where == "teacher.server"
    assert caught.value.what.startswith(f"{url} is no address of a server: ")
    assert not (tmp_path / "cache.sqlite").exists()


@pytest.mark.parametrize("key", ["“sk-quoted-0123456789”", "sk-two\nlines-0123456789"])
def test_a_key_that_no_header_takes_is_told_and_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv(KEY_VARIABLE, key)
    with pytest.raises(TeacherError) as caught:
        OpenAITeacher(settings("https://teacher.example/v1"), tmp_path / "cache.sqlite")
    assert caught.value.where == "teacher.key"
    assert caught.value.hint == f"export {KEY_VARIABLE}=… again, copied from the provider"
    assert "0123456789" not in json.dumps(str(caught.value))
