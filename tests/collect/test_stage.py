"""The stage as a whole: files in, four folders out."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.collect.conftest import Settings
from tunewell.collect import check, inspect_file, run
from tunewell.collect.problems import REMEDIES
from tunewell.errors import DataError
from tunewell.records import Example, Message, Summary, content_id
from tunewell.store import folder_digest, read_documents, read_dropped, read_examples

_HINT = "`tunewell data check` names each with its remedy; `collect.on_error: drop` leaves them out and keeps their reasons"
_PAGE = "# Payouts\n\n## Cut-off time\n\nAt 18:00.\n\n## 什么时候到账？\n\n下一个工作日到账。\n"
_TRIPLE = {
    "topic": "payouts",
    "seen": {"question": "When is payout?", "answer": "On the next day."},
    "paraphrase": {"question": "How long does a payout take?"},
    "unseen": {"question": "Is there a payout on Sunday?", "answer": "No."},
}


def _qa(question: str = "When is payout?", answer: str = "On the next day.", **more: Any) -> dict[str, Any]:
    return {"question": question, "answer": answer, **more}


def _lines(*rows: Any) -> str:
    return "".join((row if isinstance(row, str) else json.dumps(row, ensure_ascii=False)) + "\n" for row in rows)


def _single(question: str, answer: str) -> tuple[Message, ...]:
    return (Message("user", question), Message("assistant", answer))


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    folder = tmp_path / "mixed"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.json").write_text(_lines(_qa(topic="fees"), _qa("Second?", "Yes.")), encoding="utf-8-sig")
    (folder / "b.csv").write_text(
        '编号,问题,答案\n1,费率多少？,"百分之一，\n封顶五元"\n2,谁可以退款？,管理员\n', encoding="gb18030"
    )
    (folder / "c.json").write_text(
        json.dumps({"rows": [{"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]}]})
    )
    (folder / "page.md").write_text(_PAGE, encoding="utf-8")
    (folder / "note.txt").write_text("Support answers at any hour.", encoding="utf-16")
    (folder / "sub" / "d.tsv").write_text("prompt\tcompletion\nWho refunds?\tThe owner\n")
    (folder / "sub" / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00\xff")
    (folder / "sub" / "up").symlink_to(folder)
    (folder / ".hidden.json").write_text("broken")
    return folder


def test_a_mixed_folder(mixed: Path, tmp_path: Path, settings: Settings) -> None:
    out = tmp_path / "out"
    summary = run(settings(domain=["mixed"]), {}, out)
    assert summary.counts == {"rows": 7, "dropped": 0, "documents": 3, "test": 0}
    assert summary.details["formats"] == {"markdown": 1, "qa": 5, "sharegpt": 1}
    assert summary.details["skipped"] == [str(mixed / "sub" / "picture.png")]
    assert [
        (Path(source["path"]).name, source["format"], source["encoding"], source["rows"], source["documents"], source["languages"])
        for source in summary.details["sources"]
    ] == [
        ("a.json", "qa", "utf-8-sig", 2, 0, {"en": 2}),
        ("b.csv", "qa", "gb18030", 2, 0, {"zh": 2}),
        ("c.json", "sharegpt", "utf-8", 1, 0, {"en": 1}),
        ("note.txt", "text", "utf-16", 0, 1, {}),
        ("page.md", "markdown", "utf-8", 1, 2, {"zh": 1}),
        ("d.tsv", "qa", "utf-8", 1, 0, {"en": 1}),
    ]
    examples = list(read_examples(out / "examples"))
    assert [(str(example.origin).removeprefix(f"{mixed}/"), example.question) for example in examples] == [
        ("a.json:1", "When is payout?"),
        ("a.json:2", "Second?"),
        ("b.csv:2", "费率多少？"),
        ("b.csv:4", "谁可以退款？"),
        ("c.json:1", "Hi"),
        ("page.md", "什么时候到账？"),
        ("sub/d.tsv:2", "Who refunds?"),
    ]
    assert examples[0].evidence == {"topic": "fees"}
    assert {(example.pool, example.task) for example in examples} == {("domain", "qa")}
    for name in ("dropped", "documents", "test"):
        assert list((out / name).glob("part-*.parquet"))


def test_documents_have_exact_spans_and_question_headings_their_family(mixed: Path, tmp_path: Path, settings: Settings) -> None:
    run(settings(domain=["mixed"]), {}, tmp_path / "out")
    documents = {document.heading: document for document in read_documents(tmp_path / "out" / "documents")}
    assert list(documents) == ["", "Payouts > Cut-off time", "Payouts > 什么时候到账？"]
    for document in documents.values():
        encoding = "utf-16" if document.path.endswith("txt") else "utf-8"
        assert Path(document.path).read_text(encoding=encoding)[document.start : document.end] == document.text
    (example,) = [example for example in read_examples(tmp_path / "out" / "examples") if example.origin.path.endswith("page.md")]
    document = documents["Payouts > 什么时候到账？"]
    assert example.family == document.id
    assert (example.origin.heading, example.origin.start, example.origin.end) == (document.heading, document.start, document.end)
    assert example.messages == _single("什么时候到账？", "下一个工作日到账。")
    assert document.language == "zh"


def test_the_pools_stay_apart_and_documents_belong_to_the_domain(mixed: Path, tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "qa.jsonl").write_text(_lines(_qa()))
    summary = run(settings(domain=["qa.jsonl"], open=["mixed"], test=["mixed/page.md"]), {}, tmp_path / "out")
    assert summary.counts == {"rows": 7, "dropped": 0, "documents": 0, "test": 1}
    pools = [example.pool for example in read_examples(tmp_path / "out" / "examples")]
    assert pools == ["domain", *["open"] * 6]
    assert [source["pool"] for source in summary.details["sources"]] == ["domain", *["open"] * 6, "test"]
    (test,) = read_examples(tmp_path / "out" / "test")
    assert (test.task, test.pool, test.question) == ("unseen", "domain", "什么时候到账？")


def test_triples_become_three_items_of_one_family_that_joins_the_training_row(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "qa.jsonl").write_text(_lines(_qa()))
    (tmp_path / "test.jsonl").write_text(_lines(_TRIPLE, _qa("Other?", "Yes.")))
    summary = run(settings(domain=["qa.jsonl"], test=["test.jsonl"]), {}, tmp_path / "out")
    assert summary.counts == {"rows": 1, "dropped": 0, "documents": 0, "test": 4}
    assert summary.details["formats"] == {"qa": 1}
    assert [(source["format"], source["rows"]) for source in summary.details["sources"]] == [("qa", 1), ("qa+triples", 4)]
    (training,) = read_examples(tmp_path / "out" / "examples")
    items = list(read_examples(tmp_path / "out" / "test"))
    assert [(item.task, item.messages) for item in items] == [
        ("seen", _single("When is payout?", "On the next day.")),
        ("paraphrase", _single("How long does a payout take?", "On the next day.")),
        ("unseen", _single("Is there a payout on Sunday?", "No.")),
        ("unseen", _single("Other?", "Yes.")),
    ]
    assert [item.family == training.id == training.family for item in items] == [True, True, True, False]
    assert items[0].id == training.id
    assert [item.id for item in items] == [content_id(item.messages) for item in items]
    assert [item.evidence for item in items] == [{"topic": "payouts"}] * 3 + [{}]
    assert [(item.language, item.origin.row) for item in items] == [("en", 1)] * 3 + [("en", 2)]


@pytest.mark.parametrize(
    ("triple", "reason", "detail"),
    [
        ({"seen": {"question": "q"}, "unseen": {}}, "missing_keys", "`seen`: has no `answer`"),
        ({**_TRIPLE, "paraphrase": None}, "missing_keys", "has no `paraphrase`"),
        ({**_TRIPLE, "unseen": "q"}, "wrong_type", "`unseen` is not an object"),
        ({**_TRIPLE, "paraphrase": {"question": 4}}, "wrong_type", "`paraphrase`: `question` is a number where text is expected"),
        ({**_TRIPLE, "paraphrase": {"question": " "}}, "empty", "the user text of turn 1 is empty"),
    ],
)
def test_a_broken_triple_is_dropped_as_a_whole(
    tmp_path: Path, settings: Settings, triple: dict[str, Any], reason: str, detail: str
) -> None:
    (tmp_path / "test.jsonl").write_text(_lines(_TRIPLE, triple))
    summary = run(settings("drop", test=["test.jsonl"]), {}, tmp_path / "out")
    assert summary.counts == {"rows": 0, "dropped": 1, "documents": 0, "test": 3}
    (dropped,) = read_dropped(tmp_path / "out" / "dropped")
    assert (dropped.reason, dropped.detail, dropped.example.origin.row) == (reason, detail, 2)


def _broken_folder(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(
        _lines(_qa(), '{"question": ', "", {"question": "q"}, [1], {"text": "t"}).encode() + b'{"question": "\xff"}\n'
    )
    (tmp_path / "b.json").write_text(
        '[\n{"messages": [{"role": "user", "content": "u"}]},\n{"question": "q", "answer": "a"},\n{"qu'
    )
    (tmp_path / "c.csv").write_text("question,answer\n,a\n")
    (tmp_path / "d.jsonl").write_text("\n \n")
    (tmp_path / "e.md").write_bytes(b"# A\n\ntext\n\xff\n")
    (tmp_path / "f.bin").write_bytes(b"\x00\x01")
    (tmp_path / "g.txt").write_bytes(b"\xff\xfeodd")


_BROKEN = ["a.jsonl", "b.json", "c.csv", "d.jsonl", "e.md", "f.bin", "g.txt"]


def test_stop_names_every_problem_of_every_source_at_once(tmp_path: Path, settings: Settings) -> None:
    _broken_folder(tmp_path)
    with pytest.raises(DataError) as caught:
        run(settings(domain=_BROKEN[:4], open=_BROKEN[4:]), {}, tmp_path / "out")
    assert caught.value.what.replace(f"{tmp_path}/", "").splitlines() == [
        "12 broken rows",
        "  a.jsonl:2: not JSON: Expecting value (column 13)",
        "  a.jsonl:4: has `question` but no answer (`answer`, `response`, `completion`, `reply`, `output`, `target`, "
        "`a`, `答案`, `回答`, `回复`, `答`)",
        "  a.jsonl:5: a list where an object is expected",
        "  a.jsonl:6: no known format has the keys text",
        "  a.jsonl:7: holds the byte 0xff, which is not text in this file's encoding",
        "  b.json:2: row 1 of the list: the conversation ends with the user, so there is no answer to learn",
        "  b.json:4: row 3 of the list: not JSON: Unterminated string starting at (column 2); nothing below can be read",
        "  c.csv:2: the user text of turn 1 is empty",
        "  d.jsonl: the file holds no rows",
        "  e.md:4: holds the byte 0xff, which is not text in this file's encoding",
        "  f.bin: is neither a table, a list of rows nor a document",
        "  g.txt: has a byte order mark, but does not decode by it",
    ]
    assert caught.value.hint == _HINT


def test_drop_keeps_each_problem_with_its_reason_and_place(tmp_path: Path, settings: Settings) -> None:
    _broken_folder(tmp_path)
    summary = run(settings("drop", domain=_BROKEN[:4], open=_BROKEN[4:]), {}, tmp_path / "out")
    assert summary.counts == {"rows": 2, "dropped": 12, "documents": 0, "test": 0}
    dropped = list(read_dropped(tmp_path / "out" / "dropped"))
    assert [(str(row.example.origin).removeprefix(f"{tmp_path}/"), row.reason) for row in dropped] == [
        ("a.jsonl:2", "bad_json"),
        ("a.jsonl:4", "missing_keys"),
        ("a.jsonl:5", "not_object"),
        ("a.jsonl:6", "unknown_format"),
        ("a.jsonl:7", "undecodable"),
        ("b.json:1", "bad_roles"),
        ("b.json:3", "bad_json"),
        ("c.csv:2", "empty"),
        ("d.jsonl", "empty_file"),
        ("e.md:4", "undecodable"),
        ("f.bin", "unknown_format"),
        ("g.txt", "undecodable"),
    ]
    assert [row.example.messages for row in dropped if row.reason == "bad_roles"] == [(Message("user", "u"),)]
    assert dropped[0].example.messages == ()
    assert [source["dropped"] for source in summary.details["sources"]] == [5, 2, 1, 1, 1, 1, 1]


def test_stop_shows_twenty_problems_and_counts_the_rest(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "a.jsonl").write_text("{\n" * 25)
    with pytest.raises(DataError) as caught:
        run(settings(domain=["a.jsonl"]), {}, tmp_path / "out")
    first, *lines, last = caught.value.what.splitlines()
    assert (first, len(lines), last) == ("25 broken rows", 20, "  and 5 more")


def test_a_path_without_files_stops_the_run(tmp_path: Path, settings: Settings) -> None:
    with pytest.raises(DataError, match=r"data\.open: this path matches no file") as caught:
        run(settings("drop", open=["nope.json"]), {}, tmp_path / "out")
    assert caught.value.where == str(tmp_path / "nope.json")


def test_no_data_gives_four_empty_folders(tmp_path: Path, settings: Settings) -> None:
    summary = run(settings(), {}, tmp_path / "out")
    details: dict[str, Any] = {"formats": {}, "sources": [], "skipped": [], "left_out": []}
    assert summary == Summary({"rows": 0, "dropped": 0, "documents": 0, "test": 0}, details)
    assert [list(read_examples(tmp_path / "out" / name)) for name in ("examples", "test")] == [[], []]


def test_the_same_files_give_the_same_bytes(mixed: Path, tmp_path: Path, settings: Settings) -> None:
    for out in ("one", "two"):
        run(settings(domain=["mixed"]), {}, tmp_path / out)
    assert folder_digest(tmp_path / "one") == folder_digest(tmp_path / "two")


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_a_row_of_two_megabytes(tmp_path: Path, settings: Settings, name: str) -> None:
    answer = "word " * 400_000
    (tmp_path / name).write_text(_lines(_qa(answer=answer), _qa()))
    assert run(settings(domain=[name]), {}, tmp_path / "out").counts["rows"] == 2
    assert next(iter(read_examples(tmp_path / "out" / "examples"))).answer == answer


def test_a_file_name_that_is_no_text(tmp_path: Path, settings: Settings) -> None:
    name = "a\udcff.jsonl"
    (tmp_path / name).write_text(_lines(_qa(), "{"))
    summary = run(settings("drop", domain=[str(tmp_path)]), {}, tmp_path / "out")
    assert summary.details["sources"][0]["path"] == str(tmp_path / "a?.jsonl")
    (example,) = read_examples(tmp_path / "out" / "examples")
    assert example.origin.path == str(tmp_path / "a?.jsonl")


_SNIPPETS = [
    _lines(_qa()).encode(),
    _lines(_TRIPLE).encode(),
    b"question,answer\n",
    b"a,b\n",
    b'"',
    b"[",
    b"]",
    b"{",
    b"}",
    b",",
    b"\n",
]
_SNIPPETS += [
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\x00",
    b"# A?\n\n",
    b"```\n",
    "问题\t答案\n".encode("gb18030"),
    b'{"messages": [',
    b'"\\ud800"',
]
_BYTES = st.binary(max_size=60) | st.lists(st.sampled_from(_SNIPPETS) | st.binary(max_size=4), max_size=8).map(b"".join)


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.md", "a.txt", "a"])
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(content=_BYTES)
def test_no_bytes_make_anything_fail(tmp_path: Path, settings: Settings, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    recipe = settings("drop", domain=[name], test=[name])
    summary = run(recipe, {}, tmp_path / "out")
    dropped = list(read_dropped(tmp_path / "out" / "dropped"))
    assert len(dropped) == summary.counts["dropped"]
    assert {row.reason for row in dropped} <= set(REMEDIES)
    examples: list[Example] = [*read_examples(tmp_path / "out" / "examples"), *read_examples(tmp_path / "out" / "test")]
    assert all(example.messages[-1].role == "assistant" for example in examples)
    assert sum(finding.code in REMEDIES for finding in check(recipe)) == len(dropped)
    assert inspect_file(tmp_path / name).path == str(tmp_path / name)
