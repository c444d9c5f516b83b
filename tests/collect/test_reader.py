"""Files as a whole: binary and packed ones, stretches of long ones, and bytes of every kind."""

import gzip
import json
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tunewell.collect import reader
from tunewell.collect.catalogue import KeyNames, Rename
from tunewell.collect.problems import REMEDIES, RowError
from tunewell.collect.reader import Layout, Reading, Span, is_document, layout_of, readings
from tunewell.collect.sources import Source, Use
from tunewell.errors import DataError
from tunewell.records import Document, Dropped, Example, Message, Origin, examples_to_table

_ROWS = [{"question": f"Question {number}?", "answer": f"Answer {number}."} for number in range(3)]


def _read(path: Path, use: Use = "domain", *, named: bool = True) -> list[Reading]:
    source = Source(path, use, named)
    return list(readings(source, layout_of(source)))


def _said(found: list[Reading]) -> list[tuple[str, str]]:
    return [(reading.record.question, reading.record.answer) for reading in found if isinstance(reading.record, Example)]


def _problems(found: list[Reading]) -> list[tuple[str, str, str]]:
    return [
        (reading.where, reading.record.reason, reading.record.detail) for reading in found if isinstance(reading.record, Dropped)
    ]


_SAID = [("Question 0?", "Answer 0."), ("Question 1?", "Answer 1."), ("Question 2?", "Answer 2.")]


def test_a_parquet_file_whatever_its_name(tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    pq.write_table(pa.Table.from_pylist([{**row, "history": None, "topic": "fees"} for row in _ROWS]), file)
    assert layout_of(Source(file, "open", named=False)) == Layout("parquet", None)
    found = _read(file)
    assert _said(found) == _SAID
    assert [reading.where for reading in found] == [f"{file}:1", f"{file}:2", f"{file}:3"]
    assert [reading.keys for reading in found] == [("question", "answer", "topic")] * 3


def test_nested_columns_of_parquet_are_rows_like_any(tmp_path: Path) -> None:
    turns = [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]
    rows = [
        {"conversations": turns},
        {"context": "c", "question": "d", "answers": {"text": ["e"], "answer_start": [0]}},
        {"question": "f", "answer": "g", "blob": b"\xff", "number": 1.5},
        {"question": b"h", "answer": "i"},
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=_wide_schema()), tmp_path / "a")
    found = _read(tmp_path / "a")
    assert [reading.format for reading in found] == ["sharegpt", "squad", "qa", "qa"]
    assert [reading.record.answer for reading in found if isinstance(reading.record, Example)] == ["b", "e", "g", "i"]


def _wide_schema() -> pa.Schema:
    answers = pa.struct([("text", pa.list_(pa.string())), ("answer_start", pa.list_(pa.int64()))])
    turn = pa.struct([("from", pa.string()), ("value", pa.string())])
    texts = [(name, pa.string()) for name in ("question", "answer", "context")]
    return pa.schema(
        [*texts, ("conversations", pa.list_(turn)), ("answers", answers), ("blob", pa.binary()), ("number", pa.float64())]
    )


def test_our_own_parquet_reads_back_with_its_messages(tmp_path: Path) -> None:
    messages = (Message("system", "s"), Message("user", "u"), Message("assistant", "a"))
    example = Example(messages, "domain", Origin("x", 1), evidence={"topic": "fees"})
    pq.write_table(examples_to_table([example]), tmp_path / "a.parquet")
    (found,) = _read(tmp_path / "a.parquet")
    assert isinstance(found.record, Example)
    assert (found.format, found.record.messages, found.record.id) == ("messages", messages, example.id)


def _workbook(path: Path, sheets: dict[str, list[list[Any]]]) -> None:
    workbook = openpyxl.Workbook()
    workbook.remove(workbook.active)
    for name, rows in sheets.items():
        sheet = workbook.create_sheet(name)
        for row in rows:
            sheet.append(row)
    workbook.save(path)


def test_a_workbook_gives_the_rows_of_all_its_sheets_as_text(tmp_path: Path) -> None:
    sheets: dict[str, list[list[Any]]] = {
        "one": [[], ["问题", "答案", None], ["多少？", 5, "note"], [], [1.5, True]],
        "two": [["Question", "Answer"], ["q", None]],
        "empty": [],
    }
    _workbook(tmp_path / "a.dat", sheets)
    assert layout_of(Source(tmp_path / "a.dat", "open", named=False)).container == "xlsx"
    found = _read(tmp_path / "a.dat")
    assert _said(found) == [("多少？", "5"), ("1.5", "True")]
    assert found[0].keys == ("问题", "答案", "C")
    assert [reading.where for reading in found[:2]] == [f"{tmp_path}/a.dat:3", f"{tmp_path}/a.dat:5"]
    assert _problems(found) == [(f"{tmp_path}/a.dat:2", "empty", "sheet `two`: the assistant text of turn 2 is empty")]


def test_a_workbook_that_claims_endless_rows_ends(tmp_path: Path) -> None:
    _workbook(tmp_path / "a.xlsx", {"one": [["question", "answer"], ["q", "a"]]})
    with zipfile.ZipFile(tmp_path / "a.xlsx") as whole, zipfile.ZipFile(tmp_path / "b.xlsx", "w") as broken:
        for name in whole.namelist():
            broken.writestr(name, whole.read(name).replace(b'<row r="2"', b'<row r="999999999999"'))
    started = time.perf_counter()
    found = _read(tmp_path / "b.xlsx")
    assert _problems(found) == [(f"{tmp_path}/b.xlsx", "empty_file", "the file holds no rows")]
    assert time.perf_counter() - started < 10


@pytest.mark.parametrize("make", [lambda path: pq.write_table(pa.Table.from_pylist(_ROWS * 3000), path), None])
def test_a_binary_file_that_is_cut_off_is_one_problem(tmp_path: Path, make: Callable[[Path], None] | None) -> None:
    file = tmp_path / "a"
    if make:
        make(file)
    else:
        _workbook(file, {"one": [["question", "answer"], ["q", "a"]]})
    content = file.read_bytes()
    kind = "cannot be read as Parquet (ArrowInvalid)" if make else "not a whole ZIP archive"
    file.write_bytes(content[: len(content) // 2])
    assert _problems(_read(file)) == [(str(file), "bad_file", f"is damaged: {kind}")]


def test_damage_within_a_parquet_file_keeps_the_rows_above(tmp_path: Path) -> None:
    file = tmp_path / "a"
    pq.write_table(pa.Table.from_pylist(_ROWS * 4000), file, row_group_size=3000, compression="zstd", use_dictionary=False)
    start = pq.ParquetFile(file).metadata.row_group(2).column(0).data_page_offset
    content = file.read_bytes()
    file.write_bytes(content[: start + 40] + b"\xff" * 200 + content[start + 240 :])
    found = _read(file)
    assert len(_said(found)) == 6000
    detail = "is damaged: cannot be read as Parquet (OSError); nothing below row 6000 can be read"
    assert _problems(found) == [(str(file), "bad_file", detail)]


@pytest.mark.parametrize(
    ("name", "text", "container"),
    [
        ("a.jsonl.gz", "\n".join(map(json.dumps, _ROWS)), "jsonl.gz"),
        ("a", json.dumps(_ROWS, indent=1), "json.gz"),
        ("a.jsonl", json.dumps(_ROWS[0]) + "\n" + "\n".join(map(json.dumps, _ROWS[1:])), "jsonl.gz"),
        ("a.csv.gz", "question,answer\n" + "".join(f"{row['question']},{row['answer']}\n" for row in _ROWS), "csv.gz"),
    ],
)
def test_a_packed_file_reads_as_what_is_in_it(tmp_path: Path, name: str, text: str, container: str) -> None:
    (tmp_path / name).write_bytes(gzip.compress(text.encode()))
    assert layout_of(Source(tmp_path / name, "open", named=False)) == Layout(container, "utf-8")
    assert _said(_read(tmp_path / name)) == _SAID


def test_damaged_and_hostile_packed_files_are_problems(tmp_path: Path) -> None:
    content = gzip.compress("\n".join(map(json.dumps, _ROWS)).encode())
    (tmp_path / "cut.jsonl.gz").write_bytes(content[:-12])
    (tmp_path / "wrong.jsonl.gz").write_bytes(content[:20] + b"\0\0\0" + content[23:])
    (tmp_path / "bomb.jsonl.gz").write_bytes(gzip.compress(b" " * (80 << 20)))
    (tmp_path / "picture.gz").write_bytes(gzip.compress(b"\x89PNG\0"))
    damaged = "is damaged: cannot be unpacked by gzip"
    for name, detail in {"cut": damaged, "wrong": damaged, "bomb": "unpacks to more than 64 MiB, as bombs do"}.items():
        file = tmp_path / f"{name}.jsonl.gz"
        assert _problems(_read(file)) == [(str(file), "bad_file", detail)]
    assert _read(tmp_path / "picture.gz", named=False) == []


def test_a_list_of_bare_values_is_passed_over_unless_it_was_named(tmp_path: Path) -> None:
    (tmp_path / "names.json").write_text(json.dumps(["one", "two"]))
    assert layout_of(Source(tmp_path / "names.json", "domain", named=False)) == Layout(None, "utf-8")
    assert _read(tmp_path / "names.json", named=False) == []
    assert [reason for _, reason, _ in _problems(_read(tmp_path / "names.json"))] == ["not_object"] * 2


def test_the_task_of_a_training_row_is_that_of_its_format(tmp_path: Path) -> None:
    rows = [{"sentence1": "a", "sentence2": "b", "label": "1"}, {"text": "a", "label": "b"}, *_ROWS[:1]]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    for use, tasks in {"open": ["similarity", "classification", "qa"], "test": ["unseen"] * 3}.items():
        found = _read(tmp_path / "a.jsonl", "open" if use == "open" else "test")
        assert [reading.record.task for reading in found if isinstance(reading.record, Example)] == tasks


def test_every_row_of_an_article_stands_or_falls_alone(tmp_path: Path) -> None:
    asked = [{"question": "b?", "answers": [{"text": "c"}]}, {"question": "d?", "is_impossible": True, "answers": []}]
    (tmp_path / "a.json").write_text(json.dumps({"data": [{"title": "t", "paragraphs": [{"context": "a", "qas": asked}] * 2}]}))
    found = _read(tmp_path / "a.json")
    assert [reading.format for reading in found] == ["squad", "", "squad", ""]
    detail = "row 1 of the list: the text does not answer the question `d?`"
    assert _problems(found) == [(str(tmp_path / "a.json"), "unanswerable", detail)] * 2


def test_what_was_cut_stands_beside_what_the_row_says_of_itself(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps([{"messages": ["a", "b", "c"], "department": "d", "name": "e"}]))
    (found,) = _read(tmp_path / "a.json")
    assert isinstance(found.record, Example)
    assert found.record.evidence == {"department": "d", "cut_turns": 1}


def test_keys_that_a_catalogue_names_are_put_right(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps([{"frage": "a", "antwort": "b"}]))
    names = KeyNames(keys=(Rename("frage", "instruction"), Rename("antwort", "output")))
    source = Source(tmp_path / "a.json", "open", True, names)
    (found,) = readings(source, layout_of(source))
    assert (_said([found]), found.keys) == ([("a", "b")], ("frage", "antwort"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize("feed", ["\n", "\r\n"])
def test_stretches_give_what_the_whole_gives(tmp_path: Path, encoding: str, feed: str) -> None:
    lines = [json.dumps({"question": f"问题 {number}", "answer": "答案"}, ensure_ascii=False) for number in range(9)]
    content = feed.join([*lines[:4], "", "{", *lines[4:]]).encode(encoding)
    (tmp_path / "a.jsonl").write_bytes(content)
    source = Source(tmp_path / "a.jsonl", "domain", True)
    layout = layout_of(source)
    assert layout == Layout("jsonl", encoding)
    cuts = [0, *(place + 1 for place, byte in enumerate(content) if byte == 10), len(content)]
    spans = [Span(cuts[first], cuts[first + 3], first + 1) for first in range(0, len(cuts) - 3, 3)]
    spans.append(Span(spans[-1].stop, len(content), len(spans) * 3 + 1))
    found = [reading for span in spans for reading in readings(source, layout, span=span)]
    assert found == list(readings(source, layout))
    assert len(found) == 10


def test_a_blank_stretch_is_no_empty_file(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("{}\n\n\n\n{}\n")
    source = Source(tmp_path / "a.jsonl", "domain", True)
    assert list(readings(source, layout_of(source), span=Span(3, 6, 2))) == []


_PAGE = "<html><body><h1>Help</h1><p>Welcome.</p><h2>Who can refund?</h2><p>The owner.</p></body></html>"


def test_a_page_gives_sections_and_the_question_in_it(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(_PAGE)
    assert layout_of(Source(tmp_path / "a.txt", "domain", named=False)) == Layout("html", None)
    found = _read(tmp_path / "a.txt")
    documents = [reading.record for reading in found if isinstance(reading.record, Document)]
    assert [(document.heading, document.text) for document in documents] == [
        ("Help", "Welcome."),
        ("Help > Who can refund?", "The owner."),
    ]
    assert _said(found) == [("Who can refund?", "The owner.")]
    assert {(reading.format, reading.where) for reading in found} == {("html", str(tmp_path / "a.txt"))}
    assert all(document.end - document.start == len(document.text) for document in documents)
    assert _read(tmp_path / "a.txt", "open") == []


def test_a_document_that_cannot_be_converted_is_one_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, kind: str) -> str:
        raise RowError("bad_file", f"is damaged: {path.name} is no {kind}")

    monkeypatch.setattr(reader, "to_markdown", refuse)
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.7\n")
    assert _problems(_read(tmp_path / "a.pdf")) == [(str(tmp_path / "a.pdf"), "bad_file", "is damaged: a.pdf is no pdf")]


def test_documents_are_told_from_rows() -> None:
    assert [kind for kind in ("markdown", "text", "html", "pdf", "docx", "pptx") if not is_document(kind)] == []
    assert [kind for kind in ("jsonl", "json.gz", "xlsx", "parquet", "yaml", None) if is_document(kind)] == []


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    for name in ("a.jsonl", "a.parquet", "a.xlsx"):
        file = tmp_path / name
        file.write_text("{}")
        layout = {"a.jsonl": Layout("jsonl", "utf-8")}.get(name, Layout(name[2:], None))
        file.unlink()
        with pytest.raises(DataError, match="cannot be read: No such file or directory") as caught:
            list(readings(Source(file, "domain", True), layout))
        assert (caught.value.where, caught.value.hint) == (str(file), "change its permissions, or leave it out of the recipe")


@pytest.mark.parametrize(
    "line",
    ["[" * 10**6, '{"a": ' * 10**5, f'{{"a": {"1" * 10**6}}}', '{"a": "' + "\\" * 10**6, '"' * 10**6, "\0" * 10**6, "," * 10**6],
    ids=["lists", "objects", "digits", "backslashes", "quotes", "NUL", "commas"],
)
@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv", ".yaml", ".txt"])
def test_a_million_signs_take_no_time(tmp_path: Path, line: str, suffix: str) -> None:
    (tmp_path / f"a{suffix}").write_text(f"{line}\n")
    started = time.perf_counter()
    _read(tmp_path / f"a{suffix}")
    assert time.perf_counter() - started < 5


_SUFFIXES = [".jsonl", ".json", ".csv", ".tsv", ".yaml", ".parquet", ".xlsx", ".md", ".txt", ".html", ".jsonl.gz", ".gz", ""]
_MARKS = [
    b"PAR1",
    b"\x1f\x8b\x08",
    b"PK\x03\x04",
    b"xl/",
    b"- a: ",
    b"---\n",
    b"&a ",
    b"*a",
    b"\n",
    b"\x00",
    b"\xff",
    b'"',
    b"[",
    b"{",
]
_PARTS = [
    b'{"instances": [',
    b'"paragraphs": [',
    b"]}",
    b'["a", "b"]',
    b"sentence1,sentence2,label\n",
    b"1,2,3\n",
    b"<user>: ",
    b"<bot>: ",
]
_PIECES = st.lists(st.sampled_from([*_MARKS, *_PARTS]) | st.binary(max_size=4), max_size=10)
_BYTES = st.binary(max_size=80) | _PIECES.map(b"".join)


@pytest.mark.parametrize("suffix", _SUFFIXES)
@pytest.mark.parametrize("packed", [False, True])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(content=_BYTES)
def test_no_bytes_make_a_reader_fail(tmp_path: Path, suffix: str, packed: bool, content: bytes) -> None:
    file = tmp_path / f"a{suffix}"
    file.write_bytes(gzip.compress(content) if packed else content)
    for use in ("domain", "test"):
        found = _read(file, "domain" if use == "domain" else "test")
        assert {reason for _, reason, _ in _problems(found)} <= set(REMEDIES)
