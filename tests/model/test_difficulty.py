"""Difficulty is the loss of an answer with its question over that without, whatever shares a row with it."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import PreTrainedModel

from tunewell.model import difficulty as module
from tunewell.model.attention import enable_packed_attention
from tunewell.model.difficulty import Answered, difficulty
from tunewell.model.load import load_base
from tunewell.model.score import Continuations, log_likelihoods

_IDS = st.lists(st.integers(min_value=3, max_value=250), min_size=1, max_size=12)
_NO_QUESTION = [1, 9, 2]


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> PreTrainedModel:
    loaded = load_base(tiny_model, torch.float32)
    enable_packed_attention(loaded)
    return loaded


@torch.inference_mode()
def _loss(model: PreTrainedModel, prompt: list[int], answer: list[int]) -> float:
    """The mean loss as transformers computes it, of one sequence alone."""
    labels = [-100] * len(prompt) + answer
    return float(model(input_ids=torch.tensor([prompt + answer]), labels=torch.tensor([labels])).loss)


@given(st.lists(st.tuples(_IDS, _IDS), min_size=1, max_size=20))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_it_is_the_quotient_of_two_plain_losses(
    model: PreTrainedModel, tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[list[int], list[int]]]
) -> None:
    journal = tmp_path_factory.mktemp("difficulty") / "journal.jsonl"
    found = difficulty(model, {str(place): Answered(*row) for place, row in enumerate(rows)}, _NO_QUESTION, journal=journal)
    for place, (prompt, answer) in enumerate(rows):
        expected = _loss(model, prompt, answer) / _loss(model, _NO_QUESTION, answer)
        assert found[str(place)] == pytest.approx(expected, abs=1e-4)


def test_a_killed_run_goes_on_after_its_last_whole_batch(
    model: PreTrainedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = {f"row{place}": Answered([3 + place, 4], [5, 6 + place]) for place in range(40)}
    whole = difficulty(model, rows, _NO_QUESTION, journal=tmp_path / "whole.jsonl")
    batches: list[int] = []

    def dies_in_the_third_batch(
        model: PreTrainedModel, items: Iterable[Continuations], *, row_tokens: int
    ) -> Iterator[list[float]]:
        batches.append(1)
        if len(batches) == 3:
            raise KeyboardInterrupt
        return log_likelihoods(model, items, row_tokens=row_tokens)

    monkeypatch.setattr(module, "log_likelihoods", dies_in_the_third_batch)
    cut = tmp_path / "cut.jsonl"
    with pytest.raises(KeyboardInterrupt):
        difficulty(model, rows, _NO_QUESTION, journal=cut)
    assert [json.loads(line)["key"] for line in cut.read_text().splitlines()] == list(rows)[:32]
    assert difficulty(model, rows, _NO_QUESTION, journal=cut) == whole
    assert len(batches) == 4, "the third batch alone was done again"
    assert (tmp_path / "whole.jsonl").read_bytes() == cut.read_bytes()


def test_a_batch_that_was_cut_off_while_it_was_written_is_done_again(model: PreTrainedModel, tmp_path: Path) -> None:
    rows = {f"row{place}": Answered([3 + place, 4], [5, 6 + place]) for place in range(20)}
    journal = tmp_path / "journal.jsonl"
    whole = difficulty(model, rows, _NO_QUESTION, journal=journal)
    journal.write_bytes(journal.read_bytes()[:-30])
    assert difficulty(model, rows, _NO_QUESTION, journal=journal) == whole


def test_an_answer_that_is_certain_without_a_question_divides_by_no_zero(
    model: PreTrainedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "log_likelihoods", lambda *_, **__: iter([[0.0], [0.0], [-0.5], [0.0]]))
    found = difficulty(model, {"a": Answered([3], [4]), "b": Answered([3], [5])}, [1], journal=tmp_path / "journal.jsonl")
    assert found == {"a": 0.0, "b": pytest.approx(500_000)}
