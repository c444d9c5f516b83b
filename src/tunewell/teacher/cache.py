"""Every answer that was paid for, in one SQLite file that all runs of a user share."""

import asyncio
import json
import sqlite3
import time
import zlib
from collections.abc import Mapping
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

from tunewell.errors import MachineError

_BUSY_SECONDS = 30
# A flush of the disk for each answer would cost more than the answer's way over the network.
_GATHERING_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Completion:
    """What a server answered: the text, why it ended there, and what it is billed for.

    `finish` is the server's `finish_reason`; `refusal` what it says where it declines. `cost` is None where the model has no
    price.
    """

    text: str
    finish: str
    refusal: str
    prompt_tokens: int
    completion_tokens: int
    cost: float | None


class Bill(NamedTuple):
    """What one purse has paid for."""

    requests: int
    tokens: int
    cost: float


class Cache:
    """Completions by the key of their request.

    `put` returns when the answer is safely on disk. Answers that come in within a moment are written together. Raises
    `MachineError` where the file cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self.folder = path.parent
        self._path = path
        self._pending: list[tuple[Any, ...]] = []
        self._written: asyncio.Future[None] | None = None
        self._writing: asyncio.Task[None] | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._reader = sqlite3.connect(path, timeout=_BUSY_SECONDS)
            self._writer = sqlite3.connect(path, timeout=_BUSY_SECONDS, check_same_thread=False)
            # With WAL, a commit is one write and one flush, and readers never wait for it.
            self._writer.execute("pragma journal_mode = wal")
            self._writer.execute("pragma synchronous = full")
            self._writer.execute(_TABLE)
            self._writer.execute("create index if not exists completions_by_purse on completions (purse)")
            self._writer.commit()
        except (sqlite3.Error, OSError) as error:
            raise self._unusable(error) from None

    def get(self, key: str) -> Completion | None:
        """The answer to a request that was asked before."""
        row = self._row(_SELECT, key)
        return None if row is None else Completion(*row)

    async def put(self, key: str, completion: Completion, *, request: Mapping[str, Any], purse: str) -> None:
        """Keep an answer, beside the request that it answers. The first answer to a request stays."""
        text = json.dumps(request, ensure_ascii=False).encode("utf-8", "surrogatepass")
        self._pending.append((key, *astuple(completion), purse, time.time(), zlib.compress(text, 1)))
        if self._written is None:
            self._written = asyncio.get_running_loop().create_future()
        written = self._written
        if self._writing is None or self._writing.done():
            # A task of its own: whoever waits may be cancelled, the others' answers are written all the same.
            self._writing = asyncio.create_task(self._write_pending())
        await asyncio.shield(written)

    def bill(self, purse: str) -> Bill:
        """What was paid for in the name of this purse, in earlier processes too."""
        row = self._row(_BILL, purse)
        assert row is not None, "sums have a row, whatever they are of"
        return Bill(*row)

    def request(self, key: str) -> Mapping[str, Any] | None:
        """The body of the request behind a key, as it was first sent."""
        row = self._row("select request from completions where key = ?", key)
        return None if row is None else json.loads(zlib.decompress(row[0]).decode("utf-8", "surrogatepass"))

    async def settled(self) -> None:
        """Return when all that was put is written, though those who put it be gone."""
        if self._writing is not None:
            await self._writing

    def close(self) -> None:
        """Let go of the file."""
        self._reader.close()
        self._writer.close()

    async def _write_pending(self) -> None:
        while self._pending:
            await asyncio.sleep(_GATHERING_SECONDS)
            rows, written = self._pending, self._written
            self._pending, self._written = [], None
            assert written is not None, "rows and the future of their writing are set together"
            try:
                await asyncio.to_thread(self._write, rows)
            except sqlite3.Error as error:
                written.set_exception(self._unusable(error))
            except Exception as error:
                written.set_exception(error)  # a mistake of ours must not leave anybody waiting
            else:
                written.set_result(None)

    def _row(self, query: str, value: str) -> tuple[Any, ...] | None:
        try:
            row: tuple[Any, ...] | None = self._reader.execute(query, (value,)).fetchone()
        except sqlite3.Error as error:
            raise self._unusable(error) from None
        return row

    def _write(self, rows: list[tuple[Any, ...]]) -> None:
        with self._writer:
            self._writer.executemany(_INSERT, rows)

    def _unusable(self, error: Exception) -> MachineError:
        hint = "free some space on its disk; what was answered so far is kept, and the same command goes on"
        return MachineError(f"the cache of the teacher's answers cannot be used: {error}", where=str(self._path), hint=hint)


_ANSWER = [field.name for field in fields(Completion)]
_COLUMNS = ["key", *_ANSWER, "purse", "created", "request"]
_TABLE = """
create table if not exists completions (
    key text primary key, text text not null, finish text not null, refusal text not null, prompt_tokens integer not null,
    completion_tokens integer not null, cost real, purse text not null, created real not null, request blob not null
) without rowid
"""
_BILL = (
    "select count(*), coalesce(sum(prompt_tokens + completion_tokens), 0), coalesce(sum(cost), 0) from completions where purse = ?"
)
_SELECT = f"select {', '.join(_ANSWER)} from completions where key = ?"  # noqa: S608  names of our own
_INSERT = f"insert or ignore into completions ({', '.join(_COLUMNS)}) values ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608
