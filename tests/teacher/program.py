"""Runs the client's program in a process of its own, to its end or until it is killed."""

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.teacher.conftest import settings

_DEADLINE = 80


class Program:
    """The client's program in its folder, to be run to its end or killed on its way."""

    def __init__(self, folder: Path, url: str, **values: Any) -> None:
        self.folder = folder
        self.cache, self.ledger = folder / "cache.sqlite", folder / "ledger.jsonl"
        self._settings = folder / "settings.json"
        self._settings.write_text(settings(url, **values).model_dump_json(), encoding="utf-8")

    def command(self, name: str, count: int) -> list[str]:
        """The command that asks so many requests."""
        files = [str(self._settings), str(self.cache), str(self.folder / name)]
        return [sys.executable, "-W", "error", "-m", "tests.teacher.client_program", *files, str(count)]

    @contextmanager
    def started(self, name: str, count: int) -> Iterator[subprocess.Popen[str]]:
        """The program under way; its results go to a file of this name, what it says to one beside it."""
        command = self.command(name, count)
        with (self.folder / f"{name}.err").open("w") as said:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True)
            try:
                yield process
            finally:
                process.kill()
                process.communicate()

    def run(self, name: str, count: int) -> dict[str, int]:
        """Run to the end. What was spent."""
        with self.started(name, count) as process:
            output, _ = process.communicate(timeout=_DEADLINE)
            assert process.returncode == 0, (self.folder / f"{name}.err").read_text()
        spent: dict[str, int] = json.loads(output)
        return spent

    def results(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / name).read_text(encoding="utf-8").splitlines()]

    def kill_after(self, billed: int, name: str, count: int) -> None:
        """Run until the server has billed so many completions, and a random moment more; then `kill -9`."""
        with self.started(name, count) as process:
            deadline = time.monotonic() + _DEADLINE
            while len(self.ledger.read_bytes().splitlines()) < billed:
                assert process.poll() is None, "the program ended before it could be killed"
                assert time.monotonic() < deadline
                time.sleep(0.02)
            time.sleep(random.random() / 10)
            process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
