"""A scripted server that speaks the OpenAI protocol and misbehaves on order.

`python -m tests.teacher.server --port 0 --plan PLAN.json --ledger LEDGER.jsonl` prints its port and serves until its standard input
ends, so that it never outlives the test that started it. Inside a test's own process it runs in a thread: `with running(…)`.

The ledger has one line for each completion that is billed: a completion costs money when it is made, whether it arrives or not. A
request with an `Idempotency-Key` that was answered before gets the same answer, and is not billed again.
"""

import argparse
import asyncio
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from tests.teacher.answers import Answers, content, tables
from tests.teacher.batches import Batches
from tests.teacher.faults import (
    BODIES,
    DELIVERIES,
    REFUSALS,
    SPOILED,
    UNBILLED,
    Answer,
    Asked,
    Draw,
    Plan,
    Response,
    error,
    hash_of,
    reply,
    texts,
)
from tests.teacher.http import HttpRequest, deliver, is_there, read_request, reset

KEY = "sk-scripted-7Q2v9LmX0aZt4KpR"
MODEL = "scripted"
_STRUCTURES = ("none", "json_object", "json_schema")


class Billed(NamedTuple):
    """A completion that was made, and the hash of the request that it answers."""

    request: str
    completion: Mapping[str, Any]


class ScriptedServer:
    """One server. `counts` has the requests that arrived by their fault (`ok`: none), and those `replayed` by their key."""

    def __init__(self, plan: Plan, ledger: Path, *, answers: Answers | None = None, key: str = KEY) -> None:
        self._plan = plan
        self._ledger = ledger
        self._answers = tables() if answers is None else answers
        self._key = key
        self._draw = Draw(plan)
        self._batches = Batches(plan, self._complete_in_batch)
        self._billed: dict[str, Billed] = {}
        self._arrived = 0
        self._storm_ends = 0.0
        self._writers: set[asyncio.StreamWriter] = set()
        self._listener: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.counts: Counter[str] = Counter()
        self.headers: list[Mapping[str, str]] = []
        self.arrivals: list[float] = []
        self.bodies: list[Mapping[str, Any]] = []
        self.port = 0
        ledger.touch()

    async def start(self, port: int = 0) -> None:
        """Listen on loopback."""
        self._listener = await asyncio.start_server(self._converse, "127.0.0.1", port, limit=1 << 22, backlog=512)
        self.port = self._listener.sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Close the socket and every connection, at once."""
        if self._listener is not None:
            self._listener.close()
        for writer in self._writers:
            reset(writer)

    async def _die(self, seconds: float) -> None:
        self.stop()
        await asyncio.sleep(seconds)
        await self.start(self.port)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            # asyncio 3.11 logs a handler that is cancelled at the end as an error.
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while not writer.is_closing() and (request := await read_request(reader)) is not None:
                    await self._respond(request, reader, writer)
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _respond(self, request: HttpRequest, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if request.headers.get("authorization") != f"Bearer {self._key}":
            self.counts["401"] += 1
            await deliver(error(401, "Incorrect API key provided.", code="invalid_api_key"), reader, writer)
        elif request.path == "/v1/chat/completions":
            await self._chat(request, reader, writer)
        else:
            await deliver(self._other(request), reader, writer)

    def _other(self, request: HttpRequest) -> Response:
        match (request.method, request.path):
            case ("GET", "/v1/models"):
                return reply({"object": "list", "data": [{"id": MODEL, "object": "model", "created": 0, "owned_by": "tests"}]})
            case ("GET", "/counts"):
                return reply(self.counts)
        return self._batches.respond(request)

    async def _chat(self, request: HttpRequest, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = json.loads(request.body)
        self._note(request, body)
        self._start_disasters()
        fault = self._fault(body)
        self.counts[fault or "ok"] += 1
        refused = self._refusal(body, fault)
        if refused is not None:
            await deliver(refused, reader, writer)
            return
        key = request.headers.get("idempotency-key", "")
        is_new = key not in self._billed
        billed = self._billed_once(body, key, fault)
        if billed.request != hash_of(body):
            reused = error(400, "This idempotency key was used for another request.", code="idempotency_key_reused")
            await deliver(reused, reader, writer)
            return
        await asyncio.sleep(self._plan.latency)
        delivery = DELIVERIES.get(fault, "whole")
        if is_new:
            arrives = delivery == "whole" and is_there(reader, writer)
            self._write_ledger(body, key, billed.completion, "delivered" if arrives else "broken")
        # What is damaged on its way is kept whole: the next request with this key gets it so.
        sent = BODIES.get(fault, dict)(billed.completion)
        await deliver(reply(sent)._replace(delivery=delivery), reader, writer)

    def _note(self, request: HttpRequest, body: Mapping[str, Any]) -> None:
        self._arrived += 1
        self.headers.append(request.headers)
        self.bodies.append(body)
        self.arrivals.append(time.monotonic())

    def _start_disasters(self) -> None:
        for place, seconds in self._plan.storms:
            if place == self._arrived:
                self._storm_ends = time.monotonic() + seconds
        for place, seconds in self._plan.deaths:
            if place == self._arrived:
                task = asyncio.create_task(self._die(seconds))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def _fault(self, body: Mapping[str, Any]) -> str:
        if time.monotonic() < self._storm_ends:
            return "429_seconds"
        return self._draw.next(hash_of(body), texts(body["messages"]))

    def _refusal(self, body: Mapping[str, Any], fault: str) -> Response | None:
        structure = (body.get("response_format") or {"type": "none"})["type"]
        if body["model"] != MODEL:
            return error(404, f"The model `{body['model']}` does not exist.", code="model_not_found")
        if structure != "text" and _STRUCTURES.index(structure) > _STRUCTURES.index(self._plan.structure):
            return error(400, f"Invalid parameter: 'response_format' of type '{structure}' is not supported.", code="invalid_value")
        if fault in UNBILLED:
            return Response(200, b"", delivery=UNBILLED[fault])
        if fault in REFUSALS:
            return REFUSALS[fault](Asked(self._plan.retry_after, self._key))
        return None

    def _billed_once(self, body: Mapping[str, Any], key: str, fault: str) -> Billed:
        """The completion of this key, made now or before."""
        if key in self._billed:
            self.counts["replayed"] += 1
            return self._billed[key]
        billed = Billed(hash_of(body), self._make(body, fault))
        if key:
            self._billed[key] = billed
        return billed

    def _make(self, body: Mapping[str, Any], fault: str) -> Mapping[str, Any]:
        right = content(self._answers, body)
        return _completion(body, SPOILED[fault](right) if fault in SPOILED else Answer(right))

    def _complete_in_batch(self, body: Mapping[str, Any], key: str) -> Response:
        fault = self._fault(body)
        self.counts[fault or "ok"] += 1
        refused = self._refusal(body, fault)
        if refused is not None:
            return refused
        completion = self._make(body, fault)
        self._write_ledger(body, key, completion, "delivered")
        return reply(completion)

    def _write_ledger(self, body: Mapping[str, Any], key: str, completion: Mapping[str, Any], outcome: str) -> None:
        line = {"key": key, "body": hash_of(body), "messages": hash_of(body["messages"]), "time": time.time(), "outcome": outcome}
        usage = {name: completion["usage"][name] for name in ("prompt_tokens", "completion_tokens")}
        with self._ledger.open("a", encoding="utf-8") as ledger:
            ledger.write(json.dumps(line | usage) + "\n")


def _completion(body: Mapping[str, Any], answer: Answer) -> dict[str, Any]:
    asked, wrote = _tokens(texts(body["messages"])), _tokens(answer.content or answer.refusal or "")
    message = {"role": "assistant", "content": answer.content, "refusal": answer.refusal}
    return {
        "id": f"chatcmpl-{hash_of(body)[:12]}",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": answer.finish, "logprobs": None}],
        "usage": {"prompt_tokens": asked, "completion_tokens": wrote, "total_tokens": asked + wrote},
    }


def _tokens(text: str) -> int:
    return -(-len(text) // 4)


def read_ledger(path: Path) -> list[dict[str, Any]]:
    """The completions that were billed, in the order in which they ended."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


class Running(NamedTuple):
    """A server that serves."""

    url: str
    ledger: Path
    server: ScriptedServer

    def bill(self) -> list[dict[str, Any]]:
        return read_ledger(self.ledger)


@contextmanager
def running(plan: Plan, ledger: Path, *, answers: Answers | None = None) -> Iterator[Running]:
    """A server in a thread of this process."""
    server = ScriptedServer(plan, ledger, answers=answers)
    is_up = threading.Event()
    ends: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def serve() -> None:
        await server.start()
        end = asyncio.Event()
        ends.append((asyncio.get_running_loop(), end))
        is_up.set()
        await end.wait()
        server.stop()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert is_up.wait(10)
    try:
        yield Running(f"http://127.0.0.1:{server.port}/v1", ledger, server)
    finally:
        loop, end = ends[0]
        loop.call_soon_threadsafe(end.set)
        thread.join(10)


async def _serve(server: ScriptedServer, port: int) -> None:
    await server.start(port)
    sys.stdout.write(f"{server.port}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    server.stop()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--plan", type=Path)
    parser.add_argument("--ledger", type=Path, required=True)
    options = parser.parse_args()
    plan = Plan.read(options.plan) if options.plan else Plan()
    asyncio.run(_serve(ScriptedServer(plan, options.ledger), options.port))


if __name__ == "__main__":
    main()
