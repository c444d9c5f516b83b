"""The ratio by tokens, and the tokens that the audit tells."""

from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.mix.mixing import mix, row, rows
from tunewell.errors import DataError, ModelError
from tunewell.mix import run, stage
from tunewell.recipe import Data, Ratio, Recipe, Turns
from tunewell.records import EXAMPLE_SCHEMA, Example, Message, Origin, Pool, example_to_row
from tunewell.store import write_rows


def worded(number: int, pool: Pool, words: int) -> Example:
    """A row of as many words as tokens are wanted, at least two."""
    messages = (Message("user", f"{pool}{number}"), Message("assistant", " ".join(["word"] * (words - 1))))
    return Example(messages, pool, Origin(f"{pool}.jsonl", number))


def words_of(examples: Iterable[Example]) -> int:
    return sum(len(message.content.split()) for example in examples for message in example.messages)


def test_the_ratio_by_tokens(tmp_path: Path) -> None:
    clean = [worded(n, "domain", 30) for n in range(30)] + [worded(n, "open", 10) for n in range(60)]
    mixed = mix(tmp_path, clean, holdout=0, by="tokens")
    assert mixed.mixture["by"] == "tokens"
    assert {key: mixed.pool("domain")[key] for key in ("rows", "tokens", "tokens_counted", "reached_share")} == {
        "rows": 30,
        "tokens": 900,
        "tokens_counted": 30,
        "reached_share": 0.75,
    }
    assert {key: mixed.pool("open")[key] for key in ("rows", "tokens", "tokens_counted", "left_out")} == {
        "rows": 30,
        "tokens": 300,
        "tokens_counted": 60,
        "left_out": 30,
    }


def test_a_pool_too_small_in_tokens_stops_the_run(tmp_path: Path) -> None:
    clean = [worded(n, "domain", 30) for n in range(30)] + [worded(n, "open", 10) for n in range(29)]
    with pytest.raises(DataError) as caught:
        mix(tmp_path, clean, holdout=0, by="tokens", when_short="fail")
    assert caught.value.what == "the pool `open` is too small for the ratio: 300 tokens asked, 290 available"
    assert caught.value.where == "data.when_short"
    assert caught.value.hint == "add rows, change data.ratio or data.turns, or set data.when_short: shrink or repeat"


def test_less_than_half_a_row_too_few_tokens_is_enough(tmp_path: Path) -> None:
    clean = [worded(n, "domain", 30) for n in range(30)] + [worded(n, "open", 10) for n in range(28)] + [worded(99, "open", 16)]
    mixed = mix(tmp_path, clean, holdout=0, by="tokens", when_short="fail")
    assert (mixed.pool("open")["tokens"], mixed.pool("open")["repeats"]) == (296, 0)


WEIGHTS = st.lists(st.integers(2, 40), min_size=1, max_size=25)


@settings(max_examples=40, deadline=None)
@given(domain=WEIGHTS, open_=WEIGHTS, when_short=st.sampled_from(["shrink", "repeat"]), seed=st.integers(0, 9))
def test_the_ratio_by_tokens_is_met_within_half_a_row_of_each_pool(
    tmp_path_factory: pytest.TempPathFactory, domain: list[int], open_: list[int], when_short: str, seed: int
) -> None:
    clean = [worded(n, "domain", words) for n, words in enumerate(domain)]
    clean += [worded(n, "open", words) for n, words in enumerate(open_)]
    mixed = mix(tmp_path_factory.mktemp("run"), clean, holdout=0, by="tokens", when_short=when_short, seed=seed)
    choose = {"shrink": min, "repeat": max}[when_short]
    total = choose(sum(domain) / 0.75, sum(open_) / 0.25)
    for pool, share, weights in (("domain", 0.75, domain), ("open", 0.25, open_)):
        tokens = words_of(example for example in mixed.train if example.pool == pool)
        assert abs(tokens - share * total) <= max(weights) / 2
        assert mixed.pool(pool)["tokens"] == tokens
        if when_short == "shrink":
            assert mixed.pool(pool)["repeats"] == 0
        else:
            assert mixed.pool(pool)["left_out"] == 0


def test_turns_by_tokens_are_shared_out_within_each_pool(tmp_path: Path) -> None:
    clean = [row(number, multi=number % 2 == 0) for number in range(80)]
    ratio, turns = Ratio(open=0, domain=1), Turns(single=1, multi=1)
    mixed = mix(tmp_path, clean, holdout=0, by="tokens", ratio=ratio, turns=turns)
    single, multi = mixed.mixture["turns"][:2]
    # 40 conversations of 5 words and as many of 10.
    assert (single["rows"], single["reached_share"], multi["rows"], multi["reached_share"]) == (40, 0.5, 20, 0.5)
    assert [entry["reached_share"] for entry in mixed.mixture["turns"][2:]] == [None, None]


def test_tokens_of_a_large_pool_are_estimated_from_its_first_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "_SAMPLE", 5)
    clean = [worded(n, "domain", 10 + 2 * (n % 2)) for n in range(40)]
    mixed = mix(tmp_path, clean, holdout=0, ratio=Ratio(open=0, domain=1))
    pool = mixed.pool("domain")
    assert pool["tokens"] == 8 * words_of(mixed.train[:5])
    assert pool["tokens_counted"] == 5
    assert (mixed.pool("open")["tokens"], mixed.pool("open")["tokens_counted"]) == (0, 0)


def test_a_model_without_a_tokenizer(tmp_path: Path) -> None:
    write_rows(tmp_path / "clean" / "examples", EXAMPLE_SCHEMA, map(example_to_row, rows(4, 4)))
    recipe = Recipe(data=Data(holdout=0)).part("data", "seed")
    inputs = {name: tmp_path / name for name in ("clean", "collect", "model")}
    inputs["model"].mkdir()
    (inputs["model"] / "tokenizer.json").write_text("{", encoding="utf-8")
    with pytest.raises(ModelError, match="the tokenizer cannot be read: ") as caught:
        run(recipe, inputs, tmp_path / "mix")
    assert caught.value.where == str(inputs["model"])
    assert caught.value.hint == "a model folder holds tokenizer.json, or the files its tokenizer is made of"
