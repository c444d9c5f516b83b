"""A program that asks a teacher the requests 0 … n−1 at once, and writes each outcome to a file as it comes.

Tests kill it at any moment and start it again. `python -m tests.teacher.client_program SETTINGS.json CACHE RESULTS COUNT`; the key
is read from the environment. `--largest-file` forbids files above so many bytes, as a full disk would.
"""

import argparse
import asyncio
import json
import resource
import sys
from pathlib import Path
from typing import Any, TextIO

from tests.teacher.answers import Numbered
from tunewell.errors import TunewellError
from tunewell.recipe import Teacher as Settings
from tunewell.records import Message
from tunewell.teacher import OpenAITeacher, Request, RequestFailed, client

_FIRST_PAUSE = 0.05


def request(number: int, **options: Any) -> Request:
    """The request of this number; each costs about as much as any other."""
    text = f"Number {number}: give the number and its word. {'It is a number. ' * 8}"
    return Request((Message("user", text),), max_tokens=64, shape=Numbered, **options)


async def ask_all(settings: Settings, cache: Path, count: int, results: TextIO) -> dict[str, Any]:
    """Ask all requests at once. Each outcome is one line: `{"number", "value" or "reason", "detail", "cached"}`."""

    def write(**outcome: Any) -> None:
        results.write(json.dumps(outcome) + "\n")
        results.flush()

    async def one(teacher: OpenAITeacher, number: int) -> None:
        try:
            reply = await teacher.ask(request(number))
        except RequestFailed as failure:
            write(number=number, reason=failure.reason, detail=failure.detail)
        else:
            write(number=number, value=reply.value.model_dump(), cached=reply.cached)

    async with OpenAITeacher(settings, cache) as teacher:
        asked = [asyncio.create_task(one(teacher, number)) for number in range(count)]
        try:
            await asyncio.gather(*asked)
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
    return teacher.spent._asdict()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("settings", type=Path)
    parser.add_argument("cache", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("count", type=int)
    parser.add_argument("--largest-file", type=int)
    options = parser.parse_args()
    client._FIRST_PAUSE = _FIRST_PAUSE  # a server that fails for ever fails sooner
    if options.largest_file:
        resource.setrlimit(resource.RLIMIT_FSIZE, (options.largest_file, options.largest_file))
    settings = Settings.model_validate_json(options.settings.read_bytes())
    with options.results.open("a", encoding="utf-8") as results:
        try:
            spent = asyncio.run(ask_all(settings, options.cache, options.count, results))
        except TunewellError as error:
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
            sys.exit(error.exit_code)
    sys.stdout.write(json.dumps(spent) + "\n")


if __name__ == "__main__":
    main()
