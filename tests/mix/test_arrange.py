"""The files: the same bytes however the input is cut and wherever the work is done."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.mix.mixing import digests, mix, rows
from tunewell.engine import LocalEngine
from tunewell.mix import arrange, columns
from tunewell.recipe import Ratio
from tunewell.records import EXAMPLE_SCHEMA, Example, examples_to_table
from tunewell.store import ShardWriter


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        mix(tmp_path / name, rows(40, 20))
    first = digests(tmp_path / "a" / "mix")
    assert set(first) == {"train/part-00000.parquet", "test/part-00000.parquet", "test/part-00001.parquet", "mixture.json"}
    assert digests(tmp_path / "b" / "mix") == first


def shard(folder: Path, clean: Sequence[Example], ends: Sequence[int]) -> None:
    """Write the rows in shards that end at these rows."""
    with ShardWriter(folder / "clean" / "examples", EXAMPLE_SCHEMA, rows_per_shard=1) as writer:
        for start, end in pairwise([0, *ends, len(clean)]):
            writer.write_table(examples_to_table(clean[start:end]))


@settings(max_examples=25, deadline=None)
@given(
    ends=st.lists(st.integers(0, 60), max_size=12).map(sorted),
    rows_per_piece=st.integers(1, 70),
    bytes_at_once=st.sampled_from([1, 3_000, 1 << 20]),
    by=st.sampled_from(["rows", "tokens"]),
)
def test_the_files_do_not_hang_on_shards_pieces_or_runs(
    tmp_path_factory: pytest.TempPathFactory, ends: list[int], rows_per_piece: int, bytes_at_once: int, by: str
) -> None:
    clean = rows(40, 20)
    asked: dict[str, Any] = {"when_short": "repeat", "ratio": Ratio(open=2, domain=1), "by": by, "holdout": 0.2}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrange, "_ROWS_PER_PART", 9)
        whole = tmp_path_factory.mktemp("whole")
        first = mix(whole, clean, **asked)
        patch.setattr(columns, "_ROWS_PER_PIECE", rows_per_piece)
        patch.setattr(arrange, "_BYTES_AT_ONCE", bytes_at_once)
        cut = tmp_path_factory.mktemp("cut")
        shard(cut, clean, ends)
        again = mix(cut, clean, **asked)
    assert again == first
    assert len(list((whole / "mix" / "train").iterdir())) == -(-len(first.train) // 9) > 1
    assert digests(cut / "mix") == digests(whole / "mix")


def test_worker_processes_write_the_same_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "_ROWS_PER_PIECE", 25)
    monkeypatch.setattr(arrange, "_ROWS_PER_PART", 20)
    for name, workers in (("one", 1), ("two", 2)):
        shard(tmp_path / name, rows(40, 20), range(10, 60, 10))
        mix(tmp_path / name, [], engine=LocalEngine(workers), by="tokens")
    assert digests(tmp_path / "two" / "mix") == digests(tmp_path / "one" / "mix")


def test_what_a_killed_run_left_is_removed(tmp_path: Path) -> None:
    for name in ("train/part-00009.parquet", "test/part-00009.parquet", "scratch/00009.arrow"):
        (tmp_path / "mix" / name).parent.mkdir(parents=True)
        (tmp_path / "mix" / name).write_text("half a file")
    assert len(mix(tmp_path, rows(30, 10), holdout=0).train) == 40
    assert sorted(path.name for path in (tmp_path / "mix").iterdir()) == ["mixture.json", "test", "train"]


def test_a_row_repeated_more_often_than_a_table_holds_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrange, "ROWS_PER_GROUP", 4)
    mixed = mix(tmp_path, rows(1, 30), holdout=0, when_short="repeat", ratio=Ratio(open=1, domain=1))
    assert Counter(example.pool for example in mixed.train) == {"domain": 30, "open": 30}
    assert len({example.id for example in mixed.train}) == 31
