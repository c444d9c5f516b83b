"""The cache of answers."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from tunewell.errors import MachineError
from tunewell.teacher.cache import Bill, Cache, Completion


def _completion(number: int, cost: float | None = 0.25) -> Completion:
    return Completion(f"answer {number} \U0001f600 中", "stop", "", number, 1, cost)


def _put(path: Path, numbers: range, purse: str = "p") -> None:
    async def work() -> None:
        cache = Cache(path)
        await asyncio.gather(
            *(cache.put(f"k{number}", _completion(number), request={"n": number}, purse=purse) for number in numbers)
        )
        cache.close()

    asyncio.run(work())


def test_what_was_put_is_there_in_another_process(tmp_path: Path) -> None:
    path = tmp_path / "new" / "teacher.sqlite"
    _put(path, range(300))
    cache = Cache(path)
    assert [cache.get(f"k{number}") for number in range(300)] == [_completion(number) for number in range(300)]
    assert cache.get("k300") is None
    assert cache.request("k7") == {"n": 7}
    assert cache.request("k300") is None
    cache.close()


def test_the_first_answer_stays(tmp_path: Path) -> None:
    path = tmp_path / "teacher.sqlite"
    _put(path, range(1))

    async def again() -> None:
        cache = Cache(path)
        await cache.put("k0", _completion(99), request={}, purse="q")
        assert cache.get("k0") == _completion(0)
        cache.close()

    asyncio.run(again())


def test_bills_are_kept_apart_by_purse(tmp_path: Path) -> None:
    path = tmp_path / "teacher.sqlite"
    _put(path, range(4), purse="one")
    _put(path, range(4, 6), purse="other")
    cache = Cache(path)
    assert cache.bill("one") == Bill(4, 0 + 1 + 2 + 3 + 4, 1.0)
    assert cache.bill("other") == Bill(2, 4 + 5 + 2, 0.5)
    assert cache.bill("nobody") == Bill(0, 0, 0.0)
    cache.close()


def test_a_cancelled_put_loses_nobody_elses_answer(tmp_path: Path) -> None:
    async def work() -> None:
        cache = Cache(tmp_path / "teacher.sqlite")
        puts = [asyncio.create_task(cache.put(f"k{n}", _completion(n), request={}, purse="")) for n in range(20)]
        await asyncio.sleep(0)
        puts[0].cancel()
        results = await asyncio.gather(*puts, return_exceptions=True)
        assert [type(result) for result in results[1:]] == [type(None)] * 19
        assert all(cache.get(f"k{n}") for n in range(20))
        cache.close()

    asyncio.run(work())


def test_a_mistake_of_ours_leaves_nobody_waiting(tmp_path: Path) -> None:
    async def work() -> None:
        cache = Cache(tmp_path / "teacher.sqlite")
        with pytest.raises(UnicodeEncodeError):
            await asyncio.wait_for(cache.put("k", Completion("\ud83d", "", "", 0, 0, None), request={}, purse=""), 5)
        cache.close()

    asyncio.run(work())


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "teacher.sqlite"
    path.write_text("this is no database, whatever its name says " * 50)
    with pytest.raises(MachineError) as caught:
        Cache(path)
    assert caught.value.where == str(path)
    assert "file is not a database" in caught.value.what


def test_a_failure_to_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / "teacher.sqlite"
    _put(path, range(1))
    cache = Cache(path)
    with sqlite3.connect(path) as other:
        other.execute("drop table completions")
    other.close()
    for read in (cache.get, cache.request, cache.bill):
        with pytest.raises(MachineError, match="no such table: completions") as caught:
            read("k0")
        assert caught.value.where == str(path)
    cache.close()


def test_a_failure_to_write_is_told_and_keeps_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "teacher.sqlite"
    _put(path, range(3))

    async def work() -> None:
        cache = Cache(path)

        def full(rows: object) -> None:
            raise sqlite3.OperationalError("database or disk is full")

        monkeypatch.setattr(cache, "_write", full)
        with pytest.raises(MachineError, match="database or disk is full"):
            await cache.put("k9", _completion(9), request={}, purse="")
        assert cache.get("k1") == _completion(1)
        cache.close()

    asyncio.run(work())
