"""A real model behind a real server: SmolLM2-135M-Instruct on llama.cpp, over loopback."""

import asyncio
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field

from tests.teacher import real
from tunewell.errors import TeacherError
from tunewell.recipe import Teacher as Settings
from tunewell.records import Message
from tunewell.teacher import OpenAITeacher, Reply, Request, RequestFailed, Spent


class Fruit(BaseModel):
    """A fruit, as the model is to describe it."""

    name: str = Field(max_length=20)
    colour: Literal["red", "green", "yellow", "orange"]
    tastes: list[Literal["sweet", "sour", "bitter"]] = Field(min_length=1, max_length=2)


def _about(fruit: str, **options: Any) -> Request:
    return Request((Message("user", f"Describe the fruit {fruit} in JSON."),), **{"max_tokens": 80, "shape": Fruit, **options})


def _ask(url: str, cache: Path, *requests: Request, **values: Any) -> tuple[list[Any], Spent]:
    async def ask() -> tuple[list[Any], Spent]:
        async with OpenAITeacher(Settings.model_validate({"server": url, "model": real.MODEL} | values), cache) as teacher:
            return await asyncio.gather(*map(teacher.ask, requests), return_exceptions=True), teacher.spent

    return asyncio.run(ask())


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def test_the_server_enforces_the_shape_counts_tokens_and_is_asked_once(real_teacher: str, tmp_path: Path) -> None:
    asked = [_about(fruit) for fruit in ("apple", "lemon", "orange", "cherry")]
    values = {"prices": {"input": 1, "output": 2}}
    first, spent = _ask(real_teacher, tmp_path / "cache.sqlite", *asked, **values)
    assert all(isinstance(reply, Reply) and isinstance(reply.value, Fruit) for reply in first)
    assert all(30 <= reply.prompt_tokens <= 60 and 15 <= reply.completion_tokens <= 80 for reply in first)
    tokens = sum(reply.prompt_tokens for reply in first), sum(reply.completion_tokens for reply in first)
    assert spent[:4] == (4, 0, *tokens)
    assert spent.cost == pytest.approx((tokens[0] + 2 * tokens[1]) / 1e6)
    second, nothing = _ask(real_teacher, tmp_path / "cache.sqlite", *asked, **values)
    assert nothing == Spent(requests=4, cached=4)
    assert [reply.value for reply in second] == [reply.value for reply in first]
    assert all(reply.cached and reply.cost > 0 for reply in second)


def test_free_text_and_a_repeat(real_teacher: str, tmp_path: Path) -> None:
    question = (Message("system", "You answer in one word."), Message("user", "What is the capital of France?"))
    asked = [Request(question, temperature=0.0, max_tokens=60, repeat=repeat) for repeat in (0, 1)]
    replies, spent = _ask(real_teacher, tmp_path / "cache.sqlite", *asked)
    assert all("Paris" in reply.text for reply in replies)
    assert replies[0].key != replies[1].key
    assert replies[0].prompt == replies[1].prompt
    assert spent.cached == 0


def test_an_answer_without_room_is_cut_and_asked_again_before_it_is_listed(real_teacher: str, tmp_path: Path) -> None:
    [failure], spent = _ask(real_teacher, tmp_path / "cache.sqlite", _about("apple", max_tokens=6))
    assert isinstance(failure, RequestFailed)
    assert (failure.reason, failure.detail) == ("cut", "not at its end after 6 tokens")
    assert spent.requests == 2
    assert spent.completion_tokens == 12


def test_a_prompt_longer_than_the_context_is_refused(real_teacher: str, tmp_path: Path) -> None:
    long = Request((Message("user", "one two three " * 2000),), max_tokens=10)
    [failure], _ = _ask(real_teacher, tmp_path / "cache.sqlite", long)
    assert isinstance(failure, RequestFailed)
    assert failure.reason == "refused"
    assert failure.detail.startswith("HTTP 400: ")
    assert "context size" in failure.detail


def test_a_wrong_address_stops_the_run(real_teacher: str, tmp_path: Path) -> None:
    [error], _ = _ask(real_teacher.removesuffix("/v1") + "/v7", tmp_path / "cache.sqlite", _about("apple"))
    assert isinstance(error, TeacherError)
    assert error.what.startswith("the server knows no such model or address (HTTP 404: ")
    assert "most addresses end in /v1" in error.hint
