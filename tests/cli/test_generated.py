"""What is printed of a teacher's work and of one row's life."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tunewell.cli.generated import explain, print_account
from tunewell.records import DOCUMENT_SCHEMA, EXAMPLE_SCHEMA, Document, Example, Message, Origin, document_to_row, example_to_row
from tunewell.store import Manifest, write_rows
from tunewell.teacher import default_cache
from tunewell.teacher.cache import Cache, Completion

CHUNK = Document("c0ffee00c0ffee00", "pages/refunds.md", "Refunds", "A refund takes five days. [bold]No[/] fee.", 1200, 1242, "en")
HOSTILE = "\x1b[2JIt takes [red]five[/] days.\u202e"


def task(name: str, **values: Any) -> dict[str, Any]:
    empty = {"asked": 0, "made": 0, "kept": 0, "rejected": {}, "failed": {}, "skipped": {}, "languages": {}}
    spent = {"requests": 0, "cached": 0, "prompt_tokens": 0, "completion_tokens": 0, "cost": None}
    return {"task": name, **empty, **spent, **values}


def account(*tasks: dict[str, Any], **values: Any) -> dict[str, Any]:
    replay = {"rows": 0, "left_out": 0}
    return {"tasks": tasks, "teacher": None, "currency": "USD", "cost": None, "replay": replay, "budget_reached": False, **values}


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def test_account_of_two_tasks(capsys: pytest.CaptureFixture[str]) -> None:
    rejected = {"quote_not_found": 31, "closed_book": 4, "surplus": 9, "repeated": 2}
    print_account(
        account(
            task("doc2qa", asked=1200, kept=1100, rejected=rejected, failed={"cut": 3}, requests=2000, cached=100, cost=0.25),
            task("cot", asked=7, kept=7, requests=9, prompt_tokens=1000, completion_tokens=234, cost=0.0005),
            cost=0.2505,
            budget_reached=True,
            replay={"rows": 40, "left_out": 8},
        ),
        Path("runs/x/2-generate"),
    )
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    cells = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in lines]
    assert cells[:3] == [
        ["task", "asked", "kept", "rejected", "failed", "requests", "cached", "tokens", "cost, USD"],
        ["doc2qa", "1,200", "1,100", "46", "3", "2,000", "100", "0", "0.2500"],
        ["cot", "7", "7", "0", "0", "9", "0", "1,234", "0.0005"],
    ]
    assert lines[3:] == [
        "doc2qa, rejected: quote not found 31, surplus 9, closed book 4, repeated 2",
        "doc2qa, failed: cut 3",
        "spent 0.2505 USD, 1,234 tokens, 2,009 requests",
        "replay: 40 answers of the base model, 8 left out",
        "the budget was reached before all rows were made; raise `teacher.budget` and run again to go on",
        "3 failed, listed in runs/x/2-generate/failed.jsonl",
        "`tunewell run RECIPE --until generate --from generate` asks again where no answer came, and pays nothing twice",
    ]


def test_account_without_a_price_or_failures(capsys: pytest.CaptureFixture[str]) -> None:
    print_account(account(task("cot", kept=1)), Path("x"))
    told = capsys.readouterr().out
    assert "spent –, 0 tokens, 0 requests" in told
    assert "failed.jsonl" not in told
    assert "budget" not in told


def test_account_of_replay_alone(capsys: pytest.CaptureFixture[str]) -> None:
    print_account(account(replay={"rows": 2, "left_out": 0}), Path("x"))
    assert capsys.readouterr().out == "replay: 2 answers of the base model, 0 left out\n"


@pytest.fixture
def row(tmp_path: Path) -> Example:
    evidence = {
        "task": "doc2qa",
        "kind": "how",
        "chunk": CHUNK.id,
        "quotes": [{"text": "takes five days", "start": 9, "end": 24}, {"text": "five days. [bold]", "start": 15, "end": 32}],
        "verdicts": {"no_quote": True, "agreement": 0.83, "quote_not_found": True, "round_trip": False},
        "turns": [{"kind": "opening", "verdicts": {"turn_count": True}}],
        "teacher": "sage",
        "calls": [{"step": "doc2qa.answer", "key": "k1", "prompt": "p1"}],
        "tokens": 1234.5,
        "cost": 0.002,
    }
    messages = (Message("user", "How long?"), Message("assistant", HOSTILE))
    row = Example(messages, "domain", Origin("doc2qa"), task="doc2qa", language="en", family=CHUNK.id, evidence=evidence)
    folder = tmp_path / "2-generate"
    write_rows(folder / "examples", EXAMPLE_SCHEMA, [example_to_row(row)])
    write_rows(folder / "chunks", DOCUMENT_SCHEMA, [document_to_row(CHUNK)])
    for name in ("1-collect", "2-generate"):
        Manifest(name[2:], "key", {}, {}, name, {}, 1.0, {}, 0, 0).write(tmp_path / name)
    return row


def test_the_life_of_a_row(tmp_path: Path, row: Example, capsys: pytest.CaptureFixture[str]) -> None:
    explain(row.id, tmp_path, with_prompts=False, as_json=False)
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        f"{row.id}  doc2qa · how · en · domain · family {CHUNK.id}",
        "",
        "text         user: How long?",
        "             assistant: \ufffd[2JIt takes [red]five[/] days.\ufffd",
        "",
        "came from    pages/refunds.md, Refunds, characters 1,200 to 1,242",
        "             A refund ⟦takes five days. [bold]⟧No[/] fee.",
        "",
        "made by      sage; this row's part: 1,234 tokens, cost 0.002000",
        "             doc2qa.answer  prompt p1  key k1",
        "",
        "checks       agreement: 0.83",
        "             found: round trip",
        "             free of: no quote, quote not found",
        "             turn 1, opening",
        "             free of: turn count",
        "",
        "what became  generate  written  (doc2qa)",
        "             not done yet: clean, mix",
    ]


def test_everything_as_json(tmp_path: Path, row: Example, capsys: pytest.CaptureFixture[str]) -> None:
    explain(row.id[:8], tmp_path, with_prompts=False, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert told["id"] == row.id
    assert told["row"]["messages"][1] == {"role": "assistant", "content": HOSTILE}
    assert told["row"]["evidence"] == row.evidence
    assert told["source"]["text"] == CHUNK.text
    assert told["source"]["quotes"][0] == {"text": "takes five days", "start": 9, "end": 24}
    assert told["steps"] == [{"stage": "generate", "outcome": "written", "rows": 1, "where": "doc2qa", "reason": "", "detail": ""}]
    assert told["stages"] == ["collect", "generate"]
    assert "prompts" not in told


@pytest.fixture
def answered(tmp_path: Path, row: Example, monkeypatch: pytest.MonkeyPatch) -> Example:
    """The row, and a cache that has the first of its two calls."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    calls = [*row.evidence["calls"], {"step": "doc2qa.second", "key": "k2", "prompt": "p2"}]
    known = replace(row, evidence={**row.evidence, "calls": calls})
    write_rows(tmp_path / "2-generate" / "examples", EXAMPLE_SCHEMA, [example_to_row(known)])

    async def put() -> None:
        cache = Cache(default_cache())
        body = {
            "model": "sage",
            "messages": [{"role": "system", "content": "Be [b]exact[/]."}, {"role": "user", "content": "Now?"}],
        }
        await cache.put("k1", Completion(f'{{"answer": "{HOSTILE}"}}', "stop", "", 1, 1, None), request=body, purse="")
        cache.close()

    asyncio.run(put())
    return known


def test_prompts_and_raw_replies(tmp_path: Path, answered: Example, capsys: pytest.CaptureFixture[str]) -> None:
    explain(answered.id, tmp_path, with_prompts=True, as_json=False)
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines[lines.index("             not done yet: clean, mix") + 1 :] == [
        "",
        "asked        doc2qa.answer  key k1",
        "             system: Be [b]exact[/].",
        "             user: Now?",
        "",
        'answered     {"answer": "\ufffd[2JIt takes [red]five[/] days.\ufffd"}',
        "",
        "asked        doc2qa.second  key k2",
        "             the cache of the teacher's answers on this machine does not have it",
    ]


def test_prompts_as_json(tmp_path: Path, answered: Example, capsys: pytest.CaptureFixture[str]) -> None:
    explain(answered.id, tmp_path, with_prompts=True, as_json=True)
    first, second = json.loads(capsys.readouterr().out)["prompts"]
    assert (first["step"], first["key"], first["reply"]) == ("doc2qa.answer", "k1", f'{{"answer": "{HOSTILE}"}}')
    assert first["prompt"][1] == {"role": "user", "content": "Now?"}
    assert second == {"step": "doc2qa.second", "key": "k2", "prompt": [], "reply": None}


def test_a_row_that_no_teacher_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = Example((Message("user", "Where?"), Message("assistant", "Here.")), "domain", Origin("qa.jsonl", 3))
    write_rows(tmp_path / "1-collect" / "examples", EXAMPLE_SCHEMA, [example_to_row(own)])
    Manifest("collect", "key", {}, {}, "collect", {}, 1.0, {}, 0, 0).write(tmp_path / "1-collect")
    explain(own.id, tmp_path, with_prompts=True, as_json=False)
    assert capsys.readouterr().out.splitlines()[-1].rstrip() == "asked        no teacher was asked for this row"
