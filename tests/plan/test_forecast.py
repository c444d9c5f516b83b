"""Hours, cards, rows and advice, and all of them put together."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.plan.configs import PUBLISHED, TINY, write_config
from tunewell.errors import ModelError, TemplateError, UserError
from tunewell.plan import Band, Job, Rows, Shapes, find_card, forecast, job_of, read_shapes, this_machine
from tunewell.plan.advice import advise
from tunewell.plan.cards import fit_word, fits
from tunewell.plan.hours import flops_per_token, hours
from tunewell.plan.place import cards
from tunewell.plan.rows import every_nth, measure, mixed_counts, rows_from
from tunewell.recipe import Recipe
from tunewell.records import Example, Message, Origin
from tunewell.template import Encoded, Loss

_GIB = 2**30


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Shapes:
    return read_shapes(write_config(tmp_path_factory.mktemp("llama"), PUBLISHED["LLaMA2-7B"]), Job(rank=8))


def test_full_training_takes_six_operations_a_parameter_and_lora_four(llama: Shapes) -> None:
    every = Job(method="full", projected=Band(1, 1))
    linear = llama.active + llama.vocabulary * llama.hidden
    full, lora = dataclasses.replace(llama, adapter=0), llama
    assert flops_per_token(full, every, 0) == 6 * linear
    assert flops_per_token(lora, dataclasses.replace(every, method="lora"), 0) == 4 * linear + 6 * llama.adapter
    anew = dataclasses.replace(every, checkpointing=True)
    assert flops_per_token(full, anew, 0) == 8 * linear
    # 12 · layers · width · length counts every pair, and only half of them are looked at
    assert flops_per_token(full, every, 1024) - 6 * linear == 6 * llama.layers * llama.hidden * 1024


def test_measured_lora_speed_on_an_a100_lies_in_the_band(llama: Shapes) -> None:
    """2,392 to 4,007 tokens/s of LLaMA2-7B, LoRA of rank 8, 4 x 1,024 tokens (LLaMA-Factory's wiki)."""
    job = Job(rank=8, context=1024, batch_tokens=4096, projected=Band(1, 1))
    time = hours(1e6 * flops_per_token(llama, job, 1024), job, find_card("A100-40"))
    assert time is not None
    assert 1e6 / 3600 / time.high == pytest.approx(2392, rel=0.15)
    assert 1e6 / 3600 / time.low > 4007


def test_more_gpus_take_less_time_and_nothing_is_said_of_an_unknown_one(llama: Shapes) -> None:
    place = find_card("h100")
    alone, four = (hours(1e18, Job(gpus=gpus), place) for gpus in (1, 4))
    assert alone is not None
    assert four == pytest.approx((alone.low / 4, alone.high / 4))
    assert hours(1e18, Job(), place._replace(peak=None)) is None
    assert hours(None, Job(), place) is None


def test_the_table_of_cards_is_complete_and_in_reason() -> None:
    assert len({card.name for card in cards()}) == len(cards()) >= 15
    for card in cards():
        assert 8 <= card.memory_gib <= 300
        assert 100 <= card.bandwidth <= 10_000
        assert 5 <= card.tflops <= 3_000
        assert "data sheet" in card.source or "white paper" in card.source or "brief" in card.source


def test_a_card_that_is_not_in_the_table_is_refused() -> None:
    with pytest.raises(UserError) as caught:
        find_card("A1000")
    assert (caught.value.what, caught.value.where) == ("there is no card `A1000` in the table", "--card")
    assert "RTX 4090" in caught.value.hint


def test_a_model_that_is_too_large_for_one_card_is_cut_among_several(llama: Shapes) -> None:
    full = Job(method="full", context=2048, batch_tokens=2048, checkpointing=True)
    found = {fit.card.name: fit for fit in fits(dataclasses.replace(llama, adapter=0), full, 1e20)}
    assert (found["A100-80"].one, found["A100-80"].gpus) == ("no", 2)
    assert found["B200"].gpus == 1
    for fit in found.values():
        if fit.gpus is not None:
            assert fit.need.high <= fit.card.memory_gib * _GIB
            assert fit.hours is not None
    lora = {fit.card.name: fit for fit in fits(llama, Job(rank=8, context=1024, checkpointing=True), None)}
    assert lora["RTX 4090"].one == "yes"
    assert lora["RTX 4090"].hours is None
    # it has no bf16: weights in fp32 alone are more than its memory
    assert lora["T4"].one == "no"


def test_a_model_that_no_64_cards_hold(llama: Shapes) -> None:
    giant = dataclasses.replace(llama, parameters=10**13)
    assert {fit.gpus for fit in fits(giant, Job(), 1e20)} == {None}


def test_words_for_a_fit() -> None:
    assert [fit_word(Band(4, 6), room) for room in (6, 5, 3)] == ["yes", "tight", "no"]


class _Chat:
    """As many tokens as the texts have characters; a question that is `refused` is none."""

    def encode_each(self, rows: Any, loss: Loss) -> Iterator[Encoded | TemplateError]:
        for messages in rows:
            if messages[0].content == "refused":
                yield TemplateError("no")
            else:
                question, answer = (len(message.content) for message in messages)
                yield Encoded([1] * (question + answer), [-100] * question + [1] * answer)


def _example(question: str, answer: str) -> Example:
    return Example((Message("user", question), Message("assistant", answer)), "domain", Origin("rows.jsonl", 1))


def test_rows_are_measured_as_they_are_trained() -> None:
    examples = [_example("q" * 6, "a" * 2), _example("q" * 2, "a" * 6), _example("q" * 90, "a" * 30), _example("refused", "a")]
    measured = measure(examples, _Chat(), Loss("every", "train"), context=100)  # type: ignore[arg-type]  # all that is asked of it
    assert measured.lengths == [8, 8]
    assert measured.supervised == [2, 6]
    assert (measured.looked_at, measured.left_out) == (4, 2)
    rows = rows_from(measured, {"domain": 6, "open": 2}, batch_tokens=8, source="here")
    assert (rows.tokens, rows.supervised, rows.left_out, rows.longest) == (32, 16, 4, 8)
    assert (rows.trained, rows.mean) == (4, 8)
    # on average half of a step is trained, in the worst one three quarters
    assert rows.share == (0.5, 0.75)


@pytest.mark.parametrize(
    ("found", "ratio", "counts"),
    [
        ({"domain": 100, "open": 10}, {"domain": 3.0, "open": 1.0}, {"domain": 30, "open": 10}),
        ({"domain": 30, "open": 100}, {"domain": 3.0, "open": 1.0}, {"domain": 30, "open": 10}),
        ({"domain": 30, "open": 0}, {"domain": 3.0, "open": 1.0}, {"domain": 30, "open": 0}),
        ({"domain": 30, "open": 9}, {"domain": 1.0, "open": 0.0}, {"domain": 30, "open": 0}),
        ({"domain": 0, "open": 0}, {"domain": 1.0, "open": 1.0}, {"domain": 0, "open": 0}),
    ],
)
def test_a_short_pool_shrinks_the_other(found: Any, ratio: Any, counts: dict[str, int]) -> None:
    assert mixed_counts(found, ratio, held_out=0) == counts


def test_a_sample_is_spread_evenly() -> None:
    examples = [_example(f"q {n}", "a") for n in range(10)]
    assert list(every_nth(examples, 10, most=5)) == examples[::2]
    assert list(every_nth(examples, 9, most=5)) == examples[::2]
    assert list(every_nth(examples[:3], 3, most=5)) == examples[:3]


@pytest.mark.parametrize(
    ("method", "figures", "begins"),
    [
        ("lora", {"domain_rows": 336}, ["336 domain rows are few"]),
        ("lora", {"domain_rows": 50_000, "parameters": 7e9}, ["50,000 domain rows are below the 100,000 to 1,000,000"]),
        ("lora", {"domain_rows": 50_000, "parameters": 2e11}, []),
        ("lora", {"domain_rows": 300_000, "parameters": 7e9, "open_rows": 100_000, "open_share": 0.25}, []),
        ("full", {"domain_rows": 300_000}, ["Full fine-tuning usually gets 1M to 10M"]),
        ("full", {"domain_rows": 2_000_000}, []),
        ("qlora", {"domain_rows": 2_000_000}, ["From 1M domain rows on"]),
        ("lora", {"domain_rows": 300_000, "open_rows": 0, "open_share": 0}, ["No open rows are mixed in"]),
        ("lora", {"domain_rows": 300_000, "open_rows": 9, "open_share": 0.1}, ["Open rows are 10% of all"]),
        ("lora", {"context_share": 1.0}, []),
        ("lora", {"context_share": 2.0}, ["`train.context` is longer"]),
        ("lora", {"left_out_share": 0.25}, ["25% of the rows are longer"]),
    ],
)
def test_advice_by_the_volume_table(method: str, figures: dict[str, float], begins: list[str]) -> None:
    advice = advise(method, figures)
    assert len(advice) == len(begins)
    assert all(line.startswith(begin) for line, begin in zip(advice, begins, strict=True))


def test_a_plan_as_json_holds_what_scripts_rely_on(tmp_path: Path) -> None:
    folder = write_config(tmp_path, TINY["llama"])
    rows = Rows(300_000, 100_000, 40_000_000, 10_000_000, 90, 0, Band(0.25, 0.5), "counted")
    found = json.loads(json.dumps(forecast(folder, Job(context=96), find_card("L4"), rows=rows, epochs=2).as_json()))
    assert found["parameters"] == read_shapes(folder, Job()).parameters
    assert found["trainable_parameters"] == read_shapes(folder, Job()).adapter
    assert found["trained_tokens"] == 80_000_000
    assert 0 < found["hours_band"]["low"] < found["hours"] < found["hours_band"]["high"]
    memory = found["memory_gib"]
    assert memory["low"] == pytest.approx(sum(part["low"] for part in memory["parts"].values()), abs=0.01)
    assert {"weights", "adapter", "gradients", "optimiser", "activations", "logits", "workspace"} >= set(memory["parts"])
    assert found["fits"][0].keys() >= {"card", "memory_gib", "one", "gpus", "sharding", "need_gib", "hours"}
    assert found["advice"] == []
    assert forecast(folder, Job(), find_card("L4")).as_json()["hours"] is None


def test_the_same_plan_gives_the_same_bytes(tmp_path: Path) -> None:
    folder = write_config(tmp_path, TINY["qwen3"])
    first, second = (json.dumps(forecast(folder, Job(), tokens=1_000_000).as_json()) for _ in range(2))
    assert first == second


def test_this_machine_has_memory_and_a_speed() -> None:
    place = this_machine()
    assert place.memory_bytes > _GIB
    assert place.peak is None or place.peak > 1e9


def test_the_job_of_a_recipe(tmp_path: Path) -> None:
    train = {"method": "qlora", "rank": 4, "targets": ["q_proj"], "variant": "dora", "context": 64, "batch_tokens": 128}
    assert job_of(Recipe.model_validate({"train": train}).train) == Job(
        method="qlora", rank=4, targets=["q_proj"], dora=True, context=64, batch_tokens=128, chunk=128
    )
    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": 2, "target_modules": ["k_proj"], "use_dora": False}))
    (tmp_path / "adapter_model.safetensors").touch()
    going_on = Recipe.model_validate({"train": {"start": {"continue": str(tmp_path)}}}).train
    assert job_of(going_on) == Job(rank=2, targets=["k_proj"], chunk=128)
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError) as caught:
        job_of(going_on)
    assert caught.value.where == str(tmp_path / "adapter_config.json")
