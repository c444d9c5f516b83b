"""What was said between us and the teacher, out of the cache of answers."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tunewell.errors import MachineError
from tunewell.records import Message
from tunewell.report import Exchange, exchanges
from tunewell.teacher import default_cache
from tunewell.teacher.cache import Cache, Completion

CALLS = [{"step": "doc2qa.questions", "key": "k1", "prompt": "p1"}, {"step": "doc2qa.answer", "key": "k2", "prompt": "p2"}]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache() == tmp_path / "tunewell" / "teacher.sqlite"


def keep(key: str, prompt: list[dict[str, str]], reply: str) -> None:
    async def put() -> None:
        cache = Cache(default_cache())
        body: dict[str, Any] = {"model": "sage", "messages": prompt, "temperature": 0.2}
        await cache.put(key, Completion(reply, "stop", "", 1, 1, None), request=body, purse="")
        cache.close()

    asyncio.run(put())


def test_prompts_and_raw_replies_in_their_order() -> None:
    keep("k2", [{"role": "system", "content": "Be exact."}, {"role": "user", "content": "几天？"}], "<think>5</think> {'a': 5}")
    keep("k1", [{"role": "user", "content": "Ask."}], "How long?")
    assert exchanges({"calls": CALLS}) == (
        Exchange("doc2qa.questions", "k1", (Message("user", "Ask."),), "How long?"),
        Exchange("doc2qa.answer", "k2", (Message("system", "Be exact."), Message("user", "几天？")), "<think>5</think> {'a': 5}"),
    )


def test_what_the_cache_does_not_have_is_told() -> None:
    keep("k2", [{"role": "user", "content": "Answer."}], "Five days.")
    assert exchanges({"calls": CALLS}) == (
        Exchange("doc2qa.questions", "k1"),
        Exchange("doc2qa.answer", "k2", (Message("user", "Answer."),), "Five days."),
    )


def test_no_cache_is_made_where_there_is_none() -> None:
    assert [exchange.reply for exchange in exchanges({"calls": CALLS})] == [None, None]
    assert not default_cache().exists()


def test_a_row_that_no_teacher_made_has_none() -> None:
    keep("k1", [{"role": "user", "content": "Ask."}], "How long?")
    assert exchanges({"topic": "refunds"}) == ()


def test_a_damaged_cache_is_named() -> None:
    default_cache().parent.mkdir()
    default_cache().write_text("no database " * 200)
    with pytest.raises(MachineError) as caught:
        exchanges({"calls": CALLS})
    assert caught.value.where == str(default_cache())
