"""The teacher's client: `ours`, `peer` or `cached`; prints one JSON line.

Both sides ask the scripted server of the tests, in a process of its own, which answers each request after 200 ms. 64 are in flight,
so that 320 answers a second are the most there can be. The peer is openai's own client behind a semaphore: it keeps nothing, limits
nothing and accounts for nothing. `cached` asks what is in the cache already.
"""

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.teacher.conftest import KEY_VARIABLE, server_process, settings
from tests.teacher.server import KEY, MODEL
from tunewell.records import Message
from tunewell.teacher import OpenAITeacher, Request

IN_FLIGHT = 64
LATENCY = 0.2
REQUESTS = 6_400
CACHED = 100_000
_PROMPT = "Rewrite this question of a customer in plain words, and keep its meaning. " * 12


def ours() -> dict[str, float]:
    """`OpenAITeacher`, each answer on disk before it is returned."""

    async def ask(url: str, cache: Path) -> dict[str, float]:
        async with OpenAITeacher(settings(url, concurrency=IN_FLIGHT), cache) as teacher:
            return await _measured(REQUESTS, lambda number: teacher.ask(_request(number)))

    with tempfile.TemporaryDirectory() as folder, server_process(Path(folder), latency=LATENCY) as url:
        return asyncio.run(ask(url, Path(folder) / "cache.sqlite"))


def peer() -> dict[str, float]:
    """`AsyncOpenAI` behind `asyncio.Semaphore`."""
    import openai

    async def ask(url: str) -> dict[str, float]:
        slots = asyncio.Semaphore(IN_FLIGHT)
        async with openai.AsyncOpenAI(base_url=url, api_key=KEY) as client:

            async def one(number: int) -> None:
                messages: Any = [{"role": "user", "content": f"{number}: {_PROMPT}"}]
                async with slots:
                    await client.chat.completions.create(model=MODEL, messages=messages, temperature=0.7, max_tokens=1024)

            return await _measured(REQUESTS, one)

    with tempfile.TemporaryDirectory() as folder, server_process(Path(folder), latency=LATENCY) as url:
        return asyncio.run(ask(url))


def cached() -> dict[str, float]:
    """100,000 requests that were answered before, by a transport without a server."""

    async def ask(cache: Path) -> dict[str, float]:
        nowhere = settings("http://127.0.0.1:9/v1", concurrency=IN_FLIGHT)
        async with OpenAITeacher(nowhere, cache) as teacher:
            teacher._transport = _Instant()
            await _measured(CACHED, lambda number: teacher.ask(_request(number)))
        async with OpenAITeacher(nowhere, cache) as teacher:
            figures = await _measured(CACHED, lambda number: teacher.ask(_request(number)))
        assert teacher.spent.cached == CACHED
        return figures

    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(ask(Path(folder) / "cache.sqlite"))


class _Instant:
    async def send(self, key: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        usage = {"prompt_tokens": 240, "completion_tokens": 240}
        choice = {"message": {"content": body["messages"][0]["content"]}, "finish_reason": "stop"}
        return {"id": key, "choices": [choice], "usage": usage}


def _request(number: int) -> Request:
    return Request((Message("user", f"{number}: {_PROMPT}"),))


async def _measured(count: int, ask: Callable[[int], Awaitable[object]]) -> dict[str, float]:
    """Ask requests 0 … count-1, as many at once as the client lets through, from tasks that wait for their turn."""
    numbers = iter(range(count))
    start, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(_worker(numbers, ask) for _ in range(2 * IN_FLIGHT)))
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    ideal = IN_FLIGHT / LATENCY
    return {
        "requests": count,
        "seconds": seconds,
        "per_second": count / seconds,
        "share_of_ideal": count / seconds / ideal,
        "cpu_microseconds": cpu / count * 1e6,
    }


async def _worker(numbers: Iterator[int], ask: Callable[[int], Awaitable[object]]) -> None:
    for number in numbers:
        await ask(number)


if __name__ == "__main__":
    os.environ[KEY_VARIABLE] = KEY
    side = {"ours": ours, "peer": peer, "cached": cached}[sys.argv[1]]
    sys.stdout.write(json.dumps(side()) + "\n")
