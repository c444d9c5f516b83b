"""Layers in their faster form compute what transformers' and peft's own do, and so do their gradients."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers.models.gemma.modeling_gemma import GemmaRMSNorm
from transformers.models.llama.modeling_llama import LlamaRMSNorm
from transformers.models.qwen3.modeling_qwen3 import Qwen3RMSNorm

from tunewell.model.fast.lora import speed_up_lora
from tunewell.model.fast.norm import FastNorm, speed_up_norm

_NORMS: dict[str, Callable[[], Any]] = {
    "llama": lambda: LlamaRMSNorm(24, eps=1e-5),
    "gemma": lambda: GemmaRMSNorm(24, eps=1e-6),
    "qwen3": lambda: Qwen3RMSNorm(24),
}


def _gradients(module: nn.Module, hidden: torch.Tensor, outer: torch.Tensor) -> list[torch.Tensor]:
    leaf = hidden.detach().requires_grad_()
    leaves = [leaf, *(parameter for parameter in module.parameters() if parameter.requires_grad)]
    output = module(leaf)
    return [output.detach(), *torch.autograd.grad((output.float() * outer).sum(), leaves)]


@pytest.mark.parametrize("name", _NORMS)
def test_a_norm_is_recognised_and_exact(name: str) -> None:
    torch.manual_seed(0)
    norm = _NORMS[name]()
    norm.weight.data += torch.randn(24) * 0.1
    hidden, outer = torch.randn(1, 7, 24) * 3, torch.randn(1, 7, 24)
    before = _gradients(norm, hidden, outer)
    assert speed_up_norm(norm)
    assert isinstance(norm, FastNorm)
    for ours, theirs in zip(_gradients(norm, hidden, outer), before, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


class _CentredRMSNorm(LlamaRMSNorm):
    def forward(self, hidden_states: torch.Tensor) -> Any:
        return super().forward(hidden_states - hidden_states.mean(-1, keepdim=True))


@pytest.mark.parametrize("other", [nn.LayerNorm(8), nn.Linear(8, 8), _CentredRMSNorm(8)])
def test_what_computes_something_else_stays(other: nn.Module) -> None:
    kind = type(other)
    assert not speed_up_norm(other)
    assert type(other) is kind


class _Layer(nn.Module):
    def __init__(self, *, bias: bool) -> None:
        super().__init__()
        self.projection: nn.Module = nn.Linear(12, 20, bias=bias)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = self.projection(hidden)
        return output


def _adapted(*, bias: bool = False, **options: Any) -> Any:
    """A linear layer with an adapter whose update is not zero."""
    torch.manual_seed(0)
    config = LoraConfig(r=4, lora_alpha=10, target_modules=["projection"], **options)
    model: Any = get_peft_model(_Layer(bias=bias), config)
    layer = model.base_model.model.projection
    for factor in (layer.lora_A, layer.lora_B):
        nn.init.normal_(factor["default"].weight)
    return layer


@pytest.mark.parametrize("bias", [False, True])
def test_an_adapted_layer_is_exact(bias: bool) -> None:
    layer = _adapted(bias=bias)
    hidden, outer = torch.randn(2, 5, 12), torch.randn(2, 5, 20)
    before = _gradients(layer, hidden, outer)
    assert len(before) == 4
    assert speed_up_lora(layer)
    for ours, theirs in zip(_gradients(layer, hidden, outer), before, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


def test_in_bfloat16_an_adapted_layer_is_as_exact_as_pefts() -> None:
    layer = _adapted()
    hidden, outer = torch.randn(1, 90, 12), torch.randn(1, 90, 20)
    exact = _gradients(layer, hidden, outer)
    with torch.autocast("cpu", torch.bfloat16):
        theirs = _gradients(layer, hidden, outer)
        speed_up_lora(layer)
        ours = _gradients(layer, hidden, outer)
    for true, our, their in zip(exact, ours, theirs, strict=True):
        assert (our.float() - true).norm() <= 1.5 * (their.float() - true).norm()


def test_a_base_in_four_bits_is_exact() -> None:
    bitsandbytes = pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    torch.manual_seed(0)
    whole = _Layer(bias=False)
    four = bitsandbytes.nn.Linear4bit(64, 64, bias=False, quant_type="nf4", compress_statistics=True, compute_dtype=torch.float32)
    four.weight = bitsandbytes.nn.Params4bit(torch.randn(64, 64), requires_grad=False, quant_type="nf4", compress_statistics=True)
    whole.projection = four.to("cpu")
    adapted: Any = get_peft_model(whole, LoraConfig(r=4, target_modules=["projection"]))
    layer = adapted.base_model.model.projection
    nn.init.normal_(layer.lora_B["default"].weight)
    hidden, outer = torch.randn(1, 9, 64), torch.randn(1, 9, 64)
    before = _gradients(layer, hidden, outer)
    assert speed_up_lora(layer)
    for ours, theirs in zip(_gradients(layer, hidden, outer), before, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("options", [{"use_dora": True}, {"lora_dropout": 0.1}, {"lora_bias": True, "bias": True}])
def test_an_adapter_that_does_more_stays_pefts(options: dict[str, Any]) -> None:
    layer = _adapted(**options)
    kind = type(layer)
    assert not speed_up_lora(layer)
    assert type(layer) is kind


def test_a_layer_is_pefts_again_while_its_adapter_is_off_or_merged() -> None:
    layer = _adapted()
    speed_up_lora(layer)
    hidden = torch.randn(3, 12)
    tuned, base = layer(hidden), layer.get_base_layer()(hidden)
    layer.enable_adapters(enabled=False)
    torch.testing.assert_close(layer(hidden), base)
    layer.enable_adapters(enabled=True)
    layer.merge()
    torch.testing.assert_close(layer(hidden), tuned, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(tuned, base)
