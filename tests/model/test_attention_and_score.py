"""Sequences in one row never see each other, and shared prompts change no likelihood."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedModel

from tunewell.model.attention import Row, Segment, Span, enable_packed_attention, lay_end_to_end, row_logits
from tunewell.model.load import load_base
from tunewell.model.score import Continuations, log_likelihoods

_IDS = st.lists(st.integers(min_value=3, max_value=250), min_size=1, max_size=12)


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> PreTrainedModel:
    loaded = load_base(tiny_model, torch.float32)
    enable_packed_attention(loaded)
    return loaded


@torch.inference_mode()
def _alone(model: PreTrainedModel, ids: list[int]) -> torch.Tensor:
    logits: torch.Tensor = model(input_ids=torch.tensor([ids])).logits[0]
    return logits


@torch.inference_mode()
def _row(model: PreTrainedModel, row: Row) -> torch.Tensor:
    return row_logits(model, row, torch.arange(row.input_ids.shape[1]))


@given(st.lists(_IDS, min_size=1, max_size=4))
@settings(max_examples=25, deadline=None)
def test_each_sequence_of_a_row_has_the_logits_it_has_alone(model: PreTrainedModel, sequences: list[list[int]]) -> None:
    packed = _row(model, lay_end_to_end(sequences)).split([len(sequence) for sequence in sequences])
    for sequence, logits in zip(sequences, packed, strict=True):
        torch.testing.assert_close(logits, _alone(model, sequence), atol=1e-5, rtol=1e-4)


def test_without_segments_the_second_sequence_would_see_the_first(model: PreTrainedModel) -> None:
    sequences = [[5, 6, 7, 8], [9, 10, 11]]
    row = lay_end_to_end(sequences)
    one_segment = row._replace(segments=(Segment(Span(0, 7)),))
    assert not torch.allclose(_row(model, one_segment)[4:], _alone(model, sequences[1]), atol=1e-3)


@given(prompt=_IDS, choices=st.lists(_IDS, min_size=1, max_size=4), other=_IDS)
@settings(max_examples=25, deadline=None)
def test_likelihoods_with_a_shared_prompt_are_those_of_each_choice_alone(
    model: PreTrainedModel, prompt: list[int], choices: list[list[int]], other: list[int]
) -> None:
    items = [Continuations(other, [other]), Continuations(prompt, choices)]
    _, found = log_likelihoods(model, items)
    for choice, value in zip(choices, found, strict=True):
        log_probabilities = _alone(model, prompt + choice).log_softmax(dim=-1)
        expected = sum(log_probabilities[len(prompt) - 1 + place, token].item() for place, token in enumerate(choice))
        assert value == pytest.approx(expected, abs=1e-3)


def test_rows_are_filled_up_to_their_size_and_no_item_is_lost(model: PreTrainedModel) -> None:
    items = [Continuations([3, 4, 5], [[6], [7, 8]]) for _ in range(9)]
    split = list(log_likelihoods(model, items, row_tokens=10))
    together = list(log_likelihoods(model, items, row_tokens=10_000))
    assert len(split) == 9
    torch.testing.assert_close(torch.tensor(split), torch.tensor(together), atol=1e-5, rtol=1e-4)
