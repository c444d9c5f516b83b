"""Requests in batch files: written, submitted, collected, once each, whatever happens on the way."""

import asyncio
import errno
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import openai
import pytest
from openai.resources.files import AsyncFiles

from tests.teacher.client_program import request
from tests.teacher.conftest import Serve, settings
from tests.teacher.server import Running
from tunewell.errors import MachineError, TeacherError
from tunewell.teacher import OpenAITeacher, Reply, client
from tunewell.teacher.batch import Batches


@pytest.fixture(autouse=True)
def _in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "Batches", partial(Batches, quiet=0.05, poll=0.02))
    monkeypatch.setattr(client, "_FIRST_PAUSE", 0.01)


def _ask(server: Running, cache: Path, numbers: range, *, seconds: float = 30, **values: Any) -> list[Any]:
    async def ask() -> list[Any]:
        async with OpenAITeacher(settings(server.url, batch=True, **values), cache) as teacher:
            return await asyncio.gather(*(teacher.ask(request(number)) for number in numbers), return_exceptions=True)

    return asyncio.run(asyncio.wait_for(ask(), seconds))


def _files(cache: Path, suffix: str) -> list[Path]:
    return sorted(cache.parent.glob(f"batches/*/*{suffix}"))


def test_requests_travel_in_one_file_and_each_answer_finds_its_request(serve: Serve, tmp_path: Path) -> None:
    server, cache = serve(), tmp_path / "cache.sqlite"
    replies = _ask(server, cache, range(120))
    assert len({reply.text for reply in replies}) == 120
    assert all(f"{number}" in reply.text for number, reply in enumerate(replies))
    [path] = _files(cache, ".jsonl")
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert len({line["custom_id"] for line in lines}) == 120
    assert {(line["method"], line["url"]) for line in lines} == {("POST", "/v1/chat/completions")}
    assert server.server.counts["ok"] == 120


def test_a_file_is_billed_at_half_the_price(serve: Serve, tmp_path: Path) -> None:
    prices = {"input": 10, "output": 20}
    server = serve()
    [batched] = _ask(server, tmp_path / "a.sqlite", range(1), prices=prices)
    assert isinstance(batched, Reply)
    assert batched.cost == pytest.approx((batched.prompt_tokens * 5 + batched.completion_tokens * 10) / 1e6)


def test_a_line_that_fails_is_sent_again_and_one_that_is_refused_is_listed(serve: Serve, tmp_path: Path) -> None:
    server = serve(scripts={"Number 3:": ["500", ""], "Number 5:": ["400"]})
    outcomes = _ask(server, tmp_path / "cache.sqlite", range(8))
    failed = [number for number, outcome in enumerate(outcomes) if not isinstance(outcome, Reply)]
    assert failed == [5]
    assert outcomes[5].reason == "refused"
    assert len(_files(tmp_path / "cache.sqlite", ".jsonl")) == 2


def test_what_an_expired_batch_left_goes_into_another(serve: Serve, tmp_path: Path) -> None:
    server, cache = serve(batch_ends="expired"), tmp_path / "cache.sqlite"
    outcomes = _ask(server, cache, range(8))
    # Half of what is left is done each time.
    assert [isinstance(outcome, Reply) for outcome in outcomes].count(True) >= 7
    assert len(_files(cache, ".jsonl")) > 2


def test_a_process_that_comes_back_waits_for_the_batch_it_had_submitted(serve: Serve, tmp_path: Path) -> None:
    server, cache = serve(batch_polls=9), tmp_path / "cache.sqlite"
    with pytest.raises(TimeoutError):
        _ask(server, cache, range(20), seconds=0.4)
    assert len(_files(cache, ".json")) == 1
    assert _files(cache, ".output") == []
    replies = _ask(server, cache, range(25))
    assert all(isinstance(reply, Reply) for reply in replies)
    assert len(_files(cache, ".jsonl")) == 2
    assert server.server.counts["ok"] == 25


def test_requests_that_all_failed_go_into_a_new_batch(serve: Serve, tmp_path: Path) -> None:
    server, cache = serve(scripts={f"Number {number}:": ["500", ""] for number in range(3)}), tmp_path / "cache.sqlite"
    assert all(isinstance(reply, Reply) for reply in _ask(server, cache, range(3)))
    assert len(_files(cache, ".output")) == 2


def test_a_batch_whose_id_was_lost_is_found_by_its_name(serve: Serve, tmp_path: Path) -> None:
    server, cache = serve(batch_polls=9), tmp_path / "cache.sqlite"
    with pytest.raises(TimeoutError):
        _ask(server, cache, range(5), seconds=0.4)
    [state] = _files(cache, ".json")
    state.unlink()
    assert all(isinstance(reply, Reply) for reply in _ask(server, cache, range(5)))
    assert server.server.counts["ok"] == 5


def test_answers_that_were_fetched_and_not_yet_kept_are_read_from_disk(serve: Serve, tmp_path: Path) -> None:
    server, cache = serve(), tmp_path / "cache.sqlite"
    _ask(server, cache, range(5))
    for path in tmp_path.glob("cache.sqlite*"):
        path.unlink()
    assert all(isinstance(reply, Reply) for reply in _ask(server, cache, range(5)))
    assert server.server.counts["ok"] == 5


def test_a_batch_that_the_provider_has_lost_is_named(serve: Serve, tmp_path: Path) -> None:
    cache = tmp_path / "cache.sqlite"
    server = serve(batch_polls=9)
    with pytest.raises(TimeoutError):
        _ask(server, cache, range(3), seconds=0.4)
    [state] = _files(cache, ".json")
    state.write_text('{"id": "batch_lost"}', encoding="utf-8")
    outcomes = _ask(server, cache, range(3))
    assert {type(outcome) for outcome in outcomes} == {TeacherError}
    assert outcomes[0].where == str(state)
    assert outcomes[0].what.startswith("batch batch_lost: the server knows no such model or address")
    assert outcomes[0].hint.startswith("if it is lost, delete this file and the one beside it")


def test_a_batch_that_the_provider_refuses_stops_the_run(serve: Serve, tmp_path: Path) -> None:
    outcomes = _ask(serve(batch_ends="failed"), tmp_path / "cache.sqlite", range(3))
    assert {type(outcome) for outcome in outcomes} == {TeacherError}
    assert "the provider refuses the batch" in outcomes[0].what


def _answered(outcomes: list[Any]) -> bool:
    return [outcome.value.number for outcome in outcomes] == list(range(len(outcomes)))


def _with_the_output(monkeypatch: pytest.MonkeyPatch, change: Callable[[str], str]) -> None:
    """The provider's first output arrives changed."""
    content = AsyncFiles.content
    changes = iter([change])

    async def changed(files: AsyncFiles, identity: str) -> Any:
        answer = await content(files, identity)
        return SimpleNamespace(text=next(changes, str)(answer.text))

    monkeypatch.setattr(AsyncFiles, "content", changed)


def test_a_line_separator_inside_an_answer_ends_no_line(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server, cache = serve(), tmp_path / "cache.sqlite"
    _with_the_output(monkeypatch, lambda text: text.replace("word-", "word\u2028\x85-"))
    first = _ask(server, cache, range(4))
    assert [reply.value.word for reply in first] == [f"word\u2028\x85-{number}" for number in range(4)]
    for path in tmp_path.glob("cache.sqlite*"):
        path.unlink()
    assert [reply.value for reply in _ask(server, cache, range(4))] == [reply.value for reply in first]
    assert server.server.counts["ok"] == 4


@pytest.mark.parametrize("damage", ["no JSON", "[]", '{"id": "x"}', '{"custom_id": "nobody\'s", "response": {"status_code": 200}}'])
def test_a_damaged_line_counts_as_none_and_is_asked_again(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    server = serve()
    _with_the_output(monkeypatch, lambda text: "\n".join([damage, *text.splitlines()[1:]]))
    assert _answered(_ask(server, tmp_path / "cache.sqlite", range(4)))
    assert server.server.counts["ok"] == 5
    assert _answered(_ask(server, tmp_path / "cache.sqlite", range(4)))


def test_a_submission_whose_answer_is_lost_is_not_made_again(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server, submit, losses = serve(), Batches._submit, iter([True])

    async def lost(batches: Batches, name: str) -> str:
        identity = await submit(batches, name)
        if next(losses, False):
            raise openai.OpenAIError("the connection broke")
        return identity

    monkeypatch.setattr(Batches, "_submit", lost)
    assert _answered(_ask(server, tmp_path / "cache.sqlite", range(4)))
    assert server.server.counts["ok"] == 4


def test_a_provider_that_is_gone_stops_the_run_and_keeps_the_file(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve()

    async def gone(batches: Batches, name: str) -> str:
        raise openai.OpenAIError("the connection broke")

    with monkeypatch.context() as patched:
        patched.setattr(Batches, "_submit", gone)
        outcomes = _ask(server, tmp_path / "cache.sqlite", range(3), patience=0.1)
    assert {type(outcome) for outcome in outcomes} == {TeacherError}
    assert outcomes[0].what.startswith("no answer about batches for 0.1 seconds; the last failure: ")
    assert _answered(_ask(server, tmp_path / "cache.sqlite", range(3)))
    assert len(_files(tmp_path / "cache.sqlite", ".jsonl")) == 1


def test_a_line_that_fails_again_after_long_is_not_a_server_that_is_gone(serve: Serve, tmp_path: Path) -> None:
    server = serve(scripts={"Number 1:": ["500", "500", ""]})
    assert _answered(_ask(server, tmp_path / "cache.sqlite", range(3), patience=0.01))


def test_two_processes_submit_a_file_once(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server, submit = serve(batch_polls=9), Batches._submit

    async def slowly(batches: Batches, name: str) -> str:
        await asyncio.sleep(0.3)
        return await submit(batches, name)

    monkeypatch.setattr(Batches, "_submit", slowly)

    async def ask(pause: float) -> list[Any]:
        await asyncio.sleep(pause)
        async with OpenAITeacher(settings(server.url, batch=True), tmp_path / "cache.sqlite") as teacher:
            return await asyncio.gather(*(teacher.ask(request(number)) for number in range(4)), return_exceptions=True)

    async def both() -> tuple[list[Any], list[Any]]:
        # The second begins when the file of the first is written and not yet submitted.
        return await asyncio.gather(ask(0.0), ask(0.2))

    first, second = asyncio.run(asyncio.wait_for(both(), 20))
    assert _answered(first)
    assert _answered(second)
    assert server.server.counts["ok"] == 4


def test_a_full_disk_leaves_nobody_waiting(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr("tunewell.teacher.batch.atomic_write", full)
    outcomes = _ask(serve(), tmp_path / "cache.sqlite", range(3), seconds=5)
    assert [(type(outcome), outcome.what) for outcome in outcomes] == [(MachineError, "the disk is full")] * 3


def test_limits_of_single_requests_do_not_tear_a_file_apart(serve: Serve, tmp_path: Path) -> None:
    cache = tmp_path / "cache.sqlite"
    assert _answered(_ask(serve(), cache, range(5), requests_per_minute=60, tokens_per_minute=1000, seconds=5))
    assert len(_files(cache, ".jsonl")) == 1
