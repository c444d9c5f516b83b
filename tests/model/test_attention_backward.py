"""Gradients of the packed attention are those of torch's own."""

from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch.nn import functional
from transformers import Gemma2Config, Gemma2ForCausalLM, MistralConfig, MistralForCausalLM

from tunewell.model.attention import Segment, Span, enable_packed_attention, lay_end_to_end, packed_attention, row_logits


def _segments(lengths: list[int]) -> list[Segment]:
    ends = torch.tensor(lengths).cumsum(0).tolist()
    return [Segment(Span(end - length, end)) for length, end in zip(lengths, ends, strict=True)]


def _reference(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, segments: list[Segment]) -> torch.Tensor:
    outputs = [
        functional.scaled_dot_product_attention(
            query[:, :, start:end], key[:, :, start:end], value[:, :, start:end], is_causal=True, enable_gqa=True
        )
        for (start, end), _ in segments
    ]
    return torch.cat(outputs, dim=2).transpose(1, 2)


def _ours(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, segments: list[Segment]) -> torch.Tensor:
    return packed_attention(torch.nn.Module(), query, key, value, None, segments=segments)[0]


@given(lengths=st.lists(st.integers(1, 40) | st.integers(100, 300), min_size=1, max_size=5), seed=st.integers(0, 99))
@example(lengths=[128, 1, 129, 256], seed=0)  # blocks that end with their segment, and one token more
@settings(max_examples=30, deadline=None)
def test_outputs_and_gradients_equal_those_of_each_segment_alone(lengths: list[int], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    total, size = sum(lengths), 8
    leaves = [torch.randn(1, heads, total, size, generator=generator).requires_grad_() for heads in (4, 2, 2)]
    weights = torch.randn(1, total, 4, size, generator=generator)
    found = []
    for attend in (_reference, _ours):
        output = attend(leaves[0], leaves[1], leaves[2], _segments(lengths))
        gradients = torch.autograd.grad((output * weights).sum(), leaves)
        found.append([output, *gradients])
    for expected, got in zip(*found, strict=True):
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-4)


def test_in_bfloat16_the_gradients_are_as_exact_as_torchs_own() -> None:
    generator = torch.Generator().manual_seed(0)
    exact = [torch.randn(1, heads, 60, 16, generator=generator) for heads in (4, 2, 2)]
    weights = torch.randn(1, 60, 4, 16, generator=generator)
    segments = _segments([25, 35])

    def gradients(dtype: torch.dtype, *, ours: bool) -> list[torch.Tensor]:
        leaves = [tensor.detach().to(dtype).requires_grad_() for tensor in exact]
        output = (_ours if ours else _reference)(leaves[0], leaves[1], leaves[2], segments)
        return [gradient.float() for gradient in torch.autograd.grad((output.float() * weights).sum(), leaves)]

    truth = gradients(torch.float32, ours=False)
    for true, our, their in zip(truth, gradients(torch.bfloat16, ours=True), gradients(torch.bfloat16, ours=False), strict=True):
        assert (our - true).norm() <= 2 * (their - true).norm() + 1e-6


@pytest.mark.parametrize("heads", [2, 4])
def test_without_segments_it_is_transformers_own(heads: int) -> None:
    query, key, value = (torch.randn(2, heads, 5, 8) for _ in range(3))
    module = torch.nn.Module()
    module.is_causal = True  # type: ignore[assignment]
    module.num_key_value_groups = 1  # type: ignore[assignment]
    output, _ = packed_attention(module, query, key, value, None, scaling=None, dropout=0.0)
    expected = functional.scaled_dot_product_attention(query, key, value, is_causal=True).transpose(1, 2)
    torch.testing.assert_close(output, expected)


def _small(kind: type[Any], config: type[Any], **options: Any) -> Any:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8}
    return kind(config(vocab_size=50, num_hidden_layers=2, **sizes, **options)).eval()


@pytest.mark.parametrize(
    "model",
    [
        _small(MistralForCausalLM, MistralConfig, sliding_window=6),
        _small(Gemma2ForCausalLM, Gemma2Config, sliding_window=6, attn_logit_softcapping=2.0),
    ],
    ids=["window", "bent scores"],
)
def test_windows_and_bent_scores_are_those_of_the_architecture(model: Any) -> None:
    model.set_attn_implementation("eager")
    pieces = [list(range(2, 22)), list(range(9, 40)), [3, 1, 4]]
    expected = [model(input_ids=torch.tensor([piece])).logits[0] for piece in pieces]
    enable_packed_attention(model)
    row = lay_end_to_end(pieces)
    found = row_logits(model, row, torch.arange(row.input_ids.shape[1]))
    torch.testing.assert_close(found, torch.cat(expected), atol=1e-4, rtol=1e-4)
