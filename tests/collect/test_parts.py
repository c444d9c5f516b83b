"""Cutting the work: every file and every line is read once, whatever the size of the parts."""

import json
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunewell.collect import run
from tunewell.collect.parts import cut, spans
from tunewell.collect.sources import Source
from tunewell.engine import LocalEngine
from tunewell.recipe import recipe_from_values
from tunewell.store import read_dropped, read_examples

_LINES = st.lists(st.sampled_from(["", "a", "短", "x" * 50, "\r", "{}"]), max_size=30)


@given(_LINES, st.booleans(), st.integers(1, 120))
@settings(deadline=None)
def test_spans_cover_a_file_and_know_their_first_line(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], ends: bool, size: int
) -> None:
    path = tmp_path_factory.mktemp("spans") / "a.jsonl"
    content = ("\n".join(lines) + ("\n" if ends else "")).encode()
    path.write_bytes(content)
    found = list(spans(path, size))
    assert b"".join(content[span.start : span.stop] for span in found) == content
    for span in found:
        assert span.first_line == content[: span.start].count(b"\n") + 1
        assert span.start == 0 or content[span.start - 1 : span.start] == b"\n"


def test_small_files_go_together_and_empty_ones_are_no_trouble(tmp_path: Path) -> None:
    sizes = [0, 30, 30, 0, 50, 10]
    sources = []
    for number, size in enumerate(sizes):
        path = tmp_path / f"{number}.json"
        path.write_text("x" * size)
        sources.append(Source(path, "domain", named=True))
    parts = cut(sources, part_bytes=60)
    assert [[piece.source.path.name for piece in part.pieces] for part in parts] == [
        ["0.json", "1.json", "2.json", "3.json"],
        ["4.json", "5.json"],
    ]
    assert [part.number for part in parts] == [0, 1]
    assert cut([]) == []


def test_a_large_file_is_read_by_several_workers_as_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [json.dumps({"question": f"question {n}", "answer": f"答案 {n}"}, ensure_ascii=False) for n in range(3000)]
    rows[1234] = '{"question": "broken'
    source = tmp_path / "rows.jsonl"
    source.write_text("\n".join(rows) + "\n", encoding="utf-8")
    values = {"data": {"domain": [str(source)]}, "collect": {"on_error": "drop"}}
    settings = recipe_from_values(values, where="test", folder=tmp_path).part("data", "collect")
    whole = run(settings, {}, tmp_path / "whole", engine=LocalEngine(1))
    monkeypatch.setattr("tunewell.collect.stage.cut", partial(cut, part_bytes=20_000))
    parts = run(settings, {}, tmp_path / "parts", engine=LocalEngine(2))
    assert len(list((tmp_path / "parts" / "examples").glob("*.parquet"))) > 3
    assert parts == whole
    for name, read in (("examples", read_examples), ("dropped", read_dropped)):
        assert list(read(tmp_path / "parts" / name)) == list(read(tmp_path / "whole" / name))
    (dropped,) = read_dropped(tmp_path / "parts" / "dropped")
    assert dropped.example.origin.row == 1235
