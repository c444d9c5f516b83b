"""The stage: training rows in the ratio asked, families on one side only, and every row accounted for."""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.mix.mixing import mix, row, rows
from tunewell.errors import DataError
from tunewell.mix import split
from tunewell.recipe import Ratio, Turns
from tunewell.records import Pool


def test_the_audit_of_a_plain_mixture(tmp_path: Path) -> None:
    mixed = mix(tmp_path, rows(90, 20), holdout=0, seed=7)
    assert mixed.mixture == {
        "by": "rows",
        "pools": [
            {
                "pool": "domain",
                "asked_share": 0.75,
                "reached_share": 0.75,
                "available": 90,
                "unique": 60,
                "rows": 60,
                "repeats": 0,
                "left_out": 30,
                "capped_out": 0,
                "tokens": 60 * 5,
                "tokens_counted": 60,
            },
            {
                "pool": "open",
                "asked_share": 0.25,
                "reached_share": 0.25,
                "available": 20,
                "unique": 20,
                "rows": 20,
                "repeats": 0,
                "left_out": 0,
                "capped_out": 0,
                "tokens": 20 * 5,
                "tokens_counted": 20,
            },
        ],
        "turns": [
            {"pool": "domain", "turns": "single", "asked_share": None, "reached_share": 1.0, "rows": 60},
            {"pool": "domain", "turns": "multi", "asked_share": None, "reached_share": 0.0, "rows": 0},
            {"pool": "open", "turns": "single", "asked_share": None, "reached_share": 1.0, "rows": 20},
            {"pool": "open", "turns": "multi", "asked_share": None, "reached_share": 0.0, "rows": 0},
        ],
        "sources": [
            {"source": "domain.jsonl", "available": 90, "capped_out": 0, "used": 60},
            {"source": "open.jsonl", "available": 20, "capped_out": 0, "used": 20},
        ],
        "train_rows": 80,
        "test_rows": {"seen": 0, "paraphrase": 0, "unseen": 0},
        "test_left_out": 0,
        "held_out_families": 0,
        "seed": 7,
    }
    assert mixed.counts == {"train": 80, "test": 0, "repeats": 0, "left_out": 30}
    assert Counter(example.pool for example in mixed.train) == {"domain": 60, "open": 20}
    assert len({example.id for example in mixed.train}) == 80


def test_repeats_go_through_all_rows_before_any_comes_a_further_time(tmp_path: Path) -> None:
    mixed = mix(tmp_path, rows(90, 11), holdout=0, when_short="repeat")
    times = Counter(example.id for example in mixed.train if example.pool == "open")
    assert len(times) == 11
    assert Counter(times.values()) == {3: 8, 2: 3}
    assert mixed.pool("open") == {
        "pool": "open",
        "asked_share": 0.25,
        "reached_share": 0.25,
        "available": 11,
        "unique": 11,
        "rows": 30,
        "repeats": 19,
        "left_out": 0,
        "capped_out": 0,
        "tokens": 30 * 5,
        "tokens_counted": 11,
    }
    assert mixed.counts == {"train": 120, "test": 0, "repeats": 19, "left_out": 0}


def test_the_repeats_of_a_row_are_spread_over_the_epoch(tmp_path: Path) -> None:
    train = mix(tmp_path, rows(100, 10), holdout=0, when_short="repeat", ratio=Ratio(open=1, domain=1)).train
    assert sum(left.id == right.id for left, right in pairwise(train)) < 10


def test_turns_are_reached_within_each_pool(tmp_path: Path) -> None:
    clean = [row(number, pool, multi=number % 4 == 0) for pool in ("domain", "open") for number in range(40)]
    mixed = mix(tmp_path, clean, holdout=0, ratio=Ratio(open=1, domain=1), turns=Turns(single=1, multi=1))
    assert Counter((example.pool, example.turns) for example in mixed.train) == {
        ("domain", "single"): 10,
        ("domain", "multi"): 10,
        ("open", "single"): 10,
        ("open", "multi"): 10,
    }
    assert [entry["asked_share"] for entry in mixed.mixture["turns"]] == [0.5] * 4
    assert [entry["rows"] for entry in mixed.mixture["turns"]] == [10] * 4


def test_replayed_and_other_open_rows_are_one_pool(tmp_path: Path) -> None:
    clean = [*rows(30, 5), *(row(number, "open", task="replay") for number in range(5, 10))]
    mixed = mix(tmp_path, clean, holdout=0)
    assert Counter(example.task for example in mixed.train if example.pool == "open") == {"qa": 5, "replay": 5}


def test_a_ratio_without_open_rows_trains_on_the_domain_alone(tmp_path: Path) -> None:
    mixed = mix(tmp_path, rows(9, 4), holdout=0, ratio=Ratio(open=0, domain=1))
    assert {example.pool for example in mixed.train} == {"domain"}
    assert (mixed.pool("open")["left_out"], mixed.pool("open")["asked_share"]) == (4, 0)


def test_an_open_pool_without_rows_stops_the_run_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        mix(tmp_path, rows(9, 0), holdout=0)
    assert caught.value.where == "data.ratio.open"
    assert not (tmp_path / "mix" / "mixture.json").exists()


def test_held_out_families_become_unseen_items_and_as_many_trained_rows_seen_ones(tmp_path: Path) -> None:
    clean = [row(number, family=f"family {number // 3}", multi=number % 2 == 0) for number in range(60)]
    mixed = mix(tmp_path, clean, ratio=Ratio(open=0, domain=1), holdout=0.2)
    unseen = [item for item in mixed.test if item.task == "unseen"]
    seen = [item for item in mixed.test if item.task == "seen"]
    assert (mixed.mixture["held_out_families"], len(unseen), len(seen)) == (4, 12, 12)
    trained = {example.id: example for example in mixed.train}
    assert not {item.family for item in unseen} & {example.family for example in mixed.train}
    assert {item.turns for item in unseen} == {"single", "multi"}
    for item in seen:
        assert (item.messages, item.family) == (trained[item.id].messages, trained[item.id].family)
        assert trained[item.id].task == "qa"
    assert mixed.mixture["test_rows"] == {"seen": 12, "paraphrase": 0, "unseen": 12}
    assert mixed.counts == {"train": 48, "test": 24, "repeats": 0, "left_out": 0}


def test_seen_items_are_domain_rows_and_each_stands_there_once(tmp_path: Path) -> None:
    mixed = mix(tmp_path, rows(20, 400), ratio=Ratio(open=1, domain=1), holdout=0.5, when_short="repeat")
    seen = [item for item in mixed.test if item.task == "seen"]
    assert {item.pool for item in seen} == {"domain"}
    assert len({item.id for item in seen}) == len(seen) == 10


@pytest.mark.parametrize(("families", "holdout", "held"), [(9, 0.1, 0), (10, 0.01, 1), (10, 0.0, 0), (10, 0.3, 3), (40, 0.1, 4)])
def test_how_many_families_are_held_out(tmp_path: Path, families: int, holdout: float, held: int) -> None:
    mixed = mix(tmp_path, rows(families, families), test=[], holdout=holdout)
    assert mixed.mixture["held_out_families"] == held == mixed.mixture["test_rows"]["unseen"]


def test_an_open_row_of_a_held_out_family_is_left_out(tmp_path: Path) -> None:
    clean = [row(number, pool, family=f"f{number}") for pool in ("domain", "open") for number in range(20)]
    mixed = mix(tmp_path, clean, holdout=0.5, ratio=Ratio(open=1, domain=1))
    held = {item.family for item in mixed.test if item.task == "unseen"}
    assert len(held) == 10
    assert not held & {example.family for example in mixed.train}
    assert (mixed.pool("open")["left_out"], mixed.pool("domain")["left_out"]) == (10, 0)


def test_a_row_with_the_content_of_a_held_out_one_is_not_trained_on(tmp_path: Path) -> None:
    clean = [row(number, family=f"f{number}") for number in range(10)] + [row(number, family=f"g{number}") for number in range(10)]
    mixed = mix(tmp_path, clean, holdout=0.5, ratio=Ratio(open=0, domain=1))
    held = {item.messages for item in mixed.test if item.task == "unseen"}
    assert held
    assert not held & {example.messages for example in mixed.train}


def test_collected_items_are_the_test_and_no_family_of_theirs_is_held_out(tmp_path: Path) -> None:
    clean = [row(number, family=f"f{number}") for number in range(20)]
    items = [
        row(0, family="f0", task="seen"),
        row(100, family="f0", task="paraphrase"),
        row(101, family="f0", task="unseen"),
        row(102, family=clean[1].id, task="paraphrase"),
        row(103, family="gone", task="seen"),
        row(104, family="gone", task="paraphrase"),
        row(105, family="gone", task="unseen"),
        row(106, family="f2", task="unseen"),
        row(107, family=clean[3].id, task="unseen"),
    ]
    mixed = mix(tmp_path, clean, items, ratio=Ratio(open=0, domain=1), holdout=0.5)
    assert mixed.test == [item for item in items if item.origin.row not in (103, 104)]
    assert sorted(example.family for example in mixed.train) == sorted(f"f{n}" for n in range(20) if n not in (2, 3))
    assert mixed.mixture["test_rows"] == {"seen": 1, "paraphrase": 2, "unseen": 4}
    assert (mixed.mixture["test_left_out"], mixed.mixture["held_out_families"]) == (2, 0)
    assert mixed.counts == {"train": 18, "test": 7, "repeats": 0, "left_out": 2}


def test_an_item_whose_row_was_cleaned_but_not_drawn_is_left_out_of_the_test(tmp_path: Path) -> None:
    clean = rows(30, 2)
    items = [row(number, task="seen") for number in range(30)]
    mixed = mix(tmp_path, clean, items)
    trained = {example.id for example in mixed.train if example.pool == "domain"}
    assert (len(trained), {item.id for item in mixed.test}) == (6, trained)
    assert mixed.mixture["test_left_out"] == 24


def test_the_order_hangs_on_the_seed_and_not_on_the_order_of_the_input(tmp_path: Path) -> None:
    clean = rows(40, 20)
    first = mix(tmp_path / "a", clean)
    again = mix(tmp_path / "b", clean[::-1])
    other = mix(tmp_path / "c", clean, seed=1)
    assert (first.train, first.test) == (again.train, again.test)
    assert [example.id for example in other.train] != [example.id for example in first.train]
    assert {item.id for item in other.test} != {item.id for item in first.test}


def test_pools_are_mixed_and_not_laid_end_to_end(tmp_path: Path) -> None:
    train = mix(tmp_path, rows(200, 200), holdout=0, ratio=Ratio(open=1, domain=1)).train
    changes = sum(left.pool != right.pool for left, right in pairwise(train))
    assert 150 < changes < 250


def test_no_more_families_are_held_out_than_an_evaluation_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(split, "MOST_FAMILIES", 3)
    mixed = mix(tmp_path, rows(20, 20), holdout=0.5)
    assert mixed.mixture["held_out_families"] == mixed.mixture["test_rows"]["unseen"] == 3


ROW = st.tuples(st.sampled_from(["domain", "open"]), st.booleans(), st.integers(0, 25))


@settings(max_examples=60, deadline=None)
@given(
    drawn=st.lists(ROW, min_size=1, max_size=60),
    ratio=st.sampled_from([(0, 1), (1, 3), (2, 1), (0.3, 0.7)]),
    when_short=st.sampled_from(["shrink", "repeat"]),
    holdout=st.sampled_from([0.0, 0.1, 0.5]),
    cap=st.none() | st.integers(1, 30),
    tested=st.none() | st.lists(st.tuples(st.sampled_from(["seen", "paraphrase", "unseen"]), st.integers(0, 30)), max_size=10),
)
def test_no_row_is_lost_and_no_family_straddles(
    tmp_path_factory: pytest.TempPathFactory,
    drawn: list[tuple[Pool, bool, int]],
    ratio: tuple[float, float],
    when_short: str,
    holdout: float,
    cap: int | None,
    tested: list[tuple[str, int]] | None,
) -> None:
    # One row of each pool that no test item touches, so that each pool asked for can be had.
    clean = [row(1000, "domain", family="domain"), row(1000, "open", family="open")]
    clean += [row(place, pool, multi=multi, family=f"f{family}") for place, (pool, multi, family) in enumerate(drawn)]
    items = None if tested is None else [row(100 + n, task=task, family=f"f{family}") for n, (task, family) in enumerate(tested)]
    mixed = mix(
        tmp_path_factory.mktemp("run"),
        clean,
        items,
        ratio=Ratio(open=ratio[0], domain=ratio[1]),
        when_short=when_short,
        holdout=holdout,
        caps={} if cap is None else {"d*.jsonl": cap},
    )
    assert cap is None or mixed.pool("domain")["unique"] <= cap
    unseen = {item.family for item in mixed.test if item.task == "unseen"}
    trained = {example.family for example in mixed.train}
    triples = {item.family for item in items or () if item.task != "unseen"}
    assert not (unseen - triples) & trained
    assert {item.family for item in mixed.test if item.task != "unseen"} <= trained
    for pool in mixed.mixture["pools"]:
        held = sum(item.task == "unseen" for item in mixed.test) if not items and pool["pool"] == "domain" else 0
        assert pool["available"] == sum(example.pool == pool["pool"] for example in clean)
        assert pool["available"] == pool["unique"] + pool["left_out"] + held
        assert pool["rows"] == pool["unique"] + pool["repeats"] == sum(example.pool == pool["pool"] for example in mixed.train)
        assert abs(pool["rows"] - pool["asked_share"] * mixed.mixture["train_rows"]) < 1
        assert pool["left_out"] >= pool["capped_out"] >= 0
    assert mixed.mixture["train_rows"] == len(mixed.train) == mixed.counts["train"]
    assert sum(mixed.mixture["test_rows"].values()) == len(mixed.test) == mixed.counts["test"]
    assert mixed.mixture["test_left_out"] == len(items or ()) - (len(mixed.test) if items else 0)
