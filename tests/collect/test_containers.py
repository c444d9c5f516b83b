"""Each container: told apart by content, rows with their places, and what happens where the file is broken."""

import io
import json
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewell.collect import jsonfiles
from tunewell.collect.containers import TEXT_CONTAINERS, is_bare_list, recognise_container
from tunewell.collect.csvfiles import csv_rows
from tunewell.collect.jsonfiles import json_document, json_lines
from tunewell.collect.rows import RawRow
from tunewell.collect.yamlfiles import yaml_rows

_ROW = '{"question": "q", "answer": "a"}'
_PRETTY = json.dumps([{"question": "q", "answer": "a"}], indent=1)


@pytest.mark.parametrize(
    ("name", "text", "container"),
    [
        ("a.jsonl", f"{_ROW}\n{_ROW}\n", "jsonl"),
        ("a.json", f"\n{_ROW}\n\n{_ROW}\n", "jsonl"),
        ("a.json", f'{{"question": "broken\n{_ROW}\n', "jsonl"),
        ("a.json", f"[{_ROW}]", "json"),
        ("a.json", f"[\n{_ROW}\n]", "json"),
        ("a.json", f'{{"data": [\n{_ROW}\n]}}', "json"),
        ("a.json", "[{", "json"),
        ("a.json", "", "json"),
        ("a.jsonl", _PRETTY, "json"),
        ("a.jsonl", "not json\n", "jsonl"),
        ("a.jsonl", '{"question": \n', "jsonl"),
        ("a.csv", "text,label\nx,y\n", "csv"),
        ("a.csv", f"{_ROW}\n{_ROW}\n", "jsonl"),
        ("a", "question,answer\nq,a\n", "csv"),
        ("a.txt", "question\tanswer\nq\ta\n", "csv"),
        ("a.txt", "Question: what is the answer, please?", "text"),
        ("a.txt", f"{_ROW}\n{_ROW}\n", "jsonl"),
        ("a.data", _PRETTY, "json"),
        ("a.md", _PRETTY, "markdown"),
        ("a.yaml", "- question: q\n  answer: a\n", "yaml"),
        ("a.txt", "- question: q\n  answer: a\n", "yaml"),
        ("a", "- answer: a\n  问题: q\n", "yaml"),
        ("a.txt", "- one: thing\n- another: thing\n", "text"),
        ("a.yml", "anything", "yaml"),
        ("a.yaml", f"{_ROW}\n{_ROW}\n", "jsonl"),
        ("a.csv", "sentence1,sentence2,label\nx,y,1\n", "csv"),
        ("a.json", "[" + _ROW.replace('"q"', f'"{"q" * (5 << 20)}"') + "]", "json"),
        ("a.jsonl", "[" + _ROW.replace('"q"', f'"{"q" * (5 << 20)}"') + "]", "jsonl"),
        ("a.json", _ROW.replace('"q"', f'"{"q" * (2 << 20)}"') + f"\n{_ROW}", "jsonl"),
        ("LICENSE", "[Draft] Permission is granted\n{to} all", None),
        ("a.bin", "\x00\x01", None),
        ("a", "", None),
    ],
)
def test_a_container_is_told_by_content_before_name(name: str, text: str, container: str | None) -> None:
    assert recognise_container(io.StringIO(text), PurePath(name)) == container


def _json(text: str) -> list[RawRow]:
    return list(json_document(io.StringIO(text)))


def _places(rows: list[RawRow]) -> list[tuple[int, int | None, Any]]:
    return [(row.row, row.line, row.value) for row in rows]


def test_json_lines_number_physical_lines() -> None:
    rows = list(json_lines(['\ufeff{"a": 1}\n', "\n", '{"a": 2}\r\n', '[{"role": "user"}]', "[1]", "7", "{"]))
    assert _places(rows)[:3] == [(1, 1, {"a": 1}), (3, 3, {"a": 2}), (4, 4, {"messages": [{"role": "user"}]})]
    assert [row.problem for row in rows[3:]] == [
        ("not_object", "a list where an object is expected"),
        ("not_object", "a bare value where an object is expected"),
        ("bad_json", "not JSON: Expecting property name enclosed in double quotes (column 2)"),
    ]


@pytest.mark.parametrize(
    ("line", "reason", "detail"),
    [
        ('{"a": 1} {"b": 2}', "bad_json", "more text after the JSON value (column 10)"),
        ('{"a": "\x00"}', "nul_bytes", "holds a NUL byte (a binary file, or UTF-16 without its byte order mark)"),
        ('{"a": "\udcff"}', "undecodable", "holds the byte 0xff, which is not text in this file's encoding"),
        ("[" * 100_000, "bad_json", "nested too deeply"),
        (f'{{"a": {"9" * 5000}}}', "bad_json", "not JSON: Exceeds the limit"),
    ],
)
def test_a_broken_line_names_its_cause(line: str, reason: str, detail: str) -> None:
    (row,) = json_lines([line])
    assert row.problem is not None
    assert row.problem.reason == reason
    assert row.problem.detail.startswith(detail)


def test_a_list_gives_index_and_line() -> None:
    assert _places(_json('\n[\n{"a": 1},\n\n{"a":\n2}, {"a": 3},]\n')) == [(1, 3, {"a": 1}), (2, 5, {"a": 2}), (3, 6, {"a": 3})]


def test_lists_in_a_list_are_opened_and_counted_through() -> None:
    rows = _json('[[{"a": 1}, {"a": 2}],\n[{"a": 3}],\n[{"role": "user"}]]')
    assert _places(rows) == [(1, 1, {"a": 1}), (2, 1, {"a": 2}), (3, 2, {"a": 3}), (4, 3, {"messages": [{"role": "user"}]})]


@pytest.mark.parametrize(
    ("text", "whole", "line", "detail"),
    [
        ('[\n{"a": 1},\n{"a": "cut', 1, 3, "not JSON: Unterminated string starting at (column 7); nothing below can be read"),
        ('[\n{"a": 1},\n', 1, 2, "the list breaks off here; nothing below can be read"),
        ('[\n{"a": 1}\n\n\n', 1, 2, "the list breaks off here, without its closing bracket; nothing below can be read"),
        ("[", 0, 1, "the list breaks off here; nothing below can be read"),
        ('[{"a": 1}\n{"a": 2}]', 1, 2, "a comma is missing; nothing below can be read"),
        ('[{"a": 1}]\n\nmore', 1, 3, "more text after the end of the list; nothing below can be read"),
        ('[{"a": 1},\n{"a": nope}, {"a": 3}]', 1, 2, "not JSON: Expecting value (column 7); nothing below can be read"),
    ],
)
def test_a_broken_list_keeps_the_rows_before_and_names_the_line(text: str, whole: int, line: int, detail: str) -> None:
    rows = _json(text)
    assert [row.problem is None for row in rows] == [True] * whole + [False]
    assert rows[-1].line == line
    assert rows[-1].row == whole + 1
    assert rows[-1].problem == ("bad_json", detail)


def test_an_undecodable_row_of_a_list_leaves_the_others() -> None:
    rows = _json('[{"a": "\udcff"}, {"a": 2}, {"a": "\x00"}, 5]')
    assert [row.problem and row.problem.reason for row in rows] == ["undecodable", None, "nul_bytes", "not_object"]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ('{"version": 1, "data": [{"question": "a", "answer": "b"}]}', [{"question": "a", "answer": "b"}]),
        ('{"tags": ["x", "y", "z"], "rows": [{"q": "a", "a": "b"}]}', [{"q": "a", "a": "b"}]),
        ('{"train": [{"q": "1", "a": "b"}], "dev": [[{"q": "2", "a": "b"}]]}', [{"q": "1", "a": "b"}, {"q": "2", "a": "b"}]),
        ('{"conversations": [{"conversations": []}]}', [{"conversations": []}]),
        ('{"messages": [{"role": "user", "content": "x"}]}', [{"messages": [{"role": "user", "content": "x"}]}]),
        ('{"rows": [{"x": 1}, {"x": 2}]}', [{"x": 1}, {"x": 2}]),
        ('{"x": 1}', [{"x": 1}]),
    ],
)
def test_an_object_is_a_row_or_holds_a_list(text: str, values: list[Any]) -> None:
    assert [row.value for row in _json(text)] == values


def test_a_broken_object_names_the_line() -> None:
    (row,) = _json('{"data": [\n{"q": 1},\n{"q": ')
    assert (row.line, row.problem) == (3, ("bad_json", "not JSON: Expecting value (column 7)"))


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
def test_csv_rows_start_on_physical_lines(delimiter: str) -> None:
    text = '\nid,question,answer\n1,a,"two\nlines, ""quoted"""\n\n2,b,c\n'.replace(",", delimiter)
    rows = list(csv_rows(text.splitlines(keepends=True)))
    answer = 'two\nlines, "quoted"'.replace(",", delimiter)
    assert _places(rows) == [
        (3, 3, {"id": "1", "question": "a", "answer": answer}),
        (6, 6, {"id": "2", "question": "b", "answer": "c"}),
    ]


def test_a_known_header_beats_more_columns() -> None:
    (row,) = csv_rows(["question;answer\n", "a, b, c;d, e\n"])
    assert row.value == {"question": "a, b, c", "answer": "d, e"}


def test_broken_csv_records_name_their_line_and_leave_the_others() -> None:
    lines = ["q,a\n", "1,2,3\n", '"x" y,2\n', "1\n", "\x00,2\n", "ok,fine\n", 'x,"never\n', "closed,\n"]
    rows = list(csv_rows(lines))
    assert [(row.line, row.problem and row.problem.reason) for row in rows] == [
        (2, "bad_csv"),
        (3, "bad_csv"),
        (4, None),
        (5, "nul_bytes"),
        (6, None),
        (7, "bad_csv"),
    ]
    assert [row.problem.detail for row in rows if row.problem and row.problem.reason == "bad_csv"] == [
        "3 fields where the header has 2: is a text with the delimiter in it not quoted?",
        "not CSV: ',' expected after '\"'",
        "a quoted field that opens in this row is never closed; nothing below can be read",
    ]
    assert rows[2].value == {"q": "1"}


def test_a_field_of_two_megabytes_is_fine() -> None:
    long = "word " * 400_000
    (row,) = csv_rows(["q,a\n", f'x,"{long}"\n'])
    assert row.value == {"q": "x", "a": long}


@pytest.mark.parametrize(
    ("text", "is_bare"),
    [
        ('["a", "b"]', True),
        ("\n[1, 2, null]", True),
        ('["a", {"question": "q"}]', False),
        ('[["a", "b"]]', False),
        ("[]", False),
        ('["a"', False),
        ('{"names": ["a"]}', False),
        ("", False),
    ],
)
def test_a_list_of_bare_values_is_no_data(text: str, is_bare: bool) -> None:
    assert is_bare_list(io.StringIO(text)) is is_bare


def _yaml(text: str) -> list[RawRow]:
    return list(yaml_rows(io.StringIO(text)))


def test_yaml_lists_and_documents_give_rows_with_their_lines() -> None:
    text = "# rows\n- question: q\n  answer: |\n    a\n    b\n- - {question: q}\n  - question: r\n---\nquestion: s\n"
    assert _places(_yaml(text)) == [
        (1, 2, {"question": "q", "answer": "a\nb\n"}),
        (2, 6, {"question": "q"}),
        (3, 6, {"question": "r"}),
        (4, 9, {"question": "s"}),
    ]


def test_yaml_values_stay_the_text_that_was_written() -> None:
    (row,) = _yaml(
        "- {a: yes, b: 012, c: 2020-99-99, d: ~, e: '', f: null, g: 'null', h: !!python/name:os.system x, 1: &x y, z: *x}"
    )
    assert list(row.value) == ["a", "b", "c", "d", "e", "f", "g", "h", "1", "z"]
    assert list(row.value.values()) == ["yes", "012", "2020-99-99", None, "", None, "null", "x", "y", "y"]


def test_yaml_conversations_are_lists_of_alternating_turns() -> None:
    rows = _yaml("categories:\n- talk\n- more\nconversations:\n- - Hi\n  - Hello\n- - 1\n  - yes\n  - Bye\n")
    assert _places(rows) == [(1, None, {"messages": ["Hi", "Hello"]}), (2, None, {"messages": ["1", "yes", "Bye"]})]


@pytest.mark.parametrize(
    ("text", "whole", "line", "reason", "detail"),
    [
        ("- a: b\n- c: 'd", 1, 2, "bad_yaml", "not YAML: found unexpected end of stream (column 8)"),
        ("a: b: c", 0, 1, "bad_yaml", "not YAML: mapping values are not allowed in this context (column 5)"),
        ("- " + "[" * 900, 0, 1, "bad_yaml", "not YAML: nested too deeply (column 66)"),
        ("- {[a]: b}", 0, 1, "bad_yaml", "not YAML: a list stands where a key is expected (column 6)"),
        ("- a: *b", 0, 1, "bad_yaml", "not YAML: nothing above is called `b` (column 6)"),
        ("- a: \0", 0, None, "nul_bytes", "holds a NUL byte (a binary file, or UTF-16 without its byte order mark)"),
        ("- a: \7", 0, None, "bad_yaml", "not YAML: control characters are not allowed"),
        ("- a: \udcff", 0, None, "undecodable", "holds the byte 0xff, which is not text in this file's encoding"),
    ],
)
def test_broken_yaml_keeps_the_rows_above_and_names_the_line(
    text: str, whole: int, line: int | None, reason: str, detail: str
) -> None:
    rows = _yaml(text)
    assert [row.problem is None for row in rows] == [True] * whole + [False]
    assert (rows[-1].row, rows[-1].line) == (whole + 1, line)
    assert rows[-1].problem == (reason, f"{detail}; nothing below can be read")


def test_yaml_nested_without_end_is_one_problem() -> None:
    [row] = _yaml("- " + "[" * 100_000)
    assert row.problem is not None
    assert row.problem.reason == "bad_yaml"
    assert "nest" in row.problem.detail


def test_yaml_aliases_are_not_multiplied() -> None:
    text = "a: &a [x, x]\n" + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(24))
    started = time.perf_counter()
    _yaml(text)
    _yaml("- &a [*a, *a]\n")
    assert time.perf_counter() - started < 2


_SNIPPETS = [_ROW, "[", "]", ",", '{"a": "\\ud83d\\ude00', '"}', "-Infinity", "12", "true", "\n", " ", '"', "{", "}", "[[", "null"]
_CELL = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), min_size=1).filter(str.strip)


@given(st.lists(st.tuples(_CELL, _CELL), min_size=1, max_size=4))
def test_what_is_written_as_json_is_read_back(pairs: list[tuple[str, str]]) -> None:
    rows = [{"question": question, "answer": answer} for question, answer in pairs]
    for text, container in ((json.dumps(rows, ensure_ascii=False, indent=1), "json"), ("\n".join(map(json.dumps, rows)), "jsonl")):
        assert [row.value for row in TEXT_CONTAINERS[container](io.StringIO(text, newline=""))] == rows


class _Pieces(io.StringIO):
    """A text that is handed out in small pieces, whatever is asked for."""

    def read(self, size: int | None = -1, /) -> str:
        return super().read(3 if size and size > 0 else -1)


@given(st.text(alphabet='[]{}",:\n\t 1-etru\\\0\udcff') | st.lists(st.sampled_from(_SNIPPETS), max_size=20).map("".join))
def test_a_list_read_in_pieces_is_the_list_read_whole(text: str) -> None:
    assert list(json_document(_Pieces(text))) == list(json_document(io.StringIO(text)))


class _LongList(io.StringIO):
    """A list of many rows on one line, made while it is read."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self._parts: Iterator[str] = iter(["[", *[_ROW.replace('"q"', f'"{"q" * 1000}"') + ","] * rows, _ROW, "]"])

    def read(self, size: int | None = -1, /) -> str:
        assert size
        assert size > 0, "the list is not read whole"
        parts: list[str] = []
        while sum(map(len, parts)) < size and (part := next(self._parts, "")):
            parts.append(part)
        return "".join(parts)


def test_a_long_list_does_not_lie_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonfiles, "_PIECE", 1 << 14)
    tracemalloc.start()
    rows = sum(1 for row in json_document(_LongList(20_000)) if row.problem is None)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows == 20_001
    assert peak < 2 << 20


@pytest.mark.parametrize(
    "text", ["[" * 10**6, '["' + "a" * 10**7, '[{"a": "' + "\\u0041" * 10**6, "[" + "1" * 10**6, "[" + " " * 10**6]
)
def test_a_list_that_never_ends_takes_no_time(text: str) -> None:
    started = time.perf_counter()
    (row,) = json_document(io.StringIO(text))
    assert row.problem is not None
    assert time.perf_counter() - started < 3


@given(st.text(alphabet='[]{}",:\n\t 1aq\\\0\udcff;|-&*!~'))
def test_no_text_makes_a_container_fail(text: str) -> None:
    recognise_container(io.StringIO(text), PurePath("a"))
    for rows_of in TEXT_CONTAINERS.values():
        for row in rows_of(io.StringIO(text)):
            assert (row.problem is None) == isinstance(row.value, dict)
