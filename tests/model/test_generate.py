"""Greedy answers in batches are those of each prompt alone, and survive a crash."""

import random
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel

from tunewell.model import generate
from tunewell.model.attention import enable_packed_attention
from tunewell.model.generate import Answer, Decoding, answer_all, greedy_answers, plan_batches
from tunewell.model.load import load_base

_LIMIT = 12


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> PreTrainedModel:
    loaded = load_base(tiny_model, torch.float32)
    enable_packed_attention(loaded)
    return loaded


@pytest.fixture(scope="module")
def prompts() -> list[list[int]]:
    source = random.Random(1)
    return [[source.randrange(3, 250) for _ in range(source.randrange(1, 20))] for _ in range(13)]


@torch.inference_mode()
def _reference(model: PreTrainedModel, prompt: list[int], stop_ids: set[int]) -> Answer:
    ids = list(prompt)
    for _ in range(_LIMIT):
        token = int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax())
        if token in stop_ids:
            return Answer(ids[len(prompt) :], cut=False)
        ids.append(token)
    return Answer(ids[len(prompt) :], cut=True)


def test_batched_answers_equal_those_alone(model: PreTrainedModel, prompts: list[list[int]]) -> None:
    unstopped = [_reference(model, prompt, set()) for prompt in prompts]
    # Stop ids that end some rows early and leave others running, so that rows leave the batch at different times.
    stop_ids = {unstopped[0].ids[3], unstopped[1].ids[0], unstopped[2].ids[7]}
    expected = [_reference(model, prompt, stop_ids) for prompt in prompts]
    assert {answer.cut for answer in expected} == {True, False}
    assert greedy_answers(model, prompts, stop_ids=stop_ids, max_new_tokens=_LIMIT) == expected


def test_batches_hold_every_prompt_once_and_prompts_of_like_length() -> None:
    lengths = [5, 1, 9, 5, 2, 7]
    batches = plan_batches([[0] * length for length in lengths], batch=4)
    assert sorted(index for batch in batches for index in batch) == list(range(6))
    assert [[lengths[index] for index in batch] for batch in batches] == [[9, 7, 5, 5], [2, 1]]


def test_an_interrupted_run_repeats_no_batch_and_ends_the_same(
    model: PreTrainedModel, prompts: list[list[int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyed = {str(number): prompt for number, prompt in enumerate(prompts)}
    decoding = Decoding(batch=4, stop_ids={2}, max_new_tokens=_LIMIT)
    whole = answer_all(model, keyed, decoding, journal=tmp_path / "whole.jsonl", title="test")

    calls = []

    def dying(*arguments: object, **options: object) -> list[Answer]:
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return greedy_answers(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(generate, "greedy_answers", dying)
    with pytest.raises(KeyboardInterrupt):
        answer_all(model, keyed, decoding, journal=tmp_path / "cut.jsonl", title="test")
    resumed = answer_all(model, keyed, decoding, journal=tmp_path / "cut.jsonl", title="test")
    assert resumed == whole
    assert len(calls) == 3 + 2, "two of four batches were done before the crash"
