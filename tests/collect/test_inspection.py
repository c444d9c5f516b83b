"""The account of one file."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tunewell.collect import inspect_file
from tunewell.errors import DataError


def test_a_file_of_rows(tmp_path: Path) -> None:
    rows = [{"topic": "fees", "question": f"Question {number}", "answer": "Answer"} for number in range(5)]
    lines = [*map(json.dumps, rows), '{"id": 1, "问": "费率", "答": "百分之一"}', *["{"] * 7]
    (tmp_path / "a.json").write_text("\n".join(lines), encoding="utf-8")
    found = inspect_file(tmp_path / "a.json")
    assert (found.path, found.container, found.encoding) == (str(tmp_path / "a.json"), "jsonl", "utf-8")
    assert (found.rows, found.broken, found.documents) == (6, 7, 0)
    assert found.formats == {"qa": 6}
    assert found.languages == {"en": 5, "zh": 1}
    assert found.keys == ("topic", "question", "answer", "id", "问", "答")
    assert [example.question for example in found.examples] == ["Question 0", "Question 1", "Question 2"]
    assert [example.task for example in found.examples] == ["qa"] * 3
    assert len(found.problems) == 5
    assert found.problems[0].startswith(f"{tmp_path}/a.json:7: not JSON")


def test_a_document(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# Fees\n\nNone.\n\n## Why?\n\nSo.\n")
    found = inspect_file(tmp_path / "a.md")
    assert (found.container, found.rows, found.documents, found.formats) == ("markdown", 1, 2, {"markdown": 1})


def test_a_file_of_triples(tmp_path: Path) -> None:
    pair = {"question": "q", "answer": "a"}
    (tmp_path / "t.jsonl").write_text(json.dumps({"seen": pair, "paraphrase": pair, "unseen": pair}))
    found = inspect_file(tmp_path / "t.jsonl")
    assert (found.container, found.formats, found.broken) == ("json", {"triples": 3}, 0)
    assert [example.task for example in found.examples] == ["seen", "paraphrase", "unseen"]


def test_binary_files_have_an_encoding_of_their_own(tmp_path: Path) -> None:
    rows = [{"Question": "q", "answer": "a", "input": None}, {"Question": "r", "answer": "b", "input": "c"}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a")
    found = inspect_file(tmp_path / "a")
    assert (found.container, found.encoding, found.formats, found.broken) == ("parquet", "its own", {"qa": 2}, 0)
    assert found.keys == ("Question", "answer", "input")


def test_rows_of_several_formats_in_one_file(tmp_path: Path) -> None:
    rows = [{"text": "a", "label": "b"}, {"sentence1": "a", "sentence2": "b", "label": 1}, {"messages": ["a", "b", "c"]}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = inspect_file(tmp_path / "a.jsonl")
    assert found.formats == {"classification": 1, "similarity": 1, "messages": 1}
    assert [(example.task, example.answer) for example in found.examples] == [
        ("classification", "b"),
        ("similarity", "Yes"),
        ("qa", "b"),
    ]
    assert found.examples[2].evidence == {"cut_turns": 1}


def test_a_file_that_is_no_data(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG\x00")
    found = inspect_file(tmp_path / "a.png")
    assert (found.container, found.rows, found.broken) == ("unknown", 0, 1)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such file") as caught:
        inspect_file(tmp_path)
    assert caught.value.where == str(tmp_path)
    assert caught.value.hint == "`tunewell data inspect` takes one file at a time"
