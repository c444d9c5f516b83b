"""The funnel by source, and the table of pools, on the page and in Markdown."""

import json
from pathlib import Path
from typing import Any, get_args

import pytest

from tests.report.conftest import Reported, report_on
from tests.report.fixture_run import ATTACK, build_run
from tests.report.page_reader import Node
from tunewell.recipe import RuleName
from tunewell.report.data_tables import funnel_table, pool_rows
from tunewell.report.facts import read_facts
from tunewell.report.words import read_words
from tunewell.store import write_json


def changed(inputs: dict[str, Path], stage: str, name: str, **values: Any) -> None:
    """Change keys of a file that a stage left; a value of None takes the key away."""
    path = inputs[stage] / name
    given = {**json.loads(path.read_text(encoding="utf-8")), **values}
    write_json(path, {key: value for key, value in given.items() if value is not None})


def many_sources(inputs: dict[str, Path], count: int) -> None:
    sources = [
        {"source": f"/data/s{n:03}.csv", "pool": "open", "rows": n, "kept": n - 1, "dropped": {"noise": 1}}
        for n in range(1, count + 1)
    ]
    rows = sum(source["rows"] for source in sources)  # type: ignore[misc]
    rules = [{"rule": "empty", "dropped": 0}, {"rule": "noise", "dropped": count}]
    changed(inputs, "clean", "funnel.json", sources=sources, rules=rules, rows_in=rows, kept=rows - count)


def table(report: Reported, name: str) -> Node:
    return next(report.page.root.find("table", class_=name))


def test_every_source_and_rule_on_the_page(reported: Reported) -> None:
    found = table(reported, "by-source")
    (head, qa, attack, replay, doc2qa, paraphrase, total) = found.find("tr")
    titles = [cell.text for cell in head.find("th")]
    assert titles[:6] == ["Source", "Pool", "rows", "Kept", "In the mixture", "Asks for pictures or sound"]
    assert titles[-1] == "Not novel"
    assert "Empty" not in titles
    # rows, kept, mixed in, then what blacklist, control tokens, contamination, duplicate, contradiction and novelty dropped
    assert qa.numbers() == [252, 210, 190, 2, 1, 12, 9, 0, 18]
    assert attack.numbers() == [112, 90, 56, 7, 0, 0, 11, 4, 0]
    assert replay.numbers() == [40, 40, 24, 0, 0, 0, 0, 0, 0]
    assert doc2qa.numbers() == [40, 40, 40, 0, 0, 0, 0, 0, 0]
    assert paraphrase.numbers() == [8, 8, 8, 0, 0, 0, 0, 0, 0]
    assert total.numbers() == [452, 388, 318, 9, 1, 12, 20, 4, 18]
    assert [next(row.find("th")).text for row in (qa, attack, replay)] == ["support/qa.jsonl", f"general/{ATTACK}.json", "replay"]
    assert next(qa.find("th")).attributes["title"] == "/data/support/qa.jsonl"
    assert "Words stand in place of personal data now: 14 × phone number, 1 × bank card number." in reported.page.source


def test_every_source_and_rule_in_markdown(reported: Reported, reported_zh: Reported) -> None:
    text = (reported.folder / "report.md").read_text(encoding="utf-8")
    assert "| support/qa.jsonl | Domain | 252 | 210 | 190 | 2 | 1 | 12 | 9 | 0 | 18 |" in text
    assert "| All sources |  | 452 | 388 | 318 | 9 | 1 | 12 | 20 | 4 | 18 |" in text
    assert "14 × phone number, 1 × bank card number." in text
    zh = (reported_zh.folder / "report.md").read_text(encoding="utf-8")
    assert (
        "| 来源 | 数据池 | 行 | 保留 | 进入混合 | 要求图片或声音 | 含控制符 | 与测试题太接近 | 重复 | 互相矛盾 | 不够新颖 |" in zh
    )
    assert "以下个人信息已用占位词代替：电话号码 14 处、银行卡号 1 处。" in zh


def test_thirty_sources_are_listed_and_the_rest_in_one_line(tmp_path: Path) -> None:
    inputs = build_run(tmp_path)
    many_sources(inputs, 35)
    words = read_words("en")
    by_source = funnel_table(read_facts(inputs), words)
    assert by_source.rules == ("noise",)
    assert [passage.rows for passage in by_source.passages] == list(range(35, 5, -1))
    assert by_source.others is not None
    assert (by_source.others.name, by_source.others.rows, by_source.others.dropped) == ("5 more sources", 15, (5,))
    assert (by_source.total.rows, by_source.total.kept, by_source.total.dropped) == (630, 595, (35,))
    report = report_on(inputs, tmp_path / "out")
    assert len(list(table(report, "by-source").find("tr"))) == 1 + 30 + 1 + 1
    many_sources(inputs, 30)
    assert funnel_table(read_facts(inputs), words).others is None


def test_mixture_table(reported: Reported) -> None:
    (_, domain, open_) = table(reported, "mixture").find("tr")
    # asked, reached, available, unique, repeats, thrown away, rows, tokens
    assert domain.numbers() == [0.75, 0.75, 258, 238, 2, 0, 240, 21_600]
    assert open_.numbers() == [0.25, 0.25, 130, 80, 0, 50, 80, 9_120]
    assert "≈ 21,600" in domain.text
    assert "≈" not in open_.text
    told = reported.page.section("data").text
    assert "Shares count rows. ≈: the tokens of some rows were counted" in told
    assert "6 of the rows thrown away were beyond the cap of their source." in told
    text = (reported.folder / "report.md").read_text(encoding="utf-8")
    assert "| Open | 25.0 % | 25.0 % | 130 | 80 | 0 | 50 | 80 | 9,120 |" in text


def test_runs_of_before_have_no_tokens(tmp_path: Path) -> None:
    inputs = build_run(tmp_path)
    old = ("pool", "asked_share", "reached_share", "available", "unique", "rows", "repeats", "left_out")
    pools = json.loads((inputs["mix"] / "mixture.json").read_text(encoding="utf-8"))["pools"]
    changed(inputs, "mix", "mixture.json", by=None, sources=None, pools=[{key: pool[key] for key in old} for pool in pools])
    changed(inputs, "clean", "funnel.json", masked=None)
    facts = read_facts(inputs)
    assert [(row.tokens, row.estimated) for row in pool_rows(facts)] == [(None, False)] * 2
    assert funnel_table(facts, read_words("en")).total.used is None
    report = report_on(inputs, tmp_path / "out")
    assert "In the mixture" not in table(report, "by-source").text
    assert "personal data" not in report.page.section("data").text
    assert "| Open | 25.0 % | 25.0 % | 130 | 80 | 0 | 50 | 80 | – |" in (tmp_path / "out" / "report.md").read_text(encoding="utf-8")


def test_shares_of_tokens_are_told_as_such(tmp_path: Path) -> None:
    inputs = build_run(tmp_path)
    changed(inputs, "mix", "mixture.json", by="tokens")
    assert "Shares count tokens of the base model." in report_on(inputs, tmp_path / "out").page.section("data").text


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_rule_has_a_name(language: str) -> None:
    table_of_words = read_words(language).table
    assert not [rule for rule in get_args(RuleName) if f"reason_{rule}" not in table_of_words]
