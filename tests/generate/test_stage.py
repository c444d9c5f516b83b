"""The stage as a whole, over HTTP: every task writes rows in both languages, and every figure is counted here once more."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.teacher.conftest import KEY_VARIABLE, server_process
from tests.teacher.faults import Plan
from tests.teacher.server import KEY, Running, read_ledger, running
from tunewell import collect, generate
from tunewell.errors import DataError, TeacherError
from tunewell.recipe import Recipe
from tunewell.records import Example, Summary
from tunewell.store import read_documents, read_dropped, read_examples

_DATA = Path(__file__).parents[3] / "shared" / "data"
_SOURCES = ("docs_dolphinscheduler", "docs_libreoffice_help", "banking77/test.csv")
_PRICES = {"input": 3, "output": 7, "currency": "CNY"}
_TASKS = {
    "self_instruct": 20,
    "doc2qa": 60,
    "doc2conv": 16,
    "summary": 12,
    "real_qa": 20,
    "paraphrase": 20,
    "similarity": 20,
    "cot": 10,
}


@pytest.fixture(autouse=True)
def _own_caches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    with running(Plan(), tmp_path / "ledger.jsonl") as server:
        yield server


class Run(NamedTuple):
    """What a stage left: its summary, its rows, its account, its card, and its chunks by id."""

    summary: Summary
    kept: list[Example]
    dropped: Counter[tuple[str, str]]
    account: dict[str, Any]
    card: str
    chunks: dict[str, str]
    folder: Path


def _recipe(url: str, sources: Sequence[Path], tasks: dict[str, int], **settings: Any) -> Recipe:
    teacher = {"server": url, "model": "scripted", "key": KEY_VARIABLE, "prices": _PRICES, **settings.pop("teacher", {})}
    values = {"data": {"domain": list(map(str, sources))}, "generate": {"tasks": tasks, **settings}, "teacher": teacher}
    return Recipe.model_validate(values)


def _run(recipe: Recipe, folder: Path) -> Run:
    collected, out = folder / "1-collect", folder / "2-generate"
    if not collected.exists():
        collect.run(recipe.part("data", "collect"), {}, collected)
    summary = generate.run(
        recipe.part("generate", "teacher", "clean", "template", "seed"), {"collect": collected, "model": folder}, out
    )
    rejected = list(read_dropped(out / "dropped"))
    assert all(row.reason and row.detail for row in rejected), "every rejected row says why"
    return Run(
        summary,
        list(read_examples(out / "examples")),
        Counter((row.example.task, row.reason) for row in rejected),
        json.loads((out / "account.json").read_text(encoding="utf-8")),
        (out / "README.md").read_text(encoding="utf-8"),
        {chunk.id: chunk.text for chunk in read_documents(out / "chunks")} if (out / "chunks").exists() else {},
        out,
    )


@pytest.fixture
def support(tmp_path: Path) -> list[Path]:
    """A few pages and logs of our own, in both languages."""
    from tunewell.bundled import asset

    return [asset("support", language, part) for language in ("en", "zh") for part in ("pages", "qa.jsonl")]


@pytest.mark.skipif(not _DATA.is_dir(), reason="the real data sets lie beside the project, and are not there")
def test_all_tasks_write_rows_from_real_documents_and_the_books_are_right(server: Running, tmp_path: Path) -> None:
    from tunewell.bundled import asset

    sources = [*(_DATA / name for name in _SOURCES[:2]), asset("support", "en", "qa.jsonl"), asset("support", "zh", "qa.jsonl")]
    run = _run(_recipe(server.url, sources, _TASKS), tmp_path)
    kept = Counter(row.task for row in run.kept)
    assert kept == _TASKS
    languages = {task: {row.language for row in run.kept if row.task == task} for task in _TASKS}
    assert {task: found for task, found in languages.items() if found != {"en", "zh"}} == {}
    _assert_the_books_are_right(run, server)
    for row in run.kept:
        for quote in row.evidence.get("quotes", []):
            assert run.chunks[row.evidence["chunk"]][quote["start"] : quote["end"]] == quote["text"]
        if row.evidence.get("chunk"):
            text = Path(row.origin.path).read_text(encoding="utf-8")
            assert row.origin.path.endswith(".html") or text[row.origin.start : row.origin.end] == run.chunks[row.evidence["chunk"]]
            assert row.family == row.evidence["chunk"]


def _assert_the_books_are_right(run: Run, server: Running) -> None:
    """Account, summary and card against the rows on disk and the server's own ledger."""
    bill = server.bill()
    kept = Counter(row.task for row in run.kept)
    cost = sum(line["prompt_tokens"] * 3e-6 + line["completion_tokens"] * 7e-6 for line in bill)
    for task in run.account["tasks"]:
        name = task["task"]
        rejected = {reason: n for (of, reason), n in run.dropped.items() if of == name}
        assert (task["kept"], task["rejected"]) == (kept[name], rejected)
        assert task["made"] == kept[name] + sum(rejected.values())
        assert task["languages"] == dict(Counter(row.language for row in run.kept if row.task == name))
        assert re.search(rf"^\| [^|]*`{name}` \| {task['kept']} \| {task['asked']} \|", run.card, re.MULTILINE)
        for reason, n in rejected.items():
            assert re.search(rf"\| [^|]*`{reason}` \| −{n} \|", run.card), (name, reason, n)
    # What was asked for and given up when enough rows were there is billed, and in no row.
    sums = {key: sum(task[key] for task in run.account["tasks"]) for key in ("requests", "prompt_tokens", "completion_tokens")}
    assert sums["requests"] <= len(bill)
    assert sums["prompt_tokens"] <= sum(line["prompt_tokens"] for line in bill)
    assert run.account["cost"] <= cost + 1e-9
    assert run.account["cost"] == pytest.approx(sums["prompt_tokens"] * 3e-6 + sums["completion_tokens"] * 7e-6)
    assert len({line["key"] for line in bill}) == len(bill)
    assert run.summary.counts["kept"] == sum(kept.values())
    assert run.summary.counts["rejected"] == sum(run.dropped.values())
    for row in run.kept:
        assert row.evidence["teacher"] == "scripted"
        assert row.evidence["calls"]
        assert row.evidence["cost"] > 0


def test_a_second_run_asks_nothing_and_writes_the_same(server: Running, support: list[Path], tmp_path: Path) -> None:
    tasks = {"doc2qa": 10, "paraphrase": 8}
    recipe = _recipe(server.url, support, tasks)
    first = _run(recipe, tmp_path / "a")
    billed = len(server.bill())
    second = _run(recipe, tmp_path / "b")
    assert len(server.bill()) == billed
    assert second.kept == first.kept
    assert second.dropped == first.dropped
    assert [task["cached"] for task in second.account["tasks"]] == [task["requests"] for task in second.account["tasks"]]


def test_the_account_does_not_hang_on_how_much_was_under_way_at_once(
    server: Running, support: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = {"doc2qa": 6, "paraphrase": 4, "similarity": 4, "real_qa": 4}
    accounts = []
    for concurrency in (1, 16):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / f"cache {concurrency}"))
        recipe = _recipe(server.url, support, tasks, teacher={"concurrency": concurrency})
        accounts.append(_run(recipe, tmp_path / str(concurrency)).account)
    assert accounts[0] == accounts[1]
    assert len(server.bill()) > sum(task["requests"] for task in accounts[0]["tasks"]), "there was work that was given up"


def test_rows_that_a_task_passes_over_are_in_the_account_the_list_and_the_card(server: Running, tmp_path: Path) -> None:
    source = tmp_path / "rows.jsonl"
    chat = [{"role": role, "content": f"Turn {n}: what now?"} for n, role in enumerate(("user", "assistant") * 2)]
    rows: list[dict[str, Any]] = [{"question": "How do I get my payout at once?", "answer": "Turn on instant payouts."}]
    rows += [{"question": "Why? " * 150, "answer": "Because."}] * 2 + [{"messages": chat}]
    source.write_text("".join(f"{json.dumps(one)}\n" for one in rows), encoding="utf-8")
    run = _run(_recipe(server.url, [source], {"paraphrase": 3}), tmp_path)
    assert run.account["tasks"][0]["skipped"] == {"too_long": 2, "many_turns": 1}
    assert "| skipped | Several turns `many_turns` | 1 |" in run.card
    assert "| skipped | Too long `too_long` | 2 |" in run.card
    listed = [json.loads(line) for line in (run.folder / "failed.jsonl").read_text(encoding="utf-8").splitlines()]
    detail = "the task takes single questions of at most 600 characters with their answers, each once"
    assert [(one["item"], one["reason"], one["detail"]) for one in listed] == [
        ("2 rows", "too_long", detail),
        ("1 rows", "many_turns", detail),
    ]


@pytest.mark.parametrize(
    ("task", "takes", "found"),
    [
        ("paraphrase", "single questions of at most 600 characters with their answers", "many_turns 1, too_long 2"),
        ("similarity", "single questions of at most 300 characters with their answers", "many_turns 1, too_long 2"),
        ("cot", "single questions of at most 4,000 characters with their answers", "many_turns 1, too_long 2"),
        ("real_qa", "conversations with an answer", "other_language 3"),
    ],
)
def test_a_task_that_no_row_fits_is_told_before_anything_is_paid(
    server: Running, tmp_path: Path, task: str, takes: str, found: str
) -> None:
    source = tmp_path / "rows.jsonl"
    why, now = ("Why? ", "And now?") if task != "real_qa" else ("これはなぜですか。", "それで、いまは？")
    chat = [{"role": role, "content": now} for role in ("user", "assistant") * 2]
    rows: list[dict[str, Any]] = [{"messages": chat}, *({"question": why * n, "answer": why} for n in (900, 901))]
    source.write_text("".join(f"{json.dumps(one)}\n" for one in rows), encoding="utf-8")
    with pytest.raises(DataError) as caught:
        _run(_recipe(server.url, [source], {task: 5}), tmp_path)
    assert caught.value.what == f"{task} takes {takes}, and no row of data.domain is one ({found})"
    assert caught.value.where == "generate.tasks"
    assert caught.value.hint == f"add such rows in English or Chinese, or take {task} out of generate.tasks"
    assert server.bill() == []


def test_the_budget_ends_the_work_and_the_rows_stay(server: Running, support: list[Path], tmp_path: Path) -> None:
    tasks = {"doc2qa": 200, "paraphrase": 50}
    run = _run(_recipe(server.url, support, tasks, teacher={"budget": {"tokens": 60_000}, "concurrency": 4}), tmp_path)
    assert run.account["budget_reached"]
    assert 0 < len(run.kept) < 250
    assert sum(line["prompt_tokens"] + line["completion_tokens"] for line in server.bill()) <= 60_000
    failed = [json.loads(line) for line in (run.folder / "failed.jsonl").read_text(encoding="utf-8").splitlines()]
    assert "budget" in {failure["reason"] for failure in failed}
    assert all("of 60,000 tokens are spent" in failure["detail"] for failure in failed if failure["reason"] == "budget")


def test_selection_moves_rows_to_the_rejected_ones(server: Running, support: list[Path], tmp_path: Path, tiny_model: Path) -> None:
    recipe = _recipe(server.url, support, {"paraphrase": 30}, keep=12, select=["diversity"])
    collect.run(recipe.part("data", "collect"), {}, tmp_path / "1-collect")
    out = tmp_path / "2-generate"
    generate.run(
        recipe.part("generate", "teacher", "clean", "template", "seed"),
        {"collect": tmp_path / "1-collect", "model": tiny_model},
        out,
    )
    account = json.loads((out / "account.json").read_text(encoding="utf-8"))["tasks"][0]
    kept = list(read_examples(out / "examples"))
    left = [row for row in read_dropped(out / "dropped") if row.reason == "not_selected"]
    assert (len(kept), len(left)) == (12, 18) == (account["kept"], account["rejected"]["not_selected"])
    assert all(row.evidence["distance"] is not None for row in kept)


@pytest.mark.parametrize(("task", "need"), [("doc2qa", "documents"), ("paraphrase", "rows")])
def test_a_task_without_material_is_told_before_anything_is_paid(server: Running, tmp_path: Path, task: str, need: str) -> None:
    source = tmp_path / ("rows.jsonl" if need == "documents" else "page.md")
    texts = {
        "documents": '{"question": "When is payout?", "answer": "At noon."}\n',
        "rows": "# Payout\n\nPayout is at noon, always.\n",
    }
    source.write_text(texts[need], encoding="utf-8")
    with pytest.raises(DataError) as caught:
        _run(_recipe(server.url, [source], {task: 5}), tmp_path)
    assert caught.value.what == f"{task} works on {need} of the domain, and data.domain holds none"
    assert caught.value.where == "generate.tasks"
    assert server.bill() == []


def test_without_a_teacher_tasks_are_refused(support: list[Path], tmp_path: Path) -> None:
    recipe = Recipe.model_validate({"data": {"domain": list(map(str, support))}, "generate": {"tasks": {"doc2qa": 5}}})
    with pytest.raises(TeacherError, match="no teacher is named") as caught:
        _run(recipe, tmp_path)
    assert caught.value.hint == "set teacher.server and teacher.model"


def test_killed_at_any_moment_it_goes_on_and_pays_nothing_twice(support: list[Path], tmp_path: Path) -> None:
    tasks = {"doc2qa": 40, "paraphrase": 20, "similarity": 10}
    with server_process(tmp_path, latency=0.03) as url:
        recipe = tmp_path / "recipe.yaml"
        values = _recipe(url, support, tasks).model_dump(mode="json", include={"data", "generate", "teacher"})
        recipe.write_text(json.dumps(values), encoding="utf-8")
        command = [sys.executable, "-m", "tunewell", "data", "generate", str(recipe), "--run"]
        for seconds in (2.0, 2.6, 3.1):
            with subprocess.Popen(
                [*command, str(tmp_path / "run")], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
            ) as process:
                time.sleep(seconds)
                os.kill(process.pid, signal.SIGKILL)
        for folder in ("run", "whole"):
            environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / ("cache" if folder == "run" else "other"))}
            done = subprocess.run([*command, str(tmp_path / folder)], env=environment, capture_output=True, check=True, text=True)
            assert "Traceback" not in done.stderr
    ledger = read_ledger(tmp_path / "ledger.jsonl")
    keys = Counter(line["key"] for line in ledger)
    assert max(keys.values()) == 1, "the whole run in another cache sends the same keys, which the server bills once"
    rows = [list(read_examples(tmp_path / folder / "2-generate" / "examples")) for folder in ("run", "whole")]
    assert rows[0] == rows[1]
    assert Counter(row.task for row in rows[0]) == tasks
