"""Each fault of a server by itself: what the client makes of it, how often it asks, and what is paid."""

import asyncio
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.teacher.answers import numbered
from tests.teacher.client_program import request
from tests.teacher.conftest import Serve, settings
from tests.teacher.server import KEY, Running
from tunewell.errors import TeacherError
from tunewell.records import Message
from tunewell.teacher import BudgetReached, OpenAITeacher, Reply, Request, RequestFailed, Spent, client


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_FIRST_PAUSE", 0.01)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache.sqlite"


class Outcome(NamedTuple):
    """What each request came to, and what was spent."""

    results: list[Reply | RequestFailed]
    spent: Spent

    @property
    def replies(self) -> list[Reply]:
        return [result for result in self.results if isinstance(result, Reply)]

    @property
    def failures(self) -> list[RequestFailed]:
        return [result for result in self.results if isinstance(result, RequestFailed)]


def _ask(server: Running, cache: Path, *requests: Request, **values: Any) -> Outcome:
    """Ask all at once. Whatever is no `RequestFailed` is raised."""

    async def ask() -> Outcome:
        async with OpenAITeacher(settings(server.url, **values), cache) as teacher:
            results = await asyncio.gather(*map(teacher.ask, requests), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, RequestFailed):
                raise result
        return Outcome([result for result in results if isinstance(result, Reply | RequestFailed)], teacher.spent)

    return asyncio.run(ask())


def _value(outcome: Outcome) -> Any:
    [reply] = outcome.replies
    return reply.value.model_dump()


_PASSING = {  # by fault: requests that the server sees, completions that are billed, of these in a second asking
    "429": (2, 1, 0),
    "500": (2, 1, 0),
    "502": (2, 1, 0),
    "html": (2, 1, 0),
    "html_200": (2, 1, 0),
    "key_500": (2, 1, 0),
    "reset": (2, 1, 0),
    "silent": (2, 1, 0),
    "reset_after": (2, 1, 0),
    "half_sent": (2, 1, 0),
    "hang": (2, 1, 0),
    "half_json": (2, 1, 0),
    "no_choices": (2, 1, 0),
    "error_200": (2, 1, 0),
    "no_usage": (1, 1, 0),
    "fenced": (1, 1, 0),
    "trailing_comma": (1, 1, 0),
    "cut": (2, 2, 1),
    "empty": (2, 2, 1),
    "null": (2, 2, 1),
    "over_long": (2, 2, 1),
    "not_json": (2, 2, 1),
    "wrong_shape": (2, 2, 1),
}


@pytest.mark.parametrize("fault", _PASSING)
def test_a_fault_that_passes_is_outlived_and_paid_once(serve: Serve, cache: Path, fault: str) -> None:
    server = serve(scripts={"Number 3:": [fault, ""]}, retry_after=0)
    asked, billed, again = _PASSING[fault]
    assert _value(_ask(server, cache, request(3), timeout=0.3)) == numbered("Number 3")
    assert len(server.server.bodies) == asked
    assert len(server.bill()) == billed
    first = [{"role": "user", "content": request(3).messages[0].content}]
    assert sum(body["messages"] != first for body in server.server.bodies) == again
    repeated = _ask(server, cache, request(3))
    assert _value(repeated) == numbered("Number 3")
    assert repeated.replies[0].cached
    assert len(server.server.bodies) == asked


_LASTING = {  # by fault: the reason, the beginning of the detail, and completions that are billed
    "500": ("server_error", "HTTP 500: The server had an error while processing your request.", 0),
    "html": ("server_error", "HTTP 502: <html><head><title>502 Bad Gateway", 0),
    "html_200": ("server_error", "expected JSON, got '<html><head><title>502 Bad", 0),
    "key_500": ("server_error", "HTTP 500: Traceback: Authorization: Bearer ***", 0),
    "silent": ("timed_out", "no answer in time (teacher.timeout)", 0),
    "hang": ("timed_out", "no answer in time (teacher.timeout)", 1),
    "reset": ("server_error", "the connection broke", 0),
    "half_sent": ("server_error", "the connection broke", 1),
    "half_json": ("server_error", "the answer is no JSON: ", 1),
    "no_choices": ("server_error", "the answer has no `choices[0].message`", 1),
    "400": ("refused", "HTTP 400: Invalid value for 'messages'.", 0),
    "context": ("refused", "HTTP 400: This model's maximum context length is 8192 tokens.", 0),
    "filter": ("refused", "HTTP 400: The response was filtered.", 0),
    "key_400": ("refused", "HTTP 400: Bad request from key ***.", 0),
    "refusal": ("refused", "I cannot help with that.", 1),
    "filtered": ("refused", "stopped by the server's content filter", 1),
    "cut": ("cut", "not at its end after 4 tokens", 2),
    "empty": ("empty", "the answer has no text", 2),
    "null": ("empty", "the answer has no text", 2),
    "over_long": ("not_json", "expected JSON, got 'and so on and so on", 2),
    "not_json": ("not_json", "expected JSON, got 'I would rather talk about the weather.'", 2),
    "wrong_shape": ("wrong_shape", "number: Field required; word: Field required", 2),
}


@pytest.mark.parametrize("fault", _LASTING)
def test_a_fault_that_lasts_is_listed_with_its_reason_and_the_others_go_on(serve: Serve, cache: Path, fault: str) -> None:
    server = serve(scripts={"Number 3:": [fault]})
    reason, detail, billed = _LASTING[fault]
    outcome = _ask(server, cache, request(3), request(4), timeout=0.3)
    [failure] = outcome.failures
    assert failure.reason == reason
    assert failure.detail.startswith(detail)
    assert KEY not in str(failure)
    assert _value(outcome) == numbered("Number 4")
    assert len(server.bill()) == billed + 1


def test_a_bad_answer_is_not_paid_again_by_the_next_run(serve: Serve, cache: Path) -> None:
    server = serve(scripts={"Number 3:": ["wrong_shape"]})
    first, second = (_ask(server, cache, request(3)) for _ in range(2))
    assert [str(failure) for failure in first.failures] == [str(failure) for failure in second.failures]
    assert second.spent == Spent(requests=2, cached=2)
    assert len(server.bill()) == 2


@pytest.mark.parametrize("structure", ["none", "json_object"])
def test_a_server_without_structured_output_is_asked_in_words(serve: Serve, cache: Path, structure: str) -> None:
    server = serve(structure=structure)
    assert _value(_ask(server, cache, request(3))) == numbered("Number 3")
    refused, taken = server.server.bodies
    assert (refused["response_format"]["type"], "response_format" in taken) == ("json_schema", False)
    assert '"title": "Numbered"' in taken["messages"][-1]["content"]
    assert len(server.bill()) == 1


def test_once_refused_the_schema_is_not_sent_again(serve: Serve, cache: Path) -> None:
    server = serve(structure="none")
    outcome = _ask(server, cache, *map(request, range(8)), concurrency=1)
    assert len(outcome.replies) == 8
    assert sum("response_format" in body for body in server.server.bodies) == 1


@pytest.mark.parametrize(
    ("fault", "wait", "least"), [("429_seconds", 0.5, 0.5), ("429_ms", 0.5, 0.5), ("429_date", 2, 1.0), ("503", 0.5, 0.5)]
)
def test_retry_after_is_honoured_in_every_form(serve: Serve, cache: Path, fault: str, wait: float, least: float) -> None:
    server = serve(scripts={"Number 3:": [fault, ""]}, retry_after=wait)
    assert _value(_ask(server, cache, request(3))) == numbered("Number 3")
    first, second = server.server.arrivals
    assert least <= second - first < wait + 0.6


def test_during_a_storm_nobody_is_asked_and_nothing_is_lost(serve: Serve, cache: Path) -> None:
    server = serve(storms=[(1, 0.4)], retry_after=0.4)
    outcome = _ask(server, cache, *map(request, range(30)), concurrency=8)
    assert len(outcome.replies) == 30
    assert server.server.counts["429_seconds"] <= 8
    assert len(server.bill()) == 30


def test_a_server_that_comes_back_loses_nothing(serve: Serve, cache: Path) -> None:
    server = serve(deaths=[(20, 0.5)], latency=0.02)
    outcome = _ask(server, cache, *map(request, range(60)), concurrency=8)
    assert not {str(failure) for failure in outcome.failures}
    assert len(outcome.replies) == 60
    assert len(server.bill()) == 60
    assert any(line["outcome"] == "broken" for line in server.bill())


def test_a_server_that_stays_away_stops_the_run_and_the_next_one_goes_on(serve: Serve, cache: Path) -> None:
    server = serve(deaths=[(5, 2.0)])
    with pytest.raises(TeacherError) as caught:
        _ask(server, cache, *map(request, range(10)), concurrency=1, patience=0.3)
    assert caught.value.what.startswith(f"no answer from {server.url} for 0.3 seconds; the last failure: ")
    assert caught.value.where == "teacher.server"
    assert caught.value.hint == "what was answered is kept; the same command goes on"
    assert [line["outcome"] for line in server.bill() if line["outcome"] == "delivered"] == ["delivered"] * 4
    outcome = _ask(server, cache, *map(request, range(10)), concurrency=1, patience=10)
    assert (len(outcome.replies), outcome.spent.cached) == (10, 4)
    assert len(server.bill()) == 10


_HOPELESS = {  # by fault: what is said, where, and the hint
    "429_quota": ("the account has no credit left (HTTP 429: You exceeded your current quota", "", "top it up"),
    "key_401": ("the server refuses the key (HTTP 401: Incorrect API key provided: ***.)", "teacher.key", "check the variable"),
}


def test_a_server_that_never_was_has_little_patience(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_SECONDS_TO_APPEAR", 0.3)

    async def ask() -> str:
        async with OpenAITeacher(settings("http://127.0.0.1:9/v1", patience=600), cache) as teacher:
            with pytest.raises(TeacherError) as caught:
                await asyncio.wait_for(teacher.ask(request(1)), 20)
            assert caught.value.where == "teacher.server"
            assert caught.value.what.startswith("no answer from http://127.0.0.1:9/v1 for 0.3 seconds; the last failure: ")
            assert caught.value.hint == "is the server running, and is this its address?"
        return teacher.trouble

    assert "127.0.0.1" in asyncio.run(ask())


def test_trouble_is_told_while_it_lasts(serve: Serve, cache: Path) -> None:
    server = serve(scripts={"Number 1:": ["500", "500", ""]})

    async def ask() -> list[str]:
        seen = []
        async with OpenAITeacher(settings(server.url), cache) as teacher:
            asked = asyncio.create_task(teacher.ask(request(1)))
            while not asked.done():
                seen.append(teacher.trouble)
                await asyncio.sleep(0.001)
            return [*seen, teacher.trouble]

    told = asyncio.run(ask())
    assert any("HTTP 500" in trouble for trouble in told)
    assert (told[0], told[-1]) == ("", "")


@pytest.mark.parametrize("fault", _HOPELESS)
def test_what_no_request_can_outlive_stops_the_run(serve: Serve, cache: Path, fault: str) -> None:
    what, where, hint = _HOPELESS[fault]
    with pytest.raises(TeacherError) as caught:
        _ask(serve(scripts={"Number 3:": [fault]}), cache, request(3))
    assert caught.value.what.startswith(what)
    assert caught.value.where == where
    assert caught.value.hint.startswith(hint)
    assert KEY not in str(caught.value)


def test_a_wrong_key_stops_the_run(serve: Serve, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTHER", "sk-something-else")
    with pytest.raises(TeacherError, match=r"refuses the key \(HTTP 401: Incorrect API key provided\.\)"):
        _ask(serve(), cache, request(3), key="OTHER")


def test_an_unknown_model_stops_the_run(serve: Serve, cache: Path) -> None:
    with pytest.raises(TeacherError) as caught:
        _ask(serve(), cache, request(3), model="other")
    assert caught.value.what == "the server knows no such model or address (HTTP 404: The model `other` does not exist.)"
    assert caught.value.where == "teacher"


def test_equal_requests_are_sent_once_and_repeats_are_not_equal(serve: Serve, cache: Path) -> None:
    server = serve(latency=0.05)
    outcome = _ask(server, cache, *[request(3)] * 5, request(3, repeat=1))
    assert len(outcome.replies) == 6
    assert len(server.bill()) == 2


def test_who_waits_may_leave_and_the_answer_is_kept(serve: Serve, cache: Path) -> None:
    server = serve(latency=0.3)

    async def leave() -> None:
        async with OpenAITeacher(settings(server.url), cache) as teacher:
            asked = asyncio.create_task(teacher.ask(request(3)))
            await asyncio.sleep(0.1)
            asked.cancel()

    asyncio.run(leave())
    assert _ask(server, cache, request(3)).spent == Spent(requests=1, cached=1)
    assert [line["outcome"] for line in server.bill()] == ["delivered"]


@pytest.fixture
def _everything_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.DEBUG):
        yield


@pytest.mark.usefixtures("_everything_is_logged")
def test_the_key_stays_out_of_the_cache_the_errors_and_the_logs(
    serve: Serve, cache: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    faults = ["key_400", "key_500", "500", "html", "refusal", "half_sent", "cut"]
    server = serve(scripts={f"Number {number}:": [fault] for number, fault in enumerate(faults)})
    outcome = _ask(server, cache, *map(request, range(10)), timeout=0.3)
    assert len(outcome.failures) == len(faults)
    said = [
        *map(str, outcome.failures),
        *map(repr, outcome.results),
        *(record.getMessage() for record in caplog.records),
        *capfd.readouterr(),
    ]
    assert any("***" in text for text in said)
    assert not any(KEY in text for text in said)
    assert all(line["authorization"] == f"Bearer {KEY}" for line in server.server.headers)
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert cache in written
    assert not any(KEY.encode() in path.read_bytes() for path in written)


@pytest.mark.parametrize("limit", [{"tokens": 2_000}, {"money": 0.002}])
def test_the_budget_is_never_exceeded(serve: Serve, cache: Path, limit: dict[str, float]) -> None:
    server = serve(latency=0.01)
    values = {"budget": limit, "prices": {"input": 1, "output": 1}, "concurrency": 8}
    outcome = _ask(server, cache, *map(request, range(60)), **values)
    bill = sum(line["prompt_tokens"] + line["completion_tokens"] for line in server.bill())
    assert len(outcome.replies) + len(outcome.failures) == 60
    assert all(isinstance(failure, BudgetReached) and failure.reason == "budget" for failure in outcome.failures)
    assert 1_500 < bill <= 2_000
    assert outcome.spent.prompt_tokens + outcome.spent.completion_tokens == bill
    assert outcome.spent.cost == pytest.approx(bill / 1e6)
    again = _ask(server, cache, *map(request, range(60)), **values)
    assert len(again.failures) == len(outcome.failures)
    assert len(server.bill()) == len(outcome.replies)


def test_the_budget_holds_where_answers_are_billed_and_never_arrive(serve: Serve, cache: Path) -> None:
    server = serve(scripts={"Number": ["hang"]})
    outcome = _ask(server, cache, *map(request, range(12)), budget={"tokens": 600}, timeout=0.1, concurrency=2)
    assert {failure.reason for failure in outcome.failures} == {"timed_out", "budget"}
    assert sum(line["prompt_tokens"] + line["completion_tokens"] for line in server.bill()) <= 600


def test_no_more_requests_a_minute_than_allowed(serve: Serve, cache: Path) -> None:
    server = serve()
    _ask(server, cache, *map(request, range(12)), requests_per_minute=600)
    gaps = [later - earlier for earlier, later in pairwise(server.server.arrivals)]
    assert len(gaps) == 11
    assert 1.05 < sum(gaps) < 2
    assert min(gaps) > 0.03


def test_no_more_tokens_a_minute_than_allowed(serve: Serve, cache: Path) -> None:
    server = serve()
    asked = [Request((Message("user", f"Number {number}"),), max_tokens=1000) for number in range(6)]
    _ask(server, cache, *asked, tokens_per_minute=300_000)
    arrivals = server.server.arrivals
    assert 5 * 1000 / 5000 < arrivals[-1] - arrivals[0] < 2


def test_attempts_after_a_failure_count_as_requests(serve: Serve, cache: Path) -> None:
    server = serve(scripts={"Number 3:": ["500", "500", "500", ""]})
    _ask(server, cache, request(3), requests_per_minute=600)
    assert server.server.arrivals[-1] - server.server.arrivals[0] >= 0.29


def test_many_processes_may_share_a_cache(serve: Serve, cache: Path) -> None:
    server = serve(latency=0.01)

    async def both() -> list[Any]:
        async with OpenAITeacher(settings(server.url), cache) as one, OpenAITeacher(settings(server.url), cache) as other:
            return await asyncio.gather(*(each.ask(request(number)) for each in (one, other) for number in range(40)))

    assert len(asyncio.run(both())) == 80
    with closing(sqlite3.connect(cache)) as stored:
        assert stored.execute("select count(*) from completions").fetchone() == (40,)
    assert len(server.bill()) == 40
