"""Every finding of the doctor, with its place, level and words."""

import json
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from tunewell.collect import Finding, check
from tunewell.collect.advice import about_lengths, about_pools, about_ratio, about_shape, about_volume
from tunewell.collect.findings import in_order
from tunewell.collect.lengths import conversation_counter
from tunewell.collect.parts import cut as _cut
from tunewell.collect.survey import PoolFacts
from tunewell.engine import LocalEngine as _LocalEngine
from tunewell.recipe import Recipe, recipe_from_values
from tunewell.records import Message

Settings = Callable[..., Recipe]


def _write(path: Path, *rows: Any) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _qa(question: str, answer: str = "An answer.") -> dict[str, str]:
    return {"question": question, "answer": answer}


def _varied(count: int, start: int = 0) -> list[dict[str, str]]:
    return [_qa(f"{number} question") for number in range(start, start + count)]


def _found(findings: list[Finding], code: str) -> list[Finding]:
    return [finding for finding in findings if finding.code == code]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A recipe's part for the doctor; its model's tokenizer counts words."""
    base = tmp_path / "base"
    base.mkdir()
    (base / "config.json").write_text("{}")
    tokenizer = Tokenizer(models.WordLevel({"?": 0}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(base / "tokenizer.json"))
    (base / "chat_template.jinja").write_text("{% for turn in messages %} a b c d e {{ turn.content }}{% endfor %}")

    def build(model: str = "base", context: int = 512, **data: Any) -> Recipe:
        values = {"model": model, "data": data, "train": {"context": context}}
        return recipe_from_values(values, where="recipe.yaml", folder=tmp_path).part("data", "model", "train")

    return build


@pytest.fixture
def healthy(tmp_path: Path) -> Path:
    """Enough of everything: 60 domain rows, 20 open rows, 40 test items, all apart."""
    _write(tmp_path / "domain.jsonl", *_varied(60))
    _write(tmp_path / "open.jsonl", *_varied(20, 100))
    _write(tmp_path / "test.jsonl", *_varied(40, 200))
    return tmp_path


_HEALTHY = {"domain": ["domain.jsonl"], "open": ["open.jsonl"], "test": ["test.jsonl"]}


_SMALL = "60 domain rows: below 1,000 a model rather learns style than facts (LoRA of a field is usual with 100,000 to 1,000,000)"


def test_healthy_data_gives_infos_alone(healthy: Path, settings: Settings) -> None:
    assert [(finding.level, finding.where, finding.code, finding.what) for finding in check(settings(**_HEALTHY))] == [
        ("info", "data.domain", "turns", "100% of 60 rows are single-turn, 0% multi-turn"),
        ("info", "data.domain", "volume", _SMALL),
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
        _qa("0 QUESTION"),
        _qa("1 question", "Other."),
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
    place = f"row 2 of {healthy}/wrapped.json and row 1 of {healthy}/wrapped.json"
    assert finding.what == f"1 row has a question that stands earlier in this file, for example {place}"


def test_training_questions_in_the_test_set_are_errors(healthy: Path, settings: Settings) -> None:
    triple = {
        "seen": _qa("0 question"),
        "paraphrase": {"question": "ONE question"},
        "unseen": _qa("Nothing alike"),
    }
    _write(healthy / "test.jsonl", *_varied(40, 200), triple, {**triple, "seen": _qa("0 question", "Mistyped.")})
    _write(healthy / "open.jsonl", *_varied(20, 100), _qa("one  question"), _qa("nothing alike"))
    findings = check(settings(**_HEALTHY))
    test = healthy / "test.jsonl"
    assert [(finding.level, finding.where, finding.what) for finding in _found(findings, "train_test_overlap")] == [
        ("error", f"{healthy}/open.jsonl:21", f"the question “one question” is the paraphrase test question at {test}:41"),
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


def _about_volume(rows: int, method: str) -> tuple[str, str] | None:
    found = next(about_volume(rows, method), None)
    return (found.what, found.remedy) if found else None


def test_volume_against_method() -> None:
    grow = "add rows, or generate some from documents; the gate will tell what was learned"
    usual = "LoRA of a field is usual with 100,000 to 1,000,000"
    assert _about_volume(0, "lora") is None
    assert _about_volume(999, "lora") == (
        f"999 domain rows: below 1,000 a model rather learns style than facts ({usual})",
        grow,
    )
    assert _about_volume(1_000, "lora") == (f"1,000 domain rows: {usual}", grow)
    known = "below a million it does as well as full fine-tuning (4.51, full 4.46)"
    assert _about_volume(100_000, "lora") == (f"100,000 domain rows: {usual}", known)
    more = "full fine-tuning takes in more from here on"
    assert _about_volume(1_000_001, "lora") == (f"1,000,001 domain rows: {usual}", more)
    full = "full fine-tuning of a field is usual with 1,000,000 to 10,000,000"
    cheaper = "below a million LoRA does as well (4.51, full 4.46) in 5 h, not 18"
    assert _about_volume(120_000, "full") == (f"120,000 domain rows: {full}", cheaper)
    (qlora, saves) = _about_volume(120_000, "qlora") or ("", "")
    assert qlora == "120,000 domain rows: QLoRA of a field is usual with 100,000 to 1,000,000"
    assert saves == "it saves memory, hardly time, and costs quality (4.02 in 4.5 h, LoRA 4.51 in 5)"


@pytest.mark.parametrize(
    ("open_share", "domain_share", "expected"),
    [
        (1, 3, []),
        (2, 6, []),
        (3, 1, [("info", "open 3 : domain 1 is within what is usual, 3:1 to 1:4")]),
        (1, 4.5, [("info", "open 1 : domain 4.5 is outside what is usual, 3:1 to 1:4")]),
        (0, 1, [("warning", "no open rows are asked for: nothing holds the model to what it could do before")]),
    ],
)
def test_ratio_beside_what_is_usual(open_share: float, domain_share: float, expected: list[tuple[str, str]]) -> None:
    found = about_ratio({"open": open_share, "domain": domain_share})
    assert [(finding.level, finding.what) for finding in found if finding.where == "data.ratio"] == expected


def test_a_ratio_of_tokens_is_told_in_tokens() -> None:
    pools = {"domain": PoolFacts(rows=100, tokens=array("I", [10, 30])), "open": PoolFacts(rows=90, tokens=array("I", [5]))}
    (finding,) = about_pools(pools, {"open": 1, "domain": 3}, "shrink", by="tokens")  # type: ignore[arg-type]
    asked = "open 1 : domain 3 asks for 667 open tokens beside 2,000 domain tokens, and there are 450"
    assert finding.what == f"{asked}: the mix takes 1,350 of the 2,000 domain tokens"
    pools["open"] = PoolFacts(rows=90)
    assert not list(about_pools(pools, {"open": 1, "domain": 3}, "shrink", by="tokens"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("multi", "when_short", "expected"),
    [
        (20, "shrink", []),
        (10, "shrink", ["domain has 10 multi-turn rows, and data.turns asks for 20: the mix takes 30 of the 60 single-turn ones"]),
        (10, "repeat", ["domain has 10 multi-turn rows, and data.turns asks for 20: the mix repeats multi-turn rows to reach 20"]),
        (10, "fail", ["domain has 10 multi-turn rows, and data.turns asks for 20: the mix stops where that is not enough"]),
        (0, "shrink", ["domain has 0 multi-turn rows, and data.turns asks for 20: the mix stops"]),
    ],
)
def test_too_few_rows_of_a_kind_of_turn(
    healthy: Path, settings: Settings, multi: int, when_short: str, expected: list[str]
) -> None:
    roles = ("user", "assistant", "user", "assistant")
    talks = [{"messages": [{"role": role, "content": f"{role} {n}"} for role in roles]} for n in range(multi)]
    _write(healthy / "domain.jsonl", *_varied(60), *talks)
    recipe = settings(
        domain=["domain.jsonl"], test=["test.jsonl"], ratio={"open": 0}, turns={"single": 3, "multi": 1}, when_short=when_short
    )
    assert [finding.what for finding in _found(check(recipe), "turns_short")] == expected


def test_rows_that_the_context_leaves_out(healthy: Path, settings: Settings) -> None:
    # The template adds five words a turn, so that 10 words are 20 tokens.
    lengths = [*([10] * 56), 20, 21, 8, 9]
    _write(
        healthy / "domain.jsonl",
        *(_qa(f"{n} " + "w " * (words // 2 - 1), "w " * -(-words // 2)) for n, words in enumerate(lengths)),
    )
    (finding,) = _found(check(settings(**_HEALTHY, context=30)), "context")
    domain = healthy / "domain.jsonl"
    assert (finding.where, finding.level) == ("data.domain", "warning")
    assert finding.what == (
        "1 of 60 rows (1.7%) are longer than train.context (30 tokens) and left out of training, 1 more come within a tenth of it; "
        f"the longest: {domain}:58 (31), {domain}:57 (30), {domain}:9 (20)"
    )
    assert _found(check(settings(**_HEALTHY, context=31)), "context")[0].level == "info"
    assert _found(check(settings(**_HEALTHY, context=35)), "context") == []


def test_ids_that_repeat_in_a_file_are_named(healthy: Path, settings: Settings) -> None:
    rows = _varied(60)
    _write(healthy / "domain.jsonl", *({"id": n % 58, **row} for n, row in enumerate(rows)))
    (finding,) = _found(check(settings(**_HEALTHY)), "duplicate_id")
    domain = healthy / "domain.jsonl"
    assert (finding.where, finding.level) == (str(domain), "warning")
    assert finding.what == f"2 rows have an id that stands earlier in this file, for example {domain}:59 and {domain}:1"
    _write(healthy / "domain.jsonl", {"id": 7, "instruction": "Say", "instances": [{"input": t, "output": "x"} for t in "ab"]})
    assert _found(check(settings(**_HEALTHY)), "duplicate_id") == []


def test_a_file_of_several_formats_is_named(healthy: Path, settings: Settings) -> None:
    assert _found(check(settings(**_HEALTHY)), "mixed_formats") == []
    _write(healthy / "domain.jsonl", *_varied(60), {"instruction": "Say a", "input": "", "output": "a"})
    (finding,) = _found(check(settings(**_HEALTHY)), "mixed_formats")
    assert (finding.where, finding.level) == (str(healthy / "domain.jsonl"), "info")
    assert finding.what == "holds rows of several formats: alpaca (1), qa (60)"


def test_tokens_are_those_that_training_counts(tiny_model: Path) -> None:
    from tunewell.model.load import load_tokenizer
    from tunewell.template import TokenizerFormat

    tokenizer = load_tokenizer(tiny_model)
    talk = (Message("user", "How long does a refund take?"), Message("assistant", "退款需要几天？ Five days."))
    texts = [TokenizerFormat(tokenizer).text(messages) for messages in (talk, talk * 2)]
    expected = [len(tokenizer(text, add_special_tokens=False).input_ids) for text in texts]
    assert conversation_counter(tiny_model)([talk, talk * 2]) == expected


def test_shares_of_rows_looked_at_are_named_as_such() -> None:
    facts = PoolFacts(rows=1_000_000, tokens=array("I", [10] * 96 + [40] * 4))
    (finding,) = about_lengths("open", facts, 30)
    assert finding.what.startswith("4 of the 100 rows counted (of 1,000,000) (4.0%) are longer than train.context (30 tokens)")


def test_without_a_tokenizer_nothing_is_counted(healthy: Path, settings: Settings) -> None:
    (missing,) = _found(check(settings(**_HEALTHY, model="no/such")), "no_tokenizer")
    unknown = "nobody knows which rows are longer than train.context, and so left out of training"
    assert (missing.level, missing.where) == ("info", "model")
    assert missing.what == f"`no/such` is not on this machine yet: {unknown}"
    (healthy / "base" / "tokenizer.json").write_text("{")
    (broken,) = _found(check(settings(**_HEALTHY)), "no_tokenizer")
    assert broken.what.startswith("the tokenizer cannot be read: ")


@pytest.mark.parametrize(
    ("alike", "expected"),
    [
        (2, []),
        (6, [("info", "one skeleton explains 30% of the questions: “how do i …”")]),
        (7, [("warning", "one skeleton explains 35% of the questions: “how do i …”")]),
    ],
)
def test_monotony(alike: int, expected: list[tuple[str, str]]) -> None:
    rows = [f"How do I {word}?" for word in ("pay", "ship", "cancel", "refund", "sign", "call", "leave")[:alike]]
    facts = PoolFacts(rows=20, questions=[*rows, *(f"{number} w{number}x" for number in range(20 - alike))])
    found = [(finding.level, finding.what) for finding in about_shape("open", facts) if finding.code == "monotony"]
    assert found == expected


def test_the_words_of_a_task_are_no_monotony(healthy: Path, settings: Settings) -> None:
    pairs = [{"sentence1": f"left {n}", "sentence2": f"right {n}", "label": str(n % 2)} for n in range(40)]
    _write(healthy / "pairs.jsonl", *pairs)
    assert _found(check(settings(**{**_HEALTHY, "open": ["open.jsonl", "pairs.jsonl"]})), "monotony") == []


def test_of_a_kind_and_file_twenty_are_listed(healthy: Path, settings: Settings) -> None:
    (healthy / "bad.jsonl").write_text("{\n" * 1_254)
    (healthy / "worse.jsonl").write_text("{\n" * 21)
    findings = check(settings(**{**_HEALTHY, "open": ["open.jsonl", "bad.jsonl", "worse.jsonl"]}))
    bad = healthy / "bad.jsonl"
    listed = [finding for finding in findings if finding.where.startswith(f"{bad}:")]
    assert [finding.where for finding in listed] == [f"{bad}:{line}" for line in range(1, 22)]
    assert {(finding.level, finding.code) for finding in listed} == {("error", "bad_json")}
    assert listed[-1].what == f"and 1,234 more rows of this kind in {bad}"
    assert [finding.what for finding in findings if finding.where == f"{healthy}/worse.jsonl:21"] == [
        f"and 1 more row of this kind in {healthy}/worse.jsonl"
    ]


def test_training_in_parts_finds_the_same(healthy: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two halves of a file, merged, tell what the whole tells."""
    rows = [*_varied(60), *_varied(60), *({"question": "Q"} for _ in range(25)), *_varied(10, 200), _qa("0 question", "Else.")]
    _write(healthy / "domain.jsonl", *rows)
    _write(healthy / "test.jsonl", *_varied(40, 200), {"seen": _qa("3 question"), "paraphrase": {"question": "?"}})
    whole = check(settings(**_HEALTHY))
    monkeypatch.setattr("tunewell.collect.doctor.cut", lambda sources: _cut(sources, part_bytes=1_000))
    monkeypatch.setattr("tunewell.collect.doctor.LOCAL", _LocalEngine(1))
    assert check(settings(**_HEALTHY)) == whole
    assert {"duplicate_question", "contradiction", "missing_keys", "train_test_overlap"} <= {finding.code for finding in whole}
    assert "seen_not_in_training" not in {finding.code for finding in whole}


def test_a_data_set_of_a_catalogue_that_is_not_read_is_named(healthy: Path, settings: Settings) -> None:
    (healthy / "sets").mkdir()
    _write(healthy / "sets" / "a.json", *_varied(20, 300))
    catalogue = {"a": {"file_name": "a.json"}, "b": {"hf_hub_url": "some/where"}}
    (healthy / "sets" / "dataset_info.json").write_text(json.dumps(catalogue))
    (finding,) = _found(check(settings(**{**_HEALTHY, "open": ["open.jsonl", "sets"]})), "data_set_unused")
    assert (finding.level, finding.where) == ("warning", f"{healthy}/sets/dataset_info.json")
    assert finding.what.startswith("the data set `b` is not read: ")


def test_a_file_that_may_not_be_read_is_named(healthy: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tunewell.collect.doctor.os.access", lambda path, _: path.name != "open.jsonl")
    (finding,) = _found(check(settings(**_HEALTHY)), "unreadable")
    assert (finding.where, finding.what) == (f"{healthy}/open.jsonl", "cannot be read: Permission denied")
    assert finding.remedy == "change its permissions, or leave it out of the recipe"


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
