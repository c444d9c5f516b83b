"""A terminal obeys none of what stands in data, in their names or in the names of their files."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tunewell.cli import main
from tunewell.cli.generated import print_account
from tunewell.cli.show import print_rows
from tunewell.text import visible

EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202eevil\u200b[bold]"
SHOWN = "\ufffd]0;owned\ufffd\ufffd[2J\ufffd31m\ufffdevil\ufffd[bold]"


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "1000")


def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """All that the command line prints."""
    monkeypatch.setattr(sys, "argv", ["tunewell", *map(str, arguments)])
    with pytest.raises(SystemExit):
        main()
    out, err = capsys.readouterr()
    return out + err


def test_inspect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / f"{EVIL}.jsonl"
    rows: list[Any] = [{"question": f"Is it? {EVIL}", "answer": "Yes.", EVIL: "x"}, {"question": [EVIL]}, {EVIL: 1}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    told = call(monkeypatch, capsys, "data", "inspect", path)
    assert f"{SHOWN}.jsonl" in told
    assert f"user Is it? {SHOWN}" in told
    assert f"question, answer, {SHOWN}" in told
    assert not set(EVIL) & set(told) - set(SHOWN)


def test_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / f"{EVIL}.jsonl").write_text(json.dumps({EVIL: 1}) + "\n")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(json.dumps({"model": "smollm2-135m", "data": {"domain": ["*.jsonl"]}}))
    told = call(monkeypatch, capsys, "data", "check", recipe)
    assert f"{SHOWN}.jsonl:1" in told
    assert not set(EVIL) & set(told) - set(SHOWN)


def test_what_collect_passes_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "rows.jsonl").write_text(json.dumps({"question": "When?", "answer": "Now."}) + "\n")
    (folder / f"{EVIL}.bin").write_bytes(b"\x00\x01")
    told = call(monkeypatch, capsys, "data", "collect", folder, "--out", tmp_path / "out")
    assert f"passed over, neither rows nor a document: {folder}/{SHOWN}.bin" in told
    assert not set(EVIL) & set(told) - set(SHOWN)


def test_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    told = call(monkeypatch, capsys, "data", "inspect", tmp_path / EVIL)
    assert told.startswith(f"error: {tmp_path}/{SHOWN}: there is no such file\n\nhint: ")


def test_tables_and_accounts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(("what",), [(EVIL,)])
    assert capsys.readouterr().out.splitlines()[-1].strip() == SHOWN
    task = {"task": "doc2qa", "asked": 1, "kept": 0, "rejected": {EVIL: 1}, "failed": {EVIL: 1}, "skipped": {}, "requests": 1}
    account = {"tasks": [{**task, "cached": 0, "prompt_tokens": 0, "completion_tokens": 0, "cost": None}], "cost": None}
    print_account({**account, "currency": "", "replay": {"rows": 0, "left_out": 0}, "budget_reached": False}, tmp_path / EVIL)
    told = capsys.readouterr().out
    assert f"doc2qa, rejected: {SHOWN} 1" in told
    assert f"{SHOWN}/failed.jsonl" in told


def test_what_a_language_needs_stays() -> None:
    for text in ("a\tb\r\nc\n", "می\u200cخواهم", "👩\u200d👧", "提现"):
        assert visible(text) == text
    assert visible("a\rb\ud83d") == "a\ufffdb\ufffd"
