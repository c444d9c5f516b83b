"""The scripted server itself: what the tests of the teacher's client stand on."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.teacher.answers import numbered
from tests.teacher.conftest import Serve
from tests.teacher.faults import BODIES, FAULTS, REFUSALS, SPOILED, Draw, Plan, hash_of
from tests.teacher.server import KEY, MODEL, Running, read_ledger

_SCHEMA = {"type": "json_schema", "json_schema": {"name": "Numbered", "schema": {}}}


@asynccontextmanager
async def _client(server: Running, *, key: str = KEY, timeout: float = 5) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=server.url, api_key=key, max_retries=0, timeout=timeout) as client:
        yield client


def _ask(server: Running, text: str = "Number 3: say it", *, count: int = 1, key: str = KEY, **options: Any) -> Any:
    """The answers to the same request sent so often, one after the other."""

    async def ask() -> list[Any]:
        async with _client(server, key=key) as client:
            return [await client.chat.completions.create(**_request(text, options)) for _ in range(count)]

    answers = asyncio.run(ask())
    return answers[0] if count == 1 else answers


def _request(text: str, options: Mapping[str, Any] = {}) -> dict[str, Any]:
    return {"model": MODEL, "messages": [{"role": "user", "content": text}], "response_format": _SCHEMA, **options}


def _idempotent(key: str) -> dict[str, Any]:
    return {"extra_headers": {"Idempotency-Key": key}}


def test_it_answers_by_the_name_of_the_schema_and_bills(serve: Serve) -> None:
    server = serve()
    answer = _ask(server)
    assert json.loads(answer.choices[0].message.content) == numbered("Number 3")
    [line] = server.bill()
    assert (line["prompt_tokens"], line["completion_tokens"], line["outcome"]) == (4, 8, "delivered")
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (4, 8)


def test_without_a_schema_it_finds_the_title_in_the_messages_or_echoes(serve: Serve) -> None:
    server = serve(structure="none")
    with pytest.raises(openai.BadRequestError, match="'response_format' of type 'json_schema' is not supported"):
        _ask(server)
    titled = _ask(server, 'Number 5: answer in {"title": "Numbered"}', response_format=openai.omit)
    assert json.loads(titled.choices[0].message.content)["number"] == 5
    assert _ask(server, "Hello", response_format=openai.omit).choices[0].message.content == "You said: Hello"
    assert len(server.bill()) == 2


def test_a_key_that_was_answered_gets_the_same_answer_and_no_second_bill(serve: Serve) -> None:
    server = serve(scripts={"Number 3": ["cut", ""]})
    first, second = _ask(server, count=2, **_idempotent("a"))
    assert first == second
    assert first.choices[0].finish_reason == "length"
    assert len(server.bill()) == 1
    with pytest.raises(openai.BadRequestError, match="was used for another request"):
        _ask(server, "Number 4", **_idempotent("a"))
    assert server.server.counts["replayed"] == 2
    assert _ask(server, **_idempotent("b")).choices[0].finish_reason == "stop"
    assert [line["key"] for line in server.bill()] == ["a", "b"]


_STATUS = {"html": 502, "context": 400, "filter": 400}


@pytest.mark.parametrize("name", sorted(REFUSALS))
def test_refusals_are_not_billed(serve: Serve, name: str) -> None:
    server = serve(scripts={"Number 3": [name, ""]}, retry_after=2)
    if name == "html_200":
        assert "502 Bad Gateway" in str(_ask(server))
    else:
        with pytest.raises(openai.APIStatusError) as caught:
            _ask(server)
        number = name.removeprefix("key_")[:3]
        assert caught.value.status_code == (int(number) if number.isdigit() else _STATUS[name])
        assert (KEY in str(caught.value)) == name.startswith("key_")
        headers = caught.value.response.headers
        assert ("retry-after" in headers) == (name in {"429_seconds", "429_date", "503"})
        assert headers.get("retry-after-ms") == ("2000" if name == "429_ms" else None)
    assert server.bill() == []
    _ask(server)
    assert len(server.bill()) == 1


@pytest.mark.parametrize("name", sorted(SPOILED))
def test_spoiled_answers_are_billed(serve: Serve, name: str) -> None:
    server = serve(scripts={"Number 3": [name]})
    content = _ask(server).choices[0].message.content
    right = json.dumps(numbered("Number 3"))
    assert content != right
    assert [line["outcome"] for line in server.bill()] == ["delivered"]


@pytest.mark.parametrize("name", sorted(BODIES))
def test_damaged_bodies_are_whole_at_the_second_asking(serve: Serve, name: str) -> None:
    server = serve(scripts={"Number 3": [name, ""]})
    if name == "half_json":
        with pytest.raises(json.JSONDecodeError):
            _ask(server, **_idempotent("a"))
    else:
        answer = _ask(server, **_idempotent("a"))
        assert not (answer.choices and answer.usage)
    assert json.loads(_ask(server, **_idempotent("a")).choices[0].message.content) == numbered("Number 3")
    assert len(server.bill()) == 1


@pytest.mark.parametrize(("name", "bill"), [("reset", []), ("reset_after", ["broken"]), ("half_sent", ["broken"])])
def test_connections_break_on_order(serve: Serve, name: str, bill: list[str]) -> None:
    server = serve(scripts={"Number 3": [name, ""]})
    with pytest.raises(openai.APIConnectionError):
        _ask(server)
    assert [line["outcome"] for line in server.bill()] == bill


@pytest.mark.parametrize(("name", "bill"), [("silent", []), ("hang", ["broken"])])
def test_no_answer_for_longer_than_the_client_waits(serve: Serve, name: str, bill: list[str]) -> None:
    server = serve(scripts={"Number 3": [name, ""]})

    async def ask() -> None:
        async with _client(server, timeout=0.3) as client:
            await client.chat.completions.create(**_request("Number 3"))

    with pytest.raises(openai.APITimeoutError):
        asyncio.run(ask())
    assert [line["outcome"] for line in server.bill()] == bill


def test_a_client_that_left_during_the_latency_is_billed_as_broken(serve: Serve) -> None:
    server = serve(latency=0.3)

    async def ask() -> None:
        async with _client(server, timeout=0.1) as client:
            await client.chat.completions.create(**_request("Number 3", _idempotent("a")))

    with pytest.raises(openai.APITimeoutError):
        asyncio.run(ask())
    assert _ask(server, "Number 3", **_idempotent("a")).choices[0].finish_reason == "stop"
    assert [line["outcome"] for line in server.bill()] == ["broken"]


def test_a_storm_refuses_everything_for_its_time(serve: Serve) -> None:
    server = serve(storms=[(2, 0.3)])
    _ask(server)
    for _ in range(2):
        with pytest.raises(openai.RateLimitError):
            _ask(server)
    time.sleep(0.35)
    _ask(server)
    assert server.server.counts == {"ok": 2, "429_seconds": 2}


def test_it_dies_and_comes_back_with_what_it_knew(serve: Serve) -> None:
    server = serve(deaths=[(2, 0.3)], latency=0.02)
    _ask(server, **_idempotent("a"))
    for _ in range(2):
        with pytest.raises(openai.APIConnectionError):
            _ask(server, "Number 4", **_idempotent("b"))
    time.sleep(0.4)
    _ask(server, **_idempotent("a"))
    _ask(server, "Number 4", **_idempotent("b"))
    assert [(line["key"], line["outcome"]) for line in server.bill()] == [("a", "delivered"), ("b", "broken")]


def test_a_wrong_key_and_a_wrong_model_are_refused(serve: Serve) -> None:
    server = serve()
    with pytest.raises(openai.AuthenticationError) as wrong_key:
        _ask(server, key="sk-other")
    assert wrong_key.value.code == "invalid_api_key"
    with pytest.raises(openai.NotFoundError, match="`other` does not exist"):
        _ask(server, model="other")


def test_the_draw_is_the_plan_s_and_ends() -> None:
    shares = {"500": 0.3, "429": 0.2, "cut": 0.1}
    draw, again, other = (Draw(Plan(shares=shares, most=2, seed=seed)) for seed in (0, 0, 1))
    bodies = [hash_of(number) for number in range(3000)]
    first = [draw.next(body, "") for body in bodies]
    assert first == [again.next(body, "") for body in bodies]
    assert first != [other.next(body, "") for body in bodies]
    for name, share in shares.items():
        assert abs(first.count(name) / 3000 - share) < 0.03
    second = [draw.next(body, "") for body in bodies]
    assert second != first
    assert {draw.next(body, "") for body in bodies} == {""}


def test_a_plan_with_a_fault_that_does_not_exist_is_refused() -> None:
    with pytest.raises(AssertionError, match="no such fault: \\['599'\\]"):
        Draw(Plan(scripts={"": ["599"]}))
    assert {"500", "cut", "hang", "reset", "half_json"} <= FAULTS


def test_models_are_listed(serve: Serve) -> None:
    async def names() -> list[str]:
        async with _client(serve()) as client:
            return [model.id async for model in client.models.list()]

    assert asyncio.run(names()) == [MODEL]


def _batch_lines(*numbers: int) -> bytes:
    bodies = {number: _request(f"Number {number}") for number in numbers}
    lines = [{"custom_id": f"r{n}", "method": "POST", "url": "/v1/chat/completions", "body": bodies[n]} for n in numbers]
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


class BatchRun:
    """A batch, polled to its end; `states` in the order in which they were seen."""

    def __init__(self, batch: Any, states: list[str], lines: dict[str, list[Any]]) -> None:
        self.batch, self.states, self.lines = batch, states, lines


def _run_batch(server: Running, content: bytes, *, cancel: bool = False) -> BatchRun:
    async def run() -> BatchRun:
        async with _client(server) as client:
            file = await client.files.create(file=("in.jsonl", content), purpose="batch")
            assert (file.bytes, file.purpose) == (len(content), "batch")
            batch = await client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
            if cancel:
                batch = await client.batches.cancel(batch.id)
            states: list[str] = [batch.status]
            while batch.status not in {"completed", "failed", "expired", "cancelled"}:
                batch = await client.batches.retrieve(batch.id)
                states.append(batch.status)
            lines = {}
            for kind, name in (("output", batch.output_file_id), ("error", batch.error_file_id)):
                text = (await client.files.content(name)).text if name else ""
                lines[kind] = [json.loads(line) for line in text.splitlines()]
            return BatchRun(batch, states, lines)

    return asyncio.run(run())


def test_a_batch_goes_its_way_and_lists_the_line_that_failed(serve: Serve) -> None:
    server = serve(scripts={"Number 2": ["context"]}, batch_polls=3)
    done = _run_batch(server, _batch_lines(1, 2, 3))
    assert done.states == ["validating", "in_progress", "finalizing", "completed"]
    assert [line["custom_id"] for line in done.lines["output"]] == ["r3", "r1"]
    body = done.lines["output"][1]["response"]["body"]
    assert json.loads(body["choices"][0]["message"]["content"]) == numbered("Number 1")
    [failed] = done.lines["error"]
    assert (failed["custom_id"], failed["response"]["status_code"]) == ("r2", 400)
    assert failed["response"]["body"]["error"]["code"] == "context_length_exceeded"
    assert [line["key"] for line in server.bill()] == ["batch:r1", "batch:r3"]
    assert (done.batch.request_counts.completed, done.batch.request_counts.failed) == (2, 1)


def test_a_batch_that_expires_has_the_half_that_was_done(serve: Serve) -> None:
    done = _run_batch(serve(batch_ends="expired"), _batch_lines(1, 2, 3, 4))
    assert done.states[-1] == "expired"
    assert [line["custom_id"] for line in done.lines["output"]] == ["r2", "r1"]
    assert {line["error"]["code"] for line in done.lines["error"]} == {"batch_expired"}


def test_a_cancelled_batch_costs_nothing(serve: Serve) -> None:
    server = serve()
    done = _run_batch(server, _batch_lines(1, 2), cancel=True)
    assert done.states == ["cancelling", "cancelling", "cancelled"]
    assert len(done.lines["error"]) == 2
    assert server.bill() == []


def test_a_batch_file_with_a_mistake_fails(serve: Serve) -> None:
    done = _run_batch(serve(), _batch_lines(1, 1))
    assert done.states[-1] == "failed"
    assert [problem.code for problem in done.batch.errors.data] == ["duplicate_custom_id"]


def test_in_a_process_of_its_own_it_ends_with_its_standard_input(tmp_path: Path) -> None:
    ledger, plan = tmp_path / "ledger.jsonl", tmp_path / "plan.json"
    plan.write_text(json.dumps({"latency": 0.01}), encoding="utf-8")
    command = [sys.executable, "-m", "tests.teacher.server", "--plan", str(plan), "--ledger", str(ledger)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        _ask(Running(f"http://127.0.0.1:{port}/v1", ledger, None))  # type: ignore[arg-type]  # lives in the other process
        process.communicate(timeout=10)
        assert process.returncode == 0
    assert len(read_ledger(ledger)) == 1
