"""The loss in chunks, and its gradients, are those of torch's cross-entropy."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional
from transformers import CohereConfig, CohereForCausalLM, LlamaForCausalLM

from tunewell.model.attention import enable_packed_attention
from tunewell.template import Encoded
from tunewell.train import loss
from tunewell.train.batches import pack

_ROW = pack([Encoded(list(range(3, 40)), [-100, *range(4, 40)]), Encoded(list(range(90, 120)), [-100, *range(91, 120)])])


def _head(size: int, words: int, *, bias: bool, generator: torch.Generator) -> loss.LossHead:
    head = torch.nn.Linear(size, words, bias=bias)
    for parameter in head.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator)
    head.__class__ = loss.LossHead
    assert isinstance(head, loss.LossHead)
    head.targets = None
    return head


@given(
    positions=st.integers(1, 1100),
    words=st.integers(2, 40),
    bias=st.booleans(),
    trained=st.booleans(),
    weight=st.sampled_from([1.0, 0.3]),
)
@settings(max_examples=40, deadline=None)
def test_value_and_gradients_are_those_of_cross_entropy(
    positions: int, words: int, bias: bool, trained: bool, weight: float
) -> None:
    generator = torch.Generator().manual_seed(positions)
    head = _head(6, words, bias=bias, generator=generator).requires_grad_(trained)
    hidden = torch.randn(1, positions, 6, generator=generator).requires_grad_()
    targets = torch.randint(words, (positions,), generator=generator)
    leaves = [hidden, *(parameter for parameter in head.parameters() if trained)]

    expected = functional.cross_entropy(head(hidden)[0], targets) * weight
    with head.scored(targets):
        found = head(hidden).squeeze() * weight
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    for ours, theirs in zip(torch.autograd.grad(found, leaves), torch.autograd.grad(expected, leaves), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-4)


def test_under_autocast_the_gradients_are_as_exact_as_torchs() -> None:
    generator = torch.Generator().manual_seed(0)
    head = _head(16, 50, bias=False, generator=generator)
    hidden = torch.randn(1, 700, 16, generator=generator).requires_grad_()
    targets = torch.randint(50, (700,), generator=generator)
    leaves = [hidden, head.weight]
    exact = torch.autograd.grad(functional.cross_entropy(head(hidden)[0], targets), leaves)
    with torch.autocast("cpu", torch.bfloat16):
        theirs = torch.autograd.grad(functional.cross_entropy(head(hidden)[0].float(), targets), leaves)
        with head.scored(targets):
            ours = torch.autograd.grad(head(hidden).squeeze(), leaves)
    for true, our, their in zip(exact, ours, theirs, strict=True):
        assert our.dtype == true.dtype
        assert (our - true).norm() <= 1.5 * (their - true).norm()


def test_a_plain_head_takes_the_loss_in_chunks(tiny_model: Path) -> None:
    model = LlamaForCausalLM.from_pretrained(tiny_model)
    enable_packed_attention(model)
    before = loss.supervised_loss(model, loss.output_head(model), _ROW)
    assert loss.choose_loss(model, _ROW).what == "loss in chunks"
    assert isinstance(model.lm_head, loss.LossHead)
    torch.testing.assert_close(loss.supervised_loss(model, loss.output_head(model), _ROW), before)
    assert model(input_ids=torch.tensor([[5, 6, 7]])).logits.shape == (1, 3, model.config.vocab_size)


def test_logits_that_the_architecture_scales_are_left_to_it() -> None:
    sizes: dict[str, Any] = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = CohereForCausalLM(CohereConfig(vocab_size=320, logit_scale=0.25, **sizes))
    enable_packed_attention(model)
    choice = loss.choose_loss(model, _ROW)
    assert choice.what == "all logits at once"
    assert type(model.lm_head) is torch.nn.Linear


def test_a_head_that_is_no_plain_layer_is_left_alone(tiny_model: Path) -> None:
    model = LlamaForCausalLM.from_pretrained(tiny_model)
    enable_packed_attention(model)
    model.set_output_embeddings(torch.nn.Sequential(model.lm_head))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loss, "row_logits", pytest.fail)
        assert "Sequential" in loss.choose_loss(model, _ROW).why
