"""Requests in files: OpenAI's Batch API, which takes half the price and up to a day.

Requests are gathered until no more come, written to a file, submitted, and collected when the provider is done. File and state lie
beside the cache: a process that is started again waits for what was submitted before, and submits nothing twice.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager, suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import openai

from tunewell.errors import TeacherError
from tunewell.store import atomic_write, digest, exclusive, friendly_disk_errors, write_json
from tunewell.teacher.secrets import hider
from tunewell.teacher.transport import TooMany, Unavailable, status_error, what_went_wrong

BATCH_REQUESTS = 50_000
"""Most requests of one file, by OpenAI's limit."""
_BATCH_BYTES = 190_000_000
_ENDED = {"completed", "failed", "expired", "cancelled"}
_SLOWER = 1.5
_LONGEST_WAIT = 60.0

_Value = TypeVar("_Value")


class Batches:
    """A `Transport` whose requests travel in batch files, kept in `folder`.

    `quiet` is how many seconds no new request may have come before a file is closed, `poll` how many go by before the provider is
    asked for the first time whether it is done, and `patience` how many it may give no answer at all before it counts as gone.
    """

    def __init__(
        self,
        client: openai.AsyncOpenAI,
        folder: Path,
        *,
        secret: str,
        quiet: float = 1.0,
        poll: float = 2.0,
        patience: float = 600.0,
    ) -> None:
        self._client = client
        self._folder = folder / "batches" / digest(str(client.base_url))[:8]
        self._hide = hider(secret)
        self._quiet, self._poll, self._patience = quiet, poll, patience
        self._queue: dict[str, Mapping[str, Any]] = {}
        self._waiting: dict[str, asyncio.Future[Mapping[str, Any]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._gathering: asyncio.Task[None] | None = None
        self._is_open = False

    async def send(self, key: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """The provider's answer, when its batch is done. Raises as `Live.send` does."""
        if not self._is_open:
            self._is_open = True
            self._take_up()
        if key not in self._waiting:
            self._waiting[key] = asyncio.get_running_loop().create_future()
            self._queue[key] = body
            if self._gathering is None or self._gathering.done():
                self._gathering = self._start(self._gather())
        return await self._waiting[key]

    def _take_up(self) -> None:
        """Go on with the batches of earlier processes: those that are done are read, the others waited for."""
        for path in sorted(self._folder.glob("*.jsonl")):
            output = path.with_suffix(".output")
            keys = list(_by_key(path.read_text(encoding="utf-8")))
            answers = _by_key(output.read_text(encoding="utf-8")) if output.exists() else {}
            done = {key: line for key, line in answers.items() if _status(line) == 200}
            for key in done if output.exists() else keys:
                self._waiting[key] = asyncio.get_running_loop().create_future()
            if output.exists():
                self._hand_out(done)
            else:
                self._start(self._see_through(path.stem, keys))

    def _start(self, work: Any) -> "asyncio.Task[None]":
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _gather(self) -> None:
        while self._queue:
            size = -1
            while len(self._queue) > size and len(self._queue) < BATCH_REQUESTS:
                size = len(self._queue)
                await asyncio.sleep(self._quiet)
            taken = self._take()
            try:
                name = self._written(taken)
            except Exception as error:
                self._fail(list(taken), error)
            else:
                self._start(self._see_through(name, list(taken)))

    def _written(self, taken: Mapping[str, Mapping[str, Any]]) -> str:
        """The name of the file into which these requests were written."""
        name = self._new_name(list(taken))
        lines = [{"custom_id": key, "method": "POST", "url": "/v1/chat/completions", "body": body} for key, body in taken.items()]
        with friendly_disk_errors(self._folder), atomic_write(self._folder / f"{name}.jsonl") as temporary:
            temporary.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        return name

    def _take(self) -> dict[str, Mapping[str, Any]]:
        taken: dict[str, Mapping[str, Any]] = {}
        size = 0
        while self._queue and len(taken) < BATCH_REQUESTS and size < _BATCH_BYTES:
            key = next(iter(self._queue))
            taken[key] = self._queue.pop(key)
            size += len(json.dumps(taken[key]))
        return taken

    def _new_name(self, keys: list[str]) -> str:
        """A name for a file of these requests: another one where they were all in a batch before, and come again."""
        names = (digest([sorted(keys), attempt]) for attempt in count())
        return next(name for name in names if not (self._folder / f"{name}.output").exists())

    async def _see_through(self, name: str, keys: list[str]) -> None:
        """Submit a file, unless that was done before, wait for its end, and hand out what came back."""
        try:
            with friendly_disk_errors(self._folder):
                batch = await self._ended(name, await self._submitted(name))
                self._hand_out(await self._collected(name, batch))
        except Exception as error:
            self._fail(keys, error)
        self._fail(keys, Unavailable("server_error", "the batch ended without an answer to this request"))

    async def _submitted(self, name: str) -> str:
        """The provider's id of the batch."""
        state = self._folder / f"{name}.json"
        async with self._alone():
            if state.exists():
                return str(json.loads(state.read_text(encoding="utf-8"))["id"])
            identity = await self._answered(lambda: self._found_or_submitted(name))
            write_json(state, {"id": identity})
        return identity

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """While this lasts, no other process submits what lies in the folder."""
        with ExitStack() as lock:
            while True:
                with suppress(BlockingIOError):
                    lock.enter_context(exclusive(self._folder / "submitting.lock", wait=False))
                    break
                await asyncio.sleep(self._poll)
            yield

    async def _answered(self, call: Callable[[], Awaitable[_Value]]) -> _Value:
        """What a call of the provider gives, once it gives anything: a batch goes on without us."""
        wait, since = self._poll, time.monotonic()
        while True:
            try:
                return await call()
            except openai.OpenAIError as error:
                failure = what_went_wrong(error, self._hide)
            except (ValueError, RecursionError) as error:
                failure = Unavailable("server_error", f"the answer is no JSON: {error}")
            if not isinstance(failure, (TooMany, Unavailable)):
                raise failure
            if time.monotonic() - since > self._patience:
                what = f"no answer about batches for {self._patience:g} seconds; the last failure: {failure}"
                raise TeacherError(what, where="teacher.server", hint="what was submitted is kept; the same command goes on")
            await asyncio.sleep(wait)
            wait = min(wait * _SLOWER, _LONGEST_WAIT)

    async def _found_or_submitted(self, name: str) -> str:
        """A batch that was submitted just before the process died, or whose answer did not arrive, is found by its name."""
        found = [batch.id async for batch in self._client.batches.list() if (batch.metadata or {}).get("tunewell") == name]
        return found[0] if found else await self._submit(name)

    async def _submit(self, name: str) -> str:
        content = (self._folder / f"{name}.jsonl").read_bytes()
        file = await self._client.files.create(file=(f"{name}.jsonl", content), purpose="batch")
        batch = await self._client.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h", metadata={"tunewell": name}
        )
        return batch.id

    async def _ended(self, name: str, identity: str) -> Any:
        wait = self._poll
        while True:
            await asyncio.sleep(wait)
            wait = min(wait * _SLOWER, _LONGEST_WAIT)
            try:
                batch = await self._answered(lambda: self._client.batches.retrieve(identity))
            except TeacherError as error:
                hint = "if it is lost, delete this file and the one beside it; its requests are then sent, and paid for, anew"
                raise TeacherError(f"batch {identity}: {error.what}", where=str(self._folder / f"{name}.json"), hint=hint) from None
            if batch.status in _ENDED:
                return batch

    async def _collected(self, name: str, batch: Any) -> dict[str, Any]:
        """What came back, by key. Raises `TeacherError` where the provider did not take the file."""
        files = [identity for identity in (batch.output_file_id, batch.error_file_id) if identity]
        contents = [await self._answered(partial(self._client.files.content, identity)) for identity in files]
        text = "".join(content.text.rstrip("\n") + "\n" for content in contents)
        with atomic_write(self._folder / f"{name}.output") as temporary:
            temporary.write_text(text, encoding="utf-8")
        if batch.status == "failed":
            problems = "; ".join(str(error.message) for error in (batch.errors.data or [])) if batch.errors else "no reason given"
            raise TeacherError(f"the provider refuses the batch: {self._hide(problems)}", where=f"batch {batch.id}")
        return _by_key(text)

    def _hand_out(self, answers: Mapping[str, Any]) -> None:
        for key, line in answers.items():
            waiting = self._waiting.get(key)
            if waiting is None or waiting.done():
                continue
            body = _response(line).get("body")
            if _status(line) == 200:
                waiting.set_result(body or {})
            else:
                body = body or {"error": line.get("error") or "no answer"}
                self._fail([key], status_error(_status(line), body, self._hide))

    def _fail(self, keys: list[str], error: Exception) -> None:
        """Tell those who still wait for these; asked again, they go into another batch."""
        for key in keys:
            waiting = self._waiting.get(key)
            if waiting is not None and not waiting.done():
                waiting.set_exception(error)
                waiting.exception()  # looked at: in a batch of an earlier process, nobody may wait
                del self._waiting[key]


def _by_key(text: str) -> dict[str, Any]:
    """The lines of a file that belong to a request; a line that is damaged counts as one that did not come."""
    lines: dict[str, Any] = {}
    # Not `splitlines`: it would cut at a line separator inside a text.
    for line in text.split("\n"):
        with suppress(ValueError, RecursionError, KeyError, TypeError):
            value = json.loads(line)
            lines[value["custom_id"]] = value
    return lines


def _response(line: Mapping[str, Any]) -> Mapping[str, Any]:
    response = line.get("response")
    return response if isinstance(response, dict) else {}


def _status(line: Mapping[str, Any]) -> int:
    status = _response(line).get("status_code")
    return status if isinstance(status, int) else 500
