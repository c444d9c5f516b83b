"""Every finding of the doctor, with its place, level and words."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.collect.conftest import Settings
from tunewell.collect import Finding, check
from tunewell.collect.findings import in_order


def _write(path: Path, *rows: Any) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _qa(question: str, answer: str = "An answer.") -> dict[str, str]:
    return {"question": question, "answer": answer}


def _varied(count: int, start: int = 0) -> list[dict[str, str]]:
    return [_qa(f"{number} is a question") for number in range(start, start + count)]


def _found(findings: list[Finding], code: str) -> list[Finding]:
    return [finding for finding in findings if finding.code == code]


@pytest.fixture
def healthy(tmp_path: Path) -> Path:
    """Enough of everything: 60 domain rows, 20 open rows, 40 test items, all apart."""
    _write(tmp_path / "domain.jsonl", *_varied(60))
    _write(tmp_path / "open.jsonl", *_varied(20, 100))
    _write(tmp_path / "test.jsonl", *_varied(40, 200))
    return tmp_path


_HEALTHY = {"domain": ["domain.jsonl"], "open": ["open.jsonl"], "test": ["test.jsonl"]}


def test_healthy_data_gives_infos_alone(healthy: Path, settings: Settings) -> None:
    assert [(finding.level, finding.where, finding.code, finding.what) for finding in check(settings(**_HEALTHY))] == [
        ("info", "data.domain", "turns", "100% of 60 rows are single-turn, 0% multi-turn"),
        ("info", "data.domain", "volume", "60 domain rows: below 1,000 a model rather learns style than facts"),
        ("info", "data.open", "turns", "100% of 20 rows are single-turn, 0% multi-turn"),
    ]


def test_broken_rows_files_and_paths(healthy: Path, settings: Settings) -> None:
    (healthy / "bad.jsonl").write_text('{"question": "q"}\n{\n')
    (healthy / "void.csv").write_text("")
    findings = check(settings(domain=["domain.jsonl", "bad.jsonl", "nope.json", "void.csv"], test=["test.jsonl", "no/*.json"]))
    errors = [finding for finding in findings if finding.level == "error"]
    assert [(finding.where.removeprefix(f"{healthy}/"), finding.code) for finding in errors] == [
        ("bad.jsonl:1", "missing_keys"),
        ("bad.jsonl:2", "bad_json"),
        ("no/*.json", "unreadable"),
        ("nope.json", "unreadable"),
        ("void.csv", "empty_file"),
    ]
    assert errors[1].what == "not JSON: Expecting property name enclosed in double quotes (column 2)"
    assert errors[1].remedy == "mend the JSON at this place; one object a line, or one list of objects"
    assert errors[3].what == "data.domain: this path matches no file"
    assert errors[3].remedy == f"paths are relative to the recipe's folder; the nearest folder there is: {healthy}"


def test_files_that_are_read_otherwise_than_expected(healthy: Path, settings: Settings) -> None:
    extra = healthy / "extra"
    extra.mkdir()
    (extra / "gb.csv").write_text("问题,答案\n费率多少？,百分之一\n", encoding="gb18030")
    (extra / "page.md").write_text("# Fees\n\nNone.\n")
    (extra / "picture.png").write_bytes(b"\x89PNG\xff\x00")
    findings = check(settings(**{**_HEALTHY, "open": ["open.jsonl", "extra"]}))
    assert [
        (finding.level, finding.where.removeprefix(f"{extra}/"), finding.code, finding.what)
        for finding in findings
        if finding.code in ("encoding", "document_unused", "not_data")
    ] == [
        ("warning", "page.md", "document_unused", "is a document, and under data.open only rows are read"),
        ("info", "gb.csv", "encoding", "is read as gb18030"),
        ("info", "picture.png", "not_data", "is passed over: neither rows nor a document"),
    ]


def test_repeats_within_and_across_files(healthy: Path, settings: Settings) -> None:
    (healthy / "more.jsonl").touch()
    _write(
        healthy / "more.jsonl",
        _qa("New?"),
        _qa("new？ "),
        _qa("0 is a QUESTION"),
        _qa("1 is a question", "Other."),
        _qa("New?", "No."),
    )
    findings = check(settings(**{**_HEALTHY, "domain": ["domain.jsonl", "more.jsonl"]}))
    more, first = healthy / "more.jsonl", healthy / "domain.jsonl"
    assert sorted((finding.where, finding.level, finding.what) for finding in _found(findings, "duplicate_question")) == [
        (str(more), "warning", f"2 rows have a question that stands earlier in this file, for example {more}:2 and {more}:1"),
        (str(more), "warning", f"2 rows have a question that stands in {first} as well, for example {more}:3 and {first}:1"),
    ]
    (contradiction,) = _found(findings, "contradiction")
    assert contradiction.what == f"2 rows have another answer to a question answered before, for example {more}:4 and {first}:2"
    assert (contradiction.where, contradiction.level) == (str(more), "warning")


def test_a_shared_first_turn_is_no_repeat(healthy: Path, settings: Settings) -> None:
    turns = [{"role": role, "content": role} for role in ("user", "assistant", "user", "assistant")]
    _write(healthy / "domain.jsonl", *_varied(60), {"messages": turns[:2]}, {"messages": turns})
    assert _found(check(settings(**_HEALTHY)), "duplicate_question") == []


def test_rows_in_an_object_repeat_without_having_lines(healthy: Path, settings: Settings) -> None:
    (healthy / "wrapped.json").write_text(json.dumps({"rows": [_qa("Same?"), _qa("Same?")]}))
    (finding,) = _found(check(settings(**{**_HEALTHY, "domain": ["domain.jsonl", "wrapped.json"]})), "duplicate_question")
    assert finding.what.startswith("1 row has a question that stands earlier in this file")


def test_training_questions_in_the_test_set_are_errors(healthy: Path, settings: Settings) -> None:
    triple = {
        "seen": _qa("0 is a question"),
        "paraphrase": {"question": "ONE is a question"},
        "unseen": _qa("Nothing alike"),
    }
    _write(healthy / "test.jsonl", *_varied(40, 200), triple, {**triple, "seen": _qa("0 is a question", "Mistyped.")})
    _write(healthy / "open.jsonl", *_varied(20, 100), _qa("one  is a question"), _qa("nothing alike"))
    findings = check(settings(**_HEALTHY))
    test = healthy / "test.jsonl"
    assert [(finding.level, finding.where, finding.what) for finding in _found(findings, "train_test_overlap")] == [
        ("error", f"{healthy}/open.jsonl:21", f"the question “one is a question” is the paraphrase test question at {test}:41"),
        ("error", f"{healthy}/open.jsonl:22", f"the question “nothing alike” is the unseen test question at {test}:41"),
    ]
    (missing,) = _found(findings, "seen_not_in_training")
    assert (missing.level, missing.where) == ("warning", f"{test}:42")
    assert missing.what == "1 of 2 `seen` items have no training row with that question and answer"


@pytest.mark.parametrize(
    ("domain", "open_rows", "when_short", "level", "what"),
    [
        (
            60,
            19,
            "shrink",
            "warning",
            "20 open rows beside 60 domain rows, and there are 19: the mix takes 57 of the 60 domain rows",
        ),
        (
            60,
            19,
            "repeat",
            "warning",
            "20 open rows beside 60 domain rows, and there are 19: the mix repeats open rows to reach 20",
        ),
        (60, 19, "fail", "warning", "20 open rows beside 60 domain rows, and there are 19: the mix stops"),
        (60, 30, "shrink", "info", "90 domain rows beside 30 open rows, and there are 60: the mix takes 20 of the 30 open rows"),
        (60, 30, "fail", "info", "90 domain rows beside 30 open rows, and there are 60: the mix takes 20 of the 30 open rows"),
        (
            60,
            30,
            "repeat",
            "warning",
            "90 domain rows beside 30 open rows, and there are 60: the mix repeats domain rows to reach 90",
        ),
    ],
)
def test_a_pool_too_small_for_the_ratio(
    healthy: Path, settings: Settings, domain: int, open_rows: int, when_short: str, level: str, what: str
) -> None:
    _write(healthy / "domain.jsonl", *_varied(domain))
    _write(healthy / "open.jsonl", *_varied(open_rows, 100))
    (finding,) = _found(check(settings(**_HEALTHY, when_short=when_short)), "pool_short")
    assert (finding.where, finding.level) == ("data.ratio", level)
    assert finding.what == f"open 1 : domain 3 asks for {what}"


@pytest.mark.parametrize("when_short", ["shrink", "repeat", "fail"])
def test_a_pool_without_rows_stops_the_mix(healthy: Path, settings: Settings, when_short: str) -> None:
    recipe = settings(domain=["domain.jsonl"], test=["test.jsonl"], when_short=when_short)
    (finding,) = _found(check(recipe), "pool_short")
    asked = "open 1 : domain 3 asks for 20 open rows beside 60 domain rows, and there are 0"
    assert (finding.level, finding.what) == ("warning", f"{asked}: the mix stops, unless `generate.replay` writes some")


def test_no_open_share_needs_no_open_rows(healthy: Path, settings: Settings) -> None:
    recipe = settings(domain=["domain.jsonl"], test=["test.jsonl"], ratio={"open": 0, "domain": 1})
    assert _found(check(recipe), "pool_short") == []


def test_no_domain_rows(healthy: Path, settings: Settings) -> None:
    findings = check(settings(open=["open.jsonl"], test=["test.jsonl"]))
    assert [finding.what for finding in _found(findings, "pool_empty")] == ["there are no domain rows to train on"]
    assert _found(findings, "volume") == []


def test_few_test_items(healthy: Path, settings: Settings) -> None:
    _write(healthy / "test.jsonl", *_varied(29, 200))
    (finding,) = _found(check(settings(**_HEALTHY)), "test_small")
    assert (finding.level, finding.where) == ("warning", "data.test")
    assert finding.what == "few test items (29 unseen; fewer than 30): intervals will be wide"
    (held_out,) = _found(check(settings(domain=["domain.jsonl"], open=["open.jsonl"])), "test_small")
    assert held_out.what == "data.test is empty, and data.holdout keeps about 6 domain rows for testing: intervals will be wide"


def test_volume_between_style_and_facts(healthy: Path, settings: Settings) -> None:
    _write(healthy / "domain.jsonl", *_varied(1000, 1000))
    (finding,) = _found(check(settings(**_HEALTHY)), "volume")
    assert finding.what == "1000 domain rows: to take on a field, LoRA wants some 100,000"


@pytest.mark.parametrize(("alike", "expected"), [(6, []), (7, ["35% of 20 questions begin with “how do i”"])])
def test_monotony_above_thirty_per_cent(healthy: Path, settings: Settings, alike: int, expected: list[str]) -> None:
    rows = [_qa(f"How do I, {number}?") for number in range(alike)]
    _write(healthy / "open.jsonl", *rows, *_varied(20 - alike, 100))
    assert [finding.what for finding in _found(check(settings(**_HEALTHY)), "monotony")] == expected


def test_findings_are_ordered_by_level_then_place() -> None:
    def finding(level: Any, where: str) -> Finding:
        return Finding(where, "code", level, "what", "remedy")

    given = [
        finding("info", "a"),
        finding("error", "b:10"),
        finding("warning", "a"),
        finding("error", "b:9"),
        finding("error", "a"),
    ]
    assert [(one.level, one.where) for one in in_order(given)] == [
        ("error", "a"),
        ("error", "b:9"),
        ("error", "b:10"),
        ("warning", "a"),
        ("info", "a"),
    ]
