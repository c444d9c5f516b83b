"""Clean and mix on two nodes, one of which is killed while it works: the files are those of the local engine, byte for byte."""

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tunewell import clean, mix
from tunewell.engine import Engine, LocalEngine, choose_engine
from tunewell.recipe import recipe_from_values
from tunewell.records import EXAMPLE_SCHEMA, Example, Message, Origin, Pool, example_to_row
from tunewell.store import DecisionLog, Judgement, folder_digest, read_examples, write_rows

pytest.importorskip("ray", reason="the extra `cluster` is not installed")

_SHARDS, _ROWS = 40, 200
_POOLS: tuple[Pool, Pool] = ("domain", "open")
_SETTINGS = {
    "data": {"ratio": {"open": 1, "domain": 2}, "by": "tokens", "caps": {"f1.jsonl": 1000}},
    "clean": {"near_duplicates": 0.8},
}


@pytest.fixture
def cluster() -> Iterator[Any]:
    from tests.engine.cluster import two_nodes

    with two_nodes() as nodes:
        yield nodes


def test_a_killed_node_changes_nothing(tmp_path: Path, tiny_model: Path, cluster: Any) -> None:
    _write_rows(tmp_path / "collect")
    _write_what_people_and_teachers_made_of_them(tmp_path)
    local = _clean_and_mix(tmp_path, "local", tiny_model, LocalEngine(2))
    killer = _Killer(cluster, tmp_path / "ray" / "clean" / "examples")
    killer.start()
    on_ray = _clean_and_mix(tmp_path, "ray", tiny_model, choose_engine("ray"))
    killer.join()
    assert killer.shards < _SHARDS, "the node died while there was work to do"
    cluster.wait_until_one_lives()
    assert on_ray == local


def _clean_and_mix(folder: Path, name: str, model: Path, engine: Engine) -> str:
    recipe = recipe_from_values(_SETTINGS, where="test", folder=folder)
    out, collected = folder / name, folder / "collect"
    sources = {name: folder / name for name in ("collect", "generate", "review")}
    cleaned = clean.run(recipe.part("clean"), sources, out / "clean", engine=engine)
    assert cleaned.counts["kept"] > 1000
    assert (cleaned.counts["dropped_rejected"], cleaned.counts["dropped_superseded"]) == (10, 20)
    assert cleaned.counts["dropped_duplicate"] > 100
    inputs = {"collect": collected, "clean": out / "clean", "model": model}
    mixed = mix.run(recipe.part("data", "seed"), inputs, out / "mix", engine=engine)
    assert mixed.counts["train"] > 1000
    return folder_digest(out)


def _write_what_people_and_teachers_made_of_them(folder: Path) -> None:
    """Rows 0 to 9 are rejected, 10 to 19 mended, and 20 to 39 rewritten."""
    unique = list({row.id: row for row in read_examples(folder / "collect" / "examples")}.values())
    counts = Counter(row.id for row in read_examples(folder / "collect" / "examples"))
    alone = [row for row in unique if counts[row.id] == 1][:40]
    made = [
        Example(
            (*row.prompt, Message("assistant", f"{row.answer} In short: yes.")),
            "domain",
            Origin("real_qa"),
            task="real_qa",
            evidence={"source": {"id": row.id}},
        )
        for row in alone[20:]
    ]
    write_rows(folder / "generate" / "examples", EXAMPLE_SCHEMA, map(example_to_row, made))
    with DecisionLog(folder / "review", "ann") as log:
        for number, row in enumerate(alone[:20]):
            mended = (*row.prompt, Message("assistant", f"{row.answer} As ann says.")) if number >= 10 else ()
            log.record(Judgement(row.id, "mend" if mended else "reject", "ann", f"2026-01-01T00:00:{number:02d}+00:00", mended))


class _Killer(threading.Thread):
    """Kills the second node as soon as some shards are written, and counts how many there were by then."""

    def __init__(self, cluster: Any, folder: Path) -> None:
        super().__init__()
        self._cluster, self._folder = cluster, folder
        self.shards = 0

    def run(self) -> None:
        while self.shards < 3:
            time.sleep(0.01)
            self.shards = len(list(self._folder.glob("part-*.parquet")))
        self._cluster.kill_second()


def _write_rows(folder: Path) -> None:
    source = random.Random(0)
    words = [f"word{number}" for number in range(800)]
    for shard in range(_SHARDS):
        rows: list[Example] = []
        for number in range(_ROWS):
            texts = [" ".join(source.choices(words, k=count)) for count in (12, 40)]
            messages: tuple[Message, ...] = (Message("user", texts[0]), Message("assistant", texts[1]))
            if rows and number % 10 == 0:
                messages = source.choice(rows).messages
            rows.append(Example(messages, _POOLS[number % 2], Origin(f"f{shard % 4}.jsonl", shard * _ROWS + number)))
        write_rows(folder / "examples", EXAMPLE_SCHEMA, map(example_to_row, rows), name=f"part-{shard:05d}")
