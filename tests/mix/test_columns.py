"""The columns by which rows are drawn."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.mix.mixing import word_tokenizer
from tunewell.engine import LocalEngine
from tunewell.mix import columns
from tunewell.mix.columns import among, number, numbers, pieces_of, read_columns
from tunewell.mix.tokens import count_tokens
from tunewell.records import EXAMPLE_SCHEMA, Example, Message, Origin, Pool, examples_to_table
from tunewell.store import ShardWriter


def conversation(users: int, pool: Pool = "domain", path: str = "a.jsonl", **fields: Any) -> Example:
    turns = [Message("user", "one two three"), Message("assistant", "four")]
    return Example((Message("system", "zero"), *turns * users), pool, Origin(path, 1), **fields)


def write(folder: Path, name: str, examples: list[Example]) -> Path:
    with ShardWriter(folder, EXAMPLE_SCHEMA, name=name) as writer:
        writer.write_table(examples_to_table(examples))
    return folder / f"{name}-00000.parquet"


def test_ids_are_read_as_hex_and_other_names_are_hashed() -> None:
    assert number("00000000000000ff") == 255
    assert number("ffffffffffffffff") == 2**64 - 1
    others = ["00000000000000FF", "0x000000000000ff", "ff", "", "退款", "\ud800"]
    assert len({number(name) for name in others} | {255}) == len(others) + 1
    assert numbers(["00000000000000ff", "ff"]).tolist() == [255, number("ff")]


def test_among() -> None:
    values, none = np.array([7, 1, 2**64 - 1, 7], np.uint64), np.array([], np.uint64)
    assert among(values, np.array([9, 7, 2**64 - 1], np.uint64)).tolist() == [True, False, True, True]
    assert among(values, none).tolist() == [False] * 4
    assert among(none, values).tolist() == []


def test_columns_of_several_shards_one_of_them_empty(tmp_path: Path) -> None:
    first = [conversation(1, id="000000000000000a", family="faq"), conversation(2, "open", "b.jsonl")]
    last = [conversation(1, "open", "b.jsonl"), conversation(3, path="c.jsonl")]
    paths = [write(tmp_path, f"part-{place}", rows) for place, rows in enumerate((first, [], last))]
    rows = read_columns(pieces_of(paths), tokenizer=word_tokenizer(tmp_path / "model"), engine=LocalEngine(1))
    assert rows.ids.tolist() == [10, *(number(example.id) for example in (first[1], *last))]
    assert rows.families.tolist() == [number("faq"), *rows.ids[1:].tolist()]
    assert rows.pools.tolist() == [0, 1, 1, 0]
    assert rows.turns.tolist() == [0, 1, 0, 1]
    assert [rows.source_names[code] for code in rows.sources] == ["a.jsonl", "b.jsonl", "b.jsonl", "c.jsonl"]
    assert rows.tokens is not None
    assert rows.tokens.tolist() == [5, 9, 5, 13]


@pytest.mark.parametrize(
    ("evidence", "task", "is_own"),
    [
        ({}, "qa", True),
        ({"teacher": "sage"}, "qa", False),
        ({"teacher": "sage", "task": "real_qa"}, "real_qa", True),
        ({"teacher": "sage"}, "doc2qa", False),
        ({}, "doc2qa", True),
        ({"topic": 'She said "teacher": "sage" in "teacher'}, "qa", True),
        ({"quotes": [{"teacher": "sage"}], "teachers": "two"}, "qa", True),
        ({'the "teacher': "x"}, "qa", True),
        ({"teacher": ""}, "qa", False),
    ],
)
def test_a_row_is_a_teachers_where_its_evidence_names_one(
    tmp_path: Path, evidence: dict[str, Any], task: str, is_own: bool
) -> None:
    rows = [conversation(1, evidence={"teacher": "t"}), conversation(1, task=task, evidence=evidence), conversation(2)]
    shard = write(tmp_path, "part-0", rows)
    assert read_columns(pieces_of([shard]), tokenizer=None, engine=LocalEngine(1)).is_own.tolist() == [False, is_own, True]


def test_teachers_are_found_beyond_the_first_rows_of_a_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "ROWS_PER_GROUP", 3)
    rows = [conversation(1, evidence={"teacher": "t"} if place in (2, 3, 7) else {}) for place in range(8)]
    shard = write(tmp_path, "part-0", rows)
    own = read_columns(pieces_of([shard]), tokenizer=None, engine=LocalEngine(1)).is_own
    assert np.flatnonzero(~own).tolist() == [2, 3, 7]


def test_small_shards_are_read_together_and_none_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "_ROWS_PER_PIECE", 5)
    sizes = [2, 3, 1, 9, 1, 1]
    paths = [write(tmp_path, f"part-{place}", [conversation(1)] * size) for place, size in enumerate(sizes)]
    pieces = pieces_of(paths)
    assert [(len(piece.paths), piece.start, piece.stop) for piece in pieces] == [(2, 0, 5), (1, 5, 6), (1, 6, 15), (2, 15, 17)]
    assert [path for piece in pieces for path in piece.paths] == paths


def test_a_tokenizer_of_another_form_is_read_by_transformers(tmp_path: Path) -> None:
    from transformers import ByT5Tokenizer

    ByT5Tokenizer().save_pretrained(tmp_path / "model")
    assert not (tmp_path / "model" / "tokenizer.json").exists()
    shard = write(tmp_path, "part-0", [conversation(1), conversation(2)])
    # A token a byte, and no sign of an end.
    assert count_tokens(shard, tmp_path / "model").tolist() == [21, 38]
