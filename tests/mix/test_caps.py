"""Caps: what a source may give to training."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.mix.mixing import mix, row, rows
from tunewell.errors import DataError
from tunewell.recipe import Ratio
from tunewell.records import Example, Origin, Pool


def from_source(number: int, path: str, pool: Pool = "domain") -> Example:
    return replace(row(number, pool), origin=Origin(path, number))


def test_a_source_gives_no_more_rows_than_its_cap(tmp_path: Path) -> None:
    paths = ["logs/a-1.jsonl", "logs/a-2.jsonl", "faq.md"]
    clean = [from_source(number, paths[number % 3]) for number in range(90)]
    caps = {"a-*.jsonl": 20, "logs/a-2.*": 4}
    mixed = mix(tmp_path, clean, holdout=0, ratio=Ratio(open=0, domain=1), caps=caps)
    assert Counter(example.origin.path for example in mixed.train) == {"logs/a-1.jsonl": 20, "logs/a-2.jsonl": 4, "faq.md": 30}
    assert mixed.mixture["sources"] == [
        {"source": "faq.md", "available": 30, "capped_out": 0, "used": 30},
        {"source": "logs/a-1.jsonl", "available": 30, "capped_out": 10, "used": 20},
        {"source": "logs/a-2.jsonl", "available": 30, "capped_out": 26, "used": 4},
    ]
    domain = mixed.pool("domain")
    assert (domain["capped_out"], domain["left_out"], domain["unique"]) == (36, 36, 54)


def test_caps_come_before_the_ratio_and_repeats_are_no_part_of_them(tmp_path: Path) -> None:
    mixed = mix(tmp_path, rows(30, 30), holdout=0, when_short="repeat", caps={"open.jsonl": 5})
    assert (mixed.pool("open")["unique"], mixed.pool("open")["rows"]) == (5, 10)
    assert mixed.mixture["sources"][1] == {"source": "open.jsonl", "available": 30, "capped_out": 25, "used": 5}


def test_which_rows_a_capped_source_gives_hangs_on_the_seed(tmp_path: Path) -> None:
    asked: dict[str, Any] = {"holdout": 0, "ratio": Ratio(open=0, domain=1), "caps": {"domain.jsonl": 10}}
    first, again, other = (
        {example.id for example in mix(tmp_path / name, clean, seed=seed, **asked).train}
        for name, clean, seed in (("a", rows(40, 0), 0), ("b", rows(40, 0)[::-1], 0), ("c", rows(40, 0), 1))
    )
    assert len(first) == 10
    assert first == again != other


def test_a_cap_for_no_source_is_the_users_mistake(tmp_path: Path) -> None:
    clean = [from_source(number, f"f{number}.jsonl") for number in range(7)]
    with pytest.raises(DataError) as caught:
        mix(tmp_path, clean, caps={"f1.jsonl": 1, "log-*": 3, "nothing": 1})
    assert caught.value.what == "no source with rows matches `log-*`, `nothing`"
    assert caught.value.where == "data.caps"
    shown = "f0.jsonl, f1.jsonl, f2.jsonl, f3.jsonl, f4.jsonl, …"
    assert caught.value.hint == f"a pattern is a file's name or path, or a glob; sources are {shown}"
