"""The section on generated data, on the page and in Markdown."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.report.conftest import Reported, report_on
from tests.report.fixture_run import ATTACK, build_run
from tunewell.bundled import read_yaml
from tunewell.recipe import TaskName
from tunewell.report.facts import read_facts
from tunewell.report.funnel import Step, funnel_steps
from tunewell.report.generated import task_steps
from tunewell.report.words import read_words
from tunewell.store import write_json


def account_of(inputs: dict[str, Path]) -> Any:
    return json.loads((inputs["generate"] / "account.json").read_text(encoding="utf-8"))


def chart_rows(reported: Reported, name: str) -> list[tuple[str, int]]:
    specs = json.loads(next(reported.page.root.find("script", id="chart-specs")).text)
    (rows,) = specs[name]["datasets"].values()
    return [(row["label"], row["rows"]) for row in rows]


def test_each_task_and_all_together(reported: Reported) -> None:
    section = reported.page.section("generated")
    table = next(section.find("table", class_="tasks"))
    # asked, written, kept, share kept, failed, skipped, requests, from the cache, tokens
    expected = {
        "doc2qa": [40, 55, 40, 40 / 55, 3, 5, 320, 20, 240_500],
        "paraphrase": [20, 14, 8, 8 / 14, 6, 0, 1300, 0, 10_200],
    }
    rows = {row.attributes["data-task"]: row for row in table.find("tr") if "data-task" in row.attributes}
    assert {name: row.numbers() for name, row in rows.items()} == expected
    assert "0.1234 USD" in rows["doc2qa"].text
    total = next(table.find("tfoot"))
    assert total.numbers() == [60, 69, 48, 48 / 69, 9, 5, 1620, 20, 250_700]
    assert "0.1275 USD" in total.text


def test_funnel_of_each_task(reported: Reported) -> None:
    assert chart_rows(reported, "generated_doc2qa") == [
        ("Written", 55),
        ("Quote not in the text", 9),
        ("Known without the text", 4),
        ("More than asked for", 2),
        ("Kept", 40),
    ]
    panels = [node.text for node in reported.page.section("generated").find("article", class_="panel")]
    assert "40 of 55 kept, 40 asked for. Languages: English 30, Chinese 10." in panels[0]
    rejected = next(reported.page.section("generated").find("table", class_="rejected"))
    rows = [row.numbers() for row in rejected.find("tr") if row.numbers()]
    assert rows == [[9, 9 / 55], [4, 4 / 55], [2, 2 / 55], [5, 5 / 14], [1, 1 / 14]]
    failures = next(reported.page.section("generated").find("table", class_="failures"))
    told = [[cell.text for cell in (*row.find("th"), *row.find("td"))] for row in failures.find("tr")][1:]
    assert told == [
        ["Questions on documents", "Failed", "Answer cut at its longestcut", "3"],
        ["Questions on documents", "Skipped", "Gives no questionno_questions", "5"],
        ["Paraphrases", "Failed", "Budget reachedbudget", "6"],
    ]


def test_money_teacher_budget_and_rejected_rows(reported: Reported) -> None:
    told = reported.page.section("generated").text
    assert f"Teacher: sage {ATTACK} at http://127.0.0.1:8000/v1." in told
    assert "1,620 requests, 20 of them answered from the cache; 250,700 tokens; 0.1275 USD." in told
    assert "The budget was reached before all rows were made" in told
    reasons = [small.text for small in reported.page.section("generated").find("small")][-3:]
    assert reasons == ["quote_not_found", "known_without_document", "known_without_document"]
    assert f"At once. {ATTACK}" in told


def test_markdown_in_both_languages(reported: Reported, reported_zh: Reported) -> None:
    text = (reported.folder / "report.md").read_text(encoding="utf-8")
    assert "## Generated data" in text
    assert "| Questions on documents | 40 | 55 | 40 | 3 | 5 | 320 | 20 | 240,500 | 72.7 % | 0.1234 USD |" in text
    assert "| All tasks | 60 | 69 | 48 | 9 | 5 | 1,620 | 20 | 250,700 | 69.6 % | 0.1275 USD |" in text
    assert "| Paraphrases | Rejected | Other meaning | 5 | 35.7 % |" in text
    assert "| Paraphrases | Failed | Budget reached | 6 | – |" in text
    zh = (reported_zh.folder / "report.md").read_text(encoding="utf-8")
    assert "| 文档问答 | 拒绝 | 引文不在原文中 | 9 | 16.4 % |" in zh
    assert "1,620 次请求，其中 20 次由缓存应答；250,700 个词元；0.1275 USD。" in zh
    assert "文档问答" in reported_zh.page.section("generated").text


@pytest.mark.parametrize(
    ("reviewers", "told"),
    [
        (None, "No person has judged a random sample of the rows, so their error rate is not known."),
        (1, "A person judged 80 of 4,000 rows drawn at random: error rate 6.2 % (95 % interval 2.1 % to 14.0 %)."),
        (2, "2 persons judged 80 of 4,000 rows drawn at random: error rate 6.2 %, the mean of their verdicts (95 % interval 2.1 %"),
    ],
)
def test_the_error_rate_that_a_review_has_found(tmp_path: Path, reviewers: int | None, told: str) -> None:
    inputs = build_run(tmp_path)
    rate = {"value": 0.062, "low": 0.021, "high": 0.14, "wrong": 5, "n": 80, "population": 4000, "reviewers": reviewers}
    write_json(inputs["generate"] / "account.json", account_of(inputs) | {"review": rate if reviewers else None})
    assert told in report_on(inputs, tmp_path / "out").page.section("generated").text
    assert told in (tmp_path / "out" / "report.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("tasks", [None, []])
def test_a_run_without_a_teacher_has_no_such_section(tmp_path: Path, tasks: list[Any] | None) -> None:
    inputs = build_run(tmp_path)
    path = inputs["generate"] / "account.json"
    if tasks is None:
        path.unlink()
    else:
        write_json(path, account_of(inputs) | {"tasks": tasks, "teacher": None, "cost": None})
    report = report_on(inputs, tmp_path / "out")
    assert not list(report.page.root.find(id="generated"))
    assert not list(report.page.root.find("a", href="#generated"))
    assert "Generated data" not in (tmp_path / "out" / "report.md").read_text(encoding="utf-8")


def test_a_teacher_without_a_price(tmp_path: Path) -> None:
    inputs = build_run(tmp_path)
    account = account_of(inputs)
    tasks = [task | {"cost": None} for task in account["tasks"]]
    write_json(inputs["generate"] / "account.json", account | {"tasks": tasks, "cost": None, "budget_reached": False})
    told = report_on(inputs, tmp_path / "out").page.section("generated").text
    assert "250,700 tokens; the model has no known price." in told
    assert "The budget was reached" not in told


def test_written_rows_are_a_step_of_the_whole_funnel(tmp_path: Path) -> None:
    steps = {step.label: step for step in funnel_steps(read_facts(build_run(tmp_path)), read_words("en"))}
    assert steps["Written by the teacher"] == Step("Written by the teacher", "added", 48, 404, 452)


@given(st.integers(0, 500), st.dictionaries(st.sampled_from("abcdefg"), st.integers(1, 90)))
def test_each_reason_takes_from_what_the_one_before_left(kept: int, rejected: dict[str, int]) -> None:
    made = kept + sum(rejected.values())
    steps: Sequence[Step] = task_steps({"made": made, "kept": kept, "rejected": rejected}, read_words("en"))
    assert (steps[0].rows, steps[-1].rows) == (made, kept)
    standing = made
    for step in steps[1:-1]:
        assert (step.start, step.end) == (standing - step.rows, standing)
        standing = step.start
    assert standing == kept
    assert [step.rows for step in steps[1:-1]] == sorted(rejected.values(), reverse=True)


def test_tasks_and_reasons_have_names_in_both_languages() -> None:
    words = read_yaml("generate", "words.yaml")
    for kind in ("tasks", "reasons", "failures", "card"):
        assert words["en"][kind].keys() == words["zh"][kind].keys()
    assert words["en"]["tasks"].keys() == set(get_args(TaskName))
