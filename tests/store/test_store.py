"""What is written is whole, and what was cut off is known."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewell.errors import DataError
from tunewell.records import (
    DROPPED_SCHEMA,
    EXAMPLE_SCHEMA,
    RESULT_SCHEMA,
    Dropped,
    Example,
    Message,
    Origin,
    Result,
    dropped_to_row,
    example_to_row,
    examples_to_table,
    result_to_row,
    row_to_dropped,
    row_to_example,
    row_to_result,
)
from tunewell.store import (
    Journal,
    Manifest,
    ShardWriter,
    atomic_folder,
    atomic_write,
    clear_shards,
    count_rows,
    digest,
    file_digest,
    finish_shards,
    folder_digest,
    read_dropped,
    read_examples,
    read_results,
    read_tables,
    shards,
    write_json,
    write_rows,
)

_TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
_MESSAGES = st.lists(st.builds(Message, st.sampled_from(["system", "user", "assistant"]), _TEXT), max_size=4).map(tuple)
_ORIGINS = st.builds(
    Origin, _TEXT, st.none() | st.integers(1, 10**9), _TEXT, st.none() | st.integers(0, 10), st.none() | st.integers(0, 10)
)
_EXAMPLES = st.builds(
    Example,
    _MESSAGES,
    st.sampled_from(["domain", "open"]),
    _ORIGINS,
    evidence=st.dictionaries(_TEXT, _TEXT | st.integers() | st.none()),
)


@given(example=_EXAMPLES, reason=_TEXT)
def test_records_survive_the_way_to_a_row_and_back(example: Example, reason: str) -> None:
    assert row_to_example(example_to_row(example)) == example
    dropped = Dropped(example, reason, "detail")
    assert row_to_dropped(dropped_to_row(dropped)) == dropped


def test_results_survive_the_way_to_disk_and_back(tmp_path: Path) -> None:
    result = Result("domain", "seen", "1", "f", "zh", "base", "问", "答", "答案", {"rouge_l": 0.25, "cut": 1.0})
    assert row_to_result(result_to_row(result)) == result
    write_rows(tmp_path, RESULT_SCHEMA, [result_to_row(result)])
    assert list(read_results(tmp_path)) == [result]


def test_the_identity_is_that_of_the_content() -> None:
    def make(answer: str, row: int) -> Example:
        return Example((Message("user", "q"), Message("assistant", answer)), "domain", Origin("f", row))

    assert make("a", 1).id == make("a", 2).id != make("b", 1).id
    assert make("a", 1).family == make("a", 1).id


@pytest.mark.parametrize("rows", [0, 1, 5, 11])
def test_shards_hold_all_rows_in_order(tmp_path: Path, rows: int) -> None:
    examples = [Example((Message("user", str(row)),), "domain", Origin("f", row)) for row in range(rows)]
    with ShardWriter(tmp_path, EXAMPLE_SCHEMA, rows_per_shard=5) as writer:
        for example in examples:
            writer.write(example_to_row(example))
    assert list(read_examples(tmp_path)) == examples
    assert count_rows(tmp_path) == rows
    assert len(list(tmp_path.glob("part-*"))) == max(1, -(-rows // 5))
    assert not list(tmp_path.glob(".*.tmp"))


def test_a_writer_that_dies_leaves_no_half_shard(tmp_path: Path) -> None:
    example = example_to_row(Example((Message("user", "x"),), "domain", Origin("f")))

    def write_and_die() -> None:
        with ShardWriter(tmp_path, EXAMPLE_SCHEMA, rows_per_shard=2000) as writer:
            for _ in range(2500):
                writer.write(example)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_and_die()
    assert [path.name for path in tmp_path.iterdir()] == ["part-00000.parquet"]
    assert count_rows(tmp_path) == 2000


def test_a_folder_without_shards_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no Parquet shards") as caught:
        list(read_dropped(tmp_path))
    assert caught.value.where == str(tmp_path)


def test_shards_written_anew_replace_all_old_ones(tmp_path: Path) -> None:
    many = [dropped_to_row(Dropped(Example((), "open", Origin("f", row)), "empty")) for row in range(4)]
    with ShardWriter(tmp_path, DROPPED_SCHEMA, rows_per_shard=1) as writer:
        for row in many:
            writer.write(row)
    write_rows(tmp_path, DROPPED_SCHEMA, many[:1])
    assert count_rows(tmp_path) == 1


def test_writers_of_one_folder_leave_each_others_shards_alone(tmp_path: Path) -> None:
    examples = [Example((Message("user", str(row)),), "domain", Origin("f", row)) for row in range(4)]
    for name, rows in (("part-00001", examples[2:]), ("part-00000", examples[:1]), ("part-00000", examples[:2])):
        with ShardWriter(tmp_path, EXAMPLE_SCHEMA, name=name) as writer:
            writer.write_table(examples_to_table(rows))
    assert list(read_examples(tmp_path)) == examples
    assert [table.num_rows for path in shards(tmp_path) for table in read_tables(path)] == [2, 2]


def test_a_folder_that_got_no_shard_is_finished_with_an_empty_one(tmp_path: Path) -> None:
    with ShardWriter(tmp_path, EXAMPLE_SCHEMA, name="part-00007", may_be_empty=True):
        pass
    (tmp_path / ".part-00003-00000.parquet.123.tmp").touch()
    assert not list(tmp_path.glob("part-*"))
    finish_shards(tmp_path, EXAMPLE_SCHEMA)
    assert [path.name for path in tmp_path.iterdir()] == ["part-00000.parquet"]
    assert [table.num_rows for table in read_tables(tmp_path / "part-00000.parquet")] == [0]
    clear_shards(tmp_path)
    assert not list(tmp_path.iterdir())


@given(st.lists(_EXAMPLES, max_size=5))
def test_a_table_made_by_columns_is_that_made_by_rows(examples: list[Example]) -> None:
    by_rows = pa.Table.from_pylist([example_to_row(example) for example in examples], schema=EXAMPLE_SCHEMA)
    assert examples_to_table(examples).equals(by_rows)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="Out of range float"):
        write_json(path, {"a": float("nan")})

    def fail() -> None:
        with atomic_write(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert json.loads(path.read_text()) == {"a": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]


def test_a_failed_folder_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "adapter"
    with atomic_folder(target) as folder:
        (folder / "weights").write_text("old")

    def fail() -> None:
        with atomic_folder(target) as folder:
            (folder / "weights").write_text("new")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert (target / "weights").read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["adapter"]


@given(cut=st.integers(min_value=0, max_value=200))
def test_a_journal_cut_off_anywhere_keeps_its_whole_entries(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    with Journal(path) as journal:
        for number in range(5):
            journal.record({f"key {number}": {"text": "退款", "number": number}})
    content = path.read_bytes()
    path.write_bytes(content[: len(content) - min(cut, len(content))])
    whole = path.read_bytes().count(b"\n")
    with Journal(path) as journal:
        assert len(journal) == whole
        journal.record({"new": 1})
    with Journal(path) as journal:
        assert len(journal) == whole + 1
        assert journal["new"] == 1
        assert all(journal[f"key {number}"]["number"] == number for number in range(whole))


def test_hashes_follow_content_and_names_alone(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    for folder in (first, second):
        (folder / "sub").mkdir(parents=True)
        (folder / "sub" / "x").write_text("1")
        (folder / ".hidden").write_text(folder.name)
        (folder / "manifest.json").write_text(folder.name)
    assert folder_digest(first) != folder_digest(second)
    assert folder_digest(first, without=["manifest.json"]) == folder_digest(second, without=["manifest.json"])
    (second / "sub" / "x").rename(second / "sub" / "y")
    assert folder_digest(first, without=["manifest.json"]) != folder_digest(second, without=["manifest.json"])
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1}) != digest({"a": 1, "b": 3})


def test_the_hash_of_a_large_file_is_remembered_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tunewell.store import hashing

    monkeypatch.setattr(hashing, "_WORTH_REMEMBERING", 10)
    path = tmp_path / "weights"
    path.write_bytes(b"x" * 100)
    first = file_digest(path)
    monkeypatch.setattr(hashing, "_read_and_hash", lambda _: pytest.fail("read again"))
    assert file_digest(path) == first
    monkeypatch.undo()
    monkeypatch.setattr(hashing, "_WORTH_REMEMBERING", 10)
    path.write_bytes(b"y" * 100)
    assert file_digest(path) != first


def test_a_manifest_that_cannot_be_read_counts_as_none(tmp_path: Path) -> None:
    assert Manifest.read(tmp_path) is None
    (tmp_path / "manifest.json").write_text('{"stage": "mix", "unknown": 1}')
    assert Manifest.read(tmp_path) is None


def test_a_strange_error_on_a_full_disk_is_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tunewell.errors import MachineError
    from tunewell.store import files

    def fail() -> None:
        with files.friendly_disk_errors(tmp_path / "not" / "yet"):
            raise RuntimeError("unexpected pos 44160 vs 44052")

    with pytest.raises(RuntimeError, match="unexpected pos"):
        fail()
    monkeypatch.setattr(files, "_FULL", 1 << 62)
    with pytest.raises(MachineError, match="the disk is full") as caught:
        fail()
    assert "finished stages are kept" in caught.value.hint
